fib:
      0:  push   rbp
      1:  mov    rbp,rsp
      4:  push   rdi
      5:  mov    r11,QWORD PTR [rdi]
      8:  cmp    rsp,QWORD PTR [r11]
      b:  jb     0x5a
     11:  sub    rsp,0x18
     18:  cmp    esi,0x2
     1b:  jae    0x26
     21:  jmp    0x55
     26:  lea    eax,[rsi-0x1]
     29:  mov    QWORD PTR [rbp-0x10],rsi
     2d:  mov    rsi,rax
     30:  mov    rax,QWORD PTR [rdi+0x10]
     34:  call   QWORD PTR [rax+0x8]
     37:  mov    ecx,DWORD PTR [rbp-0x10]  ; site: wasm +16
     3a:  add    ecx,0xfffffffe
     3d:  mov    QWORD PTR [rbp-0x18],rax
     41:  mov    rsi,rcx
     44:  mov    rdi,QWORD PTR [rbp-0x8]
     48:  mov    rax,QWORD PTR [rdi+0x10]
     4c:  call   QWORD PTR [rax+0x8]
     4f:  add    eax,DWORD PTR [rbp-0x18]  ; site: wasm +23
     52:  mov    rsi,rax
     55:  mov    rax,rsi
     58:  leave
     59:  ret
     5a:  call   0x5f
     5f:  mov    edi,0x9  ; site: wasm +0, call stack exhausted
     64:  mov    rax,QWORD PTR [rbp-0x8]
     68:  jmp    QWORD PTR [rax+0x28]

host:
      0:  push   rbp
      1:  mov    rbp,rsp
      4:  push   rdi
      5:  mov    r11,QWORD PTR [rdi]
      8:  cmp    rsp,QWORD PTR [r11]
      b:  jb     0x24
     11:  sub    rsp,0x8
     18:  mov    rax,QWORD PTR [rdi+0x40]
     1c:  mov    rdi,QWORD PTR [rdi+0x48]
     20:  call   rax
     22:  leave  ; site: wasm +4
     23:  ret
     24:  call   0x29
     29:  mov    edi,0x9  ; site: wasm +0, call stack exhausted
     2e:  mov    rax,QWORD PTR [rbp-0x8]
     32:  jmp    QWORD PTR [rax+0x28]

indirect:
      0:  push   rbp
      1:  mov    rbp,rsp
      4:  push   rdi
      5:  mov    r11,QWORD PTR [rdi]
      8:  cmp    rsp,QWORD PTR [r11]
      b:  jb     0x53
     11:  sub    rsp,0x8
     18:  mov    r10,rsi
     1b:  mov    rax,QWORD PTR [rdi+0x50]
     1f:  cmp    r10,QWORD PTR [rax+0x8]
     23:  jae    0x58
     29:  mov    rax,QWORD PTR [rax]
     2c:  mov    rax,QWORD PTR [rax+r10*8]
     30:  test   rax,rax
     33:  je     0x5d
     39:  mov    r11,QWORD PTR [rdi+0x18]
     3d:  mov    r11d,DWORD PTR [r11+0x10]
     41:  cmp    DWORD PTR [rax+0x10],r11d
     45:  jne    0x62
     4b:  mov    rdi,QWORD PTR [rax+0x8]
     4f:  call   QWORD PTR [rax]
     51:  leave  ; site: wasm +5
     52:  ret
     53:  call   0x8b
     58:  call   0x67  ; site: wasm +0, call stack exhausted
     5d:  call   0x73  ; site: wasm +5, out of bounds table access
     62:  call   0x7f  ; site: wasm +5, uninitialized element
     67:  mov    edi,0x3  ; site: wasm +5, indirect call type mismatch
     6c:  mov    rax,QWORD PTR [rbp-0x8]
     70:  jmp    QWORD PTR [rax+0x28]
     73:  mov    edi,0x4
     78:  mov    rax,QWORD PTR [rbp-0x8]
     7c:  jmp    QWORD PTR [rax+0x28]
     7f:  mov    edi,0x5
     84:  mov    rax,QWORD PTR [rbp-0x8]
     88:  jmp    QWORD PTR [rax+0x28]
     8b:  mov    edi,0x9
     90:  mov    rax,QWORD PTR [rbp-0x8]
     94:  jmp    QWORD PTR [rax+0x28]

loop:
      0:  push   rbp
      1:  mov    rbp,rsp
      4:  push   rdi
      5:  mov    r11,QWORD PTR [rdi]
      8:  cmp    rsp,QWORD PTR [r11]
      b:  jb     0x4b
     11:  sub    rsp,0x18
     18:  xor    eax,eax
     1a:  mov    QWORD PTR [rbp-0x10],rsi
     1e:  movsxd rcx,eax
     21:  mov    QWORD PTR [rbp-0x18],rax
     25:  mov    rsi,rcx
     28:  mov    rax,QWORD PTR [rdi+0x40]
     2c:  mov    rdi,QWORD PTR [rdi+0x48]
     30:  call   rax
     32:  mov    eax,DWORD PTR [rbp-0x18]  ; site: wasm +8
     35:  add    eax,0x1
     38:  mov    ecx,DWORD PTR [rbp-0x10]
     3b:  cmp    eax,ecx
     3d:  je     0x49
     43:  mov    rdi,QWORD PTR [rbp-0x8]
     47:  jmp    0x1e
     49:  leave
     4a:  ret
     4b:  call   0x50
     50:  mov    edi,0x9  ; site: wasm +0, call stack exhausted
     55:  mov    rax,QWORD PTR [rbp-0x8]
     59:  jmp    QWORD PTR [rax+0x28]

