// AddressSanitizer's defaults for every executable of ours. At a thread's exit ASan unmaps whatever
// alternate signal stack it finds, which would be the one that traps run on.

extern "C" const char* __asan_default_options();  // Named by the sanitizer's runtime.

extern "C" const char* __asan_default_options() {
  return "use_sigaltstack=0";
}
