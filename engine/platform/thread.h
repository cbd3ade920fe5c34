// What the engine must know of the thread it is on.
#ifndef WASMD_ENGINE_PLATFORM_THREAD_H_
#define WASMD_ENGINE_PLATFORM_THREAD_H_

#include <pthread.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <utility>

namespace wasmd::engine {

// The thread's own stack, as the threads library knows it. [low, high); both 0 where it cannot
// tell.
struct StackBounds {
  uint64_t low = 0;
  uint64_t high = 0;

  bool Contains(uint64_t address) const { return address >= low && address < high; }
};

// Asks the system: microseconds; for the main thread it reads /proc/self/maps. Callers keep the
// answer. The main thread's stack ends where its size limit does now.
StackBounds CurrentThreadStack();

// The kernel's id of the calling thread. A system call.
int32_t CurrentThreadId();

// Queues `signal` to a thread of this process, with `value` for siginfo_t::si_value. False: there
// is no such thread (it has ended). An id that a new thread of this process got meanwhile is hit
// instead: the receiver must not mind.
bool SignalThread(int32_t thread_id, int signal, void* value);

// Lets the calling thread take these signals, whatever its mask said. A system call.
void UnblockSignals(std::span<const int> signals);

// Calls `callback` when the calling thread ends, after the destructors of its thread_local objects.
// One callback in the process, and it may be called once more if it, or a destructor of POSIX
// thread-specific data, asks for it again. False: the system has no more keys.
bool CallAtThreadExit(void (*callback)());

// A thread that may fail to start, unlike std::thread. Joined before it is destroyed.
// Thread-compatible.
class Thread {
 public:
  // nullopt: the system has no thread to give. `body` runs with all signals blocked but those of
  // faults.
  static std::optional<Thread> Start(std::function<void()> body);
  Thread(Thread&& other) noexcept
      : thread_(other.thread_), joinable_(std::exchange(other.joinable_, false)) {}
  // The one assigned to is not running: joined, or moved from.
  Thread& operator=(Thread&& other) noexcept;
  ~Thread();
  void Join();

 private:
  explicit Thread(pthread_t thread) : thread_(thread), joinable_(true) {}
  pthread_t thread_;
  bool joinable_;
};

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_PLATFORM_THREAD_H_
