hoisted:
      0:  push   rbp
      1:  mov    rbp,rsp
      4:  push   rdi
      5:  sub    rsp,0x8
      c:  mov    r15,QWORD PTR [rdi+0x8]
     10:  mov    r14,QWORD PTR [rdi+0x40]
     14:  xor    eax,eax
     16:  mov    r11,rsi
     19:  add    r11,0xc
     1d:  jb     0x39
     23:  cmp    r11,QWORD PTR [r14+0x8]
     27:  ja     0x39
     2d:  add    eax,DWORD PTR [r15+rsi*1+0x8]
     32:  add    edx,0xffffffff
     35:  jne    0x2d
     37:  leave
     38:  ret
     39:  call   0x3e
     3e:  mov    edi,0x2  ; site: wasm +9, out of bounds memory access
     43:  mov    rax,QWORD PTR [rbp-0x8]
     47:  jmp    QWORD PTR [rax+0x28]

moves:
      0:  push   rbp
      1:  mov    rbp,rsp
      4:  push   rdi
      5:  sub    rsp,0x8
      c:  mov    r15,QWORD PTR [rdi+0x8]
     10:  mov    r14,QWORD PTR [rdi+0x40]
     14:  xor    eax,eax
     16:  mov    r11,rsi
     19:  add    r11,0xc
     1d:  jb     0x3d
     23:  cmp    r11,QWORD PTR [r14+0x8]
     27:  ja     0x3d
     2d:  add    eax,DWORD PTR [r15+rsi*1+0x8]
     32:  add    rsi,0x4
     36:  add    edx,0xffffffff
     39:  jne    0x16
     3b:  leave
     3c:  ret
     3d:  call   0x42
     42:  mov    edi,0x2  ; site: wasm +9, out of bounds memory access
     47:  mov    rax,QWORD PTR [rbp-0x8]
     4b:  jmp    QWORD PTR [rax+0x28]

arms:
      0:  push   rbp
      1:  mov    rbp,rsp
      4:  push   rdi
      5:  sub    rsp,0x8
      c:  mov    r15,QWORD PTR [rdi+0x8]
     10:  mov    r14,QWORD PTR [rdi+0x40]
     14:  test   edx,edx
     16:  je     0x43
     1c:  mov    r11,rsi
     1f:  add    r11,0x8
     23:  jb     0x64
     29:  cmp    r11,QWORD PTR [r14+0x8]
     2d:  ja     0x64
     33:  mov    QWORD PTR [r15+rsi*1],0x1
     3b:  mov    DWORD PTR [r15+rsi*1],0x2
     43:  mov    r11,rsi
     46:  add    r11,0x8
     4a:  jb     0x69
     50:  cmp    r11,QWORD PTR [r14+0x8]
     54:  ja     0x69
     5a:  mov    QWORD PTR [r15+rsi*1],0x3
     62:  leave
     63:  ret
     64:  call   0x6e
     69:  call   0x6e  ; site: wasm +9, out of bounds memory access
     6e:  mov    edi,0x2  ; site: wasm +24, out of bounds memory access
     73:  mov    rax,QWORD PTR [rbp-0x8]
     77:  jmp    QWORD PTR [rax+0x28]

