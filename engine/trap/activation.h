// Activation: one entry into wasm code, and the thread's chain of them.
//
//   host → entry (activation 1) → wasm → host function → entry (activation 2) → wasm …
//                    ↑ previous ─────────────────────────── 2 ← ThreadRecord::activation
//
// An activation is on the stack of the C++ function that enters. The entry, which is a typed call's
// inline asm or wasmd_enter, calls the code so:
//
//   push rbp; mov rbp, rsp; and rsp, -16; mov [activation.frame_pointer], rbp
//   call code
//   clc; leave
//
// Whatever raises a trap, or the fault handler, puts rbp and rsp back and goes on behind the `clc`
// with the carry flag set: the return address of the call stands below the aligned stack pointer.
// Nothing between has to be unwound, since frames of generated code own nothing.
#ifndef WASMD_ENGINE_TRAP_ACTIVATION_H_
#define WASMD_ENGINE_TRAP_ACTIVATION_H_

#include <cstddef>
#include <cstdint>

#include "engine/abi/calling_convention.h"
#include "engine/abi/instance_context.h"
#include "engine/wasm/limits.h"
#include "engine/wasm/trap_code.h"

namespace wasmd::engine {

struct Activation {
  // Written by the entry's asm.
  uint64_t frame_pointer;
  Activation* previous;
  StoreContext* store;
  // Written by whoever raises.
  TrapCode trap_code;

  // What is not written needs no clearing.
  Activation() {}  // NOLINT(modernize-use-equals-default): see EntryFrame.
  Activation(const Activation&) = delete;
  Activation& operator=(const Activation&) = delete;
};

// What wasmd_enter takes and gives: an entry for any signature.
struct EntryFrame {
  Activation activation;
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
#define WASMD_ACTIVATION_FRAME_POINTER 0
#define WASMD_FRAME_CODE 32
#define WASMD_FRAME_CONTEXT 40
#define WASMD_FRAME_GENERAL 48
#define WASMD_FRAME_FLOATS 96
#define WASMD_FRAME_GENERAL_RESULTS 224
#define WASMD_FRAME_FLOAT_RESULTS 240

static_assert(offsetof(Activation, frame_pointer) == WASMD_ACTIVATION_FRAME_POINTER);
static_assert(offsetof(EntryFrame, activation) == 0);
static_assert(offsetof(EntryFrame, code) == WASMD_FRAME_CODE);
static_assert(offsetof(EntryFrame, context) == WASMD_FRAME_CONTEXT);
static_assert(offsetof(EntryFrame, general) == WASMD_FRAME_GENERAL);
static_assert(offsetof(EntryFrame, floats) == WASMD_FRAME_FLOATS);
static_assert(offsetof(EntryFrame, general_results) == WASMD_FRAME_GENERAL_RESULTS);
static_assert(offsetof(EntryFrame, float_results) == WASMD_FRAME_FLOAT_RESULTS);
static_assert(kGeneralParamRegs == 5 && kFloatParamRegs == 8);

// Where the last trap of a thread happened, as addresses; symbolised by whoever reports it, before
// the thread enters again.
struct TrapRecord {
  uint64_t pc = 0;  // The fault's or interrupt's pc, or the return address of the call to raise.
  bool is_return_address = false;
  bool is_fault = false;  // By SIGSEGV or SIGBUS: fault_address is the address that was touched.
  uint64_t fault_address = 0;
  uint32_t caller_count = 0;
  uint64_t omitted_callers = 0;
  uint64_t callers[kMaxBacktraceFrames] = {};  // Return addresses, innermost first.
};

inline constexpr uint64_t kUnknownThread = ~uint64_t{0} - 1;

// All that the engine keeps for a thread. Constant-initialised: a thread that never met us has a
// valid one.
struct ThreadRecord {
  Activation* activation = nullptr;  // The innermost, or null.
  // Of the thread, unique in the process; StoreContext::key compares with it. The value of a thread
  // that never met us is no store's key.
  uint64_t serial = kUnknownThread;
  uint64_t stack_low = 0;  // Of the thread's stack; 0: not asked yet. See engine/platform/thread.h.
  uint64_t stack_high = 0;
  int32_t thread_id = 0;
  TrapRecord trap;
};

// Initial-exec: read in the signal handler, where the lazy allocation of other models could call
// malloc.
extern thread_local constinit ThreadRecord
    t_thread  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)
    __attribute__((tls_model("initial-exec")));

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_TRAP_ACTIVATION_H_
