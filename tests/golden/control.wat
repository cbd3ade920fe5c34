(module
  ;; The comparison is the jump; the loop's locals stay in registers.
  (func (export "sum") (param i32) (result i32) (local i32)
    (loop $again
      (local.set 1 (i32.add (local.get 1) (local.get 0)))
      (br_if $again (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
    (local.get 1))
  (func (export "select") (param i64 i64) (result i64)
    (select (local.get 0) (local.get 1) (i64.lt_s (local.get 0) (local.get 1))))
  ;; Both arms agree on a register for the result.
  (func (export "arms") (param i32 i32) (result i32)
    (i32.add (i32.const 1)
      (if (result i32) (i32.and (local.get 0) (i32.const 4)) (then (i32.mul (local.get 1) (local.get 1)))
        (else (i32.sub (local.get 1) (local.get 0))))))
  (func (export "table") (param i32) (result i32)
    (block $d (block $c (block $b (block $a (br_table $a $b $c $a $d (local.get 0)))
      (return (i32.const 10))) (return (i32.const 20))) (return (i32.const 30)))
    (i32.const 40)))
