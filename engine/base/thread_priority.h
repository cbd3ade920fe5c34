// Real-time priority, for the few threads of ours that must not be late on a busy machine: those
// that stop what is overdue.
#ifndef WASMD_ENGINE_BASE_THREAD_PRIORITY_H_
#define WASMD_ENGINE_BASE_THREAD_PRIORITY_H_

#include <sched.h>

namespace wasmd::engine {

// Puts the calling thread above all that has no real-time priority, where the process may
// (CAP_SYS_NICE, or RLIMIT_RTPRIO of 1); otherwise false, and nothing changes. Threads that it
// starts do not inherit it: a guest's loop would have its CPU for itself. See sched(7).
inline bool RaiseThreadToRealTime() {
  sched_param priority{};
  priority.sched_priority = 1;
  return ::sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &priority) == 0;
}

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_BASE_THREAD_PRIORITY_H_
