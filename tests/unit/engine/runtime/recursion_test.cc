// Recursion in every form ends as a trap for an exhausted stack, on every kind of stack, and what
// comes after it works as before; tail calls are no recursion and run on. Traps of every kind leave
// nothing behind.
//
//   WASMD_TRAPS=1000000 …/runtime_recursion_test --gtest_filter=*LeaveMemoryFlat*
#include <pthread.h>
#include <ucontext.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/str_cat.h"
#include "tests/support/on_thread.h"
#include "tests/support/test_instance.h"
#include "tests/support/wasm_builder.h"

namespace wasmd::engine {
namespace {

using tests::OnThread;

std::string Times(size_t count, std::string_view text) {
  std::string all;
  for (size_t i = 0; i < count; ++i) {
    all += text;
  }
  return all;
}

// `count` locals that are all written before the call below and read after it.
std::string WideFunc(std::string_view name, std::string_view type, size_t count,
                     std::string_view value, std::string_view read) {
  std::string text =
      StrCat("(func $", name, " (export \"", name, "\") (param $p i64) (local $s i64)");
  for (size_t i = 0; i < count; ++i) {
    text += StrCat("(local $l", i, " ", type, ")");
  }
  for (size_t i = 0; i < count; ++i) {
    text += StrCat("(local.set $l", i, " ", value, ")");
  }
  text += StrCat("(call $", name, " (i64.add (local.get $p) (i64.const 1)))");
  for (size_t i = 0; i < count; ++i) {
    text += StrCat("(local.set $s (i64.add (local.get $s) (", read, " (local.get $l", i, "))))");
  }
  return text + "(global.set $sink (local.get $s)))\n";
}

// Each export but "ok" recurses for ever, by (i64) -> ().
std::string Forms() {
  std::string text = R"((module
    (import "other" "bounce" (func $bounce (param i64)))
    (import "other" "table" (table $theirs 2 funcref))
    (import "host" "typed" (func $host_typed (param i64)))
    (import "host" "values" (func $host_values (param i64)))
    (type $func (func (param i64)))
    (global $sink (mut i64) (i64.const 0))
    (table $mine 4 funcref)
    (elem (table $mine) (i32.const 0) func $indirect $even $odd)
    (elem (table $theirs) (i32.const 1) func $table)
    (func (export "ok") (result i32) (i32.const 1))
    (func $small (export "small") (param i64) (call $small (local.get 0)))
    (func $indirect (export "indirect") (param i64)
      (call_indirect $mine (type $func) (local.get 0) (i32.const 0)))
    (func $even (param i64)
      (call_indirect $mine (type $func) (local.get 0) (i32.const 2)))
    (func $odd (param i64)
      (call_indirect $mine (type $func) (local.get 0) (i32.const 1)))
    (func (export "mutual_indirect") (param i64) (call $even (local.get 0)))
    ;; By turns with another instance: by import, and by a table that both share.
    (func (export "bounce_back") (param i64) (call $bounce (local.get 0)))
    (func $table (export "table") (param i64)
      (call_indirect $theirs (type $func) (local.get 0) (i32.const 0)))
    (func (export "host_typed") (param i64) (call $host_typed (local.get 0)))
    (func (export "host_values") (param i64) (call $host_values (local.get 0)))
    ;; Operands, not locals, below the call.
    (func $operands (export "operands") (param i64)
      )";
  text += Times(900, "(i64.add (local.get 0) (i64.const 1))");
  text += "(call $operands (local.get 0))" + Times(900, " drop") + ")\n";
  // All arguments in overflow cells but the first.
  text += StrCat("(func $arguments (export \"arguments\") (param", Times(1, " i64"),
                 ") (call $many", Times(300, " (local.get 0)"), "))\n(func $many (param",
                 Times(300, " i64"), ") (call $arguments (local.get 299)))\n");
  text += WideFunc("wide", "i64", 4000, "(local.get $p)", "i64.or (i64.const 1)");
  text += WideFunc("wide_vectors", "v128", 1500, "(i64x2.splat (local.get $p))",
                   "i64x2.extract_lane 1");
  // A frame larger than many a stack.
  text += WideFunc("huge", "i64", 40'000, "(local.get $p)", "i64.or (i64.const 1)");
  return text + ")";
}

// The other instance of `bounce_back` and `table`.
constexpr std::string_view kOther = R"((module
    (type $func (func (param i64)))
    (import "host" "back" (func $back (param i64)))
    (table (export "table") 2 funcref) (elem (i32.const 0) $through)
    (func $through (param i64) (call_indirect (type $func) (local.get 0) (i32.const 1)))
    (func (export "bounce") (param i64) (call $back (local.get 0)))))";

constexpr std::string_view kForms[] = {"small",       "indirect",   "mutual_indirect", "table",
                                       "bounce_back", "host_typed", "host_values",     "operands",
                                       "arguments",   "wide",       "wide_vectors",    "huge"};

class Guests {
 public:
  explicit Guests(Tier tier, uint64_t wasm_stack_bytes) {
    store_ = std::make_unique<Store>(TestEngine().runtime(),
                                     StoreOptions{.wasm_stack_bytes = wasm_stack_bytes});
    Linker linker;
    // Each calls the first instance again, and hands on what that ends with.
    const auto again = [this](std::string_view name, uint64_t value) {
      const Invoked inner = Invoke(name, {Value::I64(value)});
      return inner.trap() != nullptr ? HostResult::Trap(inner.trap()->code) : HostResult::Ok();
    };
    const auto define = [&](std::string_view name, std::string_view called) {
      linker.DefineFunc("host", name, {{ValType::kI64}, {}},
                        [again, called](HostContext&, std::span<const Value> args,
                                        std::span<Value>) { return again(called, args[0].i64()); });
    };
    define("values", "host_values");
    define("back", "bounce_back");
    linker.DefineTyped("host", "typed",
                       [again](uint64_t value) { return again("host_typed", value); });
    const auto other = linker.Instantiate(*store_, LoadWat(kOther, tier));
    EXPECT_TRUE(other.ok()) << other.status();
    linker.DefineInstance("other", *other->instance);
    static const std::string& text = *new std::string(Forms());
    const auto made = linker.Instantiate(*store_, LoadWat(text, tier));
    EXPECT_TRUE(made.ok()) << made.status();
    instance_ = made->instance;
  }
  Invoked Invoke(std::string_view name, const std::vector<Value>& args = {}) {
    return engine::Invoke(*instance_->Func(name), args);
  }

