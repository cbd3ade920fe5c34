// CodeHarness: compiles a module with the baseline compiler and runs its functions, with nothing of
// the runtime: contexts are put together by hand, code lies in one writable and executable mapping,
// memory is a reservation of 8 GiB, traps arrive as values.
//
// So a wrong result here is the compiler's. Single-thread; one call at a time.
#ifndef WASMD_TESTS_UNIT_ENGINE_COMPILE_CODE_HARNESS_H_
#define WASMD_TESTS_UNIT_ENGINE_COMPILE_CODE_HARNESS_H_

#include <bit>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"

#include "engine/abi/instance_context.h"
#include "engine/compile/baseline/machine.h"
#include "engine/compile/compiler.h"
#include "engine/wasm/module.h"
#include "engine/wasm/trap_code.h"
#include "tests/support/wasm_builder.h"

namespace wasmd::engine {

// Bits of a value, as in a register.
inline uint64_t I32(int32_t value) {
  return static_cast<uint32_t>(value);
}
inline uint64_t I64(int64_t value) {
  return static_cast<uint64_t>(value);
}
inline uint64_t F32(float value) {
  return std::bit_cast<uint32_t>(value);
}
inline uint64_t F64(double value) {
  return std::bit_cast<uint64_t>(value);
}

struct CallResult {
  TrapCode trap = TrapCode::kNone;
  std::vector<uint64_t> values;  // i32 and f32 zero-extended.
  uint32_t wasm_offset = 0;      // Of the trap.
  friend bool operator==(const CallResult& a, const CallResult& b) {
    return a.trap == b.trap && a.values == b.values;
  }
};
void PrintTo(const CallResult& result, std::ostream* out);

// A value that compares by bits, and "returned exactly this".
CallResult Returns(std::vector<uint64_t> values);
CallResult TrapsWith(TrapCode trap);

class CodeHarness {
 public:
  // Aborts where the text does not parse or a function does not compile. A module without a memory
  // has none.
  explicit CodeHarness(std::string_view wat,
                       const baseline::CpuFeatures& features = baseline::CpuFeatures::Host(),
                       const CompilerOptions& options = {});
  explicit CodeHarness(const Bytes& wasm,
                       const baseline::CpuFeatures& features = baseline::CpuFeatures::Host(),
                       const CompilerOptions& options = {});
  ~CodeHarness();
  CodeHarness(const CodeHarness&) = delete;
  CodeHarness& operator=(const CodeHarness&) = delete;

  // Of an exported function.
  CallResult Call(std::string_view name, const std::vector<uint64_t>& args = {});
  CallResult Call(uint32_t func_index, const std::vector<uint64_t>& args);

  // Imports are bound in order. A System V function whose first argument is the binding's context.
  void SetImport(uint32_t index, const void* code, void* context);
  uint8_t* memory() { return memory_; }
  uint64_t& global(uint32_t index);
  uint64_t* table(uint32_t index) { return tables_[index].elements; }
  void set_stack_limit(uint64_t limit) { store_->stack_limit = limit; }
  const CompiledFunction& compiled(uint32_t func_index) const { return compiled_[func_index]; }
  const Module& module() const { return *module_; }
  // For gdb and objdump: the raw code of a function, written to a file.
  void Dump(uint32_t func_index, const std::string& path) const;

 private:
  friend struct HarnessBuiltins;
  void Load(const baseline::CpuFeatures& features, const CompilerOptions& options);

  Bytes bytes_;
  std::unique_ptr<Module> module_;
  std::unique_ptr<ContextLayout> layout_;
  std::unique_ptr<StoreContext> store_;
  std::vector<Cell> context_;
  std::vector<std::atomic<const void*>> func_table_;
  std::vector<uint32_t> type_ids_;
  std::vector<FuncRef> func_refs_;
  std::vector<CompiledFunction> compiled_;
  std::vector<uint32_t> code_offsets_;
  std::vector<TableContext> tables_;
  std::vector<std::vector<uint64_t>> table_elements_;
  MemoryContext memory_context_;
  std::vector<Cell> imported_globals_;
  uint8_t* memory_ = nullptr;
  uint8_t* code_ = nullptr;
  size_t code_bytes_ = 0;
};

}  // namespace wasmd::engine

#endif  // WASMD_TESTS_UNIT_ENGINE_COMPILE_CODE_HARNESS_H_
