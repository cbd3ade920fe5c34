// A table: references as words. Thread-compatible. Spec: syntax-tableinst
#ifndef WASMD_ENGINE_RUNTIME_TABLE_INSTANCE_H_
#define WASMD_ENGINE_RUNTIME_TABLE_INSTANCE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"

#include "engine/abi/instance_context.h"
#include "engine/runtime/quota.h"
#include "engine/wasm/types.h"

namespace wasmd::engine {

class TableInstance {
 public:
  // kResourceExhausted: the quota is spent, or the type's minimum is over kMaxTableElements.
  static absl::StatusOr<std::unique_ptr<TableInstance>> Create(const TableType& type, uint64_t init,
                                                               Quota& quota);
  TableInstance(const TableInstance&) = delete;
  TableInstance& operator=(const TableInstance&) = delete;
  ~TableInstance();

  // As LinearMemory::Grow. Spec: exec-table.grow
  std::optional<uint64_t> Grow(uint64_t delta, uint64_t init);

  const TableType& type() const { return type_; }
  TableType current_type() const {
    TableType type = type_;
    type.limits.min = size();
    return type;
  }
  uint64_t size() const { return context_.size; }
  uint64_t* elements() { return context_.elements; }
  TableContext& context() { return context_; }

 private:
  TableInstance(const TableType& type, Quota& quota) : type_(type), quota_(quota) {}
  TableContext context_;
  const TableType type_;
  Quota& quota_;
  std::vector<uint64_t> elements_;  // What context_ points to.
};

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_RUNTIME_TABLE_INSTANCE_H_
