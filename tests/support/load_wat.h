// Loads a module that is written as text. For tests.
#ifndef WASMD_TESTS_SUPPORT_LOAD_WAT_H_
#define WASMD_TESTS_SUPPORT_LOAD_WAT_H_

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

#include "engine/api/engine.h"
#include "tests/support/wat.h"

namespace wasmd::engine {

// Aborts where `text` does not parse. Errors as Engine::Load.
inline absl::StatusOr<std::shared_ptr<LoadedModule>> LoadWat(const Engine& engine,
                                                             std::string_view text) {
  const Bytes wat = Wat(text);
  const auto bytes = std::as_bytes(std::span(wat));
  return engine.Load(std::vector<std::byte>(bytes.begin(), bytes.end()), {});
}

}  // namespace wasmd::engine

#endif  // WASMD_TESTS_SUPPORT_LOAD_WAT_H_
