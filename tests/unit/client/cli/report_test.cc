// What is printed: tables, sizes, ages, progress, errors and their exit codes.
#include "client/cli/report.h"

#include <string>

#include "nlohmann/json.hpp"
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/cli/connection.h"
#include "client/cli/exit_code.h"
#include "client/cli/json.h"
#include "client/cli/progress.h"

namespace wasmd::cli {
namespace {

using testing::internal::CaptureStderr;
using testing::internal::GetCapturedStderr;

TEST(ReportTest, TablesAlign) {
  Table table({"NAME", "SIZE"});
  table.AlignRight(1);
  table.Add({"a", "1"});
  table.Add({"größer", "12345"});
  table.Add({"bell\a", ""});
  EXPECT_EQ(table.ToString(),
            "NAME     SIZE\n"
            "a           1\n"
            "größer  12345\n"
            "bell?\n");
}

TEST(ReportTest, FormatsSizesAndAges) {
  EXPECT_EQ(FormatBytes(0), "0 B");
  EXPECT_EQ(FormatBytes(1023), "1023 B");
  EXPECT_EQ(FormatBytes(1536), "1.5 KiB");
  EXPECT_EQ(FormatBytes(uint64_t{1} << 20), "1.0 MiB");
  EXPECT_EQ(FormatBytes((uint64_t{1} << 20) - 1), "1.0 MiB");
  EXPECT_EQ(FormatAge(absl::Milliseconds(1250)), "1.2 s");
  EXPECT_EQ(FormatAge(absl::Seconds(-1)), "0.0 s");
  EXPECT_EQ(FormatAge(absl::Minutes(12)), "12 min");
  EXPECT_EQ(FormatAge(absl::Hours(5)), "5 h");
  EXPECT_EQ(FormatAge(absl::Hours(96)), "4 d");
  EXPECT_EQ(ShortDigest("sha256:0123456789abcdef"), "sha256:0123456789ab");
}

TEST(ReportTest, ErrorsAreOneLineWithAnExitCode) {
  CaptureStderr();
  EXPECT_EQ(ReportStatus(absl::InvalidArgumentError("bad\nthing\x1b[2J"), "a.wasm"), kFailure);
  EXPECT_EQ(GetCapturedStderr(), "wasmctl: a.wasm: bad?thing?[2J\n");
  CaptureStderr();
  EXPECT_EQ(ReportStatus(absl::DeadlineExceededError("not done within 5s"), "a.wasm"), kDeadline);
  EXPECT_EQ(GetCapturedStderr(), "wasmctl: a.wasm: not done within 5s\n");
  CaptureStderr();
  EXPECT_EQ(ReportStatus(absl::CancelledError("cancelled")), kInterrupted);
  EXPECT_EQ(GetCapturedStderr(), "");
}

TEST(ReportTest, TrapsShowTheirFrames) {
  client::Trap trap{.code = client::TrapCode::kDivideByZero,
                    .message = "integer divide by zero",
                    .frames = {{"a.wasm", 3, "div", 0x1a2}, {"a.wasm", 4, "", 0x1b0}},
                    .frames_omitted = 5};
  CaptureStderr();
  ReportTrap(trap);
  EXPECT_EQ(GetCapturedStderr(),
            "wasmctl: trap: integer divide by zero\n"
            "  0: div (a.wasm, func 3, offset 0x1a2)\n"
            "  1: func[4] (a.wasm, func 4, offset 0x1b0)\n"
            "  ... and 5 more frames\n");
}

TEST(ReportTest, JsonKeepsValuesExact) {
  EXPECT_EQ(ToJson(client::Value(int32_t{-1})).dump(), R"({"type":"i32","value":-1})");
  EXPECT_EQ(ToJson(client::Value(int64_t{9007199254740993})).dump(),
            R"({"type":"i64","value":"9007199254740993"})");
  EXPECT_EQ(ToJson(client::Value(0.1F)).dump(), R"({"type":"f32","value":0.1})");
  EXPECT_EQ(ToJson(client::Value(std::numeric_limits<double>::infinity())).dump(),
            R"({"type":"f64","value":"inf"})");
  EXPECT_EQ(ToJson(client::Outcome(client::Exit{3})).dump(), R"({"exit_code":3})");
  client::ModuleInfo module;
  module.name = "not utf-8: \xff";
  EXPECT_NE(Dump(ToJson(module)).find("not utf-8"), std::string::npos);
}

TEST(ProgressTest, SaysHowFarItIs) {
  EXPECT_EQ(ProgressLine("a.wasm", 2 << 20, 8 << 20, absl::Seconds(1), 200),
            "uploading a.wasm [#####---------------]  25%  2.0 MiB of 8.0 MiB");
  EXPECT_EQ(ProgressLine("a.wasm", 8, 8, absl::Milliseconds(1200), 200), "compiling a.wasm  1.2 s");
  EXPECT_EQ(ProgressLine("a.wasm", 0, 0, absl::Seconds(2), 10), "compiling");
}

TEST(ConnectionTest, TellsDigestsFromFiles) {
  const std::string hex(64, 'a');
  EXPECT_EQ(AsDigest("sha256:" + hex), "sha256:" + hex);
  EXPECT_EQ(AsDigest(hex), "sha256:" + hex);
  EXPECT_EQ(AsDigest("0123abcd"), "sha256:0123abcd");
  EXPECT_EQ(AsDigest("0123abc"), std::nullopt);
  EXPECT_EQ(AsDigest("0123abcg"), std::nullopt);
  EXPECT_EQ(AsDigest("deadbeef.wasm"), std::nullopt);
}

}  // namespace
}  // namespace wasmd::cli
