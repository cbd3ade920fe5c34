; Functions by wasmd's calling convention (engine/abi/calling_convention.h), as the LLVM tier will write them: the C
; convention, context first, "no_callee_saved_registers" at definitions and call sites, frame pointers everywhere.
; convention_trial_test.cc calls them and is called by them.
target triple = "x86_64-pc-linux-gnu"

; Calls the function pointer at context + 0 between two uses of every argument, so that values live across the call.
define i64 @llvm_calls_out(ptr %context, i64 %a64, i64 %b, double %c, i64 %d, i64 %e, i64 %f) #0 {
  %callee = load ptr, ptr %context
  %r = call i64 %callee(ptr %context, i64 %b, double %c) #1
  %s1 = add i64 %r, %a64
  %s2 = add i64 %s1, %b
  %s3 = add i64 %s2, %d
  %s4 = add i64 %s3, %e
  %s5 = add i64 %s4, %f
  %c64 = fptosi double %c to i64
  %s6 = add i64 %s5, %c64
  ret i64 %s6
}

; Two results of each class: rax xmm0 rdx xmm1.
define { i64, double, i64, double } @llvm_four_results(ptr %context, i64 %a, double %b, i64 %c, double %d) #0 {
  %r0 = insertvalue { i64, double, i64, double } poison, i64 %c, 0
  %r1 = insertvalue { i64, double, i64, double } %r0, double %d, 1
  %r2 = insertvalue { i64, double, i64, double } %r1, i64 %a, 2
  %r3 = insertvalue { i64, double, i64, double } %r2, double %b, 3
  ret { i64, double, i64, double } %r3
}

; A tail call to the function pointer at context + 0 with more arguments than the caller has.
define i64 @llvm_tail_call(ptr %context, i64 %a) #0 {
  %callee = load ptr, ptr %context
  %r = tail call i64 %callee(ptr %context, i64 %a, i64 2, i64 3, i64 4, i64 5, double 6.0) #1
  ret i64 %r
}

; An i32 result is zero-extended to 64 bits in IR: `zeroext i32` extends to 32 only and leaves garbage above.
define i64 @llvm_narrow(ptr %context, i64 %a) #0 {
  %narrow = trunc i64 %a to i32
  %r = zext i32 %narrow to i64
  ret i64 %r
}

attributes #0 = { nounwind noinline "frame-pointer"="all" "no_callee_saved_registers" }
attributes #1 = { nounwind "no_callee_saved_registers" }
