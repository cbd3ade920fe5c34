// Validation of function bodies: what is left to check of a module after DecodeModule.
#ifndef WASMD_ENGINE_VALIDATE_VALIDATE_H_
#define WASMD_ENGINE_VALIDATE_VALIDATE_H_

#include <atomic>
#include <cstdint>

#include "absl/status/status.h"

#include "engine/validate/function_walker.h"
#include "engine/wasm/module.h"

namespace wasmd::engine {

// Validates the body of one defined function. Errors as FunctionWalkerBase::error. Thread-safe,
// with a scratch for each thread. Spec: valid-func
absl::Status ValidateFunction(const Module& module, uint32_t func_index, WalkerScratch& scratch);

// Validates every body, on up to `threads` threads (at least 1: the caller's; small modules use no
// other). The error is the one of the first bad function, whatever the threads do. Thread-safe.
// Spec: valid-module
// `cancel`, if set, is looked at every 64 KiB of code and ends it with kCancelled.
absl::Status ValidateModule(const Module& module, int threads,
                            const std::atomic<bool>* cancel = nullptr);

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_VALIDATE_VALIDATE_H_
