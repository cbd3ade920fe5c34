(module
  ;; The sum in one lea, both operands live on.
  (func (export "add_live") (param i32 i32) (result i32)
    (i32.mul (i32.add (local.get 0) (local.get 1)) (i32.xor (local.get 0) (local.get 1))))
  ;; Constants fold; a power of two shifts; 3 is a lea.
  (func (export "constants") (param i32) (result i32)
    (i32.add (i32.mul (local.get 0) (i32.const 8)) (i32.mul (local.get 0) (i32.const 3))))
  ;; No division.
  (func (export "divide_by_ten") (param i32) (result i32 i32)
    (i32.div_u (local.get 0) (i32.const 10)) (i32.rem_s (local.get 0) (i32.const 10)))
  (func (export "divide") (param i32 i32) (result i32) (i32.div_s (local.get 0) (local.get 1)))
  (func (export "variable_shift") (param i64 i64) (result i64) (i64.shr_u (local.get 0) (local.get 1)))
  (func (export "minimum") (param f64 f64) (result f64) (f64.min (local.get 0) (local.get 1)))
  (func (export "truncate") (param f32) (result i32) (i32.trunc_f32_s (local.get 0)))
  (func (export "constant_float") (param f64) (result f64) (f64.mul (local.get 0) (f64.const 1.5))))
