// Which words go where: wasmctl's options, and the program's own.
#include "client/cli/command_line.h"

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace wasmd::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

using Words = std::vector<std::string>;

CommandLine Parse(const Words& words) {
  absl::StatusOr<CommandLine> line = ParseCommandLine(words);
  EXPECT_TRUE(line.ok()) << line.status();
  return line.ok() ? *line : CommandLine{};
}

template <typename T>
T Command(const Words& words) {
  const CommandLine line = Parse(words);
  EXPECT_TRUE(std::holds_alternative<T>(line.command)) << line.command.index();
  return std::get<T>(line.command);
}

std::string Error(const Words& words) {
  const absl::StatusOr<CommandLine> line = ParseCommandLine(words);
  EXPECT_FALSE(line.ok());
  return std::string(line.status().message());
}

TEST(CommandLineTest, RunTakesItsOptionsBeforeTheProgram) {
  const CommandLine line = Parse({"run",      "-a",
                                  "/s",       "--dir",
                                  "a::/",     "--dir",
                                  "b::/b:ro", "-e",
                                  "K=V",      "--env",
                                  "L=",       "--timeout",
                                  "5s",       "--max-memory",
                                  "64M",      "--no-pass-fds",
                                  "--stdin",  "in",
                                  "--argv0",  "me",
                                  "--fuel",   "0",
                                  "prog.wasm"});
  const auto& run = std::get<RunArguments>(line.command);
  EXPECT_EQ(line.common.address, "/s");
  EXPECT_EQ(line.common.timeout, absl::Seconds(5));
  ASSERT_EQ(run.dirs.size(), 2U);
  EXPECT_EQ(run.dirs[1].guest_path, "/b");
  EXPECT_TRUE(run.dirs[1].read_only);
  EXPECT_THAT(run.env, ElementsAre(Pair("K", "V"), Pair("L", "")));
  EXPECT_EQ(run.fuel, 0u);
  EXPECT_EQ(run.limits.memory_bytes, uint64_t{64} << 20);
  EXPECT_FALSE(run.pass_descriptors);
  EXPECT_EQ(run.stdin_path, "in");
  EXPECT_EQ(run.argv0, "me");
  EXPECT_EQ(run.module, "prog.wasm");
  EXPECT_THAT(run.args, IsEmpty());
}

TEST(CommandLineTest, FuelIsANumber) {
  EXPECT_EQ(Command<CallArguments>({"call", "--fuel", "18446744073709551615", "m", "f"}).fuel,
            UINT64_MAX);
  EXPECT_EQ(Command<CallArguments>({"call", "m", "f"}).fuel, std::nullopt);
  EXPECT_EQ(Command<RunArguments>({"run", "p"}).fuel, std::nullopt);
  for (const char* const fuel : {"-1", "+1", "1k", "1.5", "", " 1", "18446744073709551616"}) {
    EXPECT_THAT(Error({"run", "--fuel", fuel, "p"}), HasSubstr("number of instructions")) << fuel;
  }
}

TEST(CommandLineTest, WhatFollowsTheProgramIsTheProgramsOwn) {
  EXPECT_THAT(Command<RunArguments>({"run", "p", "-a", "--dir", "--help", "-5", "x"}).args,
              ElementsAre("-a", "--dir", "--help", "-5", "x"));
  EXPECT_THAT(Command<RunArguments>({"run", "p", "--", "a", "--", "b"}).args,
              ElementsAre("a", "--", "b"));
  EXPECT_THAT(Command<RunArguments>({"run", "p", "a", "--", "b"}).args,
              ElementsAre("a", "--", "b"));
  EXPECT_THAT(Command<RunArguments>({"run", "p", "", "--"}).args, ElementsAre("", "--"));
  const auto dashed = Command<RunArguments>({"run", "--", "-p", "--", "a"});
  EXPECT_EQ(dashed.module, "-p");
  EXPECT_THAT(dashed.args, ElementsAre("a"));
  // A second command's name is no command of ours.
  EXPECT_THAT(Command<RunArguments>({"run", "p", "call", "module"}).args,
              ElementsAre("call", "module"));
}

TEST(CommandLineTest, RunRefusesWhatItDoesNotKnow) {
  EXPECT_THAT(Error({"run"}), HasSubstr("no program"));
  EXPECT_THAT(Error({"run", "--"}), HasSubstr("no program"));
  EXPECT_THAT(Error({"run", "--nonsense", "p"}), HasSubstr("--nonsense"));
  EXPECT_THAT(Error({"run", "--timeout", "soon", "p"}), HasSubstr("not a time: 'soon'"));
  EXPECT_THAT(Error({"run", "--dir", "a::", "p"}), HasSubstr("HOST::GUEST"));
  EXPECT_THAT(Error({"run", "--env", "=1", "p"}), HasSubstr("NAME=VALUE"));
  EXPECT_THAT(Error({"run", "-o", "xml", "p"}), HasSubstr("xml"));
}

