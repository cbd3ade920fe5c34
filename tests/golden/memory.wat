(module (memory 1)
  (global $sp (mut i32) (i32.const 1024))
  ;; a[i] += b[i]: base, index and offset in the address, the load in the addition.
  (func (export "add_arrays") (param $a i32) (param $b i32) (param $n i32) (local $i i32)
    (loop $again
      (i32.store offset=16 (i32.add (local.get $a) (i32.shl (local.get $i) (i32.const 2)))
        (i32.add (i32.load offset=16 (i32.add (local.get $a) (i32.shl (local.get $i) (i32.const 2))))
                 (i32.load (i32.add (local.get $b) (i32.shl (local.get $i) (i32.const 2))))))
      (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $n)))))
  (func (export "constants") (i64.store offset=8 (i32.const 16) (i64.const -1)) (i32.store8 (i32.const 5) (i32.const 7)))
  (func (export "global") (result i32) (global.set $sp (i32.sub (global.get $sp) (i32.const 16))) (global.get $sp))
  (func (export "unused_load") (param i32) (drop (i32.load (local.get 0)))))
