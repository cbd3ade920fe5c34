// Typed host functions, compiled in many modes (CMakeLists.txt): typed_host_mode.cc.
#ifndef WASMD_TESTS_UNIT_ENGINE_RUNTIME_TYPED_HOST_MODE_H_
#define WASMD_TESTS_UNIT_ENGINE_RUNTIME_TYPED_HOST_MODE_H_

#include <cstdint>

#include "engine/runtime/linker.h"

namespace wasmd::engine {

// What HostModules counts: scopes of host functions that are open.
extern int g_open_scopes;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)

// Defines in the module "host":
//
//   add      (i32 i32) → i32
//   sum      (i64 × 7, f64 × 9) → f64                 two of each are in overflow cells
//   pair     (f32 f64) → f32 f64                      the arguments
//   cross    (i32 f64) → f64 i32                      the arguments, exchanged
//   wide     (i32 i64 f32 f64 i64) → i32 i64 f32 f64 i64   the same
//   aligned  (i32) → i32    one more, from a frame that is aligned to 64 bytes; kDivideByZero for 0
//   wide_or  (i32) → i32 f32 i64                      kDivideByZero for 0
//   fails    (i32)          an error "told by n", by an exception where there are some
//   exits    (i32)          with that code
using DefineInMode = void (*)(Linker& linker);

}  // namespace wasmd::engine

#endif  // WASMD_TESTS_UNIT_ENGINE_RUNTIME_TYPED_HOST_MODE_H_
