(module
  (import "m" "host" (func $host (param i64)))
  (table 4 funcref)
  ;; What lives across the calls is stored once.
  (func $fib (export "fib") (param i32) (result i32)
    (if (result i32) (i32.lt_u (local.get 0) (i32.const 2)) (then (local.get 0))
      (else (i32.add (call $fib (i32.sub (local.get 0) (i32.const 1))) (call $fib (i32.sub (local.get 0) (i32.const 2)))))))
  (func (export "host") (param i32) (call $host (i64.extend_i32_u (local.get 0))))
  (func (export "indirect") (param i32 f64) (result f64)
    (call_indirect (param f64) (result f64) (local.get 1) (local.get 0)))
  ;; A call in the loop: its locals are in their slots at the call and in registers at the loop's start.
  (func (export "loop") (param i32) (local i32)
    (loop $again
      (call $host (i64.extend_i32_s (local.get 1)))
      (br_if $again (i32.ne (local.tee 1 (i32.add (local.get 1) (i32.const 1))) (local.get 0))))))
