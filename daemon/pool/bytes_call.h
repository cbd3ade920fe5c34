// BytesCall: a function on byte strings, looked up once in an instance: a byte string goes in, one
// comes out, each copied once.
//
// The guest's side is what the Canonical ABI of the Component Model makes of func(list<u8>) ->
// list<u8> in a core module, so that guests of its tools work as they are:
//
//   cabi_realloc(old_ptr: i32, old_size: i32, align: i32, new_size: i32) -> i32
//   NAME(ptr: i32, size: i32) -> i32     points to the output's {ptr: u32, size: u32}
//   cabi_post_NAME(i32)                  where it is exported: the output has been read
//   memory                               or the only memory that is exported
//
// docs/bytes.md is for guests' authors. The guest is not believed: what it points at is checked
// against its memory as that is then, and a guest that points outside of it, at a pair that is not
// aligned, or at more than kMaxListBytes, traps with kMemoryOutOfBounds and a message. Any of the
// guest's three functions may trap, exit or throw: that is the outcome, and what would have come
// after it is not called. The output is read before cabi_post_NAME, and is of no use if that one
// does not return.
//
// Used by the store's thread; dead with its store. A small value.
#ifndef WASMD_DAEMON_POOL_BYTES_CALL_H_
#define WASMD_DAEMON_POOL_BYTES_CALL_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "daemon/pool/engine_types.h"

namespace wasmd::daemon {

class BytesCall {
 public:
  // Of a byte string, either way. The ABI's MAX_LIST_BYTE_LENGTH.
  static constexpr uint64_t kMaxListBytes = (uint64_t{1} << 28) - 1;

  // kNotFound: an export is lacking. kInvalidArgument: one is of another type, or the memory has
  // 64-bit addresses. The message names it and says what it should be.
  static absl::StatusOr<BytesCall> Resolve(engine::Instance& instance, std::string_view func);

  // The same of a module's exports, whatever is done with its instances.
  static absl::Status Check(const engine::LoadedModule& module, std::string_view func);

  // Calls it with a copy of `input`, which is read once: it may be memory that others write. Copies
  // the output to `output`, or as much of it as there is room for. The outcome is the whole
  // output's size. Allocates nothing, unless the guest stops.
  engine::Outcome<uint64_t> Call(std::span<const std::byte> input,
                                 std::span<std::byte> output) const {
    return CallAndTake(input, [output](std::span<const std::byte> all) {
      if (const size_t count = std::min(all.size(), output.size()); count != 0) {
        std::memcpy(output.data(), all.data(), count);
      }
    });
  }
  // The same for an output of unknown size: calls `take` with it once, where it lies in the guest's
  // memory. `take` must not keep the span.
  template <typename Take>
  engine::Outcome<uint64_t> CallAndTake(std::span<const std::byte> input, Take&& take) const {
    engine::Outcome<Lent> lent = Run(input);
    if (!lent.ok()) [[unlikely]] {
      return engine::Outcome<uint64_t>(std::move(lent).stop());
    }
    std::forward<Take>(take)(std::span<const std::byte>((*lent).bytes));
    return GiveBack(*lent);
  }

 private:
  // An output in the guest's memory.
  struct Lent {
    uint32_t pair = 0;  // Where the guest says so.
    std::span<const std::byte> bytes;
  };
  using Realloc = engine::TypedFunc<uint32_t(uint32_t, uint32_t, uint32_t, uint32_t)>;
  using Bytes = engine::TypedFunc<uint32_t(uint32_t, uint32_t)>;
  using Post = engine::TypedFunc<void(uint32_t)>;

  BytesCall(Realloc realloc, Bytes func, std::optional<Post> post, engine::MemoryHandle memory)
      : realloc_(realloc), func_(func), post_(post), memory_(memory) {}

  engine::Outcome<Lent> Run(std::span<const std::byte> input) const;
  // The outcome is the output's size.
  engine::Outcome<uint64_t> GiveBack(const Lent& lent) const;

  Realloc realloc_;
  Bytes func_;
  std::optional<Post> post_;
  engine::MemoryHandle memory_;
};

}  // namespace wasmd::daemon

#endif  // WASMD_DAEMON_POOL_BYTES_CALL_H_
