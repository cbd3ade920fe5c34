// The engine's vocabulary for the rest of the daemon: values, types, outcomes, streams. Only
// daemon/pool and daemon/store call the engine; the others carry these values.
#ifndef WASMD_DAEMON_POOL_ENGINE_TYPES_H_
#define WASMD_DAEMON_POOL_ENGINE_TYPES_H_

#include "engine/api/engine.h"       // IWYU pragma: export
#include "engine/base/unique_fd.h"   // IWYU pragma: export
#include "engine/wasi/byte_queue.h"  // IWYU pragma: export
#include "engine/wasi/wasi.h"        // IWYU pragma: export
#include "engine/wasm/features.h"    // IWYU pragma: export

#endif  // WASMD_DAEMON_POOL_ENGINE_TYPES_H_
