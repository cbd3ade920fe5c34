// wasi-libc of 2022 has no setjmp. Lua includes this header and, with LUAI_THROW defined, uses
// nothing of it.
