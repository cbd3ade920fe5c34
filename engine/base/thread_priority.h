// Real-time priority, for threads that must not be late on a busy machine: those that stop what is
// overdue, and, for as long as that takes, those that are being stopped.
//
// The process may give it with CAP_SYS_NICE, or within RLIMIT_RTPRIO; otherwise these do nothing.
// Threads that such a thread starts do not inherit it: a guest's loop would have its CPU for
// itself. See sched(7).
#ifndef WASMD_ENGINE_BASE_THREAD_PRIORITY_H_
#define WASMD_ENGINE_BASE_THREAD_PRIORITY_H_

#include <pthread.h>
#include <sched.h>

namespace wasmd::engine {

// The flag can be set by everybody and cleared only with CAP_SYS_NICE, so it stays.
inline bool SetThreadPriority(pthread_t thread, int policy, int priority) {
  sched_param param{};
  param.sched_priority = priority;
  return ::pthread_setschedparam(thread, policy | SCHED_RESET_ON_FORK, &param) == 0;
}

// The calling thread stops others: it comes before all that has no real-time priority, and before
// the threads that it stops. False: it may not.
inline bool RaiseThreadToRealTime() {
  return SetThreadPriority(::pthread_self(), SCHED_FIFO, 2) ||
         SetThreadPriority(::pthread_self(), SCHED_FIFO, 1);
}

// A thread that is told to stop may be waiting for a CPU, and does not stop before it has one. It
// gets real-time priority until it has stopped. `thread` has not ended. False: it may not.
inline bool LendRealTime(pthread_t thread) {
  return SetThreadPriority(thread, SCHED_FIFO, 1);
}
// Takes it back: the thread is an ordinary one, as before LendRealTime.
inline void ReturnRealTime(pthread_t thread) {
  static_cast<void>(SetThreadPriority(thread, SCHED_OTHER, 0));
}

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_BASE_THREAD_PRIORITY_H_
