// Times, sizes, directories and variables as users write them.
#include "client/cli/arguments.h"

#include <cstdlib>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace wasmd::cli {
namespace {

using testing::HasSubstr;
using testing::Pair;

TEST(ArgumentsTest, ReadsTimes) {
  EXPECT_EQ(*ParseDuration("5s"), absl::Seconds(5));
  EXPECT_EQ(*ParseDuration("5"), absl::Seconds(5));
  EXPECT_EQ(*ParseDuration("250ms"), absl::Milliseconds(250));
  EXPECT_EQ(*ParseDuration("1.5m"), absl::Seconds(90));
  EXPECT_EQ(*ParseDuration("2h"), absl::Hours(2));
  for (const std::string text :
       {"", "s", "-1s", "0", "0s", "5 s", "5d", "1.2.3s", "5sec", "nan", "1e3s"}) {
    const absl::StatusOr<absl::Duration> duration = ParseDuration(text);
    ASSERT_FALSE(duration.ok()) << text;
    EXPECT_THAT(std::string(duration.status().message()), HasSubstr("'" + text + "'")) << text;
  }
}

TEST(ArgumentsTest, ReadsSizes) {
  EXPECT_EQ(*ParseSize("65536"), 65536U);
  EXPECT_EQ(*ParseSize("64K"), 65536U);
  EXPECT_EQ(*ParseSize("64k"), 65536U);
  EXPECT_EQ(*ParseSize("64KiB"), 65536U);
  EXPECT_EQ(*ParseSize("1.5G"), 3U << 29);
  EXPECT_EQ(*ParseSize("12B"), 12U);
  for (const std::string text : {"", "0", "-1", "M", "64X", "64KB2", "64 K", "0.1", "99999999T"}) {
    EXPECT_FALSE(ParseSize(text).ok()) << text;
  }
}

TEST(ArgumentsTest, ReadsDirectories) {
  absl::StatusOr<DirSpec> dir = ParseDirSpec("data::/");
  ASSERT_TRUE(dir.ok());
  EXPECT_EQ(dir->source, "data");
  EXPECT_EQ(dir->guest_path, "/");
  EXPECT_FALSE(dir->read_only);
  dir = ParseDirSpec("/a:b::/in:ro");
  ASSERT_TRUE(dir.ok());
  EXPECT_EQ(dir->source, "/a:b");
  EXPECT_EQ(dir->guest_path, "/in");
  EXPECT_TRUE(dir->read_only);
  dir = ParseDirSpec("data");
  ASSERT_TRUE(dir.ok());
  EXPECT_EQ(dir->source, "data");
  EXPECT_EQ(dir->guest_path, "data");
  for (const std::string text : {"", "::", "::/", "data::", "data:::ro"}) {
    EXPECT_FALSE(ParseDirSpec(text).ok()) << text;
  }
}

TEST(ArgumentsTest, ReadsSockets) {
  const auto tcp = [](std::string_view text) {
    const absl::StatusOr<ListenSpec> spec = ParseTcpListen(text);
    return spec.ok() ? std::get<TcpListenSpec>(*spec) : TcpListenSpec();
  };
  EXPECT_EQ(tcp("127.0.0.1:8080").host, "127.0.0.1");
  EXPECT_EQ(tcp("127.0.0.1:8080").port, "8080");
  EXPECT_EQ(tcp("localhost:0").host, "localhost");
  EXPECT_EQ(tcp("[::1]:80").host, "::1");
  for (const std::string text :
       {"", ":", ":80", "host", "host:", "host:x", "host:-1", "host:65536", "::1:80", "[]:80"}) {
    EXPECT_FALSE(ParseTcpListen(text).ok()) << text;
  }
  EXPECT_EQ(std::get<int>(*ParseListenFd("7")), 7);
  for (const std::string text : {"", "-1", "x", "3x", "99999999999"}) {
    EXPECT_FALSE(ParseListenFd(text).ok()) << text;
  }
}

TEST(ArgumentsTest, ReadsVariables) {
  EXPECT_THAT(*ParseEnv("K=V"), Pair("K", "V"));
  EXPECT_THAT(*ParseEnv("K="), Pair("K", ""));
  EXPECT_THAT(*ParseEnv("K=a=b"), Pair("K", "a=b"));
  setenv("WASMCTL_ARGUMENTS_TEST", "here", 1);
  EXPECT_THAT(*ParseEnv("WASMCTL_ARGUMENTS_TEST"), Pair("WASMCTL_ARGUMENTS_TEST", "here"));
  unsetenv("WASMCTL_ARGUMENTS_TEST");
  EXPECT_FALSE(ParseEnv("WASMCTL_ARGUMENTS_TEST").ok());
  EXPECT_FALSE(ParseEnv("").ok());
  EXPECT_FALSE(ParseEnv("=V").ok());
}

}  // namespace
}  // namespace wasmd::cli
