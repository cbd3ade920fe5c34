#include "tests/support/test_instance.h"

#include <cstdio>
#include <cstdlib>
#include <ostream>
#include <span>
#include <utility>

#include "tests/support/wat.h"

namespace wasmd::engine {
namespace {

[[noreturn]] void Die(std::string_view what, std::string_view message) {
  std::fprintf(stderr, "%.*s: %.*s\n", static_cast<int>(what.size()), what.data(),
               static_cast<int>(message.size()), message.data());
  std::abort();
}

std::string_view MessageOf(const absl::Status& status) {
  return {status.message().data(), status.message().size()};
}

}  // namespace

std::vector<Tier> AllTiers() {
  return {Tier::kBaseline};
}

std::string ToString(Tier tier) {
  switch (tier) {
    case Tier::kBaseline:
      return "Baseline";
  }
  return "?";
}

Engine& TestEngine() {
  static Engine& engine = *[] {
    absl::StatusOr<std::unique_ptr<Engine>> made = Engine::Create({});
    if (!made.ok()) {
      Die("no engine", MessageOf(made.status()));
    }
    return made->release();
  }();
  return engine;
}

std::shared_ptr<LoadedModule> LoadWat(std::string_view wat, Tier tier, CompileMode mode) {
  const Bytes bytes = Wat(wat);
  const auto span = std::as_bytes(std::span(bytes));
  LoadOptions options;
  options.tier = tier;
  options.mode = mode;
  auto module = TestEngine().Load(std::vector<std::byte>(span.begin(), span.end()), options);
  if (!module.ok()) {
    Die("cannot load a test's module", MessageOf(module.status()));
  }
  return *std::move(module);
}

void PrintTo(const Invoked& invoked, std::ostream* out) {
  if (!invoked.status.ok()) {
    *out << "refused: " << invoked.status;
  } else if (invoked.stop != nullptr) {
    *out << ToString(*invoked.stop);
  } else {
    *out << "returned (";
    for (const Value& value : invoked.values) {
      *out << " " << ToString(value);
    }
    *out << " )";
  }
}

Invoked Invoke(const FuncHandle& func, const std::vector<Value>& args) {
  Invoked invoked;
  invoked.values.resize(func.type().results.size());
  absl::StatusOr<Outcome<void>> outcome = func.Call(args, invoked.values);
  if (!outcome.ok()) {
    invoked.status = outcome.status();
  } else if (!outcome->ok()) {
    invoked.stop = std::make_shared<const Stop>(std::move(*outcome).stop());
  }
  return invoked;
}

namespace {

MATCHER_P(ReturnsMatcher, values, "returned these values") {
  return arg.status.ok() && arg.stop == nullptr && arg.values == values;
}
MATCHER_P(TrapsMatcher, code, "trapped: " + std::string(ToString(code))) {
  return arg.trap() != nullptr && arg.trap()->code == code;
}
MATCHER_P(InterruptedMatcher, reason, "interrupted: " + std::string(ToString(reason))) {
  return arg.interrupt() != nullptr && arg.interrupt()->reason == reason;
}

}  // namespace

testing::Matcher<const Invoked&> Returns(std::vector<Value> values) {
  return ReturnsMatcher(std::move(values));
}
testing::Matcher<const Invoked&> TrapsWith(TrapCode code) {
  return TrapsMatcher(code);
}
testing::Matcher<const Invoked&> InterruptedBy(InterruptReason reason) {
  return InterruptedMatcher(reason);
}

TestInstance::TestInstance(std::string_view wat, Tier tier, const TestInstanceOptions& options)
    : TestInstance(LoadWat(wat, tier, options.mode), options) {}

TestInstance::TestInstance(std::shared_ptr<LoadedModule> module, const TestInstanceOptions& options)
    : store_(std::make_unique<Store>(TestEngine().runtime(), options.store)) {
  Linker linker;
  if (options.link) {
    options.link(linker, *store_);
  }
  absl::StatusOr<Instantiation> made = linker.Instantiate(*store_, std::move(module));
  if (!made.ok()) {
    Die("cannot instantiate a test's module", MessageOf(made.status()));
  }
  if (!made->outcome.ok()) {
    Die("a test's module stopped while it was instantiated", ToString(made->outcome.stop()));
  }
  instance_ = made->instance;
}

FuncHandle TestInstance::Func(std::string_view name) {
  absl::StatusOr<FuncHandle> func = instance_->Func(name);
  if (!func.ok()) {
    Die("a test's module", MessageOf(func.status()));
  }
  return *func;
}

Invoked TestInstance::Invoke(std::string_view name, const std::vector<Value>& args) {
  return engine::Invoke(Func(name), args);
}

}  // namespace wasmd::engine
