// TestInstance: a module from text, instantiated in a store of its own, for tests of what the
// engine does.
//
//   class EdgeTest : public testing::TestWithParam<Tier> {};
//   TEST_P(EdgeTest, Traps) {
//     TestInstance one_page("(module (memory 1) (func (export \"peek\") …))", GetParam());
//     EXPECT_THAT(one_page.Invoke("peek", {Value::I32(65535)}), Returns({Value::I32(0)}));
//     EXPECT_THAT(one_page.Invoke("peek", {Value::I32(65536)}),
//     TrapsWith(TrapCode::kMemoryOutOfBounds));
//   }
//   WASMD_INSTANTIATE_FOR_ALL_TIERS(EdgeTest);
//
// Whatever is not the test's subject (parsing, loading, linking) aborts with a message where it
// fails.
#ifndef WASMD_TESTS_SUPPORT_TEST_INSTANCE_H_
#define WASMD_TESTS_SUPPORT_TEST_INSTANCE_H_

#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/api/engine.h"

namespace wasmd::engine {

std::vector<Tier> AllTiers();
std::string ToString(Tier tier);

#define WASMD_INSTANTIATE_FOR_ALL_TIERS(Suite)                             \
  INSTANTIATE_TEST_SUITE_P(AllTiers, Suite, testing::ValuesIn(AllTiers()), \
                           [](const auto& tier) { return ToString(tier.param); })

// One engine for the whole test binary. Never destroyed.
Engine& TestEngine();

// Text to a loaded module.
std::shared_ptr<LoadedModule> LoadWat(std::string_view wat, Tier tier = Tier::kBaseline,
                                      CompileMode mode = CompileMode::kLazy);

// What an invocation came to; a Status of Call is told as a failure of its own kind.
struct Invoked {
  absl::Status status;
  std::vector<Value> values;
  std::shared_ptr<const Stop> stop;  // Shared, so that gMock may copy it. Null: it returned.

  const Trap* trap() const { return stop == nullptr ? nullptr : std::get_if<Trap>(stop.get()); }
  const Interrupt* interrupt() const {
    return stop == nullptr ? nullptr : std::get_if<Interrupt>(stop.get());
  }
  const Exit* exit() const { return stop == nullptr ? nullptr : std::get_if<Exit>(stop.get()); }
};
void PrintTo(const Invoked& invoked, std::ostream* out);

Invoked Invoke(const FuncHandle& func, const std::vector<Value>& args = {});

testing::Matcher<const Invoked&> Returns(std::vector<Value> values);
testing::Matcher<const Invoked&> TrapsWith(TrapCode code);
testing::Matcher<const Invoked&> InterruptedBy(InterruptReason reason);

struct TestInstanceOptions {
  StoreOptions store;
  CompileMode mode = CompileMode::kLazy;
  // Fills the linker; the store is there already.
  std::function<void(Linker& linker, Store& store)> link;
};

class TestInstance {
 public:
  explicit TestInstance(std::string_view wat, Tier tier = Tier::kBaseline,
                        const TestInstanceOptions& options = {});
  explicit TestInstance(std::shared_ptr<LoadedModule> module,
                        const TestInstanceOptions& options = {});

  Invoked Invoke(std::string_view name, const std::vector<Value>& args = {});
  FuncHandle Func(std::string_view name);
  Store& store() { return *store_; }
  Instance& instance() { return *instance_; }
  const LoadedModule& module() const { return instance_->module(); }

 private:
  std::unique_ptr<Store> store_;
  Instance* instance_ = nullptr;
};

}  // namespace wasmd::engine

#endif  // WASMD_TESTS_SUPPORT_TEST_INSTANCE_H_
