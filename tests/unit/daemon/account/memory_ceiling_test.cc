// What cgroups of either version, and the machine, say of memory; read from a folder that looks
// like theirs.
#include "daemon/account/memory_ceiling.h"

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "gtest/gtest.h"

#include "daemon/config/options.h"

namespace wasmd::daemon {
namespace {

constexpr std::string_view kMachine = "MemTotal:       16384 kB\nMemFree: 1 kB\n";

class MemoryCeilingTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "/wasmd-ceiling-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    root_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  void Write(const std::string& path, std::string_view text) const {
    const std::filesystem::path full = root_ + path;
    std::filesystem::create_directories(full.parent_path());
    std::ofstream(full) << text;
  }
  uint64_t SystemBytes() const { return ReadMemoryCeiling(root_).system_bytes; }

  std::string root_;
};

TEST_F(MemoryCeilingTest, WithoutAnyFileThereIsNone) {
  EXPECT_EQ(SystemBytes(), UINT64_MAX);
  EXPECT_EQ(ReadMemoryCeiling(root_).guest_bytes, UINT64_MAX);
}

TEST_F(MemoryCeilingTest, TheMachinesMemory) {
  Write("/proc/meminfo", kMachine);
  EXPECT_EQ(SystemBytes(), 16 * kMiB);
  EXPECT_EQ(ReadMemoryCeiling(root_).source, "the machine's memory");
}

TEST_F(MemoryCeilingTest, VersionTwoAndItsParents) {
  Write("/proc/meminfo", kMachine);
  Write("/proc/self/mountinfo",
        "25 1 0:23 / /sys rw - sysfs sysfs rw\n31 23 0:28 / /sys/fs/cgroup rw,nosuid shared:9 - "
        "cgroup2 cgroup2 rw,nsdelegate\n");
  Write("/proc/self/cgroup", "0::/system.slice/wasmd.service\n");
  const std::string base = "/sys/fs/cgroup/system.slice";
  Write(base + "/wasmd.service/memory.max", "max\n");
  EXPECT_EQ(SystemBytes(), 16 * kMiB);
  Write(base + "/memory.max", "8388608\n");
  EXPECT_EQ(SystemBytes(), 8 * kMiB);
  EXPECT_EQ(ReadMemoryCeiling(root_).source, base + "/memory.max");
  Write(base + "/wasmd.service/memory.max", "4194304\n");
  EXPECT_EQ(SystemBytes(), 4 * kMiB);
  Write("/sys/fs/cgroup/memory.max", "1048576\n");
  EXPECT_EQ(SystemBytes(), kMiB);
}

// In a container with a cgroup namespace the process is at the mount's root.
TEST_F(MemoryCeilingTest, VersionTwoInANamespace) {
  Write("/proc/self/mountinfo", "31 23 0:28 / /sys/fs/cgroup ro - cgroup2 cgroup rw\n");
  Write("/proc/self/cgroup", "0::/\n");
  Write("/sys/fs/cgroup/memory.max", "268435456\n");
  EXPECT_EQ(SystemBytes(), 256 * kMiB);
}

TEST_F(MemoryCeilingTest, VersionOneWithAPartOfItMounted) {
  Write("/proc/self/mountinfo",
        "34 31 0:30 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
        "35 31 0:32 /docker/77 /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n");
  Write("/proc/self/cgroup", "9:cpu:/docker/77\n4:memory:/docker/77/inner\n0::/\n");
  Write("/sys/fs/cgroup/cpu/memory.limit_in_bytes", "1\n");
  Write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "134217728\n");
  Write("/sys/fs/cgroup/memory/inner/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_EQ(SystemBytes(), 128 * kMiB);
}

TEST_F(MemoryCeilingTest, WhatMakesNoSenseLimitsNothing) {
  Write("/proc/meminfo", "MemTotal: lots\n");
  Write("/proc/self/mountinfo",
        "31\n- cgroup2\n31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
  Write("/proc/self/cgroup", "0:\n:::::\n0::relative//\n");
  for (const std::string_view text :
       {"", "\n", "-1\n", "0\n", "12e5\n", "99999999999999999999999\n"}) {
    Write("/sys/fs/cgroup/memory.max", text);
    EXPECT_EQ(SystemBytes(), UINT64_MAX) << text;
  }
}

TEST(GuestShareTest, LeavesTheDaemonItsOwn) {
  EXPECT_EQ(GuestShareOf(UINT64_MAX), UINT64_MAX);
  EXPECT_EQ(GuestShareOf(1024 * kMiB), 864 * kMiB);
  EXPECT_EQ(GuestShareOf(100 * kMiB), 50 * kMiB);
  EXPECT_EQ(GuestShareOf(1), 0u);
}

}  // namespace
}  // namespace wasmd::daemon
