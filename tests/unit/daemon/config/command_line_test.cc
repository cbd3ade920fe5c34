// Defaults, then the file, then the flags; and one line for whatever is wrong.
#include "daemon/config/command_line.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "daemon/config/option_table.h"
#include "daemon/config/options.h"

namespace wasmd::daemon {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

absl::StatusOr<CommandLine> Parse(std::vector<const char*> flags) {
  flags.insert(flags.begin(), "wasmd");
  return ParseCommandLine(static_cast<int>(flags.size()), flags.data(), "1.2.3");
}

std::string ErrorOf(std::vector<const char*> flags) {
  const absl::StatusOr<CommandLine> line = Parse(std::move(flags));
  EXPECT_FALSE(line.ok());
  return std::string(line.status().message());
}

class ConfigFileTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "/wasmd-config-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string Write(std::string_view text) const {
    const std::string path = folder_ + "/wasmd.toml";
    std::ofstream(path) << text;
    return path;
  }

  std::string folder_;
};

TEST(CommandLineTest, HasDefaults) {
  const absl::StatusOr<CommandLine> line = Parse({});
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_TRUE(line->text.empty());
  EXPECT_TRUE(line->options.listen.empty());
  EXPECT_EQ(line->options.max_runs, Options().max_runs);
}

TEST(CommandLineTest, ReadsFlags) {
  const absl::StatusOr<CommandLine> line =
      Parse({"--listen", "unix:/a", "--listen=tcp:localhost:1", "--max-runs", "7", "--root",
             "data=/srv", "--log-format", "json", "--drain-timeout", "2m"});
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->options.listen.size(), 2u);
  EXPECT_EQ(line->options.max_runs, 7u);
  EXPECT_THAT(line->options.roots, ElementsAre(NamedRoot{"data", "/srv"}));
  EXPECT_EQ(line->options.log_format, LogFormat::kJson);
  EXPECT_EQ(line->options.drain_timeout, absl::Minutes(2));
}

TEST(CommandLineTest, HelpNamesEveryOption) {
  const absl::StatusOr<CommandLine> line = Parse({"--help"});
  ASSERT_TRUE(line.ok()) << line.status();
  for (const OptionRow& row : OptionTable()) {
    EXPECT_THAT(line->text, HasSubstr("--" + row.name));
  }
  EXPECT_EQ(Parse({"--version"})->text, "wasmd 1.2.3\n");
}

TEST(CommandLineTest, ErrorsAreOneLineAndNameTheFlag) {
  for (const std::string& error : {ErrorOf({"--max-runs", "0"}), ErrorOf({"--max-runs", "many"}),
                                   ErrorOf({"--max-runs", "4294967297"})}) {
    EXPECT_THAT(error, AllOf(HasSubstr("--max-runs"), Not(HasSubstr("\n"))));
  }
  EXPECT_THAT(ErrorOf({"--listen", "nowhere"}), HasSubstr("--listen"));
  EXPECT_THAT(ErrorOf({"--log-level", "loud"}), HasSubstr("trace|debug|info"));
  EXPECT_THAT(ErrorOf({"--no-such-flag"}), HasSubstr("--no-such-flag"));
  EXPECT_THAT(ErrorOf({"surplus"}), HasSubstr("surplus"));
  EXPECT_THAT(ErrorOf({"--root", "a=/x", "--root", "a=/y"}), HasSubstr("twice"));
  EXPECT_THAT(ErrorOf({"--workers", "9", "--max-workers", "8"}), HasSubstr("--max-workers"));
}

TEST_F(ConfigFileTest, FlagsWinOverTheFile) {
  const std::string path = Write(R"(
listen = ["unix:/from-file", "tcp:localhost:2"]
max-runs = 3
max-module-size = "1MiB"
drain-timeout = 1.5
[root]
data = "/srv/data"
)");
  const absl::StatusOr<CommandLine> line =
      Parse({"--max-runs", "5", "--config", path.c_str(), "--listen", "unix:/from-flag"});
  ASSERT_TRUE(line.ok()) << line.status();
  EXPECT_EQ(line->options.max_runs, 5u);
  EXPECT_EQ(line->options.max_module_bytes, kMiB);
  EXPECT_EQ(line->options.drain_timeout, absl::Milliseconds(1500));
  ASSERT_EQ(line->options.listen.size(), 1u);
  EXPECT_EQ(line->options.listen[0].path, "/from-flag");
  EXPECT_THAT(line->options.roots, ElementsAre(NamedRoot{"data", "/srv/data"}));
}

TEST_F(ConfigFileTest, ErrorsNameFileAndLine) {
  const std::string path = Write("max-runs = 3\nmax-rums = 4\n");
  EXPECT_THAT(ErrorOf({"-c", path.c_str()}), HasSubstr("wasmd.toml:2: unknown key \"max-rums\""));
  Write("\n\nmax-runs = true\n");
  EXPECT_THAT(ErrorOf({"-c", path.c_str()}), HasSubstr("wasmd.toml:3: max-runs"));
  Write("max-runs = \n");
  EXPECT_THAT(ErrorOf({"-c", path.c_str()}), HasSubstr("wasmd.toml:1: "));
  Write("[root]\ndata = 5\n");
  EXPECT_THAT(ErrorOf({"-c", path.c_str()}), HasSubstr("root.data"));
  EXPECT_THAT(ErrorOf({"-c", "/no/such/file"}), HasSubstr("/no/such/file"));
}

}  // namespace
}  // namespace wasmd::daemon
