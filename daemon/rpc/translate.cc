#include "daemon/rpc/translate.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <variant>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "daemon/config/text.h"
#include "daemon/pool/engine_types.h"
#include "daemon/pool/guest.h"
#include "daemon/pool/invocation.h"
#include "daemon/store/module_store.h"
#include "engine/base/check.h"
#include "proto/wasmd/v1/module.pb.h"
#include "proto/wasmd/v1/server.pb.h"
#include "proto/wasmd/v1/value.pb.h"

namespace wasmd::daemon {
namespace {

constexpr size_t kV128Bytes = 16;
// Names in backtraces: a C++ symbol may have kilobytes, and 64 frames travel.
constexpr size_t kMaxFrameNameBytes = 512;
// A limit of time that is none.
constexpr absl::Duration kLongest = absl::Hours(24 * 365);

// The length of the UTF-8 sequence at the front of `text`, or 0 if there is none.
size_t Utf8Length(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(0);
  const size_t length = lead < 0x80             ? 1
                        : (lead & 0xe0) == 0xc0 ? 2
                        : (lead & 0xf0) == 0xe0 ? 3
                        : (lead & 0xf8) == 0xf0 ? 4
                                                : 0;
  if (length == 0 || length > text.size()) {
    return 0;
  }
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) {
      return 0;
    }
  }
  const bool overlong = (length == 2 && lead < 0xc2) ||
                        (length == 3 && lead == 0xe0 && byte(1) < 0xa0) ||
                        (length == 4 && lead == 0xf0 && byte(1) < 0x90);
  const bool surrogate = length == 3 && lead == 0xed && byte(1) >= 0xa0;
  const bool too_large = length == 4 && (lead > 0xf4 || (lead == 0xf4 && byte(1) >= 0x90));
  return overlong || surrogate || too_large ? 0 : length;
}

void ToWire(const engine::Limits& limits, v1::Limits& out) {
  out.set_min(limits.min);
  if (limits.max.has_value()) {
    out.set_max(*limits.max);
  }
}

void ToWire(const engine::Trap& trap, v1::Trap& out) {
  out.set_code(static_cast<v1::TrapCode>(trap.code));
  out.set_message(WireText(trap.message.empty() ? engine::ToString(trap.code) : trap.message));
  for (const engine::BacktraceFrame& frame : trap.backtrace.frames()) {
    v1::Frame& wire = *out.add_frames();
    wire.set_module_name(WireText(frame.module_name, kMaxFrameNameBytes));
    wire.set_func_index(frame.func_index);
    wire.set_func_name(WireText(frame.func_name, kMaxFrameNameBytes));
    wire.set_module_offset(frame.wasm_offset);
  }
  out.set_frames_omitted(
      static_cast<uint32_t>(std::min<uint64_t>(trap.backtrace.omitted_frames(), UINT32_MAX)));
}

}  // namespace

