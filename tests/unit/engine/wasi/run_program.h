// RunProgram: a WASI program in the engine, without the daemon: loads, instantiates, calls
// "_start", and says how it ended.
#ifndef WASMD_TESTS_UNIT_ENGINE_WASI_RUN_PROGRAM_H_
#define WASMD_TESTS_UNIT_ENGINE_WASI_RUN_PROGRAM_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"

#include "engine/api/engine.h"
#include "engine/base/status_macros.h"
#include "engine/wasi/wasi.h"

namespace wasmd::engine {

// `armed`, if set, gets the handle that stops the program, before it starts.
inline absl::StatusOr<Outcome<void>> RunProgram(
    const Engine& engine, std::vector<std::byte> bytes, WasiOptions options,
    const std::function<void(InterruptHandle)>& armed = nullptr) {
  WASMD_ASSIGN_OR_RETURN(std::shared_ptr<LoadedModule> module, engine.Load(std::move(bytes), {}));
  WASMD_ASSIGN_OR_RETURN(const std::unique_ptr<Wasi> wasi, Wasi::Create(std::move(options)));
  Linker linker;
  wasi->AddTo(linker);
  Store store(engine.runtime());
  const InterruptHandle interrupt = store.ArmInterrupt();
  if (armed) {
    armed(interrupt);
  }
  WASMD_ASSIGN_OR_RETURN(Instantiation made, linker.Instantiate(store, module));
  if (!made.outcome.ok()) {
    return std::move(made.outcome);
  }
  WASMD_ASSIGN_OR_RETURN(const FuncHandle start, made.instance->Func("_start"));
  return start.Call({}, {});
}

}  // namespace wasmd::engine

#endif  // WASMD_TESTS_UNIT_ENGINE_WASI_RUN_PROGRAM_H_
