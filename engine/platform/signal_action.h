// sigaction, also where a sanitizer stands between.
#ifndef WASMD_ENGINE_PLATFORM_SIGNAL_ACTION_H_
#define WASMD_ENGINE_PLATFORM_SIGNAL_ACTION_H_

#include <csignal>

namespace wasmd::engine {

// The action that is installed now; under ThreadSanitizer the last one that was installed through
// it. False: errno.
bool ReadSignalAction(int signal, struct sigaction& action);

// Installs one. Under ThreadSanitizer by the kernel's own call: its interceptor would keep signals
// back until the thread's next system call, for ever in a guest that loops.
bool SetSignalAction(int signal, const struct sigaction& action);

// The handler that the kernel calls now; null where it is none with SA_SIGINFO.
void (*InstalledSignalHandler(int signal))(int, siginfo_t*, void*);

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_PLATFORM_SIGNAL_ACTION_H_