std::string WireText(std::string_view text, size_t max_bytes) {
  std::string clean;
  while (!text.empty()) {
    const size_t length = Utf8Length(text);
    if (clean.size() + std::max<size_t>(length, 1) > max_bytes) {
      break;
    }
    if (length == 0) {
      clean += '?';
    } else {
      clean += text.substr(0, length);
    }
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  return clean;
}

absl::StatusOr<GuestArgument> FromWire(const v1::Value& value) {
  GuestArgument out;
  switch (value.kind_case()) {
    case v1::Value::kI32:
      out.value = engine::Value::I32(value.i32());
      return out;
    case v1::Value::kI64:
      out.value = engine::Value::I64(int64_t{value.i64()});
      return out;
    case v1::Value::kF32Bits:
      out.value = engine::Value::F32Bits(value.f32_bits());
      return out;
    case v1::Value::kF64Bits:
      out.value = engine::Value::F64Bits(value.f64_bits());
      return out;
    case v1::Value::kV128:
      if (value.v128().size() != kV128Bytes) {
        return absl::InvalidArgumentError(
            StrCat("a v128 has 16 bytes and not ", value.v128().size()));
      }
      out.value.type = engine::ValType::kV128;
      std::memcpy(&out.value.bits, value.v128().data(), sizeof(out.value.bits));
      std::memcpy(&out.value.hi, value.v128().data() + sizeof(out.value.bits),
                  sizeof(out.value.hi));
      return out;
    case v1::Value::kRef:
      if (value.ref().type() == v1::VAL_TYPE_EXNREF && value.ref().handle() == 0) {
        out.value = engine::Value::Null(engine::ValType::kExnRef);
        return out;
      }
      if (value.ref().type() != v1::VAL_TYPE_FUNCREF &&
          value.ref().type() != v1::VAL_TYPE_EXTERNREF) {
        return absl::InvalidArgumentError("a reference's type must be funcref or externref");
      }
      out.value = engine::Value::Null(value.ref().type() == v1::VAL_TYPE_FUNCREF
                                          ? engine::ValType::kFuncRef
                                          : engine::ValType::kExternRef);
      out.reference_handle = value.ref().handle();
      return out;
    case v1::Value::KIND_NOT_SET:
      break;
  }
  return absl::InvalidArgumentError("a value has no kind set");
}

void ToWire(const GuestValue& value, v1::Value& out) {
  switch (value.value.type) {
    case engine::ValType::kI32:
      out.set_i32(static_cast<int32_t>(value.value.i32()));
      return;
    case engine::ValType::kI64:
      out.set_i64(static_cast<int64_t>(value.value.i64()));
      return;
    case engine::ValType::kF32:
      out.set_f32_bits(value.value.i32());
      return;
    case engine::ValType::kF64:
      out.set_f64_bits(value.value.bits);
      return;
    case engine::ValType::kV128: {
      std::string bytes(kV128Bytes, '\0');
      std::memcpy(bytes.data(), &value.value.bits, sizeof(value.value.bits));
      std::memcpy(bytes.data() + sizeof(value.value.bits), &value.value.hi, sizeof(value.value.hi));
      out.set_v128(std::move(bytes));
      return;
    }
    case engine::ValType::kFuncRef:
    case engine::ValType::kExternRef:
    case engine::ValType::kExnRef:
      out.mutable_ref()->set_type(ToWire(value.value.type));
      out.mutable_ref()->set_handle(value.reference_handle);
      return;
    case engine::ValType::kBottom:
      break;
  }
  WASMD_UNREACHABLE();
}

v1::ValType ToWire(engine::ValType type) {
  switch (type) {
    case engine::ValType::kBottom:
      return v1::VAL_TYPE_UNSPECIFIED;
    case engine::ValType::kI32:
      return v1::VAL_TYPE_I32;
    case engine::ValType::kI64:
      return v1::VAL_TYPE_I64;
    case engine::ValType::kF32:
      return v1::VAL_TYPE_F32;
    case engine::ValType::kF64:
      return v1::VAL_TYPE_F64;
    case engine::ValType::kV128:
      return v1::VAL_TYPE_V128;
    case engine::ValType::kFuncRef:
      return v1::VAL_TYPE_FUNCREF;
    case engine::ValType::kExternRef:
      return v1::VAL_TYPE_EXTERNREF;
    case engine::ValType::kExnRef:
      return v1::VAL_TYPE_EXNREF;
  }
  WASMD_UNREACHABLE();
}

void ToWire(const engine::FuncType& type, v1::FuncType& out) {
  for (const engine::ValType param : type.params) {
    out.add_params(ToWire(param));
  }
  for (const engine::ValType result : type.results) {
    out.add_results(ToWire(result));
  }
}

void ToWire(const engine::GlobalType& type, v1::GlobalType& out) {
  out.set_type(ToWire(type.type));
  out.set_mutable_(type.is_mutable);
}

void ToWire(const engine::ExternType& type, v1::ExternType& out) {
  switch (engine::KindOf(type)) {
    case engine::ExternKind::kFunc:
      ToWire(std::get<engine::FuncType>(type), *out.mutable_func());
      return;
    case engine::ExternKind::kTable: {
      const auto& table = std::get<engine::TableType>(type);
      out.mutable_table()->set_element(ToWire(table.element));
      ToWire(table.limits, *out.mutable_table()->mutable_limits());
      out.mutable_table()->set_address(ToWire(engine::ValTypeOf(table.address)));
      return;
    }
    case engine::ExternKind::kMemory: {
      const auto& memory = std::get<engine::MemoryType>(type);
      ToWire(memory.limits, *out.mutable_memory()->mutable_limits());
      out.mutable_memory()->set_address(ToWire(engine::ValTypeOf(memory.address)));
      out.mutable_memory()->set_page_size(uint64_t{1} << memory.page_shift);
      return;
    }
    case engine::ExternKind::kGlobal:
      ToWire(std::get<engine::GlobalType>(type), *out.mutable_global());
      return;
    case engine::ExternKind::kTag:
      for (const engine::ValType param : std::get<engine::TagType>(type).type.params) {
        out.mutable_tag()->add_params(ToWire(param));
      }
      out.mutable_tag();
      return;
  }
}

RequestedLimits FromWire(const v1::InvocationLimits& wire) {
  RequestedLimits limits;
  limits.memory_bytes = wire.memory_bytes();
  limits.table_elements = wire.table_elements();
  limits.heap_bytes = wire.heap_bytes();
  limits.stack_bytes = wire.stack_bytes();
  limits.open_files = wire.open_files();
  limits.output_buffer_bytes = wire.output_buffer_bytes();
  limits.cpu_time = absl::Milliseconds(static_cast<int64_t>(
      std::min(wire.cpu_time_ms(), static_cast<uint64_t>(absl::ToInt64Milliseconds(kLongest)))));
  return limits;
}

void ToWire(const GuestResult& result, std::span<const GuestValue> values, v1::Outcome& out) {
  if (result.refused_by.has_value()) {
    out.set_refused_at(StrCat(result.refused_by->name, " of ", result.refused_by->amount));
  }
  if (!result.stop.has_value()) {
    v1::Values& wire = *out.mutable_values();
    for (const GuestValue& value : values) {
      ToWire(value, *wire.add_values());
    }
    return;
  }
  if (const auto* trap = std::get_if<engine::Trap>(&*result.stop)) {
    ToWire(*trap, *out.mutable_trap());
  } else if (const auto* exit = std::get_if<engine::Exit>(&*result.stop)) {
    out.set_exit_code(exit->code);
  } else {
    WASMD_UNREACHABLE();
  }
}

void ToWire(const ModuleRecord& record, v1::ModuleInfo& out) {
  const engine::CodeStats stats = record.module->module->stats();
  out.set_digest(record.module->digest);
  out.set_name(WireText(record.name));
  out.set_size_bytes(record.module->size_bytes);
  out.set_defined_funcs(stats.functions);
  out.set_compiled_funcs(stats.functions_compiled);
  out.set_machine_code_bytes(stats.code_bytes);
  out.set_instances(record.users);
  out.set_uploaded_at_ms(UnixMillis(record.uploaded_at));
  out.set_last_used_at_ms(UnixMillis(record.last_used_at));
}

void ToWire(const ActivityInfo& activity, v1::Activity& out) {
  out.set_invocation_id(activity.info.id);
  out.set_kind(std::string(ToString(activity.info.kind)));
  out.set_client_name(WireText(activity.info.client_name));
  out.set_module(activity.info.module);
  out.set_module_name(WireText(activity.info.module_name));
  out.set_func(WireText(activity.info.func));
  out.set_elapsed_ms(static_cast<uint64_t>(absl::ToInt64Milliseconds(activity.elapsed)));
  out.set_cpu_seconds(activity.cpu_seconds);
  out.set_memory_bytes(activity.memory_bytes);
}

int64_t UnixMillis(absl::Time time) {
  return absl::ToUnixMillis(time);
}

}  // namespace wasmd::daemon
