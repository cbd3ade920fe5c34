// Addresses are read in every form that users write, and refused with a line that shows the right
// one.
#include "client/cpp/address.h"

#include <unistd.h>

#include <cstdlib>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/cpp/text.h"

namespace wasmd::client {
namespace {

using testing::HasSubstr;

std::string Parsed(std::string_view text) {
  const absl::StatusOr<Address> address = ParseAddress(text);
  return address.ok() ? address->ToString() : "error";
}

TEST(AddressTest, ReadsUnixSockets) {
  EXPECT_EQ(Parsed("unix:/run/wasmd.sock"), "unix:/run/wasmd.sock");
  EXPECT_EQ(Parsed("unix:wasmd.sock"), "unix:wasmd.sock");
  EXPECT_EQ(Parsed("unix:///run/wasmd.sock"), "unix:/run/wasmd.sock");
  EXPECT_EQ(Parsed("/run/wasmd.sock"), "unix:/run/wasmd.sock");
  EXPECT_EQ(Parsed("./wasmd.sock"), "unix:./wasmd.sock");
  EXPECT_EQ(Parsed("../a:b.sock"), "unix:../a:b.sock");
}

TEST(AddressTest, ReadsTcp) {
  EXPECT_EQ(Parsed("localhost:7777"), "tcp:localhost:7777");
  EXPECT_EQ(Parsed("tcp:127.0.0.1:1"), "tcp:127.0.0.1:1");
  EXPECT_EQ(Parsed("tcp://host:65535"), "tcp:host:65535");
  EXPECT_EQ(Parsed("[::1]:80"), "tcp:[::1]:80");
}

TEST(AddressTest, RefusesTheRest) {
  for (const std::string text :
       {"", "unix:", "unix://relative", "host", "host:", "host:0", "host:65536", "host:-1",
        "host:8o", "::1:80", ":80", "[]:80", "tcp:host", "host:80 "}) {
    const absl::StatusOr<Address> address = ParseAddress(text);
    ASSERT_FALSE(address.ok()) << text;
    EXPECT_EQ(address.status().code(), absl::StatusCode::kInvalidArgument) << text;
    EXPECT_THAT(std::string(address.status().message()),
                HasSubstr("write unix:/path/to/socket or host:port"))
        << text;
  }
}

TEST(AddressTest, BoundsTheLengthOfAPath) {
  EXPECT_EQ(Parsed(Cat("unix:/", std::string(106, 'x'))), Cat("unix:/", std::string(106, 'x')));
  EXPECT_EQ(Parsed(Cat("unix:/", std::string(107, 'x'))), "error");
}

TEST(AddressTest, DefaultFollowsTheEnvironment) {
  setenv("WASMD_ADDR", "host:1", 1);
  setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
  EXPECT_EQ(DefaultAddress(), "host:1");
  setenv("WASMD_ADDR", "", 1);
  EXPECT_EQ(DefaultAddress(), "unix:/run/user/7/wasmd.sock");
  unsetenv("WASMD_ADDR");
  // Not absolute: not to be used. (XDG Base Directory Specification)
  setenv("XDG_RUNTIME_DIR", "run", 1);
  EXPECT_EQ(DefaultAddress(), Cat("unix:/tmp/wasmd-", getuid(), ".sock"));
  unsetenv("XDG_RUNTIME_DIR");
  EXPECT_EQ(DefaultAddress(), Cat("unix:/tmp/wasmd-", getuid(), ".sock"));
}

}  // namespace
}  // namespace wasmd::client
