// Activation: one entry into wasm code. Nobody publishes it: it is found from the frames of wasm.
//
//   return address into the host's code  ┐
//   the entry's own rbp                  │ the entry, which is a typed call's inline asm or
//   …                                    │ wasmd_enter
//   the entry's rbp, once more           │ F + 24
//   StoreContext*                        ┘ F + 16, 16-aligned
//   return address into the entry          F + 8
//   the entry's rbp                        F: the outermost frame of wasm
//   …                                      more of them, each with its caller's rbp
//
// The entry calls the code so:
//
//   push rbp; mov rbp, rsp; and rsp, -16; push rbp; push store
//   call code
//   clc; leave
//
// Whoever raises a trap, or the fault handler, goes along rbp up to the first return address that
// is not generated code. A one-byte `clc` stands there; rsp becomes F + 16, rbp what is at F + 24,
// and the entry goes on behind the `clc`, with the carry flag set. Nothing between has to be
// unwound, since frames of generated code own nothing.
#ifndef WASMD_ENGINE_TRAP_ACTIVATION_H_
#define WASMD_ENGINE_TRAP_ACTIVATION_H_

#include <cstddef>
#include <cstdint>

#include "engine/abi/calling_convention.h"
#include "engine/abi/instance_context.h"
#include "engine/wasm/limits.h"
#include "engine/wasm/trap_code.h"

namespace wasmd::engine {

// A frame of generated code, where its rbp points.
struct WasmFrame {
  uint64_t caller = 0;  // The caller's rbp.
  uint64_t return_address = 0;
};

// What wasmd_enter takes and gives: an entry for any signature.
struct EntryFrame {
  StoreContext* store = nullptr;
  // Where the stack begins on which the call is made; null: the stack in use.
  void* stack_top = nullptr;
  // What to call, and its first argument.
  const void* code = nullptr;
  void* context = nullptr;
  // Arguments by the calling convention; those that are not used may hold anything.
  uint64_t general[kGeneralParamRegs];
  Cell floats[kFloatParamRegs];
  // Results, as the code left the registers.
  uint64_t general_results[kGeneralResultRegs];
  Cell float_results[kFloatResultRegs];

  EntryFrame() {}  // NOLINT(modernize-use-equals-default): `= default` would clear the arrays in
                   // value-initialisation.
  EntryFrame(const EntryFrame&) = delete;
  EntryFrame& operator=(const EntryFrame&) = delete;
};

// The entry's asm knows these.
#define WASMD_FRAME_STORE 0
#define WASMD_FRAME_STACK_TOP 8
#define WASMD_FRAME_CODE 16
#define WASMD_FRAME_CONTEXT 24
#define WASMD_FRAME_GENERAL 32
#define WASMD_FRAME_FLOATS 80
#define WASMD_FRAME_GENERAL_RESULTS 208
#define WASMD_FRAME_FLOAT_RESULTS 224

static_assert(offsetof(EntryFrame, store) == WASMD_FRAME_STORE);
static_assert(offsetof(EntryFrame, stack_top) == WASMD_FRAME_STACK_TOP);
static_assert(offsetof(EntryFrame, code) == WASMD_FRAME_CODE);
static_assert(offsetof(EntryFrame, context) == WASMD_FRAME_CONTEXT);
static_assert(offsetof(EntryFrame, general) == WASMD_FRAME_GENERAL);
static_assert(offsetof(EntryFrame, floats) == WASMD_FRAME_FLOATS);
static_assert(offsetof(EntryFrame, general_results) == WASMD_FRAME_GENERAL_RESULTS);
static_assert(offsetof(EntryFrame, float_results) == WASMD_FRAME_FLOAT_RESULTS);
static_assert(kGeneralParamRegs == 5 && kFloatParamRegs == 8);

// The last trap of a store, and where it happened, as addresses; symbolised by whoever reports it,
// before the store is entered again.
struct TrapRecord {
  TrapCode code = TrapCode::kNone;
  uint32_t interrupt_reason = 0;  // Of an interrupt by the signal, maybe an outer store's; else 0.
  uint64_t pc = 0;  // The fault's or interrupt's pc, or the return address of the call to raise.
  bool is_return_address = false;
  bool is_fault = false;  // By SIGSEGV or SIGBUS: fault_address is the address that was touched.
  uint64_t fault_address = 0;
  uint32_t caller_count = 0;
  uint64_t omitted_callers = 0;
  uint64_t callers[kMaxBacktraceFrames] = {};  // Return addresses, innermost first.
};

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_TRAP_ACTIVATION_H_
