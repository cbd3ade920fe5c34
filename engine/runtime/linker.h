// Linker: names to what a module may import, and instantiation.
//
// A plain value, thread-compatible: fill it once, copy it or share it const. Host functions belong
// to no store; externs (Define, DefineInstance) belong to theirs, and a linker that has some
// instantiates in that store only.
#ifndef WASMD_ENGINE_RUNTIME_LINKER_H_
#define WASMD_ENGINE_RUNTIME_LINKER_H_

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "engine/runtime/host_func.h"
#include "engine/runtime/host_target.h"
#include "engine/runtime/instance.h"
#include "engine/runtime/outcome.h"
#include "engine/runtime/typed_host.h"

namespace wasmd::engine {

class LoadedModule;
class Store;

struct Instantiation {
  // Null where an active segment or the start function trapped, exited or was interrupted:
  // `outcome` says how.
  Instance* instance = nullptr;
  Outcome<void> outcome;
};

class Linker {
 public:
  // A name given twice replaces the first.
  void DefineFunc(std::string_view module, std::string_view name, FuncType type,
                  HostCallback callback);
  // A host function that wasm calls directly, with C++ types that say what its type is
  // (engine/runtime/typed_host.h); given explicitly, DefineTyped<int32_t(float)>(…), where they
  // cannot be deduced.
  template <typename Callable>
    requires(!std::is_function_v<Callable>)
  void DefineTyped(std::string_view module, std::string_view name, Callable callable) {
    DefineHost(module, name, DefineTypedHost(std::move(callable)));
  }
  template <typename Signature, typename Callable>
    requires std::is_function_v<Signature>
  void DefineTyped(std::string_view module, std::string_view name, Callable callable) {
    DefineHost(module, name, DefineTypedHost<Signature>(std::move(callable)));
  }
  void Define(std::string_view module, std::string_view name, Extern value);
  // All exports of `instance` as imports from `module`.
  void DefineInstance(std::string_view module, Instance& instance);

  // kInvalidArgument unless every import is defined with a type that matches: the message names
  // each import that is unknown
  // ("unknown import env.f (func …)"; all of them, up to 20), or the first whose type doesn't match
  // with both types. Nothing is made then. Spec: valid-import, match-externtype
  absl::Status CheckImports(const LoadedModule& module) const;

  // Instantiates in `store`: imports, globals, active segments in order, start function. Segments
  // before one that traps stay applied, and what the instance put into shared tables stays
  // callable. Errors as CheckImports, and kResourceExhausted for the store's limits and the
  // system's; kFailedPrecondition as FuncHandle::Call. Spec: exec-instantiation
  absl::StatusOr<Instantiation> Instantiate(Store& store,
                                            std::shared_ptr<LoadedModule> module) const;
  // The same with the module's imports in their order, whatever their names: `imports` are all of
  // them. kInvalidArgument: fewer or more, one of another type, or one of another store.
  static absl::StatusOr<Instantiation> Instantiate(Store& store,
                                                   std::shared_ptr<LoadedModule> module,
                                                   std::span<const Extern> imports);

 private:
  friend class Instantiator;
  using Definition = std::variant<HostDefinition, Extern>;
  void DefineHost(std::string_view module, std::string_view name, HostDefinition definition);
  const Definition* Find(std::string_view module, std::string_view name) const;
  // What each import is linked to. Errors as CheckImports.
  absl::StatusOr<std::vector<const Definition*>> Resolve(const LoadedModule& module) const;
  static absl::Status CheckTypes(const LoadedModule& module,
                                 std::span<const Definition* const> imports);
  static absl::StatusOr<Instantiation> Instantiate(Store& store,
                                                   std::shared_ptr<LoadedModule> module,
                                                   std::span<const Definition* const> imports);

  absl::flat_hash_map<std::pair<std::string, std::string>, Definition> definitions_;
};

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_RUNTIME_LINKER_H_
