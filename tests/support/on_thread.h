// A body on a thread with a stack of a given size.
#ifndef WASMD_TESTS_SUPPORT_ON_THREAD_H_
#define WASMD_TESTS_SUPPORT_ON_THREAD_H_

#include <pthread.h>

#include <cstddef>
#include <functional>

#include "gtest/gtest.h"

namespace wasmd::tests {

// Until it has ended.
inline void OnThread(size_t stack_bytes, const std::function<void()>& body) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  ASSERT_EQ(pthread_attr_setstacksize(&attributes, stack_bytes), 0);
  pthread_t thread;
  ASSERT_EQ(pthread_create(
                &thread, &attributes,
                [](void* argument) -> void* {
                  (*static_cast<const std::function<void()>*>(argument))();
                  return nullptr;
                },
                const_cast<std::function<void()>*>(&body)),
            0);
  pthread_attr_destroy(&attributes);
  pthread_join(thread, nullptr);
}

}  // namespace wasmd::tests

#endif  // WASMD_TESTS_SUPPORT_ON_THREAD_H_
