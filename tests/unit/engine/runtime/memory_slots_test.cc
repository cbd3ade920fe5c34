// Slots for memories: as new for whoever comes next, whatever was done to them; bounded; nothing
// leaks.
#include "engine/runtime/memory_slots.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <barrier>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include "engine/platform/virtual_memory.h"
#include "engine/platform/written_pages.h"
#include "engine/runtime/linear_memory.h"
#include "engine/runtime/runtime_env.h"
#include "tests/support/test_instance.h"

namespace wasmd::engine {
namespace {

MemorySlots& Slots() {
  return TestEngine().runtime()->memory_slots();
}

// Begins in the middle of a page, spans pages, overlaps, leaves holes, ends behind a hole.
constexpr std::string_view kWithData = R"((module (memory (export "memory") 3 40)
    (data (i32.const 5000) "abcdefgh") (data (i32.const 5004) "XY") (data (i32.const 8190) "page edge")
    (data (i32.const 70000) "second page") (data $passive "passive")
    (func (export "peek") (param i32) (result i32) (i32.load8_u (local.get 0)))
    (func (export "init") (memory.init $passive (i32.const 0) (i32.const 0) (i32.const 7)))
    (func (export "trap") (i32.store (i32.const 100) (i32.const -1)) unreachable)))";
constexpr std::string_view kOtherData = R"((module (memory (export "memory") 1)
    (data (i32.const 65530) "at end") (data (i32.const 0) "at begin")
    (func (export "peek") (param i32) (result i32) (i32.load8_u (local.get 0)))))";
constexpr std::string_view kNoData = R"((module (memory (export "memory") 2)
    (func (export "peek") (param i32) (result i32) (i32.load8_u (local.get 0)))))";

std::vector<std::byte> Expected(uint64_t pages,
                                const std::vector<std::pair<size_t, std::string_view>>& pieces) {
  std::vector<std::byte> bytes(pages * kWasmPageBytes);
  for (const auto& [offset, text] : pieces) {
    std::memcpy(bytes.data() + offset, text.data(), text.size());
  }
  return bytes;
}

struct Guest {
  std::shared_ptr<LoadedModule> module;
  std::vector<std::byte> expected;
};

std::vector<Guest> Guests() {
  return {{LoadWat(kWithData),
           Expected(3, {{5000, "abcdXYgh"}, {8190, "page edge"}, {70000, "second page"}})},
          {LoadWat(kOtherData), Expected(1, {{65530, "at end"}, {0, "at begin"}})},
          {LoadWat(kNoData), Expected(2, {})}};
}

void ExpectAsNew(TestInstance& instance, const Guest& guest, std::string_view when) {
  const std::span<std::byte> bytes = instance.instance().Memory("memory")->bytes();
  ASSERT_EQ(bytes.size(), guest.expected.size()) << when;
  EXPECT_TRUE(std::ranges::equal(bytes, guest.expected)) << when;
  EXPECT_THAT(instance.Invoke("peek", {Value::I32(static_cast<uint32_t>(bytes.size()))}),
              TrapsWith(TrapCode::kMemoryOutOfBounds))
      << when;
}

TEST(MemorySlotsTest, AreAsNewForEveryNextMemory) {
  const std::vector<Guest> guests = Guests();
  // How a memory is left: every byte written; a few pages; after growing, all of it; after growing
  // to what is dropped instead of overwritten.
  const auto fill = [](std::span<std::byte> bytes) { std::ranges::fill(bytes, std::byte{0xa5}); };
  for (int way = 0; way < 4; ++way) {
    for (const Guest& before : guests) {
      for (const Guest& after : guests) {
        const size_t kept = Slots().kept();
        {
          TestInstance dirty(before.module);
          ExpectAsNew(dirty, before, "before it is written");
          const MemoryHandle memory = *dirty.instance().Memory("memory");
          if (way >= 2) {
            ASSERT_TRUE(memory.Grow(way == 2 ? 1 : 30).ok());
          }
          if (way == 1) {
            for (const size_t offset : {size_t{0}, size_t{5001}, size_t{8191}, size_t{65535}}) {
              memory.bytes()[offset] = std::byte{0x5a};
            }
            if (before.module == guests[0].module) {
              EXPECT_THAT(dirty.Invoke("init"), Returns({}));
              EXPECT_THAT(dirty.Invoke("trap"), TrapsWith(TrapCode::kUnreachable));
            }
          } else {
            fill(memory.bytes());
          }
        }
        EXPECT_GE(Slots().kept(), std::max<size_t>(kept, 1)) << "what was dropped is not kept";
        TestInstance clean(after.module);
        ExpectAsNew(clean, after, "after way " + std::to_string(way));
        // And so is what it grows by: the former one's must not come back.
        const MemoryHandle grown = *clean.instance().Memory("memory");
        ASSERT_TRUE(grown.Grow(35).ok());
        const std::span<const std::byte> added = grown.bytes().subspan(after.expected.size());
        EXPECT_EQ(std::ranges::count(added, std::byte{0}), std::ssize(added)) << "way " << way;
        // More than the one that was dropped, so that another slot is not what hides a fault.
        TestInstance second(after.module);
        ExpectAsNew(second, after, "a second one");
      }
    }
  }
}

