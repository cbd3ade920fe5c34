// wasmctl's version.
#ifndef WASMD_CLIENT_CLI_VERSION_H_
#define WASMD_CLIENT_CLI_VERSION_H_

namespace wasmd::cli {

// The project's, as in the root CMakeLists.txt: "0.1.0".
extern const char* const kVersion;

}  // namespace wasmd::cli

#endif  // WASMD_CLIENT_CLI_VERSION_H_