 private:
  std::unique_ptr<Store> store_;
  Instance* instance_ = nullptr;
};

// On a stack that is no thread's.
void OnForeignStack(size_t stack_bytes, const std::function<void()>& body) {
  static thread_local const std::function<void()>* s_body;
  std::vector<char> stack(stack_bytes);
  ucontext_t inside;
  ucontext_t outside;
  getcontext(&inside);
  inside.uc_stack.ss_sp = stack.data();
  inside.uc_stack.ss_size = stack.size();
  inside.uc_link = &outside;
  s_body = &body;
  makecontext(&inside, [] { (*s_body)(); }, 0);
  swapcontext(&outside, &inside);
}

class RecursionTest : public testing::TestWithParam<Tier> {};
WASMD_INSTANTIATE_FOR_ALL_TIERS(RecursionTest);

TEST_P(RecursionTest, EveryFormTrapsOnEveryStackAndTheGuestGoesOn) {
  using Where = std::function<void(const std::function<void()>&)>;
  const std::pair<std::string_view, Where> stacks[] = {
      {"this thread's", [](const auto& body) { body(); }},
      {"64 KiB", [](const auto& body) { OnThread(64 << 10, body); }},
      {"256 KiB", [](const auto& body) { OnThread(256 << 10, body); }},
      {"16 MiB", [](const auto& body) { OnThread(16 << 20, body); }},
      {"a foreign one", [](const auto& body) { OnForeignStack(64 << 10, body); }},
  };
  for (const uint64_t wasm_stack_bytes : {uint64_t{128} << 10, uint64_t{1} << 40}) {
    Guests guests(GetParam(), wasm_stack_bytes);
    for (int round = 0; round < 2; ++round) {
      for (const auto& [stack, run] : stacks) {
        for (const std::string_view form : kForms) {
          Invoked recursed;
          run([&] { recursed = guests.Invoke(form, {Value::I64(0)}); });
          // On a stack that has room: 64 KiB are less than host functions may count on.
          const Invoked after = guests.Invoke("ok");
          EXPECT_THAT(recursed, TrapsWith(TrapCode::kStackOverflow)) << form << " on " << stack;
          EXPECT_THAT(after, Returns({Value::I32(1)})) << "after " << form << " on " << stack;
        }
      }
    }
  }
}

TEST_P(RecursionTest, InAStartFunction) {
  for (int i = 0; i < 10; ++i) {
    Store store(TestEngine().runtime());
    const auto made = Linker().Instantiate(
        store, LoadWat("(module (func $start (call $start)) (start $start))", GetParam()));
    ASSERT_TRUE(made.ok()) << made.status();
    ASSERT_NE(made->outcome.trap(), nullptr);
    EXPECT_EQ(made->outcome.trap()->code, TrapCode::kStackOverflow);
    // The store takes another instance.
    const auto next = Linker().Instantiate(store, LoadWat("(module (func $start) (start $start))"));
    ASSERT_TRUE(next.ok() && next->instance != nullptr);
  }
}

// A trap passes by all handlers, however many are open.
TEST_P(RecursionTest, InsideOfHandlers) {
  const Bytes body = {0x1f, 0x40, 0x01, 0x02, 0x00,  // try_table (catch_all 0)
                      0x10, 0x00,                    // call 0
                      0x0b, 0x0b};
  const Bytes bytes = WasmModule({
      Section(1, Vec({FuncTypeBytes({}, {})})),
      Section(3, Vec({Leb(0), Leb(0)})),
      Section(7, Vec({Concat({NameBytes("recurse"), {0x00, 0x00}}),
                      Concat({NameBytes("ok"), {0x00, 0x01}})})),
      Section(10, Vec({Body({}, body), Body({}, {0x0b})})),
  });
  const auto span = AsBytes(bytes);
  LoadOptions options;
  options.tier = GetParam();
  const auto module = TestEngine().Load(std::vector<std::byte>(span.begin(), span.end()), options);
  ASSERT_TRUE(module.ok()) << module.status();
  TestInstance instance(*module);
  for (int i = 0; i < 100; ++i) {
    ASSERT_THAT(instance.Invoke("recurse"), TrapsWith(TrapCode::kStackOverflow));
    ASSERT_THAT(instance.Invoke("ok"), Returns({}));
  }
}

// Ten million calls deep, in a stack of 64 KiB: to itself, by turns, through a table, to another
// instance, with more arguments than registers.
TEST_P(RecursionTest, TailCallsRunOn) {
  constexpr int64_t kDepth = 10'000'000;
  TestInstanceOptions options;
  options.store.wasm_stack_bytes = 64 << 10;
  std::string many = "(func $many (export \"many\") (param" + Times(40, " i64") +
                     ") (result i64) (if (i64.eqz (local.get 0)) (then (return (local.get 39))))"
                     "(return_call $many (i64.sub (local.get 0) (i64.const 1))" +
                     Times(38, " (local.get 1)") + " (i64.add (local.get 39) (i64.const 1))))";
  TestInstance instance(StrCat(R"((module
      (type $func (func (param i64 i64) (result i64)))
      (table 2 funcref) (elem (i32.const 0) $indirect $odd)
      (func $self (export "self") (type $func)
        (if (i64.eqz (local.get 0)) (then (return (local.get 1))))
        (return_call $self (i64.sub (local.get 0) (i64.const 1))
                           (i64.add (local.get 1) (i64.const 1))))
      (func $indirect (export "indirect") (type $func)
        (if (i64.eqz (local.get 0)) (then (return (local.get 1))))
        (return_call_indirect (type $func) (i64.sub (local.get 0) (i64.const 1))
                           (i64.add (local.get 1) (i64.const 1)) (i32.const 0)))
      (func $even (export "even") (type $func)
        (if (i64.eqz (local.get 0)) (then (return (local.get 1))))
        (return_call_indirect (type $func) (i64.sub (local.get 0) (i64.const 1))
                           (i64.add (local.get 1) (i64.const 1)) (i32.const 1)))
      (func $odd (type $func)
        (if (i64.eqz (local.get 0)) (then (return (local.get 1))))
        (return_call $even (i64.sub (local.get 0) (i64.const 1))
                           (i64.add (local.get 1) (i64.const 1))))
      )",
                               many, ")"),
                        GetParam(), options);
  for (const std::string_view name : {"self", "indirect", "even"}) {
    EXPECT_THAT(instance.Invoke(name, {Value::I64(kDepth), Value::I64(0)}),
                Returns({Value::I64(kDepth)}))
        << name;
  }
  std::vector<Value> args(40, Value::I64(0));
  args[0] = Value::I64(kDepth / 10);
  EXPECT_THAT(instance.Invoke("many", args), Returns({Value::I64(kDepth / 10)}));
}

