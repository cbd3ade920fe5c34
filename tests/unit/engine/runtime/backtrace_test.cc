// Backtraces are addresses until they are read: what taking one costs, and that it can be read when
// everything that it is about has gone.
#include "engine/runtime/backtrace.h"

#include <cstdlib>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine/code/code_arena.h"
#include "tests/support/test_instance.h"

// ThreadSanitizer has an operator new of its own, which cannot be replaced.
#if defined(__SANITIZE_THREAD__)
#define WASMD_TEST_TSAN
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WASMD_TEST_TSAN
#endif
#endif

namespace {

thread_local int t_allocations = 0;

}  // namespace

#ifndef WASMD_TEST_TSAN

// Counted here, for the whole binary. Not inlined: g++ takes the halves for a mismatch.
[[gnu::noinline]] void* operator new(std::size_t size) {
  ++t_allocations;
  void* const memory = std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) {
    std::abort();
  }
  return memory;
}
[[gnu::noinline]] void operator delete(void* memory) noexcept {
  std::free(memory);
}
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

#endif

namespace wasmd::engine {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::Field;
using testing::SizeIs;

class BacktraceTest : public testing::TestWithParam<Tier> {};
WASMD_INSTANTIATE_FOR_ALL_TIERS(BacktraceTest);

// The name is too long to be kept inside of a std::string.
std::string Down(std::string_view name) {
  return "(module $a_module_with_a_rather_long_name (memory 1) (func $" + std::string(name) +
         R"( (export "down") (param i32 i32)
        (if (i32.eqz (local.get 0)) (then
          (if (local.get 1) (then unreachable))
          (drop (i32.load (i32.const -4)))))
        (call 0 (i32.sub (local.get 0) (i32.const 1)) (local.get 1)))))";
}

constexpr std::string_view kName = "a_function_with_a_rather_long_name";

TEST_P(BacktraceTest, TakingOneLooksNothingUp) {
#ifndef WASMD_TEST_TSAN
  const int at_first = t_allocations;
  ::operator delete(::operator new(1));  // Unlike an expression with new, never left out.
  ASSERT_GT(t_allocations, at_first) << "allocations are counted";
#endif
  for (const uint32_t max_frames : {0u, kMaxBacktraceFrames}) {
    TestInstanceOptions options;
    options.store.backtrace_frames = max_frames;
    TestInstance instance(Down(kName), GetParam(), options);
    const auto down = *instance.Func("down").Typed<void(int32_t, int32_t)>();
    ASSERT_FALSE(down(1, 0).ok());
    for (const int32_t by_branch : {0, 1}) {
      const int before = t_allocations;
      const Outcome<void> outcome = down(kMaxBacktraceFrames - 1, by_branch);
      const int allocations = t_allocations - before;
      ASSERT_NE(outcome.trap(), nullptr);
      EXPECT_EQ(outcome.trap()->backtrace.size(), max_frames);
      EXPECT_LE(allocations, max_frames == 0 ? 0 : 6) << "by branch: " << by_branch;
    }
  }
}

// Another module stands where the trap's was, in the arena and maybe in the heap too.
TEST_P(BacktraceTest, OutlivesStoreInstanceAndModule) {
  const CodeArena& arena = **CodeArena::Get();
  const uint64_t chunks = arena.used_chunks();
  for (const int32_t by_branch : {0, 1}) {
    Backtrace kept;
    {
      TestInstance instance(Down(kName), GetParam());
      const auto down = *instance.Func("down").Typed<void(int32_t, int32_t)>();
      const Outcome<void> outcome = down(9, by_branch);
      ASSERT_NE(outcome.trap(), nullptr);
      kept = outcome.trap()->backtrace;
    }
    EXPECT_GT(arena.used_chunks(), chunks) << "the code that the addresses are of";
    {
      TestInstance other(Down("another"), GetParam());
      const auto down = *other.Func("down").Typed<void(int32_t, int32_t)>();
      ASSERT_NE(down(3, by_branch).trap(), nullptr);
      std::vector<BacktraceFrame> frames;
      std::thread([&] { frames = kept.frames(); }).join();
      ASSERT_THAT(frames, SizeIs(10));
      EXPECT_THAT(frames, Each(Field(&BacktraceFrame::func_name, kName)));
      EXPECT_EQ(frames[0].module_name, "a_module_with_a_rather_long_name");
      const Backtrace copy = kept;
      kept = Backtrace();
      EXPECT_THAT(copy.frames(), SizeIs(10));
    }
    EXPECT_EQ(arena.used_chunks(), chunks) << "the last backtrace lets go of the code";
  }
}

TEST_P(BacktraceTest, FramesOfSeveralModules) {
  Store store(TestEngine().runtime());
  std::optional<Backtrace> kept;
  Linker linker;
  Instance* outermost = nullptr;
  constexpr int kModules = 5;
  for (int i = 0; i < kModules; ++i) {
    const std::string number = std::to_string(i);
    const std::string import =
        i == 0 ? "(func $next unreachable)"
               : "(import \"m" + std::to_string(i - 1) + "\" \"f\" (func $next))";
    const auto made =
        linker.Instantiate(store, LoadWat("(module $m" + number + " " + import + " (func $f" +
                                              number + " (export \"f\") call $next))",
                                          GetParam()));
    ASSERT_TRUE(made.ok()) << made.status();
    outermost = made->instance;
    linker.DefineInstance("m" + number, *outermost);
  }
  const Invoked invoked = Invoke(*outermost->Func("f"));
  ASSERT_NE(invoked.trap(), nullptr);
  std::vector<std::string> names;
  for (const BacktraceFrame& frame : invoked.trap()->backtrace.frames()) {
    names.push_back(frame.module_name + "." + frame.func_name);
  }
  EXPECT_THAT(names, ElementsAre("m0.next", "m0.f0", "m1.f1", "m2.f2", "m3.f3", "m4.f4"));
}

TEST(NamedBacktraceTest, HasTheFramesThatItIsGiven) {
  const Backtrace backtrace({{.module_name = "m", .func_index = 3, .func_name = "f"}}, 2);
  EXPECT_EQ(backtrace.size(), 1);
  EXPECT_EQ(ToString(backtrace), "  0: m!f (func 3) at 0x0\n     … and 2 more\n");
  EXPECT_TRUE(Backtrace().empty());
  EXPECT_EQ(ToString(Backtrace()), "");
}

}  // namespace
}  // namespace wasmd::engine
