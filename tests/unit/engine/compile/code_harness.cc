#include "tests/unit/engine/compile/code_harness.h"

#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <ostream>

#include "engine/abi/builtins.h"
#include "engine/abi/calling_convention.h"
#include "engine/base/check.h"
#include "engine/binary/decode_module.h"
#include "engine/compile/baseline/function_compiler.h"
#include "engine/validate/function_walker.h"
#include "tests/support/wat.h"

// The entry, and where traps leave to. One activation at a time.
extern "C" {
struct HarnessRegs {
  uint64_t rdi, rsi, rdx, rcx, r8, r9;
  uint64_t xmm[8];
  uint64_t rax;
};
uint64_t wasmd_test_enter(const void* code, HarnessRegs* regs);
void wasmd_test_raise();
extern uint64_t wasmd_test_stack;
extern uint64_t wasmd_test_trap_site;
}
asm(R"(
  .text
  .globl wasmd_test_enter
wasmd_test_enter:
  push %rbp
  push %rbx
  push %r12
  push %r13
  push %r14
  push %r15
  push %rsi
  mov %rsp, wasmd_test_stack(%rip)
  mov %rsi, %r10
  mov %rdi, %r11
  mov (%r10), %rdi
  mov 8(%r10), %rsi
  mov 16(%r10), %rdx
  mov 24(%r10), %rcx
  mov 32(%r10), %r8
  mov 40(%r10), %r9
  movsd 48(%r10), %xmm0
  movsd 56(%r10), %xmm1
  movsd 64(%r10), %xmm2
  movsd 72(%r10), %xmm3
  movsd 80(%r10), %xmm4
  movsd 88(%r10), %xmm5
  movsd 96(%r10), %xmm6
  movsd 104(%r10), %xmm7
  mov $0xdeadbeefdeadbeef, %rax
  mov %rax, %rbx
  mov %rax, %r12
  mov %rax, %r13
  mov %rax, %r14
  mov %rax, %r15
  movq %rax, %xmm8
  movq %rax, %xmm9
  movq %rax, %xmm15
  call *%r11
  pop %rsi
  mov %rax, 112(%rsi)
  mov %rdx, 16(%rsi)
  movsd %xmm0, 48(%rsi)
  movsd %xmm1, 56(%rsi)
  xor %eax, %eax
wasmd_test_leave:
  pop %r15
  pop %r14
  pop %r13
  pop %r12
  pop %rbx
  pop %rbp
  ret
  .globl wasmd_test_raise
wasmd_test_raise:
  mov (%rsp), %rax
  mov %rax, wasmd_test_trap_site(%rip)
wasmd_test_raise_at:
  mov wasmd_test_stack(%rip), %rsp
  pop %rsi
  mov %edi, %eax
  jmp wasmd_test_leave
  .globl wasmd_test_raise_at
  .local wasmd_test_leave
  .data
  .globl wasmd_test_stack
  .globl wasmd_test_trap_site
wasmd_test_stack: .quad 0
wasmd_test_trap_site: .quad 0
  .text
)");
extern "C" void wasmd_test_raise_at();