// --- What a million traps leave.

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kHasSanitizer = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr bool kHasSanitizer = true;
#else
constexpr bool kHasSanitizer = false;
#endif
#else
constexpr bool kHasSanitizer = false;
#endif

struct Used {
  uint64_t resident_bytes = 0;
  size_t mappings = 0;
  size_t descriptors = 0;
};
Used UsedNow() {
  Used used;
  std::ifstream statm("/proc/self/statm");
  uint64_t pages = 0;
  statm >> pages >> pages;
  used.resident_bytes = pages * 4096;
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    ++used.mappings;
  }
  used.descriptors =
      static_cast<size_t>(std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {}));
  return used;
}

constexpr std::string_view kTraps = R"((module
    (import "host" "fail" (func $fail)) (import "host" "exit" (func $exit))
    (memory 1) (table 4 4 funcref) (elem (i32.const 0) $f $g)
    (type $void (func)) (type $i (func (param i32)))
    (tag $tag (param i64 v128))
    (func $f) (func $g (param i32))
    (func (export "unreachable") unreachable)
    (func (export "memory_fault") (drop (i32.load (i32.const 0x10000000))))
    (func (export "memory_fill") (memory.fill (i32.const 0) (i32.const 0) (i32.const -1)))
    (func (export "table_oob") (drop (table.get 0 (i32.const 4))))
    (func (export "call_oob") (call_indirect (type $void) (i32.const 4)))
    (func (export "call_null") (call_indirect (type $void) (i32.const 2)))
    (func (export "call_type") (call_indirect (type $void) (i32.const 1)))
    (func (export "div_zero") (drop (i32.div_u (i32.const 1) (i32.const 0))))
    (func (export "div_overflow") (drop (i64.div_s (i64.const 0x8000000000000000) (i64.const -1))))
    (func (export "conversion") (drop (i32.trunc_f64_s (f64.const nan))))
    (func $recurse (export "stack") (call $recurse))
    (func (export "exception") (throw $tag (i64.const 1) (v128.const i64x2 2 3)))
    (func (export "host_fails") (call $fail))
    (func (export "exits") (call $exit))
    (func (export "ok") (result i32) (i32.const 1))))";
