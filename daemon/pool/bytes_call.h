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
// against its memory as that is then.
//
// Used by the store's thread; dead with its store. A small value.
#ifndef WASMD_DAEMON_POOL_BYTES_CALL_H_
#define WASMD_DAEMON_POOL_BYTES_CALL_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "daemon/pool/engine_types.h"

namespace wasmd::daemon {

class BytesCall {
 public:
  // kNotFound: an export is lacking. kInvalidArgument: one is of another type, or the memory has
  // 64-bit addresses. The message names it and says what it should be.
  static absl::StatusOr<BytesCall> Resolve(engine::Instance& instance, std::string_view func);

  // The same of a module's exports, whatever is done with its instances.
  static absl::Status Check(const engine::LoadedModule& module, std::string_view func);

  // Calls it with a copy of `input`, which is read once, and copies the output to `output`, or as
  // much of it as there is room for. The outcome is the whole output's size. Allocates nothing. A
  // guest that points outside of its memory traps with kMemoryOutOfBounds.
  engine::Outcome<uint64_t> Call(std::span<const std::byte> input,
                                 std::span<std::byte> output) const;

 private:
  using Realloc = engine::TypedFunc<uint32_t(uint32_t, uint32_t, uint32_t, uint32_t)>;
  using Bytes = engine::TypedFunc<uint32_t(uint32_t, uint32_t)>;
  using Post = engine::TypedFunc<void(uint32_t)>;

  BytesCall(Realloc realloc, Bytes func, std::optional<Post> post, engine::MemoryHandle memory)
      : realloc_(realloc), func_(func), post_(post), memory_(memory) {}

  Realloc realloc_;
  Bytes func_;
  std::optional<Post> post_;
  engine::MemoryHandle memory_;
};

}  // namespace wasmd::daemon

#endif  // WASMD_DAEMON_POOL_BYTES_CALL_H_
