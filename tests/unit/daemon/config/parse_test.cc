// Sizes, durations, addresses and names as people write them, and what is refused.
#include "daemon/config/parse.h"

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "daemon/config/options.h"
#include "daemon/observe/log.h"

namespace wasmd::daemon {
namespace {

using testing::HasSubstr;

TEST(ParseByteSizeTest, TakesUnits) {
  EXPECT_EQ(*ParseByteSize("4096"), 4096u);
  EXPECT_EQ(*ParseByteSize("64KiB"), 65536u);
  EXPECT_EQ(*ParseByteSize("64k"), 65536u);
  EXPECT_EQ(*ParseByteSize(" 2 MB "), 2u << 20);
  EXPECT_EQ(*ParseByteSize("3gib"), uint64_t{3} << 30);
  EXPECT_EQ(*ParseByteSize("0"), 0u);
}

TEST(ParseByteSizeTest, RefusesTheRest) {
  for (const std::string_view text :
       {"", "MiB", "-1", "1.5G", "12 apples", "1kk", "99999999999999999999", "16777216T", "0x10"}) {
    const auto size = ParseByteSize(text);
    ASSERT_FALSE(size.ok()) << text;
    EXPECT_THAT(std::string(size.status().message()), HasSubstr("is no size"));
  }
}

TEST(ParseByteSizeTest, ReadsWhatIsFormatted) {
  for (const uint64_t size : {uint64_t{0}, uint64_t{1}, uint64_t{1000}, uint64_t{1536},
                              uint64_t{1} << 20, uint64_t{5} << 30, uint64_t{1} << 41}) {
    EXPECT_EQ(*ParseByteSize(FormatByteSize(size)), size);
  }
}

TEST(ParseDurationTest, TakesUnitsAndBareSeconds) {
  EXPECT_EQ(*ParseDuration("250ms"), absl::Milliseconds(250));
  EXPECT_EQ(*ParseDuration("1m30s"), absl::Seconds(90));
  EXPECT_EQ(*ParseDuration("7"), absl::Seconds(7));
  EXPECT_EQ(*ParseDuration("0.5"), absl::Milliseconds(500));
  EXPECT_EQ(*ParseDuration("0"), absl::ZeroDuration());
}

TEST(ParseDurationTest, RefusesTheRest) {
  for (const std::string_view text : {"", "-1s", "-1", "inf", "nan", "5 parsecs", "1e400"}) {
    EXPECT_FALSE(ParseDuration(text).ok()) << text;
  }
}

TEST(ParseListenAddressTest, RoundTrips) {
  for (const std::string_view text : {"unix:/run/wasmd.sock", "unix:relative.sock",
                                      "tcp:127.0.0.1:7070", "tcp:[::1]:0", "tcp:localhost:65535"}) {
    const auto address = ParseListenAddress(text);
    ASSERT_TRUE(address.ok()) << address.status();
    EXPECT_EQ(ToString(*address), text);
  }
  EXPECT_EQ(ParseListenAddress("unix:///run/x")->path, "/run/x");
}

TEST(ParseListenAddressTest, RefusesTheRest) {
  for (const std::string_view text :
       {"", "/run/wasmd.sock", "unix:", "tcp:", "tcp:host", "tcp:host:", "tcp::1", "tcp:host:65536",
        "tcp:::1:7070", "http://host:1", "tcp:host:-1"}) {
    EXPECT_FALSE(ParseListenAddress(text).ok()) << text;
  }
}

TEST(ParseNamedRootTest, WantsANameAndAPath) {
  EXPECT_EQ(*ParseNamedRoot("data-1=/srv/a=b"), (NamedRoot{"data-1", "/srv/a=b"}));
  for (const std::string_view text : {"", "data", "=/srv", "data=", "da ta=/srv", "a/b=/srv"}) {
    EXPECT_FALSE(ParseNamedRoot(text).ok()) << text;
  }
}

TEST(ParseFileModeTest, IsOctal) {
  EXPECT_EQ(*ParseFileMode("0600"), 0600u);
  EXPECT_EQ(*ParseFileMode("660"), 0660u);
  for (const std::string_view text : {"", "8", "rw", "1777", "00600"}) {
    EXPECT_FALSE(ParseFileMode(text).ok()) << text;
  }
}

TEST(EscapeJsonTest, LeavesNoControlCharacter) {
  EXPECT_EQ(EscapeJson("a\"b\\c\nd\te\x01\x7f"), R"(a\"b\\c\nd\te\u0001\u007f)");
}

}  // namespace
}  // namespace wasmd::daemon
