#include "engine/platform/signal_action.h"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

#if defined(__SANITIZE_THREAD__)
#define WASMD_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WASMD_TSAN 1
#endif
#endif

namespace wasmd::engine {

bool ReadSignalAction(int signal, struct sigaction& action) {
  return sigaction(signal, nullptr, &action) == 0;
}

#ifdef WASMD_TSAN

extern "C" void wasmd_signal_return();
asm(R"(
  .text
  .globl wasmd_signal_return
  .hidden wasmd_signal_return
  .type wasmd_signal_return, @function
wasmd_signal_return:
  movq $15, %rax
  syscall
  .size wasmd_signal_return, .-wasmd_signal_return
)");

namespace {

struct KernelAction {
  void (*handler)(int, siginfo_t*, void*);
  uint64_t flags;
  void (*restorer)();
  uint64_t mask;
};

}  // namespace

bool SetSignalAction(int signal, const struct sigaction& action) {
  constexpr uint64_t kRestorer = 0x04000000;
  KernelAction kernel = {action.sa_sigaction, static_cast<uint64_t>(action.sa_flags) | kRestorer,
                         &wasmd_signal_return, 0};
  return syscall(SYS_rt_sigaction, signal, &kernel, nullptr, sizeof(kernel.mask)) == 0;
}

void (*InstalledSignalHandler(int signal))(int, siginfo_t*, void*) {
  KernelAction kernel = {};
  const bool is_read =
      syscall(SYS_rt_sigaction, signal, nullptr, &kernel, sizeof(kernel.mask)) == 0;
  return is_read && (kernel.flags & SA_SIGINFO) != 0 ? kernel.handler : nullptr;
}

#else

bool SetSignalAction(int signal, const struct sigaction& action) {
  return sigaction(signal, &action, nullptr) == 0;
}

void (*InstalledSignalHandler(int signal))(int, siginfo_t*, void*) {
  struct sigaction action = {};
  return ReadSignalAction(signal, action) && (action.sa_flags & SA_SIGINFO) != 0
             ? action.sa_sigaction
             : nullptr;
}

#endif

}  // namespace wasmd::engine
