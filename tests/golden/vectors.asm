axpy:
      0:  push   rbp
      1:  mov    rbp,rsp
      4:  push   rdi
      5:  sub    rsp,0x8
      c:  mov    r15,QWORD PTR [rdi+0x8]
     10:  vshufps xmm0,xmm0,xmm0,0x0
     15:  vmulps xmm1,xmm0,XMMWORD PTR [r15+rsi*1]  ; site: wasm +17, out of bounds memory access
     1b:  vaddps xmm1,xmm1,XMMWORD PTR [r15+rdx*1+0x10]  ; site: wasm +26, out of bounds memory access
     22:  vmovups XMMWORD PTR [r15+rdx*1],xmm1  ; site: wasm +33, out of bounds memory access
     28:  add    esi,0x10
     2b:  add    edx,0x10
     2e:  add    ecx,0xffffffff
     31:  jne    0x15
     33:  leave
     34:  ret

bytes:
      0:  push   rbp
      1:  mov    rbp,rsp
      4:  push   rdi
      5:  sub    rsp,0x8
      c:  vpand  xmm1,xmm0,XMMWORD PTR [rip+0x2c]        # 0x40
     14:  vptest xmm1,xmm1
     19:  je     0x29
     1f:  vxorps xmm1,xmm1,xmm1
     23:  vpunpcklbw xmm0,xmm0,xmm1
     27:  leave
     28:  ret
     29:  vpsllw xmm0,xmm0,0x3
     2e:  vpand  xmm0,xmm0,XMMWORD PTR [rip+0x2a]        # 0x60
     36:  leave
     37:  ret

across:
      0:  push   rbp
      1:  mov    rbp,rsp
      4:  push   rdi
      5:  mov    r11,QWORD PTR [rdi]
      8:  cmp    rsp,QWORD PTR [r11]
      b:  jb     0x38
     11:  sub    rsp,0x18
     18:  mov    QWORD PTR [rbp-0x10],rsi
     1c:  vmovups XMMWORD PTR [rbp-0x20],xmm0
     21:  mov    rax,QWORD PTR [rdi+0x10]
     25:  call   QWORD PTR [rax]
     27:  mov    rax,QWORD PTR [rbp-0x10]  ; site: wasm +1
     2b:  vmovups xmm0,XMMWORD PTR [rbp-0x20]
     30:  vpinsrq xmm0,xmm0,rax,0x1
     36:  leave
     37:  ret
     38:  call   0x3d
     3d:  mov    edi,0x9  ; site: wasm +0, call stack exhausted
     42:  mov    rax,QWORD PTR [rbp-0x8]
     46:  jmp    QWORD PTR [rax+0x28]

minimum:
      0:  push   rbp
      1:  mov    rbp,rsp
      4:  push   rdi
      5:  sub    rsp,0x8
      c:  vminps xmm15,xmm0,xmm1
     10:  vminps xmm2,xmm1,xmm0
     14:  vorps  xmm15,xmm15,xmm2
     18:  vcmpunordps xmm2,xmm15,xmm15
     1e:  vorps  xmm15,xmm15,xmm2
     22:  vpsrld xmm2,xmm2,0xa
     27:  vandnps xmm2,xmm2,xmm15
     2c:  vmovaps xmm0,xmm2
     30:  leave
     31:  ret

