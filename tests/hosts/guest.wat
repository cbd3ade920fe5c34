;; What the foreign hosts call. The exports' order is theirs to rely on.
(module
  (import "host" "call" (func $host (param i32) (result i32)))
  (memory (export "memory") 1)
  (func (export "add") (param i32 i32) (result i32)
    (i32.add (local.get 0) (local.get 1)))
  ;; A trap by a branch.
  (func (export "divide") (param i32 i32) (result i32)
    (i32.div_s (local.get 0) (local.get 1)))
  ;; A trap by a fault, for an address of 65,536 and up.
  (func (export "load") (param i32) (result i32)
    (i32.load (local.get 0)))
  ;; A trap by the stack's end.
  (func $recurse (export "recurse") (param i32) (result i32)
    (i32.add (call $recurse (i32.add (local.get 0) (i32.const 1))) (i32.const 1)))
  (func (export "call_host") (param i32) (result i32)
    (call $host (local.get 0))))
