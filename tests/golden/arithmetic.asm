add_live:
      0:  push   rbp
      1:  mov    rbp,rsp
      4:  push   rdi
      5:  sub    rsp,0x8
      c:  lea    eax,[rsi+rdx*1]
      f:  xor    esi,edx
     11:  imul   eax,esi
     14:  leave
     15:  ret

constants:
      0:  push   rbp
      1:  mov    rbp,rsp
      4:  push   rdi
      5:  sub    rsp,0x8
      c:  mov    eax,esi
      e:  shl    eax,0x3
     11:  lea    esi,[rsi+rsi*2]
     14:  add    eax,esi
     16:  leave
     17:  ret

divide_by_ten:
      0:  push   rbp
      1:  mov    rbp,rsp
      4:  push   rdi
      5:  sub    rsp,0x8
      c:  mov    ecx,esi
      e:  mov    r11d,0x9999999a
     14:  imul   r11,rcx
     18:  shr    r11,0x20
     1c:  sub    ecx,r11d
     1f:  shr    ecx,1
     21:  add    ecx,r11d
     24:  shr    ecx,0x3
     27:  mov    eax,ecx
     29:  movsxd rcx,esi
     2c:  mov    r11d,0xcccccccd
     32:  mov    rdx,rcx
     35:  imul   rcx,r11
     39:  sar    rcx,0x23
     3d:  sar    rdx,0x3f
     41:  sub    ecx,edx
     43:  imul   ecx,ecx,0xa
     46:  sub    esi,ecx
     48:  mov    rdx,rsi
     4b:  leave
     4c:  ret

divide:
      0:  push   rbp
      1:  mov    rbp,rsp
      4:  push   rdi
      5:  sub    rsp,0x8
      c:  mov    r11d,edx
      f:  mov    eax,esi
     11:  test   r11d,r11d
     14:  je     0x33
     1a:  cmp    r11d,0xffffffff
     1e:  jne    0x2d
     24:  cmp    eax,0x1
     27:  jo     0x38
     2d:  cdq
     2e:  idiv   r11d
     31:  leave
     32:  ret
     33:  call   0x3d
     38:  call   0x49  ; site: wasm +5, integer divide by zero
     3d:  mov    edi,0x6  ; site: wasm +5, integer overflow
     42:  mov    rax,QWORD PTR [rbp-0x8]
     46:  jmp    QWORD PTR [rax+0x28]
     49:  mov    edi,0x7
     4e:  mov    rax,QWORD PTR [rbp-0x8]
     52:  jmp    QWORD PTR [rax+0x28]

variable_shift:
      0:  push   rbp
      1:  mov    rbp,rsp
      4:  push   rdi
      5:  sub    rsp,0x8
      c:  shrx   rsi,rsi,rdx
     11:  mov    rax,rsi
     14:  leave
     15:  ret

minimum:
      0:  push   rbp
      1:  mov    rbp,rsp
      4:  push   rdi
      5:  sub    rsp,0x8
      c:  vucomisd xmm0,xmm1
     10:  jne    0x2e
     16:  jp     0x25
     1c:  vorps  xmm0,xmm0,xmm1
     20:  jmp    0x32
     25:  vaddsd xmm0,xmm0,xmm1
     29:  jmp    0x32
     2e:  vminsd xmm0,xmm0,xmm1
     32:  leave
     33:  ret

truncate:
      0:  push   rbp
      1:  mov    rbp,rsp
      4:  push   rdi
      5:  sub    rsp,0x8
      c:  vcvttss2si rax,xmm0
     11:  movsxd r11,eax
     14:  cmp    r11,rax
     17:  jne    0x21
     1d:  mov    eax,eax
     1f:  leave
     20:  ret
     21:  vucomiss xmm0,xmm0
     25:  jp     0x30
     2b:  jmp    0x35
     30:  call   0x46
     35:  call   0x3a  ; site: wasm +3, invalid conversion to integer
     3a:  mov    edi,0x7  ; site: wasm +3, integer overflow
     3f:  mov    rax,QWORD PTR [rbp-0x8]
     43:  jmp    QWORD PTR [rax+0x28]
     46:  mov    edi,0x8
     4b:  mov    rax,QWORD PTR [rbp-0x8]
     4f:  jmp    QWORD PTR [rax+0x28]

constant_float:
      0:  push   rbp
      1:  mov    rbp,rsp
      4:  push   rdi
      5:  sub    rsp,0x8
      c:  vmulsd xmm0,xmm0,QWORD PTR [rip+0xc]        # 0x20
     14:  leave
     15:  ret

