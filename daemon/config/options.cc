#include "daemon/config/options.h"

#include <unistd.h>

#include <cstdlib>

#include "daemon/config/text.h"

namespace wasmd::daemon {

ListenAddress DefaultListenAddress() {
  ListenAddress address;
  // NOLINTNEXTLINE(concurrency-mt-unsafe): before any thread is started.
  const char* folder = std::getenv("XDG_RUNTIME_DIR");
  address.path = folder != nullptr && *folder == '/'
                     ? StrCat(folder, "/wasmd.sock")
                     : StrCat("/tmp/wasmd-", ::getuid(), "/wasmd.sock");
  return address;
}

}  // namespace wasmd::daemon
