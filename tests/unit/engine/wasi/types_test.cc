// The conversions between WASI's and Linux's words, and the descriptor table.
#include <errno.h>
#include <time.h>

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "gtest/gtest.h"

#include "engine/wasi/abi.h"
#include "engine/wasi/descriptor_table.h"
#include "engine/wasi/errno.h"
#include "engine/wasi/guest.h"
#include "engine/wasi/times.h"
#include "tests/support/counting_accountant.h"

namespace wasmd::engine {
namespace {

TEST(ErrnoTest, NumbersAreWasis) {
  EXPECT_EQ(ErrnoOfHost(ENOENT), Errno::kNoent);
  EXPECT_EQ(static_cast<int>(Errno::kNoent), 44);
  EXPECT_EQ(static_cast<int>(Errno::kNotcapable), 76);
  EXPECT_EQ(ErrnoOfHost(EOPNOTSUPP), Errno::kNotsup);
  EXPECT_EQ(ErrnoOfHost(EWOULDBLOCK), Errno::kAgain);
  EXPECT_EQ(ErrnoOfHost(EMEDIUMTYPE), Errno::kIo) << "WASI has no word for it";
  EXPECT_EQ(ErrnoOfHost(0), Errno::kIo);
  EXPECT_EQ(ErrnoOfHost(-1), Errno::kIo);
}

TEST(TimesTest, TimestampsAtTheEdges) {
  uint64_t ns = 1;
  EXPECT_TRUE(TimestampOf({-1, 999'999'999}, ns));
  EXPECT_EQ(ns, 0u);
  EXPECT_TRUE(TimestampOf({18'446'744'073, 709'551'615}, ns));
  EXPECT_EQ(ns, std::numeric_limits<uint64_t>::max());
  EXPECT_FALSE(TimestampOf({18'446'744'073, 709'551'616}, ns));
  EXPECT_FALSE(TimestampOf({std::numeric_limits<time_t>::max(), 0}, ns));
  const timespec back = TimespecOf(std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(back.tv_sec, 18'446'744'073);
  EXPECT_EQ(back.tv_nsec, 709'551'615);
}

TEST(TimesTest, FlagsChooseWhatIsSet) {
  timespec times[2];
  EXPECT_TRUE(TimesOf(1, 2, 0, times));
  EXPECT_EQ(times[0].tv_nsec, UTIME_OMIT);
  EXPECT_EQ(times[1].tv_nsec, UTIME_OMIT);
  EXPECT_TRUE(TimesOf(1, 2, abi::kSetAtim | abi::kSetMtimNow, times));
  EXPECT_EQ(times[0].tv_nsec, 1);
  EXPECT_EQ(times[1].tv_nsec, UTIME_NOW);
  EXPECT_FALSE(TimesOf(1, 2, abi::kSetAtim | abi::kSetAtimNow, times));
  EXPECT_FALSE(TimesOf(1, 2, 16, times));
}

TEST(DescriptorTableTest, LowestFreeNumberWithinTheBound) {
  DescriptorTable table(WasiLimits{.max_open_files = 4});
  for (uint32_t fd = 0; fd < 4; ++fd) {
    EXPECT_FALSE(table.full());
    EXPECT_EQ(table.Add({}), fd);
  }
  EXPECT_TRUE(table.full());
  EXPECT_TRUE(table.Close(2));
  EXPECT_FALSE(table.Close(2));
  EXPECT_TRUE(table.Close(1));
  EXPECT_EQ(table.Add({}), 1u);
  EXPECT_EQ(table.Add({}), 2u);
  EXPECT_TRUE(table.full());
  Descriptor* const moved = table.Find(3);
  table.Renumber(3, 0);
  EXPECT_EQ(table.Find(0), moved);
  EXPECT_EQ(table.Find(3), nullptr);
  EXPECT_FALSE(table.full());
  EXPECT_EQ(table.Add({}), 3u);
  EXPECT_EQ(table.Find(4), nullptr);
  EXPECT_EQ(table.Find(0xffff'ffff), nullptr);
}

TEST(DescriptorTableTest, OpenFilesAreCharged) {
  const auto files = std::make_shared<tests::CountingAccountant>(NamedLimit{"two files", 2});
  WasiLimits limits;
  limits.open_files = files;
  {
    DescriptorTable one(limits);
    DescriptorTable other(limits);
    EXPECT_FALSE(one.full());
    EXPECT_FALSE(one.full());
    EXPECT_EQ(files->used(), 1u) << "a place is held once";
    EXPECT_EQ(one.Add({}), 0u);
    EXPECT_EQ(other.Hold(2), (NamedLimit{"two files", 2}));
    EXPECT_EQ(other.Hold(1), std::nullopt);
    EXPECT_EQ(other.Add({}), 0u);
    EXPECT_TRUE(other.full());
    EXPECT_TRUE(one.full());
    EXPECT_TRUE(one.Close(0));
    EXPECT_FALSE(other.full());
    EXPECT_EQ(other.Add({}), 1u);
    other.Renumber(1, 0);
    EXPECT_EQ(files->used(), 1u);
  }
  EXPECT_EQ(files->used(), 0u);
}

TEST(GuestTest, EmptyMemoryHasNoAddress) {
  Guest guest({});
  uint32_t value = 0;
  std::span<std::byte> range;
  EXPECT_FALSE(guest.Load(0, value));
  EXPECT_EQ(guest.fault(), Answer::OutOfBounds());
  EXPECT_TRUE(guest.Range(0, 0, range)) << "nothing at the very end";
  EXPECT_FALSE(guest.Range(1, 0, range));
  EXPECT_FALSE(guest.Range(0, std::numeric_limits<uint64_t>::max(), range));
  std::string text;
  EXPECT_EQ(guest.LoadString(0, 0, text), Errno::kSuccess);
  EXPECT_FALSE(guest.interrupted());
}

}  // namespace
}  // namespace wasmd::engine
