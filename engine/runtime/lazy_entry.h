// Where a function that is not compiled yet begins. Private to engine/runtime.
#ifndef WASMD_ENGINE_RUNTIME_LAZY_ENTRY_H_
#define WASMD_ENGINE_RUNTIME_LAZY_ENTRY_H_

namespace wasmd::engine {

// InstanceContext::lazy_entry: rdi = the function's InstanceContext*, eax = its index, arguments in
// place. Compiles it, or waits for the thread that does, and jumps there.
extern "C" void wasmd_lazy_entry();

}  // namespace wasmd::engine

#endif  // WASMD_ENGINE_RUNTIME_LAZY_ENTRY_H_
