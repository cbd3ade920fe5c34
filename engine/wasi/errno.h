// Errno: what WASI functions answer, and how Linux's errors become one.
//
// Plain values. Thread-safe. Spec: WASI preview 1, errno
#ifndef WASMD_ENGINE_WASI_ERRNO_H_
#define WASMD_ENGINE_WASI_ERRNO_H_

#include <cstdint>
#include <string_view>

namespace wasmd::engine {

enum class Errno : uint16_t {
#define ERRNO(name, number, host) k##name = number,
#include "engine/wasi/errno.def"
#undef ERRNO
};

// The WASI number for Linux's `host_errno`; kIo for one that WASI has no word for.
Errno ErrnoOfHost(int host_errno);

// "kNoent", for tests and messages.
std::string_view ToString(Errno value);

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_WASI_ERRNO_H_
