// The builtins' bodies. All bounds are checked in 64 bits before anything is written. No C++ scope
// is left by a trap: the codes go back to generated code, which raises them.
#include "engine/abi/builtins.h"

#include <algorithm>
#include <cstring>

#include "engine/runtime/instance_access.h"
#include "engine/runtime/linear_memory.h"
#include "engine/runtime/loaded_module.h"
#include "engine/runtime/table_instance.h"
#include "engine/wasm/trap_code.h"

namespace wasmd::engine {
namespace {

constexpr uint64_t kGrowFailed = 0xffff'ffff;
constexpr auto kOk = static_cast<uint32_t>(TrapCode::kNone);
constexpr auto kMemoryTrap = static_cast<uint32_t>(TrapCode::kMemoryOutOfBounds);
constexpr auto kTableTrap = static_cast<uint32_t>(TrapCode::kTableOutOfBounds);

bool Fits(uint64_t offset, uint64_t count, uint64_t size) {
  return offset <= size && count <= size - offset;
}

}  // namespace

uint64_t BuiltinMemoryGrow(InstanceContext* context, uint32_t memory_index,
                           uint64_t delta_pages) noexcept {
  return InstanceAccess::Memory(context, memory_index).Grow(delta_pages).value_or(kGrowFailed);
}

// Spec: exec-memory.init
uint32_t BuiltinMemoryInit(InstanceContext* context, uint32_t memory_index, uint32_t data_index,
                           uint64_t to, uint32_t from, uint32_t count) noexcept {
  LinearMemory& memory = InstanceAccess::Memory(context, memory_index);
  const Module& module = InstanceAccess::Of(context).module().module();
  const DataSegment& segment = module.datas[data_index];
  const uint64_t segment_size =
      InstanceAccess::DataDropped(context)[data_index] ? 0 : segment.bytes_size;
  if (!Fits(to, count, memory.size_bytes()) || !Fits(from, count, segment_size)) {
    return kMemoryTrap;
  }
  if (count != 0) {
    std::memcpy(memory.base() + to, module.bytes.data() + segment.bytes_offset + from, count);
  }
  return kOk;
}

// Spec: exec-memory.copy
uint32_t BuiltinMemoryCopy(InstanceContext* context, uint32_t to_memory, uint32_t from_memory,
                           uint64_t to, uint64_t from, uint64_t count) noexcept {
  LinearMemory& target = InstanceAccess::Memory(context, to_memory);
  const LinearMemory& source = InstanceAccess::Memory(context, from_memory);
  if (!Fits(to, count, target.size_bytes()) || !Fits(from, count, source.size_bytes())) {
    return kMemoryTrap;
  }
  std::memmove(target.base() + to, source.base() + from, count);
  return kOk;
}

// Spec: exec-memory.fill
uint32_t BuiltinMemoryFill(InstanceContext* context, uint32_t memory_index, uint64_t to,
                           uint32_t value, uint64_t count) noexcept {
  LinearMemory& memory = InstanceAccess::Memory(context, memory_index);
  if (!Fits(to, count, memory.size_bytes())) {
    return kMemoryTrap;
  }
  std::memset(memory.base() + to, static_cast<int>(value & 0xff), count);
  return kOk;
}

// Spec: exec-data.drop
uint32_t BuiltinDataDrop(InstanceContext* context, uint32_t data_index) noexcept {
  InstanceAccess::DataDropped(context)[data_index] = true;
  return kOk;
}

// Spec: exec-table.grow
uint64_t BuiltinTableGrow(InstanceContext* context, uint32_t table_index, uint64_t init,
                          uint64_t delta) noexcept {
  return InstanceAccess::Table(context, table_index).Grow(delta, init).value_or(kGrowFailed);
}

// Spec: exec-table.fill
uint32_t BuiltinTableFill(InstanceContext* context, uint32_t table_index, uint64_t to,
                          uint64_t value, uint64_t count) noexcept {
  TableInstance& table = InstanceAccess::Table(context, table_index);
  if (!Fits(to, count, table.size())) {
    return kTableTrap;
  }
  std::fill_n(table.elements() + to, count, value);
  return kOk;
}

// Spec: exec-table.copy
uint32_t BuiltinTableCopy(InstanceContext* context, uint32_t to_table, uint32_t from_table,
                          uint64_t to, uint64_t from, uint64_t count) noexcept {
  TableInstance& target = InstanceAccess::Table(context, to_table);
  TableInstance& source = InstanceAccess::Table(context, from_table);
  if (!Fits(to, count, target.size()) || !Fits(from, count, source.size())) {
    return kTableTrap;
  }
  if (count != 0) {
    std::memmove(target.elements() + to, source.elements() + from, count * sizeof(uint64_t));
  }
  return kOk;
}

// Spec: exec-table.init
uint32_t BuiltinTableInit(InstanceContext* context, uint32_t table_index, uint32_t elem_index,
                          uint64_t to, uint32_t from, uint32_t count) noexcept {
  TableInstance& table = InstanceAccess::Table(context, table_index);
  const std::vector<uint64_t>& elems = InstanceAccess::Elems(context, elem_index);
  if (!Fits(to, count, table.size()) || !Fits(from, count, elems.size())) {
    return kTableTrap;
  }
  std::copy_n(elems.data() + from, count, table.elements() + to);
  return kOk;
}

// Spec: exec-elem.drop
uint32_t BuiltinElemDrop(InstanceContext* context, uint32_t elem_index) noexcept {
  std::vector<uint64_t>().swap(InstanceAccess::Elems(context, elem_index));
  return kOk;
}

uint64_t BuiltinRefFunc(InstanceContext* context, uint32_t func_index) noexcept {
  return reinterpret_cast<uint64_t>(&InstanceAccess::FuncRefOf(context, func_index));
}

const void* const kBuiltinTable[] = {
#define BUILTIN(name, ret, ...) reinterpret_cast<const void*>(&Builtin##name),
#include "engine/abi/builtins.def"
#undef BUILTIN
};

}  // namespace wasmd::engine