TEST(MemorySlotsTest, AMemoryIsReadyWithoutItsSegmentsBeingCopied) {
  const Guest guest = Guests()[0];
  const std::byte* base = nullptr;
  {
    TestInstance first(guest.module);
    base = first.instance().Memory("memory")->bytes().data();
  }
  const size_t kept = Slots().kept();
  TestInstance second(guest.module);
  EXPECT_EQ(second.instance().Memory("memory")->bytes().data(), base);
  EXPECT_EQ(Slots().kept(), kept - 1);
  // Nothing of the image was written by instantiation: no page of it is the instance's own.
  std::array<WrittenPages::Range, WrittenPages::kMaxRanges> ranges;
  const WrittenPages written;
  if (const auto found = written.Find(base, guest.expected.size(), 1000, ranges)) {
    EXPECT_TRUE(found->empty());
  }
}

TEST(MemorySlotsTest, ZeroPagesMaximaAndImports) {
  for (int round = 0; round < 3; ++round) {
    TestInstance none(R"((module (memory (export "memory") 0 1) (data (i32.const 0) "")
        (func (export "grow") (result i32) (memory.grow (i32.const 1)))))");
    EXPECT_TRUE(none.instance().Memory("memory")->bytes().empty());
    EXPECT_THAT(none.Invoke("grow"), Returns({Value::I32(0)}));
    EXPECT_THAT(none.Invoke("grow"), Returns({Value::I32(-1)}));
    const std::span<std::byte> bytes = none.instance().Memory("memory")->bytes();
    EXPECT_EQ(std::ranges::count(bytes, std::byte{0}), static_cast<ptrdiff_t>(kWasmPageBytes));
    std::ranges::fill(bytes, std::byte{1});

    Store store(TestEngine().runtime());
    const MemoryHandle imported = *store.CreateMemory({{1, {}}});
    imported.bytes()[1] = std::byte{7};
    Linker linker;
    linker.Define("", "m", imported);
    const auto made = linker.Instantiate(
        store, LoadWat(R"((module (import "" "m" (memory 1)) (data (i32.const 2) "imp")))"));
    ASSERT_TRUE(made.ok() && made->instance != nullptr);
    EXPECT_EQ(std::memcmp(imported.bytes().data(), "\0\7imp", 6), 0);
  }
}

// Where an active segment is out of bounds, those behind it must not have been applied, nor those
// of the memory if an elem segment trapped. A function that the instance left in a shared table
// tells.
TEST(MemorySlotsTest, SegmentsOutOfBoundsAreAppliedInOrder) {
  struct Case {
    std::string_view segments;
    TrapCode code;
    int32_t at_5;
    int32_t at_6;
  };
  for (const Case& test :
       {Case{R"((data (i32.const 5) "x") (data (i32.const 65536) "y") (data (i32.const 6) "z"))",
             TrapCode::kMemoryOutOfBounds, 'x', 0},
        Case{R"((data (i32.const 5) "x") (data (i32.const -1) "y") (data (i32.const 6) "z"))",
             TrapCode::kMemoryOutOfBounds, 'x', 0},
        Case{R"((elem (i32.const 4) $peek) (data (i32.const 5) "x"))", TrapCode::kTableOutOfBounds,
             0, 0}}) {
    Store store(TestEngine().runtime());
    const TableHandle table =
        *store.CreateTable({ValType::kFuncRef, {4, {}}}, Value::Null(ValType::kFuncRef));
    Linker linker;
    linker.Define("", "t", table);
    const auto made =
        linker.Instantiate(store, LoadWat(R"((module (import "" "t" (table 1 funcref)) (memory 1)
            (func $peek (param i32) (result i32) (i32.load8_u (local.get 0)))
            (elem (i32.const 1) $peek) )" +
                                          std::string(test.segments) + ")"));
    ASSERT_TRUE(made.ok()) << made.status();
    ASSERT_EQ(made->instance, nullptr);
    EXPECT_EQ(made->outcome.trap()->code, test.code);
    const FuncHandle peek = *store.FuncOf(*table.Get(1));
    EXPECT_THAT(Invoke(peek, {Value::I32(5)}), Returns({Value::I32(test.at_5)}));
    EXPECT_THAT(Invoke(peek, {Value::I32(6)}), Returns({Value::I32(test.at_6)}));
  }
}

