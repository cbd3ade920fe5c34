#include "daemon/pool/bytes_call.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

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

// The name of the memory that byte strings lie in: "memory", or else the only one that is exported.
absl::StatusOr<std::string> MemoryName(const engine::LoadedModule& module) {
  std::optional<engine::ExportType> found;
  for (const engine::ExportType& candidate : module.exports()) {
    if (engine::KindOf(candidate.type) != engine::ExternKind::kMemory) {
      continue;
    }
    if (candidate.name == kMemory) {
      found = candidate;
      break;
    }
    if (found.has_value()) {
      return absl::InvalidArgumentError(
          "a function on byte strings needs a memory that is exported as \"memory\", or one alone");
    }
    found = candidate;
  }
  if (!found.has_value()) {
    return absl::NotFoundError("a function on byte strings needs an exported memory");
  }
  if (std::get<engine::MemoryType>(found->type).address != engine::AddressType::kI32) {
    return absl::InvalidArgumentError(
        "a function on byte strings needs a memory with 32-bit addresses");
  }
  return found->name;
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

engine::Outcome<uint64_t> OutOfBounds(std::string_view what) {
  return engine::Outcome<uint64_t>(
      engine::Stop(engine::Trap{engine::TrapCode::kMemoryOutOfBounds, std::string(what), {}}));
}

}  // namespace

absl::Status BytesCall::Check(const engine::LoadedModule& module, std::string_view func) {
  WASMD_RETURN_IF_ERROR(CheckType(module, func, Bytes::type()));
  WASMD_RETURN_IF_ERROR(CheckType(module, kRealloc, Realloc::type()));
  return MemoryName(module).status();
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
  WASMD_ASSIGN_OR_RETURN(const std::string memory_name, MemoryName(instance.module()));
  WASMD_ASSIGN_OR_RETURN(const engine::MemoryHandle memory, instance.Memory(memory_name));
  return BytesCall(realloc, bytes, post, memory);
}

engine::Outcome<uint64_t> BytesCall::Call(std::span<const std::byte> input,
                                          std::span<std::byte> output) const {
  if (input.size() > UINT32_MAX) [[unlikely]] {
    return OutOfBounds("the input does not fit a 32-bit memory");
  }
  const auto input_size = static_cast<uint32_t>(input.size());
  engine::Outcome<uint32_t> place = realloc_(0, 0, kByteAlignment, input_size);
  if (!place.ok()) [[unlikely]] {
    return engine::Outcome<uint64_t>(std::move(place).stop());
  }
  const std::optional<std::span<std::byte>> to = Part(memory_, *place, input_size);
  if (!to.has_value()) [[unlikely]] {
    return OutOfBounds("cabi_realloc returned an address outside of the memory");
  }
  if (input_size != 0) {
    std::memcpy(to->data(), input.data(), input_size);
  }
  engine::Outcome<uint32_t> returned = func_(*place, input_size);
  if (!returned.ok()) [[unlikely]] {
    return engine::Outcome<uint64_t>(std::move(returned).stop());
  }
  const std::optional<std::span<std::byte>> pair = Part(memory_, *returned, kPairBytes);
  if (!pair.has_value() || *returned % kPairAlignment != 0) [[unlikely]] {
    return OutOfBounds("the function returned an address outside of the memory, or not aligned");
  }
  uint32_t at = 0;
  uint32_t size = 0;
  std::memcpy(&at, pair->data(), sizeof(at));
  std::memcpy(&size, pair->data() + sizeof(at), sizeof(size));
  const std::optional<std::span<std::byte>> from = Part(memory_, at, size);
  if (!from.has_value()) [[unlikely]] {
    return OutOfBounds("the function's output lies outside of the memory");
  }
  if (const size_t count = std::min<size_t>(size, output.size()); count != 0) {
    std::memcpy(output.data(), from->data(), count);
  }
  if (post_.has_value()) {
    engine::Outcome<void> cleaned = (*post_)(*returned);
    if (!cleaned.ok()) [[unlikely]] {
      return engine::Outcome<uint64_t>(std::move(cleaned).stop());
    }
  }
  return uint64_t{size};
}

}  // namespace wasmd::daemon
