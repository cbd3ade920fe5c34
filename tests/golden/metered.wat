;; Each line of instructions is paid for where it begins: the function, the loop's round, the arm, what follows.
(module
  (func (export "sum") (param i32) (result i32) (local i32)
    (block $out
      (loop $l
        (br_if $out (i32.eqz (local.get 0)))
        (local.set 1 (i32.add (local.get 1) (local.get 0)))
        (local.set 0 (i32.sub (local.get 0) (i32.const 1)))
        (br $l)))
    (local.get 1))
  (func (export "arms") (param i32) (result i32)
    (if (result i32) (local.get 0) (then (i32.const 7)) (else (i32.mul (local.get 0) (i32.const 3))))))
