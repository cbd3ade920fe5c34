// Any bytes through decoder, validator and the eager compiler; what is valid is also instantiated
// in a store of its own, if it has no start function: its own code would run without a bound.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"

#include "engine/api/engine.h"
#include "engine/base/check.h"
#include "engine/wasm/module.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace wasmd::engine;  // NOLINT(google-build-using-namespace)
  static const Engine* const engine = [] {
    absl::StatusOr<std::unique_ptr<Engine>> made = Engine::Create({});
    WASMD_CHECK(made.ok());
    return made->release();
  }();
  const auto* bytes = reinterpret_cast<const std::byte*>(data);
  const absl::StatusOr<std::shared_ptr<LoadedModule>> module =
      engine->Load(std::vector<std::byte>(bytes, bytes + size), {.mode = CompileMode::kEager});
  if (!module.ok() || (*module)->module().start.has_value() || !(*module)->imports().empty()) {
    return 0;
  }
  Store store(engine->runtime(), {.memory_bytes = 64 << 20, .table_elements = 100'000});
  (void)Linker().Instantiate(store, *module);
  return 0;
}
