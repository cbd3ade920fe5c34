;; A memory without a guard: each access compares, unless a check that every way to it passes has told.
(module
  (memory i64 1)
  ;; One check, before the loop: it begins with the load, and the address stays.
  (func (export "hoisted") (param $p i64) (param $n i32) (result i32) (local $sum i32)
    (loop $l
      (local.set $sum (i32.add (local.get $sum) (i32.load offset=8 (local.get $p))))
      (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (local.get $sum))
  ;; One in each round: the address changes.
  (func (export "moves") (param $p i64) (param $n i32) (result i32) (local $sum i32)
    (loop $l
      (local.set $sum (i32.add (local.get $sum) (i32.load offset=8 (local.get $p))))
      (local.set $p (i64.add (local.get $p) (i64.const 4)))
      (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
    (local.get $sum))
  ;; Two: what one arm has checked, the other has not, nor what follows both.
  (func (export "arms") (param $p i64) (param $c i32)
    (if (local.get $c)
      (then (i64.store (local.get $p) (i64.const 1)) (i32.store (local.get $p) (i32.const 2))))
    (i64.store (local.get $p) (i64.const 3))))
