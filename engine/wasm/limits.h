// Every limit of the engine, by name, with its reason. A module beyond one is refused with
// kResourceExhausted or kInvalidArgument and a message that names the limit.
#ifndef WASMD_ENGINE_WASM_LIMITS_H_
#define WASMD_ENGINE_WASM_LIMITS_H_

#include <cstdint>

namespace wasmd::engine {

// The limits that browsers publish in the JavaScript API's appendix: a module that loads there
// loads here.
inline constexpr uint32_t kMaxModuleBytes = 1u << 30;
inline constexpr uint32_t kMaxTypes = 1'000'000;
inline constexpr uint32_t kMaxFuncs = 1'000'000;  // Imported and defined together.
inline constexpr uint32_t kMaxImports = 1'000'000;
inline constexpr uint32_t kMaxExports = 1'000'000;
inline constexpr uint32_t kMaxGlobals = 1'000'000;
inline constexpr uint32_t kMaxTags = 1'000'000;
inline constexpr uint32_t kMaxDataSegments = 100'000;
inline constexpr uint32_t kMaxElemSegments = 10'000'000;
inline constexpr uint32_t kMaxTables = 100'000;
inline constexpr uint32_t kMaxMemories = 100;
inline constexpr uint32_t kMaxTableElements =
    10'000'000;  // What an instance may hold, not what a type may say.
inline constexpr uint32_t kMaxFuncParams = 1'000;
inline constexpr uint32_t kMaxFuncResults = 1'000;
inline constexpr uint32_t kMaxFuncLocals = 50'000;
inline constexpr uint32_t kMaxFuncBodyBytes = 7'654'321;
// Operands and blocks that are open at one point of a body. Two bytes of code can push a thousand
// operands, so that a body alone does not bound the walker's memory. No limit that browsers
// publish; compilers stay a hundred times below.
inline constexpr uint32_t kMaxOperands = 1'000'000;
inline constexpr uint32_t kMaxBlockDepth = 500'000;
inline constexpr uint32_t kMaxNameBytes = 100'000;
inline constexpr uint32_t kMaxBrTableTargets =
    65'520 * 8;  // Browsers: bounded by the body. Ours: bounds the scratch.
// Elements of one segment, so that a count cannot ask for memory that its bytes do not back.
inline constexpr uint32_t kMaxElemSegmentLength = 10'000'000;

// 4 GiB of 64 KiB pages. Spec: valid-memtype
inline constexpr uint64_t kMaxMemory32Pages = 65'536;

// What an instance's memory with 64-bit addresses may hold, not what a type may say. Browsers'
// limit, which bounds the address space that a memory takes.
inline constexpr uint64_t kMaxMemory64Bytes = uint64_t{16} << 30;

// What compiling takes, in units of a byte of machine code or an operand that an edge, a block or a
// call looks at: 2 bytes of wasm can move a thousand operands, and tiny functions can do so in
// hundreds of thousands. Real code stays below 10 a byte. A function beyond CompileWorkLimit of its
// body is refused, and so is a module whose functions together are beyond that of its code section.
inline constexpr uint64_t kCompileWorkPerByte = 48;
inline constexpr uint64_t kFuncCompileWorkBase = uint64_t{1} << 20;
inline constexpr uint64_t kModuleCompileWorkBase = uint64_t{16} << 20;
constexpr uint64_t CompileWorkLimit(uint64_t body_bytes) {
  return kFuncCompileWorkBase + kCompileWorkPerByte * body_bytes;
}
constexpr uint64_t ModuleCompileWorkLimit(uint64_t code_section_bytes) {
  return kModuleCompileWorkBase + kCompileWorkPerByte * code_section_bytes;
}

// Machine code of one process: the code arena's reservation, so that every pc in it is one
// subtraction away from its chunk.
inline constexpr uint64_t kCodeArenaBytes = uint64_t{1} << 31;

// Stack that wasm frames may use in one activation, and what stays below for host functions,
// builtins and the fault handler.
inline constexpr uint64_t kDefaultWasmStackBytes = 1u << 20;
inline constexpr uint64_t kHostStackReserveBytes = 128u << 10;

// Exceptions that are alive in a store, by default: what a guest keeps by exnrefs. They count as
// the store's memory too.
inline constexpr uint64_t kMaxExceptionBytes = 64u << 20;
// The exnrefs that were given to the host last, in a store, whose exceptions stay. See
// engine/runtime/exception_heap.h.
inline constexpr uint32_t kMaxHostExceptions = 1024;

// Frames a backtrace holds. Deeper ones keep the innermost and say how many were left out.
inline constexpr uint32_t kMaxBacktraceFrames = 64;

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_WASM_LIMITS_H_
