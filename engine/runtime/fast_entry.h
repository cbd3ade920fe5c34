// The entry that is compiled into its caller: is the store bound to this stack, in, out again.
//
//   if (fast_entry::Activate(*store)) {
//     fill registers and overflow cells
//     trapped = fast_entry::Enter<…>(code, context, store, registers);
//     fast_entry::Deactivate(*store);
//     if (trapped) { fast_entry::TakeTrap }
//   } else {
//     EnterWasm                                    engine/trap/entry.h
//   }
//
// docs/call-path.md explains the machine code that comes of it.
#ifndef WASMD_ENGINE_RUNTIME_FAST_ENTRY_H_
#define WASMD_ENGINE_RUNTIME_FAST_ENTRY_H_

#include <atomic>
#include <cstdint>

#include "engine/abi/calling_convention.h"
#include "engine/abi/instance_context.h"
#include "engine/runtime/outcome.h"

namespace wasmd::engine {

class Store;

namespace fast_entry {

// What an SSE register holds; the arguments' lanes above the value are zeros.
using FloatReg = float __attribute__((vector_size(16)));

// The registers of a call. Those that its signature does not use may hold anything.
struct Registers {
  uint64_t general[kGeneralParamRegs];
  FloatReg floats[kFloatParamRegs];
  uint64_t general_results[kGeneralResultRegs];
  FloatReg float_results[kFloatResultRegs];
};

// True: the store was bound to the stack in use, and so to this thread; it is active now. False:
// the call needs preparation, or there is an interrupt to be found.
[[gnu::always_inline]] inline bool Activate(StoreContext& store) {
  const auto here = reinterpret_cast<uint64_t>(__builtin_frame_address(0));
  if (here - store.window_low >= store.window.load(std::memory_order_relaxed)) [[unlikely]] {
    return false;
  }
  store.window.store(kStoreActive, std::memory_order_relaxed);
  // From here an interrupt sends its signal; one that came before is found.
  std::atomic_signal_fence(std::memory_order_seq_cst);
  if (store.interrupt_requested.load(std::memory_order_relaxed) != 0) [[unlikely]] {
    store.window.store(kStoreWindowBytes, std::memory_order_relaxed);
    return false;
  }
  return true;
}

[[gnu::always_inline]] inline void Deactivate(StoreContext& store) {
  store.window.store(kStoreWindowBytes, std::memory_order_relaxed);
}

// What has stopped the guest, of a store that is no longer active. The caller's, for a StopHolder;
// a raw pointer, since that travels in a register. In call.cc.
const Stop* TakeTrap(Store& store);

// rbp is the one register that is kept here: compilers let nobody clobber it. The red zone stays
// untouched. See engine/trap/activation.h for what is on the stack, and for the carry flag, which
// none of the instructions after the `clc` changes.
#define WASMD_CALL              \
  "leaq -128(%%rsp), %%rsp\n\t" \
  "pushq %%rbp\n\t"             \
  "movq %%rsp, %%rbp\n\t"       \
  "andq $-16, %%rsp\n\t"        \
  "pushq %%rbp\n\t"             \
  "pushq %[store]\n\t"          \
  "callq *%%rax\n\t"            \
  "clc\n\t"                     \
  "popq %[store]\n\t"           \
  "leave\n\t"                   \
  "leaq 128(%%rsp), %%rsp\n\t"  \
  "jc %l[trapped]"

// Everything that a function which never heard of the caller may change. x87's and MMX's registers
// are empty at calls.
#define WASMD_CALL_CLOBBERS                                                                        \
  "memory", "cc", "rbx", "r12", "r13", "r14", "r15", "st", "st(1)", "st(2)", "st(3)", "st(4)",     \
      "st(5)", "st(6)", "st(7)", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", \
      "xmm12", "xmm13", "xmm14", "xmm15" WASMD_CALL_AVX512_CLOBBERS
#ifdef __AVX512F__
#define WASMD_CALL_AVX512_CLOBBERS                                                              \
  , "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25",   \
      "xmm26", "xmm27", "xmm28", "xmm29", "xmm30", "xmm31", "k1", "k2", "k3", "k4", "k5", "k6", \
      "k7"
#else
#define WASMD_CALL_AVX512_CLOBBERS
#endif

// A register that holds no argument is an output alone, so that nothing is moved there.
#define WASMD_CALL_GENERAL(c0, c1, c2, c3, c4) \
  "+a"(rax), "+r"(rdi), c0(rsi), c1(rdx), c2(rcx), c3(r8), c4(r9), [store] "+r"(r10)
#define WASMD_CALL_FLOATS "+x"(xmm0), "+x"(xmm1), "+x"(xmm2), "+x"(xmm3)

#define WASMD_CALL_WITH(count, ...)                                              \
  if constexpr (kGeneral == (count)) {                                           \
    if constexpr (kFloat == 0 && kFloatResults == 0) {                           \
      asm goto(WASMD_CALL                                                        \
               : WASMD_CALL_GENERAL(__VA_ARGS__)                                 \
               :                                                                 \
               : "r11", "xmm0", "xmm1", "xmm2", "xmm3", WASMD_CALL_CLOBBERS      \
               : trapped);                                                       \
    } else if constexpr (kFloat <= 4) {                                          \
      asm goto(WASMD_CALL                                                        \
               : WASMD_CALL_GENERAL(__VA_ARGS__), WASMD_CALL_FLOATS              \
               :                                                                 \
               : "r11", WASMD_CALL_CLOBBERS                                      \
               : trapped);                                                       \
    } else { /* An asm has 30 operands at most. r11 is free before the call. */  \
      asm goto(                                                                  \
          "movaps 0(%[more]), %%xmm4\n\t"                                        \
          "movaps 16(%[more]), %%xmm5\n\t"                                       \
          "movaps 32(%[more]), %%xmm6\n\t"                                       \
          "movaps 48(%[more]), %%xmm7\n\t" WASMD_CALL                            \
          : WASMD_CALL_GENERAL(__VA_ARGS__), WASMD_CALL_FLOATS, [more] "+r"(r11) \
          :                                                                      \
          : WASMD_CALL_CLOBBERS                                                  \
          : trapped);                                                            \
    }                                                                            \
  }

// Calls `code`, with the arguments in `registers`, of which the signature uses the first kGeneral
// and kFloat. Whether a trap was raised; then there are no results. The store is active. `store`
// comes back as it was: that way nobody has to keep it on the stack a second time.
template <uint32_t kGeneral, uint32_t kFloat, uint32_t kFloatResults>
[[gnu::always_inline]] inline bool Enter(const void* code, void* context, StoreContext*& store,
                                         Registers& registers) {
  static_assert(kGeneral <= kGeneralParamRegs && kFloat <= kFloatParamRegs);
  // Plain scalars first: nothing that needs a register of its own may stand between the variables
  // below and the asm.
  const auto code_word = reinterpret_cast<uint64_t>(code);
  const auto store_word = reinterpret_cast<uint64_t>(store);
  const auto context_word = reinterpret_cast<uint64_t>(context);
  const uint64_t g0 = kGeneral > 0 ? registers.general[0] : 0;
  const uint64_t g1 = kGeneral > 1 ? registers.general[1] : 0;
  const uint64_t g2 = kGeneral > 2 ? registers.general[2] : 0;
  const uint64_t g3 = kGeneral > 3 ? registers.general[3] : 0;
  const uint64_t g4 = kGeneral > 4 ? registers.general[4] : 0;
  if constexpr (kFloat < 4) {
    asm("" : "=x"(registers.floats[3]));  // Anything: no instruction.
  }
  if constexpr (kFloat < 3) {
    asm("" : "=x"(registers.floats[2]));
  }
  if constexpr (kFloat < 2) {
    asm("" : "=x"(registers.floats[1]));
  }
  if constexpr (kFloat < 1) {
    asm("" : "=x"(registers.floats[0]));
  }
  const FloatReg f0 = registers.floats[0];
  const FloatReg f1 = registers.floats[1];
  const FloatReg f2 = registers.floats[2];
  const FloatReg f3 = registers.floats[3];
  const auto more = reinterpret_cast<uint64_t>(&registers.floats[4]);
  register uint64_t rax asm("rax") = code_word;
  register uint64_t r10 asm("r10") = store_word;
  register uint64_t rdi asm("rdi") = context_word;
  register uint64_t rsi asm("rsi") = g0;
  register uint64_t rdx asm("rdx") = g1;
  register uint64_t rcx asm("rcx") = g2;
  register uint64_t r8 asm("r8") = g3;
  register uint64_t r9 asm("r9") = g4;
  [[maybe_unused]] register uint64_t r11 asm("r11") = more;
  [[maybe_unused]] register FloatReg xmm0 asm("xmm0") = f0;
  [[maybe_unused]] register FloatReg xmm1 asm("xmm1") = f1;
  [[maybe_unused]] register FloatReg xmm2 asm("xmm2") = f2;
  [[maybe_unused]] register FloatReg xmm3 asm("xmm3") = f3;
  WASMD_CALL_WITH(0, "=r", "=r", "=r", "=r", "=r")
  WASMD_CALL_WITH(1, "+r", "=r", "=r", "=r", "=r")
  WASMD_CALL_WITH(2, "+r", "+r", "=r", "=r", "=r")
  WASMD_CALL_WITH(3, "+r", "+r", "+r", "=r", "=r")
  WASMD_CALL_WITH(4, "+r", "+r", "+r", "+r", "=r")
  WASMD_CALL_WITH(5, "+r", "+r", "+r", "+r", "+r")
  registers.general_results[0] = rax;
  registers.general_results[1] = rdx;
  if constexpr (kFloatResults > 0) {
    registers.float_results[0] = xmm0;
    registers.float_results[1] = xmm1;
  }
  store = reinterpret_cast<StoreContext*>(r10);
  return false;
trapped:
  store = reinterpret_cast<StoreContext*>(r10);
  return true;
}

#undef WASMD_CALL
#undef WASMD_CALL_CLOBBERS
#undef WASMD_CALL_AVX512_CLOBBERS
#undef WASMD_CALL_GENERAL
#undef WASMD_CALL_FLOATS
#undef WASMD_CALL_WITH

}  // namespace fast_entry
}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_RUNTIME_FAST_ENTRY_H_
