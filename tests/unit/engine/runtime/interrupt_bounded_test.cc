// What takes long outside of wasm code stops in the middle when its store is interrupted: a bulk
// operation, segments, a compilation. None of these asserts a time: each is interrupted again and
// again, at random moments, until it has been found half done.
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "tests/support/test_instance.h"
#include "tests/support/wasm_builder.h"

namespace wasmd::engine {
namespace {

constexpr int kAttempts = 2000;

class InterruptBoundedTest : public testing::TestWithParam<Tier> {
 protected:
  // Interrupts `handle` some time after it was made, at most `within`.
  class Later {
   public:
    Later(InterruptHandle handle, std::chrono::microseconds within) {
      thread_ = std::thread([handle = std::move(handle), within] {
        const auto until = std::chrono::steady_clock::now() + within;
        while (std::chrono::steady_clock::now() < until) {
        }
        handle.Interrupt(InterruptReason::kCancel);
      });
    }
    Later(const Later&) = delete;
    Later& operator=(const Later&) = delete;
    ~Later() { thread_.join(); }

   private:
    std::thread thread_;
  };

  std::chrono::microseconds Some() { return std::chrono::microseconds(random_() % 20'000); }

  // Calls `func` in an instance after another, until one was interrupted and `half_done` says so.
  void ExpectStopsHalfWay(const std::shared_ptr<LoadedModule>& module, std::string_view func,
                          const std::function<bool(TestInstance&)>& half_done) {
    for (int i = 0; i < kAttempts; ++i) {
      TestInstance instance(module);
      Invoked invoked;
      {
        const Later later(instance.store().ArmInterrupt(), Some());
        invoked = instance.Invoke(func);
      }
      if (invoked.interrupt() != nullptr && half_done(instance)) {
        return;
      }
    }
    FAIL() << func << " was never found half done";
  }

  std::mt19937 random_{3};
};
WASMD_INSTANTIATE_FOR_ALL_TIERS(InterruptBoundedTest);

constexpr std::string_view kBulk = R"((module
  (memory (export "m") 3072)
  (table $t (export "t") 5000000 funcref) (table $from 5000000 funcref)
  (func $f) (elem declare func $f)
  (func (export "fill") (memory.fill (i32.const 0) (i32.const 1) (i32.const 0xc000000)))
  (func (export "copy_down") (i32.store8 (i32.const 0xbffffff) (i32.const 1)) (i32.store8 (i32.const 0) (i32.const 1))
    (memory.copy (i32.const 1) (i32.const 0) (i32.const 0xbffffff)))
  (func (export "table_fill") (table.fill $t (i32.const 0) (ref.func $f) (i32.const 5000000)))
  (func (export "table_copy") (table.set $from (i32.const 0) (ref.func $f))
    (table.set $from (i32.const 4999999) (ref.func $f))
    (table.copy $t $from (i32.const 0) (i32.const 0) (i32.const 5000000)))
))";

uint8_t ByteAt(TestInstance& instance, size_t at) {
  return static_cast<uint8_t>(instance.instance().Memory("m")->bytes()[at]);
}

bool IsNull(TestInstance& instance, uint64_t at) {
  return instance.instance().Table("t")->Get(at)->is_null_ref();
}

TEST_P(InterruptBoundedTest, BulkOperations) {
  const auto module = LoadWat(kBulk, GetParam());
  const auto written_from_below = [](TestInstance& instance) {
    return ByteAt(instance, 0) == 1 && ByteAt(instance, 0xbffffff) == 0;
  };
  ExpectStopsHalfWay(module, "fill", written_from_below);
  // From above: the last byte has been overwritten, the second not.
  ExpectStopsHalfWay(module, "copy_down", [](TestInstance& instance) {
    return ByteAt(instance, 0) == 1 && ByteAt(instance, 0xbffffff) == 0 && ByteAt(instance, 1) == 0;
  });
  // From below or from above: a copy begins where the tables' order in memory says.
  const auto one_end_is_set = [](TestInstance& instance) {
    return IsNull(instance, 0) != IsNull(instance, 4'999'999);
  };
  ExpectStopsHalfWay(module, "table_fill", one_end_is_set);
  ExpectStopsHalfWay(module, "table_copy", one_end_is_set);
}

TEST_P(InterruptBoundedTest, InitFromPassiveSegments) {
  // 32 MiB of ones, and 4 million references to function 0.
  constexpr uint32_t kBytes = 32 << 20;
  constexpr uint32_t kRefs = 4'000'000;
  Bytes data = Leb(1);
  Append(data, {0x01});
  Append(data, Leb(kBytes));
  data.insert(data.end(), kBytes, 1);
  Bytes elems = Leb(1);
  Append(elems, {0x01, 0x00});
  Append(elems, Leb(kRefs));
  elems.insert(elems.end(), kRefs, 0);
  const auto constant = [](int64_t value) { return Concat({{0x41}, SignedLeb(value)}); };
  const Bytes wasm = WasmModule({
      Section(1, Vec({FuncTypeBytes({}, {})})),
      Section(3, Vec({Leb(0), Leb(0)})),
      Section(4, Vec({Concat({{0x70, 0x00}, Leb(kRefs)})})),
      Section(5, Vec({Concat({{0x00}, Leb(kBytes >> 16)})})),
      Section(7,
              Vec({Concat({Leb(1), {'d'}, {0x00, 0x00}}), Concat({Leb(1), {'e'}, {0x00, 0x01}}),
                   Concat({Leb(1), {'m'}, {0x02, 0x00}}), Concat({Leb(1), {'t'}, {0x01, 0x00}})})),
      Section(9, elems),
      Section(12, Leb(1)),
      Section(10, Vec({Body({}, Concat({constant(0),
                                        constant(0),
                                        constant(kBytes),
                                        {0xfc, 0x08, 0x00, 0x00, 0x0b}})),
                       Body({}, Concat({constant(0),
                                        constant(0),
                                        constant(kRefs),
                                        {0xfc, 0x0c, 0x00, 0x00, 0x0b}}))})),
      Section(11, data),
  });
  const auto bytes = AsBytes(wasm);
  LoadOptions options;
  options.tier = GetParam();
  const auto module = TestEngine().Load({bytes.begin(), bytes.end()}, options);
  ASSERT_TRUE(module.ok()) << module.status();
  ExpectStopsHalfWay(*module, "d", [](TestInstance& instance) {
    return ByteAt(instance, 0) == 1 && ByteAt(instance, kBytes - 1) == 0;
  });
  ExpectStopsHalfWay(*module, "e", [](TestInstance& instance) {
    return !IsNull(instance, 0) && IsNull(instance, kRefs - 1);
  });
}

// Active segments into an imported memory and table, which no image can stand for.
TEST_P(InterruptBoundedTest, SegmentsAtInstantiation) {
  constexpr uint32_t kBytes = 32 << 20;
  constexpr uint32_t kRefs = 4'000'000;
  const auto owner = LoadWat(
      R"((module (memory (export "m") 512) (table (export "t") 4000000 funcref)))", GetParam());
  const auto import = [](char name, const Bytes& type) {
    return Concat({Leb(1), {'o'}, Leb(1), {static_cast<uint8_t>(name)}, type});
  };
  const auto load = [&](const std::vector<Bytes>& segments) {
    std::vector<Bytes> sections = {
        Section(1, Vec({FuncTypeBytes({}, {})})),
        Section(2, Vec({import('m', {0x02, 0x00, 0x00}), import('t', {0x01, 0x70, 0x00, 0x00})})),
        Section(3, Vec({Leb(0)}))};
    sections.insert(sections.end(), segments.begin(), segments.end());
    const Bytes wasm = WasmModule(sections);
    const auto bytes = AsBytes(wasm);
    LoadOptions options;
    options.tier = GetParam();
    auto module = TestEngine().Load({bytes.begin(), bytes.end()}, options);
    EXPECT_TRUE(module.ok()) << module.status();
    return *module;
  };
  const Bytes code = Section(10, Vec({Body({}, {0x0b})}));
  Bytes data = Concat({Leb(1), {0x00, 0x41, 0x00, 0x0b}, Leb(kBytes)});
  data.insert(data.end(), kBytes, 1);
  Bytes elems = Concat({Leb(1), {0x00, 0x41, 0x00, 0x0b}, Leb(kRefs)});
  elems.insert(elems.end(), kRefs, 0);
  const auto with_data = load({code, Section(11, data)});
  const auto with_elems = load({Section(9, elems), code});
  for (const auto& module : {with_data, with_elems}) {
    bool was_half_done = false;
    for (int i = 0; i < kAttempts && !was_half_done; ++i) {
      TestInstance instance(owner);
      Linker linker;
      linker.DefineInstance("o", instance.instance());
      absl::StatusOr<Instantiation> made = absl::UnknownError("");
      {
        const Later later(instance.store().ArmInterrupt(), Some());
        made = linker.Instantiate(instance.store(), module);
      }
      ASSERT_TRUE(made.ok()) << made.status();
      if (made->outcome.ok()) {
        continue;
      }
      ASSERT_NE(made->outcome.interrupt(), nullptr);
      EXPECT_EQ(made->outcome.interrupt()->reason, InterruptReason::kCancel);
      EXPECT_EQ(made->instance, nullptr);
      was_half_done = module == with_data
                          ? ByteAt(instance, 0) == 1 && ByteAt(instance, kBytes - 1) == 0
                          : !IsNull(instance, 0) && IsNull(instance, kRefs - 1);
      // It was acknowledged: what comes next is not hit.
      EXPECT_TRUE(
          linker.Instantiate(instance.store(), LoadWat("(module)", GetParam()))->outcome.ok());
    }
    EXPECT_TRUE(was_half_done);
  }
  // Asked for before: nothing is written at all.
  TestInstance instance(owner);
  Linker linker;
  linker.DefineInstance("o", instance.instance());
  instance.store().ArmInterrupt().Interrupt(InterruptReason::kDeadline);
  const auto made = linker.Instantiate(instance.store(), with_data);
  ASSERT_TRUE(made.ok());
  EXPECT_NE(made->outcome.interrupt(), nullptr);
  EXPECT_EQ(ByteAt(instance, 0), 0);
}

// A function of three million instructions, which is compiled when it is called.
TEST_P(InterruptBoundedTest, ACompilation) {
  Bytes body;
  for (int i = 0; i < 750'000; ++i) {
    Append(body, {0x20, 0x00, 0x41, 0x03, 0x6a, 0x21, 0x00});
  }
  body.push_back(0x0b);
  const Bytes wasm = WasmModule({
      Section(1, Vec({FuncTypeBytes({0x7f}, {})})),
      Section(3, Vec({Leb(0)})),
      Section(7, Vec({Concat({Leb(1), {'f'}, {0x00, 0x00}})})),
      Section(10, Vec({Body({}, body)})),
  });
  const auto bytes = AsBytes(wasm);
  LoadOptions options;
  options.tier = GetParam();
  int stopped = 0;
  for (int i = 0; i < kAttempts && stopped < 3; ++i) {
    const auto module = TestEngine().Load({bytes.begin(), bytes.end()}, options);
    ASSERT_TRUE(module.ok()) << module.status();
    TestInstance instance(*module);
    Invoked invoked;
    {
      const Later later(instance.store().ArmInterrupt(), Some());
      invoked = instance.Invoke("f", {Value::I32(1)});
    }
    if (invoked.interrupt() == nullptr) {
      continue;
    }
    EXPECT_TRUE(instance.store().is_abandoned());
    if ((*module)->stats().functions_compiled == 0) {
      ++stopped;
      // Another store, which nobody interrupts, has it compiled.
      TestInstance other(*module);
      EXPECT_THAT(other.Invoke("f", {Value::I32(1)}), Returns({}));
      EXPECT_EQ((*module)->stats().functions_compiled, 1u);
    }
  }
  EXPECT_EQ(stopped, 3) << "no compilation was stopped";
}

}  // namespace
}  // namespace wasmd::engine
