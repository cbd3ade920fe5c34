(module (memory 1)
  (func $callee)
  ;; y[i] += a * x[i]: the load in the multiplication, the sum in the accumulator's own register.
  (func (export "axpy") (param $a f32) (param $x i32) (param $y i32) (param $n i32) (local $all v128)
    (local.set $all (f32x4.splat (local.get $a)))
    (loop $again
      (v128.store (local.get $y)
        (f32x4.add (f32x4.mul (local.get $all) (v128.load (local.get $x))) (v128.load offset=16 (local.get $y))))
      (local.set $x (i32.add (local.get $x) (i32.const 16)))
      (local.set $y (i32.add (local.get $y) (i32.const 16)))
      (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1))))))
  ;; Constants from the pool, a shuffle of one instruction, a test that is a branch.
  (func (export "bytes") (param v128) (result v128)
    (if (v128.any_true (v128.and (local.get 0) (v128.const i8x16 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15)))
      (then (return (i8x16.shuffle 0 16 1 17 2 18 3 19 4 20 5 21 6 22 7 23 (local.get 0) (v128.const i64x2 0 0)))))
    (i8x16.shl (local.get 0) (i32.const 3)))
  ;; Sixteen bytes of the frame, aligned.
  (func (export "across") (param v128 i64) (result v128)
    (call $callee)
    (i64x2.replace_lane 1 (local.get 0) (local.get 1)))
  (func (export "minimum") (param v128 v128) (result v128) (f32x4.min (local.get 0) (local.get 1))))