constexpr std::string_view kTrapNames[] = {
    "unreachable", "memory_fault", "memory_fill", "table_oob",    "call_oob",
    "call_null",   "call_type",    "div_zero",    "div_overflow", "conversion",
    "stack",       "exception",    "host_fails",  "exits"};

class ManyTrapsTest : public testing::TestWithParam<std::string_view> {};
INSTANTIATE_TEST_SUITE_P(Kinds, ManyTrapsTest, testing::ValuesIn(kTrapNames),
                         [](const auto& kind) { return std::string(kind.param); });

TEST_P(ManyTrapsTest, LeaveMemoryFlat) {
  const char* const count_text = std::getenv("WASMD_TRAPS");
  const uint64_t count = count_text != nullptr ? std::strtoull(count_text, nullptr, 0) : 20'000;
  TestInstanceOptions options;
  options.store.wasm_stack_bytes = 32 << 10;
  options.link = [](Linker& linker, Store&) {
    linker.DefineTyped("host", "fail", [] { return HostResult::Error("as it shall"); });
    linker.DefineTyped("host", "exit", [] { return HostResult::Exit(3); });
  };
  TestInstance instance(kTraps, Tier::kBaseline, options);
  const FuncHandle func = instance.Func(GetParam());
  const auto trap = [&](uint64_t times) {
    for (uint64_t i = 0; i < times; ++i) {
      const auto outcome = func.Call({}, {});
      ASSERT_TRUE(outcome.ok() && !outcome->ok());
    }
  };
  trap(1000);  // What is made once.
  const Used before = UsedNow();
  trap(count);
  const Used after = UsedNow();
  EXPECT_THAT(instance.Invoke("ok"), Returns({Value::I32(1)}));
  std::printf("%llu traps: resident %llu KiB before, %llu after\n",
              static_cast<unsigned long long>(count),
              static_cast<unsigned long long>(before.resident_bytes >> 10),
              static_cast<unsigned long long>(after.resident_bytes >> 10));
  // A byte for each trap would be a megabyte of a million; what a sanitizer's allocator keeps back
  // for a while is not counted in traps.
  constexpr uint64_t kSlackBytes = uint64_t{kHasSanitizer ? 300 : 1} << 20;
  constexpr size_t kSlackMappings = kHasSanitizer ? 200 : 1;
  EXPECT_LE(after.resident_bytes, before.resident_bytes + kSlackBytes);
  EXPECT_LE(after.mappings, before.mappings + kSlackMappings);
  EXPECT_EQ(after.descriptors, before.descriptors);
}

}  // namespace
}  // namespace wasmd::engine
