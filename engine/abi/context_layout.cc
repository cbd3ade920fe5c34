#include <cstddef>
#include <cstdint>

#include "engine/abi/instance_context.h"
#include "engine/wasm/module.h"

namespace wasmd::engine {

ContextLayout::ContextLayout(const Module& module) : imported_globals_(module.imported_globals) {
  uint32_t offset = kCtxFixedBytes + module.imported_funcs * uint32_t{sizeof(ImportedFunc)};
  tables_offset_ = offset;
  offset += static_cast<uint32_t>(module.tables.size()) * 8;
  memories_offset_ = offset;
  offset += static_cast<uint32_t>(module.memories.size()) * 8;
  tags_offset_ = offset;
  offset += static_cast<uint32_t>(module.tags.size()) * 8;
  global_offsets_.reserve(module.globals.size());
  for (size_t i = 0; i < module.globals.size(); ++i) {
    if (i < imported_globals_) {
      global_offsets_.push_back(offset);
      offset += 8;
    } else {
      offset = (offset + 15) & ~uint32_t{15};
      global_offsets_.push_back(offset);
      offset += uint32_t{sizeof(Cell)};
    }
  }
  fuel_offset_ = (offset + 7) & ~uint32_t{7};
  total_bytes_ = (fuel_offset_ + 8 + 15) & ~uint32_t{15};
}

}  // namespace wasmd::engine