TEST(MemorySlotsTest, AnImageStandsForSegmentsThatCannotTrap) {
  MemorySlots slots;
  const auto has_image = [&](std::string_view fields) {
    const auto module = LoadWat("(module (memory 1) (func $f) " + std::string(fields) + ")");
    return MakeMemoryImages(module->module(), slots).at(0) != nullptr;
  };
  EXPECT_TRUE(has_image(R"((data (i32.const 65535) "x"))"));
  EXPECT_TRUE(has_image(R"((data (i32.const 0) "x") (table 2 funcref) (elem (i32.const 1) $f))"));
  EXPECT_FALSE(has_image(""));
  EXPECT_FALSE(has_image(R"((data "passive"))"));
  EXPECT_FALSE(has_image(R"((data (i32.const 65535) "xy"))"));
  EXPECT_FALSE(has_image(R"((data (i32.const 0) "x") (data (i32.const -1) "y"))"));
  EXPECT_FALSE(has_image(R"((data (i32.const 0) "x") (data (i32.const 65537) ""))"));
  EXPECT_FALSE(has_image(R"((data (i32.const 0) "x") (table 2 funcref) (elem (i32.const 2) $f))"));
}

size_t Lines(const char* path) {
  std::ifstream file(path);
  return static_cast<size_t>(
      std::count(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>(), '\n'));
}

size_t Descriptors() {
  return static_cast<size_t>(
      std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {}));
}

TEST(MemorySlotsTest, TenThousandRoundsLeaveNothing) {
  const std::vector<Guest> guests = Guests();
  StoreCharge charge(nullptr);
  Quota quota({"the test", 10 * kWasmPageBytes}, charge);
  const auto round = [&](int i) {
    const Guest& guest = guests[static_cast<size_t>(i) % guests.size()];
    Store store(TestEngine().runtime(), {.memory_bytes = 4 * kWasmPageBytes});
    const auto made = Linker().Instantiate(store, guest.module);
    ASSERT_TRUE(made.ok() && made->instance != nullptr);
    ASSERT_EQ(store.memory_bytes(), guest.expected.size());
    const MemoryHandle memory = *made->instance->Memory("memory");
    ASSERT_TRUE(memory.Grow(i % 2 == 0 ? 1 : 0).ok());
    ASSERT_FALSE(memory.Grow(4).ok());
    ASSERT_EQ(store.memory_bytes(), memory.size_bytes());
    memory.bytes()[static_cast<size_t>(i) % memory.size_bytes()] = std::byte{1};
    // The quota of memories that go before their store's end.
    auto own = LinearMemory::Create({{2, 5}}, Slots(), quota);
    ASSERT_TRUE(own.ok());
    ASSERT_TRUE((*own)->Grow(1).has_value());
    ASSERT_EQ(quota.used(), 3 * kWasmPageBytes);
    own->reset();
    ASSERT_EQ(quota.used(), 0);
  };
  for (int i = 0; i < 100; ++i) {
    round(i);
  }
  const size_t mappings = Lines("/proc/self/maps");
  const size_t descriptors = Descriptors();
  for (int i = 0; i < 10'000; ++i) {
    round(i);
  }
  EXPECT_LE(Lines("/proc/self/maps"), mappings + 20);
  EXPECT_EQ(Descriptors(), descriptors);
}

