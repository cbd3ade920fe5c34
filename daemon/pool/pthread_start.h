// Starts a joinable thread with a stack of a given size, without throwing. It has the ordinary
// scheduling policy, whatever the starter's is: a guest's loop at real-time priority would have its
// CPU for itself.
#ifndef WASMD_DAEMON_POOL_PTHREAD_START_H_
#define WASMD_DAEMON_POOL_PTHREAD_START_H_

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <cstddef>

namespace wasmd::daemon {

// False: the system gives no thread.
inline bool StartPthread(size_t stack_bytes, void* (*main)(void*), void* argument,
                         pthread_t& thread) {
  pthread_attr_t attributes;
  if (::pthread_attr_init(&attributes) != 0) {
    return false;
  }
  const sched_param ordinary{};
  bool started =
      ::pthread_attr_setstacksize(&attributes, std::max(stack_bytes, size_t{256} << 10)) == 0 &&
      ::pthread_attr_setschedpolicy(&attributes, SCHED_OTHER) == 0 &&
      ::pthread_attr_setschedparam(&attributes, &ordinary) == 0 &&
      ::pthread_attr_setinheritsched(&attributes, PTHREAD_EXPLICIT_SCHED) == 0;
  started = started && ::pthread_create(&thread, &attributes, main, argument) == 0;
  static_cast<void>(::pthread_attr_destroy(&attributes));
  return started;
}

}  // namespace wasmd::daemon

#endif  // WASMD_DAEMON_POOL_PTHREAD_START_H_
