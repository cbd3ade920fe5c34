sum:
      0:  push   rbp
      1:  mov    rbp,rsp
      4:  push   rdi
      5:  sub    rsp,0x8
      c:  xor    eax,eax
      e:  mov    r11,QWORD PTR [rbp-0x8]
     12:  sub    QWORD PTR [r11+0x40],0x3
     1d:  js     0x5e
     23:  test   esi,esi
     25:  je     0x47
     2b:  mov    r11,QWORD PTR [rbp-0x8]
     2f:  sub    QWORD PTR [r11+0x40],0x9
     3a:  js     0x63
     40:  add    eax,esi
     42:  add    esi,0xffffffff
     45:  jmp    0xe
     47:  mov    r11,QWORD PTR [rbp-0x8]
     4b:  sub    QWORD PTR [r11+0x40],0x1
     56:  js     0x68
     5c:  leave
     5d:  ret
     5e:  call   0x6d
     63:  call   0x6d  ; site: wasm +7, out of fuel
     68:  call   0x6d  ; site: wasm +12, out of fuel
     6d:  mov    edi,0x12  ; site: wasm +30, out of fuel
     72:  mov    rax,QWORD PTR [rbp-0x8]
     76:  jmp    QWORD PTR [rax+0x28]

arms:
      0:  push   rbp
      1:  mov    rbp,rsp
      4:  push   rdi
      5:  sub    rsp,0x8
      c:  sub    QWORD PTR [rdi+0x40],0x2
     17:  js     0x59
     1d:  test   esi,esi
     1f:  je     0x40
     25:  sub    QWORD PTR [rdi+0x40],0x1
     30:  js     0x5e
     36:  mov    eax,0x7
     3b:  jmp    0x57
     40:  sub    QWORD PTR [rdi+0x40],0x3
     4b:  js     0x63
     51:  lea    esi,[rsi+rsi*2]
     54:  mov    rax,rsi
     57:  leave
     58:  ret
     59:  call   0x68
     5e:  call   0x68  ; site: wasm +1, out of fuel
     63:  call   0x68  ; site: wasm +5, out of fuel
     68:  mov    edi,0x12  ; site: wasm +8, out of fuel
     6d:  mov    rax,QWORD PTR [rbp-0x8]
     71:  jmp    QWORD PTR [rax+0x28]

