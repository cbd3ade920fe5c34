// EntryFrame: one activation of wasm code, and the thread's chain of them.
//
//   host → EnterWasm(frame 1) → wasm → host function → EnterWasm(frame 2) → wasm …
//                    ↑ previous ──────────────────────────── frame 2 ← ThreadRecord::activation
//
// A frame is on the stack of the C++ function that enters. wasmd_enter publishes in it the stack
// pointer at which it called the code; whatever raises a trap, or the fault handler, puts that
// stack pointer back and so returns from wasmd_enter with the trap's code: nothing between has to
// be unwound, since frames of generated code own nothing.
#ifndef WASMD_ENGINE_TRAP_ACTIVATION_H_
#define WASMD_ENGINE_TRAP_ACTIVATION_H_

#include <cstddef>
#include <cstdint>

#include "engine/abi/calling_convention.h"
#include "engine/abi/instance_context.h"
#include "engine/wasm/limits.h"
#include "engine/wasm/trap_code.h"

namespace wasmd::engine {

struct EntryFrame {
  // Written by wasmd_enter. The frame pointer of the entry is kEntryFramePointerOffset above it.
  uint64_t stack_pointer = 0;
  // What to call, and its first argument.
  const void* code = nullptr;
  void* context = nullptr;
  // Arguments by the calling convention; those that are not used may hold anything.
  uint64_t general[kGeneralParamRegs];
  Cell floats[kFloatParamRegs];
  // Results, as the code left the registers.
  uint64_t general_results[kGeneralResultRegs];
  Cell float_results[kFloatResultRegs];
  // Written by RaiseTrap.
  TrapCode trap_code = TrapCode::kNone;

  EntryFrame* previous = nullptr;
  StoreContext* store = nullptr;

  EntryFrame() {}  // NOLINT(modernize-use-equals-default): `= default` would clear the arrays in
                   // value-initialisation.
  EntryFrame(const EntryFrame&) = delete;
  EntryFrame& operator=(const EntryFrame&) = delete;
};

// The entry's asm knows these.
#define WASMD_FRAME_STACK_POINTER 0
#define WASMD_FRAME_CODE 8
#define WASMD_FRAME_CONTEXT 16
#define WASMD_FRAME_GENERAL 24
#define WASMD_FRAME_FLOATS 64
#define WASMD_FRAME_GENERAL_RESULTS 192
#define WASMD_FRAME_FLOAT_RESULTS 208
#define WASMD_FRAME_TRAP_CODE 240
// wasmd_enter pushes rbx, r12 … r15 and the frame's address below its frame pointer.
#define WASMD_ENTRY_SAVED_BYTES 48
inline constexpr uint64_t kEntryFramePointerOffset = WASMD_ENTRY_SAVED_BYTES;

static_assert(offsetof(EntryFrame, stack_pointer) == WASMD_FRAME_STACK_POINTER);
static_assert(offsetof(EntryFrame, code) == WASMD_FRAME_CODE);
static_assert(offsetof(EntryFrame, context) == WASMD_FRAME_CONTEXT);
static_assert(offsetof(EntryFrame, general) == WASMD_FRAME_GENERAL);
static_assert(offsetof(EntryFrame, floats) == WASMD_FRAME_FLOATS);
static_assert(offsetof(EntryFrame, general_results) == WASMD_FRAME_GENERAL_RESULTS);
static_assert(offsetof(EntryFrame, float_results) == WASMD_FRAME_FLOAT_RESULTS);
static_assert(offsetof(EntryFrame, trap_code) == WASMD_FRAME_TRAP_CODE);
static_assert(sizeof(TrapCode) == 1 && kGeneralParamRegs == 5 && kFloatParamRegs == 8);

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

// All that the engine keeps for a thread. Constant-initialised: a thread that never met us has a
// valid one.
struct ThreadRecord {
  EntryFrame* activation = nullptr;  // The innermost, or null.
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
