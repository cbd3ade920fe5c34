#include "engine/wasi/errno.h"

#include <cerrno>
#include <string_view>

namespace wasmd::engine {

Errno ErrnoOfHost(int host_errno) {
  struct Row {
    int host;
    Errno value;
  };
  static constexpr Row kRows[] = {
#define ERRNO(name, number, host) {host, Errno::k##name},
#include "engine/wasi/errno.def"
#undef ERRNO
  };
  if (host_errno != 0) {
    for (const Row& row : kRows) {
      if (row.host == host_errno) {
        return row.value;
      }
    }
  }
  return Errno::kIo;
}

std::string_view ToString(Errno value) {
  switch (value) {
#define ERRNO(name, number, host) \
  case Errno::k##name:            \
    return "k" #name;
#include "engine/wasi/errno.def"
#undef ERRNO
  }
  return "?";
}

}  // namespace wasmd::engine
