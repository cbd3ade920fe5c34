// Typed calls allocate nothing. This binary counts what its threads allocate.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <span>
#include <tuple>
#include <vector>

#include "absl/status/statusor.h"
#include <gtest/gtest.h>

#include "client/cpp/channel.h"
#include "tests/unit/client/cpp/fake_ring_daemon.h"

namespace {

thread_local uint64_t t_allocations = 0;  // NOLINT(*-avoid-non-const-global-variables)

}  // namespace

// NOLINTBEGIN(misc-use-internal-linkage): they replace the library's.
void* operator new(size_t bytes) {
  ++t_allocations;
  void* memory = std::malloc(bytes == 0 ? 1 : bytes);
  if (memory == nullptr) {
    std::abort();
  }
  return memory;
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, size_t) noexcept {
  std::free(memory);
}
// NOLINTEND(misc-use-internal-linkage)

namespace wasmd::client {
namespace {

TEST(ChannelCostTest, TypedCallsAllocateNothing) {
  const FakeRingDaemon daemon({.slots = 64});
  FakeBackend::Seen seen;
  absl::StatusOr<Channel> channel =
      Channel::Open(std::make_unique<FakeBackend>(&daemon, &seen), {});
  ASSERT_TRUE(channel.ok()) << channel.status();
  const auto bind = [&](const char* name) { return *channel->Bind("sha256:1", name); };
  const auto add = *bind("add").Typed<int32_t(int32_t, int32_t)>();
  const auto trap = *bind("trap").Typed<int32_t(int32_t)>();
  using Six = std::tuple<int32_t, int64_t, float, double, V128, int32_t>;
  const auto six = *bind("echo_six").Typed<Six(int32_t, int64_t, float, double, V128, int32_t)>();
  const std::vector<std::tuple<int32_t, int32_t>> rows(500, {1, 2});
  std::vector<TypedResult<int32_t>> results(rows.size());
  EXPECT_TRUE(channel->Call(six, 1, 1, 2, 3, V128{}, 4).ok());  // The first makes a table.

  uint64_t before = t_allocations;
  bool all = true;
  for (int32_t i = 0; i < 1000; ++i) {
    all = all && *channel->Call(add, i, 1) == i + 1;
    all = all && channel->Call(trap, i).end().trap_code() == TrapCode::kDivideByZero;
    all = all && channel->Call(six, i, 1, 2, 3, V128{}, 4).ok();
    all = all && channel->CallWithin({.timeout = absl::Seconds(60)}, add, i, 1).ok();
    const TypedTicket<int32_t> first = channel->Submit(add, i, 1);
    const TypedTicket<int32_t> second = channel->Submit(add, i, 2);
    all = all && *channel->Wait(first) == i + 1 && *channel->Wait(second) == i + 2;
  }
  channel->CallBatch(add, std::span(rows), std::span(results));
  EXPECT_EQ(t_allocations - before, 0U);
  EXPECT_TRUE(all);

  // It counts.
  before = t_allocations;
  EXPECT_TRUE(channel->Call(bind("add"), {int32_t{1}, int32_t{2}}).ok());
  EXPECT_GT(t_allocations - before, 0U);
}

}  // namespace
}  // namespace wasmd::client
