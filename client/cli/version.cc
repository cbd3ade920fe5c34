#include "client/cli/version.h"

namespace wasmd::cli {

// The build names it.
const char* const kVersion = WASMCTL_VERSION;

}  // namespace wasmd::cli
