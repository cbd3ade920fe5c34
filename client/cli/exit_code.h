// How wasmctl ends. A program that it runs gives its own exit code.
#ifndef WASMD_CLIENT_CLI_EXIT_CODE_H_
#define WASMD_CLIENT_CLI_EXIT_CODE_H_

namespace wasmd::cli {

inline constexpr int kDone = 0;
inline constexpr int kDeadline = 124;     // As timeout(1).
inline constexpr int kFailure = 125;      // Ours: bad usage, no daemon, a bad module.
inline constexpr int kInterrupted = 130;  // SIGINT, as a shell tells it.
inline constexpr int kTrap = 134;         // As a process that aborted.
inline constexpr int kBrokenPipe = 141;   // SIGPIPE
inline constexpr int kTerminated = 143;   // SIGTERM

}  // namespace wasmd::cli

#endif  // WASMD_CLIENT_CLI_EXIT_CODE_H_
