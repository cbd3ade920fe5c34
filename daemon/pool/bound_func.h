// BoundFunc: a function that was looked up once, for calls that name it by a number: with its
// arguments' and results' places, and the instance that it runs in.
//
//   kChannel   an instance of the channel's own, which keeps its state
//   kFresh     a new instance for each call
//   kShared    an instance that others call too, in turns
//
// Single-thread: whoever serves the channel. Only gate().Interrupt is another's.
#ifndef WASMD_DAEMON_POOL_BOUND_FUNC_H_
#define WASMD_DAEMON_POOL_BOUND_FUNC_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "daemon/pool/bytes_call.h"
#include "daemon/pool/engine_types.h"
#include "daemon/pool/guest.h"
#include "daemon/pool/interrupt_gate.h"

namespace wasmd::daemon {

enum class InstancePolicy : uint8_t { kChannel, kFresh, kShared };

// An instance of a channel's own: of all its functions that were bound with kChannel.
struct KeptInstance {
  std::shared_ptr<const void> place;  // Kept for the instance: its module, its place in a quota.
  std::shared_ptr<InstanceGroup> group;
  engine::Instance* instance = nullptr;  // The group's.
  InterruptGate gate;
  // An interrupt left it in the middle of a call. Set by the thread that serves the channel.
  std::atomic<bool> abandoned{false};
};

// Makes instance after instance of a module.
class FreshInstances {
 public:
  // kInvalidArgument: imports that nothing satisfies.
  static absl::StatusOr<std::unique_ptr<FreshInstances>> Create(
      std::shared_ptr<engine::RuntimeEnv> env, const GuestLimits& limits,
      std::shared_ptr<engine::LoadedModule> module);

  // The next instance; its start function, if it has one, has returned: otherwise `stop` says what
  // it did, and the instance is null. `armed` is called with the store before any guest code runs.
  absl::StatusOr<engine::Instance*> Next(const std::function<void(engine::Store&)>& armed,
                                         std::optional<engine::Stop>& stop);
  // Drops it.
  void Drop();
  const engine::LoadedModule& module() const { return *module_; }
  // Making an instance runs no code of the guest's, so it can be done ahead of a call.
  bool is_passive() const { return is_passive_; }

 private:
  FreshInstances() = default;

  std::shared_ptr<engine::RuntimeEnv> env_;
  GuestLimits limits_;
  std::shared_ptr<engine::LoadedModule> module_;
  bool imports_wasi_ = false;
  bool is_passive_ = false;
  engine::Linker linker_;  // Of modules that do not import WASI.
  std::unique_ptr<engine::Wasi> wasi_;
  std::unique_ptr<engine::Store> store_;
};

class BoundFunc {
 public:
  // kNotFound, kInvalidArgument: see FuncTypeOf; or a parameter or result is a reference. `bytes`:
  // a function on byte strings. The module alone is looked at: others may be using the instance,
  // where the function is looked up in its first call.
  // `policy`: kChannel or kShared.
  static absl::StatusOr<std::unique_ptr<BoundFunc>> OfInstance(InstancePolicy policy,
                                                               std::shared_ptr<KeptInstance> kept,
                                                               std::string_view func, bool bytes);
  // `place` is kept for as long as the function. `module_name` is what a module without a name of
  // its own is called in backtraces.
  static absl::StatusOr<std::unique_ptr<BoundFunc>> OfFresh(
      std::unique_ptr<FreshInstances> instances, std::shared_ptr<const void> place,
      std::string module_name, std::string_view func, bool bytes);

  InstancePolicy policy() const { return policy_; }
  const engine::FuncType& type() const { return type_; }
  const std::string& name() const { return name_; }
  const std::string& module_name() const { return module_name_; }
  // It takes and gives byte strings.
  bool is_bytes() const { return is_bytes_; }
  // In words: a v128 counts two.
  uint32_t param_words() const { return param_words_; }
  uint32_t result_words() const { return result_words_; }
  InterruptGate& gate() { return kept_ == nullptr ? own_gate_ : kept_->gate; }
  // kShared: whose turn it needs.
  InstanceGroup* group() const {
    return policy_ == InstancePolicy::kShared ? kept_->group.get() : nullptr;
  }

  // An interrupt left its instance in the middle of a call.
  bool is_abandoned() const { return kept_ != nullptr && kept_->group->store().is_abandoned(); }

  // The arguments of the next call. `words` has param_words().
  void SetArguments(const uint64_t* words);
  // Calls it. A status: it was not called (the instance was abandoned, or there can be none).
  [[gnu::always_inline]] absl::StatusOr<engine::Outcome<void>> Call() {
    if (policy_ == InstancePolicy::kChannel && func_.has_value()) [[likely]] {
      return CallReady();
    }
    return CallOther();
  }
  // The same for a function on byte strings. `input` is read once, in Call.
  void SetInput(std::span<const std::byte> input, std::span<std::byte> output) {
    input_ = input;
    output_ = output;
  }
  // Of a call that returned: the whole output's size, which may be more than there was room for.
  uint64_t output_bytes() const { return output_bytes_; }
  // Of a call that returned. `words` has room for result_words().
  void GetResults(uint64_t* words) const;
  // Behind each call, when its answer is out: drops a fresh instance, and may make the next.
  // `interrupted`: gate().Settle() said so.
  void Finish(bool interrupted);

 private:
  BoundFunc(InstancePolicy policy, std::string_view name, const engine::FuncType& type, bool bytes);
  static absl::Status CheckTravels(std::string_view name, const engine::FuncType& type);
  absl::StatusOr<engine::Outcome<void>> CallOther();
  absl::StatusOr<engine::Outcome<void>> CallBytes();
  [[gnu::always_inline]] absl::StatusOr<engine::Outcome<void>> CallReady() {
    return is_bytes_ ? CallBytes() : func_->Call(args_, results_);
  }
  absl::Status Resolve(engine::Instance& instance);

  const InstancePolicy policy_;
  const bool is_bytes_;
  uint32_t param_words_ = 0;
  uint32_t result_words_ = 0;
  // Empty until it has been looked up. kFresh: of the instance that is ready, if one is.
  std::optional<engine::FuncHandle> func_;
  std::vector<engine::Value> args_;
  std::vector<engine::Value> results_;
  std::optional<BytesCall> bytes_;
  std::span<const std::byte> input_;
  std::span<std::byte> output_;
  uint64_t output_bytes_ = 0;
  const std::string name_;
  std::string module_name_;
  const engine::FuncType type_;
  std::shared_ptr<KeptInstance> kept_;  // Shared with the channel's other functions.
  std::shared_ptr<const void> place_;
  std::unique_ptr<FreshInstances> fresh_;
  InterruptGate own_gate_;
};

}  // namespace wasmd::daemon

#endif  // WASMD_DAEMON_POOL_BOUND_FUNC_H_
