// InstanceAccess: from what generated code holds to the objects behind it. Private to
// engine/runtime.
#ifndef WASMD_ENGINE_RUNTIME_INSTANCE_ACCESS_H_
#define WASMD_ENGINE_RUNTIME_INSTANCE_ACCESS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/abi/instance_context.h"
#include "engine/runtime/instance.h"
#include "engine/runtime/loaded_module.h"
#include "engine/runtime/loaded_module_impl.h"

namespace wasmd::engine {

struct InstanceAccess {
  static Instance& Of(InstanceContext* context) { return *context->instance; }
  // Null: not metered.
  static int64_t* FuelOf(InstanceContext* context) {
    const LoadedModule::Impl& code = Of(context).module_->impl();
    return code.is_metered() ? reinterpret_cast<int64_t*>(reinterpret_cast<std::byte*>(context) +
                                                          code.layout().fuel())
                             : nullptr;
  }
  static LinearMemory& Memory(InstanceContext* context, uint32_t index) {
    return *Of(context).memories_[index];
  }
  static TableInstance& Table(InstanceContext* context, uint32_t index) {
    return *Of(context).tables_[index];
  }
  static std::vector<uint64_t>& Elems(InstanceContext* context, uint32_t index) {
    return Of(context).elems_[index];
  }
  static std::vector<bool>& DataDropped(InstanceContext* context) {
    return Of(context).data_dropped_;
  }
  static const TagInstance& Tag(InstanceContext* context, uint32_t index) {
    return *Of(context).tags_[index];
  }
  // visit(word) for each exnref in the instance's own globals and segments.
  template <typename Visit>
  static void ForEachExnRef(const Instance& instance, Visit visit);
  static FuncRef& FuncRefOf(InstanceContext* context, uint32_t index) {
    return Of(context).FuncRefOf(index);
  }
  // Of a function that another instance of the store imports into `cell`, and that is not compiled
  // yet: SetCode writes there too.
  static void AddImporter(InstanceContext* context, uint32_t func_index, ImportedFunc& cell) {
    Of(context).importers_[func_index].push_back(&cell);
  }
  // The function's code is there: for its reference and its importers.
  static void SetCode(InstanceContext* context, uint32_t func_index, const void* code);
};

template <typename Visit>
void InstanceAccess::ForEachExnRef(const Instance& instance, Visit visit) {
  for (const GlobalInstance& global : instance.own_globals_) {
    if (global.type.type == ValType::kExnRef) {
      visit(global.cell->lo);
    }
  }
  const std::vector<ElemSegment>& segments = instance.module().module().elems;
  for (size_t i = 0; i < instance.elems_.size(); ++i) {
    if (segments[i].type == ValType::kExnRef) {
      for (const uint64_t word : instance.elems_[i]) {
        visit(word);
      }
    }
  }
}

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_RUNTIME_INSTANCE_ACCESS_H_
