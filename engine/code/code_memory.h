// The error of machine code that finds no memory in the engine.
#ifndef WASMD_ENGINE_CODE_CODE_MEMORY_H_
#define WASMD_ENGINE_CODE_CODE_MEMORY_H_

#include <string_view>

#include "absl/status/status.h"

namespace wasmd::engine {

// kResourceExhausted: what all modules of the engine, or of the process, share is spent, so that
// dropping any of them makes room. `limit`: "EngineOptions::code_bytes".
absl::Status CodeMemorySpent(std::string_view limit);
// Whether it is that, and not a limit of one module or of an accountant.
bool IsCodeMemorySpent(const absl::Status& status);

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_CODE_CODE_MEMORY_H_
