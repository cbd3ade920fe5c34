#include "daemon/pool/bytes_call.h"

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "daemon/config/text.h"
#include "daemon/pool/engine_types.h"
#include "daemon/pool/guest.h"
#include "engine/base/status_macros.h"

namespace wasmd::daemon {
namespace {

constexpr std::string_view kRealloc = "cabi_realloc";
constexpr std::string_view kMemory = "memory";
constexpr std::string_view kPostPrefix = "cabi_post_";
// Of a list<u8>'s bytes, and of the pair that a function returns the address of.
constexpr uint32_t kByteAlignment = 1;
constexpr uint32_t kPairAlignment = 4;
constexpr uint32_t kPairBytes = 8;

absl::Status Lacks(std::string_view name, const engine::FuncType& wanted, const absl::Status& why) {
  const std::string message = StrCat("a function on byte strings needs \"", name, "\" as ",
                                     engine::ToString(wanted), ": ", why.message());
  return absl::Status(why.code(), AbslView(message));
}

absl::Status CheckType(const engine::LoadedModule& module, std::string_view name,
                       const engine::FuncType& wanted) {
  const absl::StatusOr<const engine::FuncType*> found = FuncTypeOf(module, name);
  if (!found.ok()) {
    return Lacks(name, wanted, found.status());
  }
  return **found == wanted
             ? absl::OkStatus()
             : Lacks(name, wanted,
                     absl::InvalidArgumentError(StrCat("it is ", engine::ToString(**found))));
}

template <typename Signature>
absl::StatusOr<engine::TypedFunc<Signature>> Find(engine::Instance& instance,
                                                  std::string_view name) {
  absl::StatusOr<engine::TypedFunc<Signature>> found = instance.TypedFunc<Signature>(name);
  if (!found.ok()) {
    return Lacks(name, engine::TypedFunc<Signature>::type(), found.status());
  }
  return found;
}

absl::Status CheckAddresses(const engine::MemoryType& type) {
  return type.address == engine::AddressType::kI32
             ? absl::OkStatus()
             : absl::InvalidArgumentError(
                   "a function on byte strings needs a memory with 32-bit addresses, and this "
                   "one's have 64 bits");
}

absl::Status NoMemory(const absl::Status& why) {
  return absl::Status(why.code(),
                      AbslView(StrCat("a function on byte strings needs an exported \"", kMemory,
                                      "\", or one memory that is exported: ", why.message())));
}

absl::Status CheckMemory(const engine::LoadedModule& module) {
  std::optional<engine::MemoryType> only;
  bool several = false;
  for (const engine::ExportType& candidate : module.exports()) {
    if (const auto* memory = std::get_if<engine::MemoryType>(&candidate.type)) {
      if (candidate.name == kMemory) {
        return CheckAddresses(*memory);
      }
      several = only.has_value();
      only = *memory;
    }
  }
  if (several || !only.has_value()) {
    return NoMemory(several ? absl::InvalidArgumentError("it exports several, by other names")
                            : absl::NotFoundError("it exports none"));
  }
  return CheckAddresses(*only);
}

absl::StatusOr<engine::MemoryHandle> FindBytesMemory(engine::Instance& instance) {
  const std::optional<engine::Extern> named = instance.FindExport(kMemory);
  const bool is_named = named.has_value() && std::holds_alternative<engine::MemoryHandle>(*named);
  const absl::StatusOr<engine::MemoryHandle> memory =
      FindMemory(instance, is_named ? kMemory : std::string_view());
  if (!memory.ok()) {
    return NoMemory(memory.status());
  }
  WASMD_RETURN_IF_ERROR(CheckAddresses(memory->type()));
  return *memory;
}

// `size` bytes of the memory at `offset`, if they lie inside.
std::optional<std::span<std::byte>> Part(const engine::MemoryHandle& memory, uint32_t offset,
                                         uint64_t size) {
  const std::span<std::byte> all = memory.bytes();
  if (offset > all.size() || size > all.size() - offset) {
    return std::nullopt;
  }
  return all.subspan(offset, size);
}

[[gnu::noinline, gnu::cold]] engine::Stop OutOfBounds(std::string_view what) {
  return engine::Trap{engine::TrapCode::kMemoryOutOfBounds,
                      StrCat(engine::ToString(engine::TrapCode::kMemoryOutOfBounds), ": ", what),
                      {}};
}

}  // namespace

absl::Status BytesCall::Check(const engine::LoadedModule& module, std::string_view func) {
  WASMD_RETURN_IF_ERROR(CheckType(module, func, Bytes::type()));
  WASMD_RETURN_IF_ERROR(CheckType(module, kRealloc, Realloc::type()));
  const std::string post = StrCat(kPostPrefix, func);
  if (const absl::Status status = CheckType(module, post, Post::type());
      !status.ok() && !absl::IsNotFound(status)) {
    return status;
  }
  return CheckMemory(module);
}

absl::StatusOr<BytesCall> BytesCall::Resolve(engine::Instance& instance, std::string_view func) {
  WASMD_ASSIGN_OR_RETURN(const Bytes bytes, Find<uint32_t(uint32_t, uint32_t)>(instance, func));
  WASMD_ASSIGN_OR_RETURN(
      const Realloc realloc,
      (Find<uint32_t(uint32_t, uint32_t, uint32_t, uint32_t)>(instance, kRealloc)));
  const std::string post_name = StrCat(kPostPrefix, func);
  std::optional<Post> post;
  if (instance.FindExport(post_name).has_value()) {
    WASMD_ASSIGN_OR_RETURN(post, Find<void(uint32_t)>(instance, post_name));
  }
  WASMD_ASSIGN_OR_RETURN(const engine::MemoryHandle memory, FindBytesMemory(instance));
  return BytesCall(realloc, bytes, post, memory);
}

engine::Outcome<BytesCall::Lent> BytesCall::Run(std::span<const std::byte> input) const {
  if (input.size() > kMaxListBytes) [[unlikely]] {
    return OutOfBounds("the input is longer than a list of the Canonical ABI can be");
  }
  const auto input_size = static_cast<uint32_t>(input.size());
  engine::Outcome<uint32_t> place = realloc_(0, 0, kByteAlignment, input_size);
  if (!place.ok()) [[unlikely]] {
    return engine::Outcome<Lent>(std::move(place).stop());
  }
  const std::optional<std::span<std::byte>> to = Part(memory_, *place, input_size);
  if (!to.has_value()) [[unlikely]] {
    return OutOfBounds("cabi_realloc returned an address that has no room in the memory");
  }
  if (input_size != 0) {
    std::memcpy(to->data(), input.data(), input_size);
  }
  engine::Outcome<uint32_t> returned = func_(*place, input_size);
  if (!returned.ok()) [[unlikely]] {
    return engine::Outcome<Lent>(std::move(returned).stop());
  }
  // The memory may have grown.
  const std::optional<std::span<std::byte>> pair = Part(memory_, *returned, kPairBytes);
  if (!pair.has_value() || *returned % kPairAlignment != 0) [[unlikely]] {
    return OutOfBounds("the function returned an address outside of the memory, or not aligned");
  }
  uint32_t at = 0;
  uint32_t size = 0;
  std::memcpy(&at, pair->data(), sizeof(at));
  std::memcpy(&size, pair->data() + sizeof(at), sizeof(size));
  const std::optional<std::span<std::byte>> from = Part(memory_, at, size);
  if (!from.has_value() || size > kMaxListBytes) [[unlikely]] {
    return OutOfBounds("the function's output lies outside of the memory, or is too long");
  }
  return Lent{*returned, *from};
}

engine::Outcome<uint64_t> BytesCall::GiveBack(const Lent& lent) const {
  if (post_.has_value()) {
    engine::Outcome<void> cleaned = (*post_)(lent.pair);
    if (!cleaned.ok()) [[unlikely]] {
      return engine::Outcome<uint64_t>(std::move(cleaned).stop());
    }
  }
  return uint64_t{lent.bytes.size()};
}

}  // namespace wasmd::daemon
