add_arrays:
      0:  push   rbp
      1:  mov    rbp,rsp
      4:  push   rdi
      5:  sub    rsp,0x8
      c:  mov    r15,QWORD PTR [rdi+0x8]
     10:  xor    eax,eax
     12:  lea    ebx,[rsi+rax*4]
     15:  lea    edi,[rsi+rax*4]
     18:  mov    edi,DWORD PTR [r15+rdi*1+0x10]  ; site: wasm +21, out of bounds memory access
     1d:  lea    r8d,[rdx+rax*4]
     21:  add    edi,DWORD PTR [r15+r8*1]  ; site: wasm +32, out of bounds memory access
     25:  mov    DWORD PTR [r15+rbx*1+0x10],edi  ; site: wasm +36, out of bounds memory access
     2a:  add    eax,0x1
     2d:  cmp    eax,ecx
     2f:  jb     0x12
     31:  leave
     32:  ret

constants:
      0:  push   rbp
      1:  mov    rbp,rsp
      4:  push   rdi
      5:  sub    rsp,0x8
      c:  mov    r15,QWORD PTR [rdi+0x8]
     10:  mov    QWORD PTR [r15+0x18],0xffffffffffffffff  ; site: wasm +5, out of bounds memory access
     18:  mov    BYTE PTR [r15+0x5],0x7  ; site: wasm +12, out of bounds memory access
     1d:  leave
     1e:  ret

global:
      0:  push   rbp
      1:  mov    rbp,rsp
      4:  push   rdi
      5:  sub    rsp,0x8
      c:  mov    eax,DWORD PTR [rdi+0x50]
      f:  add    eax,0xfffffff0
     12:  mov    DWORD PTR [rdi+0x50],eax
     15:  mov    eax,DWORD PTR [rdi+0x50]
     18:  leave
     19:  ret

unused_load:
      0:  push   rbp
      1:  mov    rbp,rsp
      4:  push   rdi
      5:  sub    rsp,0x8
      c:  mov    r15,QWORD PTR [rdi+0x8]
     10:  mov    esi,DWORD PTR [r15+rsi*1]  ; site: wasm +3, out of bounds memory access
     14:  leave
     15:  ret

