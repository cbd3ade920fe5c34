sum:
      0:  push   rbp
      1:  mov    rbp,rsp
      4:  push   rdi
      5:  sub    rsp,0x8
      c:  xor    eax,eax
      e:  add    eax,esi
     10:  add    esi,0xffffffff
     13:  jne    0xe
     15:  leave
     16:  ret

select:
      0:  push   rbp
      1:  mov    rbp,rsp
      4:  push   rdi
      5:  sub    rsp,0x8
      c:  cmp    rsi,rdx
      f:  cmovge rsi,rdx
     13:  mov    rax,rsi
     16:  leave
     17:  ret

arms:
      0:  push   rbp
      1:  mov    rbp,rsp
      4:  push   rdi
      5:  sub    rsp,0x8
      c:  test   sil,0x4
     10:  je     0x1e
     16:  imul   edx,edx
     19:  jmp    0x20
     1e:  sub    edx,esi
     20:  add    edx,0x1
     23:  mov    rax,rdx
     26:  leave
     27:  ret

table:
      0:  push   rbp
      1:  mov    rbp,rsp
      4:  push   rdi
      5:  sub    rsp,0x8
      c:  cmp    esi,0x4
      f:  jae    0x3a
     15:  lea    r11,[rip+0x28]        # 0x44
     1c:  movsxd rsi,DWORD PTR [r11+rsi*4]
     20:  add    rsi,r11
     23:  jmp    rsi
     25:  mov    eax,0xa
     2a:  leave
     2b:  ret
     2c:  mov    eax,0x14
     31:  leave
     32:  ret
     33:  mov    eax,0x1e
     38:  leave
     39:  ret
     3a:  mov    eax,0x28
     3f:  leave
     40:  ret