namespace wasmd::engine {
namespace {

constexpr size_t kReservationBytes = (size_t{8} << 30) + (64 << 10);

const uint8_t* g_code_begin = nullptr;
const uint8_t* g_code_end = nullptr;
CodeHarness* g_harness = nullptr;
struct sigaction g_previous;

void HandleFault(int signal, siginfo_t* info, void* data) {
  static_cast<void>(info);
  auto* const context = static_cast<ucontext_t*>(data);
  auto& regs = context->uc_mcontext.gregs;
  const auto pc = static_cast<uint64_t>(regs[REG_RIP]);
  if (pc < std::bit_cast<uint64_t>(g_code_begin) || pc >= std::bit_cast<uint64_t>(g_code_end)) {
    sigaction(signal, &g_previous, nullptr);
    return;
  }
  wasmd_test_trap_site = pc;
  regs[REG_RDI] = static_cast<greg_t>(TrapCode::kMemoryOutOfBounds);
  regs[REG_RIP] = static_cast<greg_t>(std::bit_cast<uint64_t>(&wasmd_test_raise_at));
}

void InstallHandler() {
  static const bool installed = [] {
    struct sigaction action = {};
    action.sa_sigaction = &HandleFault;
    action.sa_flags = SA_SIGINFO | SA_NODEFER;
    return sigaction(SIGSEGV, &action, &g_previous) == 0;
  }();
  WASMD_CHECK(installed);
}

}  // namespace

// The builtins, as far as tests of the compiler need them.
struct HarnessBuiltins {
  static uint64_t MemoryGrow(InstanceContext*, uint32_t, uint64_t delta) {
    CodeHarness& h = *g_harness;
    const uint64_t old_pages = h.memory_context_.size_bytes / kWasmPageBytes;
    if (old_pages + delta > 8192) {
      return UINT32_MAX;
    }
    mprotect(h.memory_ + h.memory_context_.size_bytes, delta * kWasmPageBytes,
             PROT_READ | PROT_WRITE);
    h.memory_context_.size_bytes += delta * kWasmPageBytes;
    return old_pages;
  }
  static uint32_t MemoryInit(InstanceContext*, uint32_t, uint32_t data, uint64_t to, uint32_t from,
                             uint32_t count) {
    CodeHarness& h = *g_harness;
    const DataSegment& segment = h.module_->datas[data];
    if (uint64_t{from} + count > segment.bytes_size || to + count > h.memory_context_.size_bytes) {
      return static_cast<uint32_t>(TrapCode::kMemoryOutOfBounds);
    }
    std::memcpy(h.memory_ + to, h.bytes_.data() + segment.bytes_offset + from, count);
    return 0;
  }
  static uint32_t MemoryCopy(InstanceContext*, uint32_t, uint32_t, uint64_t to, uint64_t from,
                             uint64_t count) {
    CodeHarness& h = *g_harness;
    if (to + count > h.memory_context_.size_bytes || from + count > h.memory_context_.size_bytes) {
      return static_cast<uint32_t>(TrapCode::kMemoryOutOfBounds);
    }
    std::memmove(h.memory_ + to, h.memory_ + from, count);
    return 0;
  }
  static uint32_t MemoryFill(InstanceContext*, uint32_t, uint64_t to, uint32_t value,
                             uint64_t count) {
    CodeHarness& h = *g_harness;
    if (to + count > h.memory_context_.size_bytes) {
      return static_cast<uint32_t>(TrapCode::kMemoryOutOfBounds);
    }
    std::memset(h.memory_ + to, static_cast<int>(value & 0xff), count);
    return 0;
  }
  static uint32_t DataDrop(InstanceContext*, uint32_t) { return 0; }
  static uint64_t TableGrow(InstanceContext*, uint32_t table, uint64_t init, uint64_t delta) {
    CodeHarness& h = *g_harness;
    auto& elements = h.table_elements_[table];
    const uint64_t old_size = elements.size();
    if (delta > 1000) {
      return UINT32_MAX;
    }
    elements.resize(old_size + delta, init);
    h.tables_[table] = {elements.data(), elements.size()};
    return old_size;
  }
  static uint32_t TableFill(InstanceContext*, uint32_t table, uint64_t to, uint64_t value,
                            uint64_t count) {
    auto& elements = g_harness->table_elements_[table];
    if (to + count > elements.size()) {
      return static_cast<uint32_t>(TrapCode::kTableOutOfBounds);
    }
    std::fill_n(elements.begin() + static_cast<ptrdiff_t>(to), count, value);
    return 0;
  }
  static uint32_t TableCopy(InstanceContext*, uint32_t to_table, uint32_t from_table, uint64_t to,
                            uint64_t from, uint64_t count) {
    auto& a = g_harness->table_elements_[to_table];
    auto& b = g_harness->table_elements_[from_table];
    if (to + count > a.size() || from + count > b.size()) {
      return static_cast<uint32_t>(TrapCode::kTableOutOfBounds);
    }
    std::memmove(a.data() + to, b.data() + from, count * 8);
    return 0;
  }
  static uint32_t TableInit(InstanceContext*, uint32_t table, uint32_t elem, uint64_t to,
                            uint32_t from, uint32_t count) {
    CodeHarness& h = *g_harness;
    const ElemSegment& segment = h.module_->elems[elem];
    auto& elements = h.table_elements_[table];
    if (to + count > elements.size() || uint64_t{from} + count > segment.init.size()) {
      return static_cast<uint32_t>(TrapCode::kTableOutOfBounds);
    }
    for (uint32_t i = 0; i < count; ++i) {
      elements[to + i] = std::bit_cast<uint64_t>(&h.func_refs_[segment.init[from + i].index]);
    }
    return 0;
  }
  static uint32_t ElemDrop(InstanceContext*, uint32_t) { return 0; }
  static uint32_t Throw(InstanceContext*, uint32_t) {
    return static_cast<uint32_t>(TrapCode::kException);
  }
  static uint32_t ThrowRef(InstanceContext*, uint64_t) {
    return static_cast<uint32_t>(TrapCode::kException);
  }
  static uint64_t RefFunc(InstanceContext*, uint32_t func) {
    return std::bit_cast<uint64_t>(&g_harness->func_refs_[func]);
  }
  static const void* const* Table() {
    static const void* const table[] = {
#define BUILTIN(name, ret, ...) std::bit_cast<const void*>(&HarnessBuiltins::name),
#include "engine/abi/builtins.def"
#undef BUILTIN
    };
    return table;
  }
};

void PrintTo(const CallResult& result, std::ostream* out) {
  if (result.trap != TrapCode::kNone) {
    *out << "trap: " << ToString(result.trap) << " at " << result.wasm_offset;
    return;
  }
  *out << "(";
  for (const uint64_t value : result.values) {
    *out << " 0x" << std::hex << value << std::dec;
  }
  *out << " )";
}

CallResult Returns(std::vector<uint64_t> values) {
  return {TrapCode::kNone, std::move(values), 0};
}
CallResult TrapsWith(TrapCode trap) {
  return {trap, {}, 0};
}

CodeHarness::CodeHarness(std::string_view wat, const baseline::CpuFeatures& features)
    : bytes_(Wat(wat)) {
  Load(features);
}
CodeHarness::CodeHarness(const Bytes& wasm, const baseline::CpuFeatures& features) : bytes_(wasm) {
  Load(features);
}

void CodeHarness::Load(const baseline::CpuFeatures& features) {
  InstallHandler();
  auto module = DecodeModule(AsBytes(bytes_));
  WASMD_CHECK(module.ok(), module.status().ToString().c_str());
  module_ = std::make_unique<Module>(*std::move(module));
  layout_ = std::make_unique<ContextLayout>(*module_);
  const size_t count = module_->funcs.size();
  compiled_.resize(count);
  code_offsets_.resize(count);
  baseline::FunctionCompiler compiler(*module_, *layout_);
  compiler.set_features(features);
  WalkerScratch scratch;
  size_t total = 0;
  for (uint32_t i = module_->imported_funcs; i < count; ++i) {
    compiler.Begin(i);
    FunctionWalker<baseline::FunctionCompiler> walker(*module_, i, compiler, scratch);
    WASMD_CHECK(walker.Run(), walker.error().ToString().c_str());
    const absl::Status status = compiler.Finish(compiled_[i]);
    WASMD_CHECK(status.ok(), status.ToString().c_str());
    code_offsets_[i] = static_cast<uint32_t>(total);
    total += (compiled_[i].code.size() + 15) & ~size_t{15};
    WASMD_CHECK(std::ranges::is_sorted(compiled_[i].sites, {}, &CodeSite::pc_offset));
  }
  code_bytes_ = std::max<size_t>(total, 1);
  void* const code = mmap(nullptr, code_bytes_, PROT_READ | PROT_WRITE | PROT_EXEC,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  WASMD_CHECK(code != MAP_FAILED);
  code_ = static_cast<uint8_t*>(code);
  for (uint32_t i = module_->imported_funcs; i < count; ++i) {
    std::ranges::copy(compiled_[i].code, code_ + code_offsets_[i]);
  }

  store_ = std::make_unique<StoreContext>();
  store_->stack_limit = 0;
  context_.resize(layout_->total_bytes() / sizeof(Cell));
  auto* const bytes = reinterpret_cast<uint8_t*>(context_.data());
  const auto put = [&](uint32_t offset, const void* pointer) {
    std::memcpy(bytes + offset, &pointer, 8);
  };
  if (!module_->memories.empty()) {
    void* const memory = mmap(nullptr, kReservationBytes, PROT_NONE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    WASMD_CHECK(memory != MAP_FAILED);
    memory_ = static_cast<uint8_t*>(memory);
    memory_context_.base = reinterpret_cast<std::byte*>(memory_);
    memory_context_.size_bytes = module_->memories[0].type.limits.min * kWasmPageBytes;
    WASMD_CHECK(mprotect(memory_, memory_context_.size_bytes, PROT_READ | PROT_WRITE) == 0);
    put(layout_->memory_pointer(0), &memory_context_);
  }
  func_table_ = std::vector<std::atomic<const void*>>(count);
  func_refs_ = std::vector<FuncRef>(count);
  type_ids_.resize(module_->types.size());
  for (uint32_t i = 0; i < type_ids_.size(); ++i) {
    type_ids_[i] = static_cast<uint32_t>(std::ranges::find(module_->types, module_->types[i]) -
                                         module_->types.begin());
  }
  for (uint32_t i = 0; i < count; ++i) {
    func_table_[i] = code_ + code_offsets_[i];
    func_refs_[i].code = code_ + code_offsets_[i];
    func_refs_[i].context = context_.data();
    func_refs_[i].type_id = type_ids_[module_->funcs[i].type_index];
    func_refs_[i].func_index = i;
  }
  tables_.resize(module_->tables.size());
  table_elements_.resize(module_->tables.size());
  for (uint32_t i = 0; i < tables_.size(); ++i) {
    table_elements_[i].resize(module_->tables[i].type.limits.min);
    tables_[i] = {table_elements_[i].data(), table_elements_[i].size()};
    put(layout_->table_pointer(i), &tables_[i]);
  }
  for (const ElemSegment& segment : module_->elems) {
    if (segment.mode == ElemSegment::Mode::kActive) {
      for (uint32_t i = 0; i < segment.init.size(); ++i) {
        if (segment.init[i].kind == ConstExpr::Kind::kRefFunc) {
          table_elements_[segment.table_index][segment.offset.bits + i] =
              std::bit_cast<uint64_t>(&func_refs_[segment.init[i].index]);
        }
      }
    }
  }
  for (const DataSegment& segment : module_->datas) {
    if (segment.is_active) {
      std::memcpy(memory_ + segment.offset.bits, bytes_.data() + segment.bytes_offset,
                  segment.bytes_size);
    }
  }
  imported_globals_.resize(module_->globals.size());
  for (uint32_t i = 0; i < module_->globals.size(); ++i) {
    if (layout_->global_is_pointer(i)) {
      put(layout_->global(i), &imported_globals_[i]);
    } else {
      global(i) = module_->globals[i].init.bits;
    }
  }
  auto& context = *reinterpret_cast<InstanceContext*>(bytes);
  context.store = store_.get();
  context.memory_base = memory_context_.base;
  context.func_table = func_table_.data();
  context.type_ids = type_ids_.data();
  context.builtins = HarnessBuiltins::Table();
  context.raise_trap = std::bit_cast<const void*>(&wasmd_test_raise);
}

CodeHarness::~CodeHarness() {
  munmap(code_, code_bytes_);
  if (memory_ != nullptr) {
    munmap(memory_, kReservationBytes);
  }
}

void CodeHarness::SetImport(uint32_t index, const void* code, void* context) {
  auto* const bytes = reinterpret_cast<uint8_t*>(context_.data());
  const ImportedFunc func{code, context};
  std::memcpy(bytes + layout_->imported_func(index), &func, sizeof(func));
  func_refs_[index].code = code;
  func_refs_[index].context = context;
}

uint64_t& CodeHarness::global(uint32_t index) {
  if (layout_->global_is_pointer(index)) {
    return imported_globals_[index].lo;
  }
  return context_[layout_->global(index) / sizeof(Cell)].lo;
}

CallResult CodeHarness::Call(std::string_view name, const std::vector<uint64_t>& args) {
  const auto found = std::ranges::find(module_->exports, name, &Export::name);
  WASMD_CHECK(found != module_->exports.end() && found->kind == ExternKind::kFunc,
              "no such export");
  return Call(found->index, args);
}

CallResult CodeHarness::Call(uint32_t index, const std::vector<uint64_t>& args) {
  const FuncType& type = module_->func_type(index);
  WASMD_CHECK(type.params.size() == args.size());
  HarnessRegs regs = {};
  regs.rdi = std::bit_cast<uint64_t>(context_.data());
  uint64_t* const general[] = {&regs.rsi, &regs.rdx, &regs.rcx, &regs.r8, &regs.r9};
  LocationAssigner params = LocationAssigner::Params();
  for (size_t i = 0; i < args.size(); ++i) {
    const ValueLocation at = params.Next(type.params[i]);
    switch (at.kind) {
      case ValueLocation::Kind::kGeneralReg:
        *general[at.index] = args[i];
        break;
      case ValueLocation::Kind::kFloatReg:
        // What is above an f32 is undefined: poison it.
        regs.xmm[at.index] =
            type.params[i] == ValType::kF32 ? args[i] | 0xdeadbeef00000000 : args[i];
        break;
      case ValueLocation::Kind::kOverflow:
        store_->overflow[at.index].lo = args[i];
        break;
    }
  }
  g_code_begin = code_;
  g_code_end = code_ + code_bytes_;
  g_harness = this;
  CallResult result;
  result.trap = static_cast<TrapCode>(wasmd_test_enter(code_ + code_offsets_[index], &regs));
  if (result.trap != TrapCode::kNone) {
    for (uint32_t i = module_->imported_funcs; i < compiled_.size(); ++i) {
      const uint64_t offset =
          wasmd_test_trap_site - std::bit_cast<uint64_t>(code_ + code_offsets_[i]);
      const auto site = std::ranges::find(compiled_[i].sites, offset, &CodeSite::pc_offset);
      if (offset < compiled_[i].code.size() && site != compiled_[i].sites.end()) {
        WASMD_CHECK(static_cast<TrapCode>(site->trap) == result.trap, "the site says what traps");
        result.wasm_offset = site->wasm_offset;
        return result;
      }
    }
    WASMD_CHECK(false, "every trap has a site");
  }
  LocationAssigner results = LocationAssigner::Results();
  for (const ValType value_type : type.results) {
    const ValueLocation at = results.Next(value_type);
    uint64_t bits = 0;
    switch (at.kind) {
      case ValueLocation::Kind::kGeneralReg:
        bits = at.index == 0 ? regs.rax : regs.rdx;
        break;
      case ValueLocation::Kind::kFloatReg:
        bits = regs.xmm[at.index];
        break;
      case ValueLocation::Kind::kOverflow:
        bits = store_->overflow[at.index].lo;
        break;
    }
    result.values.push_back(value_type == ValType::kF32 ? bits & UINT32_MAX : bits);
  }
  return result;
}

void CodeHarness::Dump(uint32_t func_index, const std::string& path) const {
  if (FILE* const file = std::fopen(path.c_str(), "wb"); file != nullptr) {
    std::fwrite(compiled_[func_index].code.data(), 1, compiled_[func_index].code.size(), file);
    std::fclose(file);
  }
}

}  // namespace wasmd::engine
