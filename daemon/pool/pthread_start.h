// Starts a joinable thread with a stack of a given size, without throwing.
#ifndef WASMD_DAEMON_POOL_PTHREAD_START_H_
#define WASMD_DAEMON_POOL_PTHREAD_START_H_

#include <pthread.h>

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
  bool started =
      ::pthread_attr_setstacksize(&attributes, std::max(stack_bytes, size_t{256} << 10)) == 0;
  started = started && ::pthread_create(&thread, &attributes, main, argument) == 0;
  static_cast<void>(::pthread_attr_destroy(&attributes));
  return started;
}

}  // namespace wasmd::daemon

#endif  // WASMD_DAEMON_POOL_PTHREAD_START_H_
