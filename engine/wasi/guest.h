// Guest: the caller of a WASI function, seen from it: its memory, and the descriptor that says when
// to stop waiting. Answer: what a WASI function comes back with.
//
// Every address and length comes from the guest. The accessors check it against the memory's size
// without overflow and against the type's alignment; when they refuse, fault() says which it was,
// and the function returns that:
//
//   if (!guest.Store(result_ptr, size)) return guest.fault();
//
// Single-thread: the guest's. A Guest lives as long as one call. Spec: WASI, witx-docs "Pointers"
#ifndef WASMD_ENGINE_WASI_GUEST_H_
#define WASMD_ENGINE_WASI_GUEST_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <type_traits>

#include "engine/runtime/host_func.h"
#include "engine/wasi/errno.h"

namespace wasmd::engine {

// An errno for the guest, or the reason why it does not go on.
class [[nodiscard]] Answer {
 public:
  enum class Kind : uint8_t { kErrno, kOutOfBounds, kMisaligned, kInterrupted, kExit };

  // Functions return errnos as they are. NOLINTNEXTLINE(google-explicit-constructor)
  Answer(Errno value) : errno_(value) {}
  static Answer OutOfBounds() { return Answer(Kind::kOutOfBounds, 0); }
  static Answer Misaligned() { return Answer(Kind::kMisaligned, 0); }
  static Answer Interrupted() { return Answer(Kind::kInterrupted, 0); }
  static Answer Exit(uint32_t code) { return Answer(Kind::kExit, code); }

  Kind kind() const { return kind_; }
  bool ok() const { return kind_ == Kind::kErrno && errno_ == Errno::kSuccess; }
  // kErrno only.
  Errno value() const { return errno_; }
  // kExit only.
  uint32_t exit_code() const { return exit_code_; }
  friend bool operator==(const Answer&, const Answer&) = default;

 private:
  Answer(Kind kind, uint32_t exit_code) : kind_(kind), exit_code_(exit_code) {}
  Kind kind_ = Kind::kErrno;
  Errno errno_ = Errno::kSuccess;
  uint32_t exit_code_ = 0;
};

// Hands an answer that is not success to the caller.
#define WASMD_WASI_RETURN_IF_NOT_OK(expression)               \
  do {                                                        \
    if (const Answer answer_ = (expression); !answer_.ok()) { \
      return answer_;                                         \
    }                                                         \
  } while (false)

class Guest {
 public:
  // `interrupt_fd` polls readable once the invocation is to stop. Negative: there is none; then
  // `host`, where there is one, knows, and what waits is woken up by a signal.
  explicit Guest(std::span<std::byte> memory, int interrupt_fd = -1,
                 const HostContext* host = nullptr)
      : memory_(memory), interrupt_fd_(interrupt_fd), host_(host) {}

  template <typename T>
  bool Load(uint64_t address, T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    if (!Check(address, sizeof(T), alignof(T))) {
      return false;
    }
    std::memcpy(&value, memory_.data() + address, sizeof(T));
    return true;
  }

  template <typename T>
  bool Store(uint64_t address, const T& value) {
    static_assert(std::is_trivially_copyable_v<T> && std::has_unique_object_representations_v<T>,
                  "padding without a name would leak host memory");
    if (!Check(address, sizeof(T), alignof(T))) {
      return false;
    }
    std::memcpy(memory_.data() + address, &value, sizeof(T));
    return true;
  }

  // `size` bytes at `address`, of objects aligned to `alignment`. An empty range may lie at the
  // very end.
  bool Range(uint64_t address, uint64_t size, std::span<std::byte>& range, uint64_t alignment = 1) {
    if (!Check(address, size, alignment)) {
      return false;
    }
    range = memory_.subspan(address, size);
    return true;
  }

  // A path or other string for the kernel. kIlseq: not UTF-8. kInval: a NUL inside. kNametoolong:
  // over kMaxPathBytes.
  Answer LoadString(uint32_t address, uint32_t size, std::string& text);
  static constexpr uint32_t kMaxPathBytes = 4095;  // Linux's PATH_MAX, less the terminator.

  // Why the last accessor said false.
  Answer fault() const { return misaligned_ ? Answer::Misaligned() : Answer::OutOfBounds(); }

  int interrupt_fd() const { return interrupt_fd_; }
  // A system call: not for inner loops.
  bool interrupted() const;

 private:
  bool Check(uint64_t address, uint64_t size, uint64_t alignment) {
    misaligned_ = address % alignment != 0;
    return !misaligned_ && address <= memory_.size() && size <= memory_.size() - address;
  }

  std::span<std::byte> memory_;
  int interrupt_fd_;
  const HostContext* host_ = nullptr;
  bool misaligned_ = false;
};

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_WASI_GUEST_H_
