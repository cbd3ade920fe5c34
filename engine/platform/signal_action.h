// sigaction, also where a sanitizer stands between.
#ifndef WASMD_ENGINE_PLATFORM_SIGNAL_ACTION_H_
#define WASMD_ENGINE_PLATFORM_SIGNAL_ACTION_H_

#include <csignal>

namespace wasmd::engine {

// The action that is installed now. False: errno.
bool ReadSignalAction(int signal, struct sigaction& action);

// Installs one. Under ThreadSanitizer by the kernel's own call: its interceptor would keep signals
// back until the thread's next system call, for ever in a guest that loops.
bool SetSignalAction(int signal, const struct sigaction& action);

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_PLATFORM_SIGNAL_ACTION_H_