TEST(MemorySlotsTest, WhatIsKeptIsBounded) {
  MemorySlots slots;
  StoreCharge charge(nullptr);
  Quota quota({"the test", uint64_t{1} << 40}, charge);
  std::vector<std::unique_ptr<LinearMemory>> memories;
  for (size_t i = 0; i < MemorySlots::kMaxKeptSlots + 5; ++i) {
    memories.push_back(*LinearMemory::Create({{4, {}}}, slots, quota));
    std::memset(memories.back()->base(), 1, MemorySlots::kMaxResidentBytes);
  }
  std::unique_ptr<LinearMemory> last = std::move(memories.back());
  memories.clear();
  EXPECT_EQ(slots.kept(), MemorySlots::kMaxKeptSlots);
  EXPECT_LE(slots.resident_bytes(), MemorySlots::kMaxResidentBytesOfAll);
  // Full of slots without an image; one of an image that is in use finds room.
  const auto module = LoadWat(kOtherData);
  const auto images = MakeMemoryImages(module->module(), slots);
  ASSERT_EQ(images.size(), 1);
  ASSERT_NE(images[0], nullptr);
  auto with_image = *LinearMemory::Create({{1, {}}}, slots, quota, images[0]);
  last.reset();
  ASSERT_EQ(slots.kept(), MemorySlots::kMaxKeptSlots);
  const std::byte* const base = with_image->base();
  with_image.reset();
  with_image = *LinearMemory::Create({{1, {}}}, slots, quota, images[0]);
  EXPECT_EQ(with_image->base(), base) << "its slot was not kept";
  EXPECT_LE(slots.kept(), MemorySlots::kMaxKeptSlots);
}

TEST(MemorySlotsTest, SlotsOfAnImageGoWithIt) {
  MemorySlots slots;
  StoreCharge charge(nullptr);
  Quota quota({"the test", uint64_t{1} << 40}, charge);
  const auto module = LoadWat(kOtherData);
  auto images = MakeMemoryImages(module->module(), slots);
  auto memory = *LinearMemory::Create({{1, {}}}, slots, quota, images[0]);
  memory->base()[0] = std::byte{9};
  images.clear();
  memory.reset();  // The last that holds the image.
  EXPECT_EQ(slots.kept(), 0);
  EXPECT_EQ(slots.resident_bytes(), 0);
}

TEST(MemorySlotsTest, TwoThreadsAtOnce) {
  const std::vector<Guest> guests = Guests();
  std::barrier together(2);
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&, t] {
      together.arrive_and_wait();
      for (int i = 0; i < 500; ++i) {
        const Guest& guest = guests[static_cast<size_t>(i + t) % guests.size()];
        TestInstance instance(guest.module);
        const std::span<std::byte> bytes = instance.instance().Memory("memory")->bytes();
        ASSERT_TRUE(std::ranges::equal(bytes, guest.expected)) << t << ", round " << i;
        std::memset(bytes.data() + i * 64, t + 1, 5000);
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
}

// The child's pages are its own, and its descriptor tells of its parent's.
TEST(WrittenPagesTest, AreNotToldInAForkedChild) {
  const WrittenPages written;
  auto reservation = *Reservation::Create(1 << 20);
  ASSERT_TRUE(reservation.MakeAccessible(0, 1 << 20).ok());
  std::array<WrittenPages::Range, WrittenPages::kMaxRanges> ranges;
  const auto find = [&] { return written.Find(reservation.base(), 1 << 20, 100, ranges); };
  const bool has_it = find().has_value();
  reservation.base()[5 * OsPageBytes()] = std::byte{1};
  static_cast<void>(*const_cast<const volatile std::byte*>(reservation.base()));
  if (has_it) {
    const auto found = find();
    ASSERT_TRUE(found.has_value());
    ASSERT_EQ(found->size(), 1);
    EXPECT_EQ((*found)[0].begin - reinterpret_cast<uint64_t>(reservation.base()),
              5 * OsPageBytes());
    EXPECT_EQ((*found)[0].end - (*found)[0].begin, OsPageBytes());
    EXPECT_FALSE(written.Find(reservation.base(), 1 << 20, 0, ranges).has_value());
  }
  const pid_t child = fork();
  if (child == 0) {
    _exit(find().has_value() ? 1 : 0);
  }
  int status = -1;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace wasmd::engine
