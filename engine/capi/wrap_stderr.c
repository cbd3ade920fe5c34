// stderr for code that cannot be linked into a shared library otherwise. Debian's AsmJit archive reads it
// relative to the pc, which a shared library cannot do with libc's variable; the linker's
// --wrap=stderr gives it, and all of libwasmd.so, this copy.
#include <stdio.h>

extern FILE* __real_stderr;
FILE* __wrap_stderr;

__attribute__((constructor)) static void SetStderr(void) {
  __wrap_stderr = __real_stderr;
}