TEST(CommandLineTest, CallTakesBytesInsteadOfArguments) {
  EXPECT_EQ(Command<CallArguments>({"call", "m", "f"}).bytes, std::nullopt);
  EXPECT_EQ(Command<CallArguments>({"call", "--bytes", "in put", "m", "f"}).bytes, "in put");
  EXPECT_EQ(Command<CallArguments>({"call", "m", "f", "--bytes", "-"}).bytes, "-");
  EXPECT_EQ(Command<CallArguments>({"call", "m", "f", "--bytes", "@file"}).bytes, "@file");
  EXPECT_EQ(Command<CallArguments>({"call", "m", "f", "--bytes", ""}).bytes, "");
  EXPECT_EQ(Command<CallArguments>({"call", "m", "f", "--bytes", "-5"}).bytes, "-5");
  EXPECT_EQ(Command<CallArguments>({"call", "m", "f", "--bytes=-x"}).bytes, "-x");
  EXPECT_THAT(Error({"call", "m", "f", "1", "--bytes", "x"}), HasSubstr("no arguments: '1'"));
  EXPECT_THAT(Error({"call", "m", "f", "--bytes"}), HasSubstr("--bytes"));
}

TEST(CommandLineTest, CallTakesNegativeNumbersAndOptionsAnywhere) {
  const CommandLine line = Parse({"call", "m.wasm", "f", "-5", "-.5", "-inf", "-nan:0x1", "0x10",
                                  "-o", "json", "--timeout", "1s"});
  const auto& call = std::get<CallArguments>(line.command);
  EXPECT_EQ(line.common.format, OutputFormat::kJson);
  EXPECT_EQ(line.common.timeout, absl::Seconds(1));
  EXPECT_EQ(call.module, "m.wasm");
  EXPECT_EQ(call.func, "f");
  EXPECT_THAT(call.args, ElementsAre("-5", "-.5", "-inf", "-nan:0x1", "0x10"));
  EXPECT_THAT(Command<CallArguments>({"call", "m", "f", "--", "-x"}).args, ElementsAre("-x"));
  EXPECT_THAT(Error({"call", "m.wasm"}), HasSubstr("FUNCTION"));
  EXPECT_THAT(Error({"call", "m", "f", "--timeout", "-5"}), HasSubstr("'-5'"));
}

TEST(CommandLineTest, CommonOptionsMayStandBeforeTheCommand) {
  const CommandLine line =
      Parse({"-a", "call", "-o", "json", "--timeout", "2s", "run", "p", "--", "-a", "other"});
  EXPECT_EQ(line.common.address, "call");
  EXPECT_EQ(line.common.format, OutputFormat::kJson);
  EXPECT_EQ(line.common.timeout, absl::Seconds(2));
  EXPECT_THAT(std::get<RunArguments>(line.command).args, ElementsAre("-a", "other"));
  EXPECT_EQ(Parse({"--address=/s", "health"}).common.address, "/s");
  EXPECT_EQ(Parse({"--spawn", "health"}).common.spawn, true);
  EXPECT_EQ(Parse({"module", "-a", "/s", "ls"}).common.address, "/s");
  EXPECT_EQ(Parse({"-a", "/first", "health", "-a", "/second"}).common.address, "/second");
  EXPECT_THAT(Command<CallArguments>({"-a", "/s", "call", "m", "f", "-5"}).args, ElementsAre("-5"));
  EXPECT_THAT(Error({"-a", "/s"}), HasSubstr("no command"));
}

TEST(CommandLineTest, ReadsTheOthers) {
  EXPECT_THAT(Command<ModuleRemoveArguments>({"module", "rm", "a", "b"}).modules,
              ElementsAre("a", "b"));
  EXPECT_TRUE(Command<ModuleListArguments>({"module", "ls", "-q"}).quiet);
  EXPECT_EQ(Command<ModuleInspectArguments>({"module", "inspect", "m"}).module, "m");
  EXPECT_THAT(Command<ModuleLoadArguments>({"module", "load", "--eager", "m"}).files,
              ElementsAre("m"));
  EXPECT_EQ(Command<TopArguments>({"top", "-n", "3"}).count, 3U);
  EXPECT_EQ(Command<TopArguments>({"top"}).count, std::nullopt);
  EXPECT_EQ(Parse({"health", "--spawn"}).common.spawn, true);
  EXPECT_THAT(Command<PrintArguments>({"version"}).text, HasSubstr("wasmctl "));
  EXPECT_THAT(Command<PrintArguments>({"--version"}).text, HasSubstr("wasmctl "));
  EXPECT_THAT(Command<PrintArguments>({"--help"}).text, HasSubstr("run"));
  EXPECT_THAT(Command<PrintArguments>({"run", "--help"}).text, HasSubstr("--dir"));
  EXPECT_THAT(Error({}), HasSubstr("no command"));
  EXPECT_THAT(Error({"nonsense"}), HasSubstr("nonsense"));
  EXPECT_THAT(Error({"module"}), HasSubstr("subcommand"));
  EXPECT_THAT(Error({"top", "-n", "0"}), HasSubstr("0"));
  EXPECT_THAT(Error({"completion", "tcsh"}), HasSubstr("bash, zsh and fish"));
}

TEST(CommandLineTest, ErrorsAreOneLine) {
  for (const Words& words :
       std::vector<Words>{{"x\ny"}, {"call"}, {"module"}, {"top", "-n", "many"}}) {
    EXPECT_EQ(Error(words).find_first_of("\n\x01"), std::string::npos);
  }
}

TEST(CommandLineTest, CompletionKnowsEveryCommandAndOption) {
  for (const std::string shell : {"bash", "zsh", "fish"}) {
    const std::string script = Command<PrintArguments>({"completion", shell}).text;
    for (const std::string word :
         {"run", "call", "inspect", "rm", "health", "top", "max-memory", "timeout", "json"}) {
      EXPECT_THAT(script, HasSubstr(word)) << shell;
    }
  }
}

}  // namespace
}  // namespace wasmd::cli
