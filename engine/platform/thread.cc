#include "engine/platform/thread.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "engine/base/check.h"

namespace wasmd::engine {

StackBounds CurrentThreadStack() {
  pthread_attr_t attributes;
  if (pthread_getattr_np(pthread_self(), &attributes) != 0) {
    return {};
  }
  void* low = nullptr;
  size_t size = 0;
  size_t guard = 0;
  const int stack_error = pthread_attr_getstack(&attributes, &low, &size);
  const int guard_error = pthread_attr_getguardsize(&attributes, &guard);
  pthread_attr_destroy(&attributes);
  if (stack_error != 0 || guard_error != 0 || low == nullptr) {
    return {};
  }
  const auto begin = reinterpret_cast<uint64_t>(low);
  // glibc counts the guard into the stack of the threads it allocates itself.
  return {begin + guard, begin + size};
}

int32_t CurrentThreadId() {
  return static_cast<int32_t>(gettid());
}

bool SignalThread(int32_t thread_id, int signal, void* value) {
  siginfo_t info;
  std::memset(&info, 0, sizeof(info));
  info.si_signo = signal;
  info.si_code = SI_QUEUE;
  info.si_pid = getpid();
  info.si_uid = getuid();
  info.si_value.sival_ptr = value;
  return syscall(SYS_rt_tgsigqueueinfo, getpid(), thread_id, signal, &info) == 0 || errno != ESRCH;
}

void UnblockSignals(std::span<const int> signals) {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : signals) {
    sigaddset(&set, signal);
  }
  pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
}

bool CallAtThreadExit(void (*callback)()) {
  static const std::optional<pthread_key_t> key = [] {
    pthread_key_t made;
    const int error =
        pthread_key_create(&made, [](void* value) { reinterpret_cast<void (*)()>(value)(); });
    return error == 0 ? std::optional(made) : std::nullopt;
  }();
  return key.has_value() && pthread_setspecific(*key, reinterpret_cast<const void*>(callback)) == 0;
}

std::optional<Thread> Thread::Start(std::function<void()> body) {
  auto owned = std::make_unique<std::function<void()>>(std::move(body));
  // Signals meant for the embedder's threads must not land on ours.
  sigset_t blocked;
  sigset_t old;
  sigfillset(&blocked);
  for (const int fault : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP}) {
    sigdelset(&blocked, fault);
  }
  pthread_sigmask(SIG_SETMASK, &blocked, &old);
  pthread_t thread;
  const int error = pthread_create(
      &thread, nullptr,
      [](void* argument) -> void* {
        const std::unique_ptr<std::function<void()>> run(
            static_cast<std::function<void()>*>(argument));
        (*run)();
        return nullptr;
      },
      owned.get());
  pthread_sigmask(SIG_SETMASK, &old, nullptr);
  if (error != 0) {
    return std::nullopt;
  }
  static_cast<void>(owned.release());  // The thread's now.
  return Thread(thread);
}

Thread& Thread::operator=(Thread&& other) noexcept {
  WASMD_CHECK(!joinable_, "a thread is joined before it is assigned to");
  thread_ = other.thread_;
  joinable_ = std::exchange(other.joinable_, false);
  return *this;
}

Thread::~Thread() {
  WASMD_CHECK(!joinable_, "a thread is joined before it is destroyed");
}

void Thread::Join() {
  if (std::exchange(joinable_, false)) {
    pthread_join(thread_, nullptr);
  }
}

}  // namespace wasmd::engine
