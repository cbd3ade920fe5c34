// What every function that runs in signal context is marked with. Private to engine/trap.
#ifndef WASMD_ENGINE_TRAP_SIGNAL_CONTEXT_H_
#define WASMD_ENGINE_TRAP_SIGNAL_CONTEXT_H_

// TSan's run-time must not be entered from there: the signal may have interrupted it. (It is told
// nothing of generated code anyway.) ASan and UBSan checks are harmless.
#if defined(__clang__)
#define WASMD_SIGNAL_CONTEXT __attribute__((disable_sanitizer_instrumentation))
#elif defined(__SANITIZE_THREAD__)
#define WASMD_SIGNAL_CONTEXT __attribute__((no_sanitize_thread))
#else
#define WASMD_SIGNAL_CONTEXT
#endif

#endif  // WASMD_ENGINE_TRAP_SIGNAL_CONTEXT_H_
