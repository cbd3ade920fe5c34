#include "engine/wasi/wasi.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

#include "engine/base/check.h"
#include "engine/base/status_macros.h"
#include "engine/runtime/host_func.h"
#include "engine/runtime/value.h"
#include "engine/wasi/context.h"
#include "engine/wasi/guest.h"
#include "engine/wasm/trap_code.h"
#include "engine/wasm/types.h"

namespace wasmd::engine {
namespace {

HostResult HostResultOf(const Answer& answer, std::span<Value> results) {
  switch (answer.kind()) {
    case Answer::Kind::kErrno:
      if (!results.empty()) {
        results[0] = Value::I32(static_cast<uint32_t>(answer.value()));
      }
      return HostResult::Ok();
    case Answer::Kind::kOutOfBounds:
      return HostResult::Trap(TrapCode::kMemoryOutOfBounds);
    case Answer::Kind::kMisaligned:
      return HostResult::Error("misaligned pointer passed to a WASI function");
    case Answer::Kind::kInterrupted:
      return HostResult::Interrupted();
    case Answer::Kind::kExit:
      return HostResult::Exit(answer.exit_code());
  }
  WASMD_UNREACHABLE();
}

template <typename T>
constexpr ValType ValTypeOf() {
  static_assert(std::is_same_v<T, uint32_t> || std::is_same_v<T, uint64_t> ||
                std::is_same_v<T, int64_t>);
  return sizeof(T) == 4 ? ValType::kI32 : ValType::kI64;
}

template <typename T>
T FromValue(const Value& value) {
  if constexpr (sizeof(T) == 4) {
    return value.i32();
  } else {
    return static_cast<T>(value.i64());
  }
}

// A member of WasiContext as a host function: its parameters are the signature.
template <typename... Args>
WasiFunction Bind(std::string_view name, WasiContext& context,
                  Answer (WasiContext::*member)(Guest&, Args...)) {
  FuncType type;
  type.params = {ValTypeOf<Args>()...};
  if (name != "proc_exit") {  // The one that never comes back has no result.
    type.results = {ValType::kI32};
  }
  const auto callback = [&context, member](HostContext& host, std::span<const Value> args,
                                           std::span<Value> results) {
    Guest guest(host.memory(), host.interrupt_fd(), &host);
    const auto call = [&]<size_t... kIndex>(std::index_sequence<kIndex...>) {
      return (context.*member)(guest, FromValue<Args>(args[kIndex])...);
    };
    return HostResultOf(call(std::index_sequence_for<Args...>()), results);
  };
  return {name, std::move(type), callback};
}

}  // namespace

Wasi::Wasi(std::unique_ptr<WasiContext> context) : context_(std::move(context)) {}

Wasi::~Wasi() = default;

absl::StatusOr<std::unique_ptr<Wasi>> Wasi::Create(WasiOptions options) {
  auto context = std::make_unique<WasiContext>(std::move(options));
  WASMD_RETURN_IF_ERROR(context->Open());
  return std::unique_ptr<Wasi>(new Wasi(std::move(context)));
}

std::vector<WasiFunction> Wasi::Functions() {
  return {
#define WASI(name, member) Bind(#name, *context_, &WasiContext::member),
#include "engine/wasi/functions.def"
#undef WASI
  };
}

}  // namespace wasmd::engine
