//! What a module does under wasmtime, in the words of tests/fuzz/fuzz_outcome.h.
use crate::random::mix;
use std::fmt::Write;
use wasmtime::{
    Config, Engine, Extern, ExternType, HeapType, Instance, Module, OptLevel, Ref, Store, Trap,
    Val, ValType,
};

const ROUNDS: u64 = 4;

pub fn engine(features: wasmparser::WasmFeatures) -> Engine {
    let mut config = Config::new();
    let has = |feature| features.contains(feature);
    use wasmparser::WasmFeatures as F;
    config
        .cranelift_opt_level(OptLevel::None)
        .wasm_backtrace_max_frames(None)
        .wasm_simd(has(F::SIMD))
        .wasm_relaxed_simd(has(F::RELAXED_SIMD))
        .relaxed_simd_deterministic(true)
        .wasm_tail_call(has(F::TAIL_CALL))
        .wasm_extended_const(has(F::EXTENDED_CONST))
        .wasm_multi_memory(has(F::MULTI_MEMORY))
        .wasm_memory64(has(F::MEMORY64))
        .wasm_exceptions(has(F::EXCEPTIONS))
        .wasm_function_references(has(F::FUNCTION_REFERENCES))
        .wasm_gc(has(F::GC))
        .wasm_custom_page_sizes(has(F::CUSTOM_PAGE_SIZES))
        .wasm_wide_arithmetic(has(F::WIDE_ARITHMETIC))
        // Accesses are checked, not guarded: instances come and go without address space.
        .memory_reservation(0)
        .memory_reservation_for_growth(1 << 20)
        .memory_guard_size(0);
    Engine::new(&config).expect("an engine")
}

pub fn fuzz_bits(seed: u64) -> u64 {
    let random = mix(seed);
    let rest = random >> 2;
    match random & 3 {
        0 => rest % 16,
        1 => (rest % 16).wrapping_neg(),
        2 => mix(random),
        _ => (1u64 << (rest % 64)).wrapping_sub(rest >> 6 & 1),
    }
}

fn argument(ty: &ValType, seed: u64) -> Val {
    let bits = fuzz_bits(seed);
    match ty {
        ValType::I32 => Val::I32(bits as i32),
        ValType::I64 => Val::I64(bits as i64),
        ValType::F32 if seed & 1 != 0 => Val::F32((bits as i64 as f32).to_bits()),
        ValType::F32 => Val::F32(bits as u32),
        ValType::F64 if seed & 1 != 0 => Val::F64((bits as i64 as f64).to_bits()),
        ValType::F64 => Val::F64(bits),
        ValType::V128 => {
            Val::V128((bits as u128 | (fuzz_bits(seed ^ 0x5555) as u128) << 64).into())
        }
        ValType::Ref(ty) => match ty.heap_type().top() {
            HeapType::Extern => Val::ExternRef(None),
            HeapType::Func => Val::FuncRef(None),
            HeapType::Exn => Val::ExnRef(None),
            _ => Val::AnyRef(None),
        },
    }
}

fn print(text: &mut String, value: &Val) {
    let _ = match value {
        Val::I32(bits) => write!(text, " i32:{bits:x}"),
        Val::I64(bits) => write!(text, " i64:{bits:x}"),
        Val::F32(bits) if f32::from_bits(*bits).is_nan() => write!(text, " f32:7fc00000"),
        Val::F32(bits) => write!(text, " f32:{bits:x}"),
        Val::F64(bits) if f64::from_bits(*bits).is_nan() => write!(text, " f64:7ff8000000000000"),
        Val::F64(bits) => write!(text, " f64:{bits:x}"),
        Val::V128(bits) => {
            let bits = bits.as_u128();
            write!(text, " v128:{:x}:{:x}", bits as u64, (bits >> 64) as u64)
        }
        Val::FuncRef(value) => write!(text, " ref:{}", value.is_some() as u8),
        Val::ExternRef(value) => write!(text, " ref:{}", value.is_some() as u8),
        Val::AnyRef(value) => write!(text, " ref:{}", value.is_some() as u8),
        Val::ExnRef(value) => write!(text, " ref:{}", value.is_some() as u8),
        _ => write!(text, " ?"),
    };
}

fn trap_text(trap: Trap) -> &'static str {
    match trap {
        Trap::UnreachableCodeReached => "unreachable",
        Trap::MemoryOutOfBounds => "out of bounds memory access",
        Trap::TableOutOfBounds => "out of bounds table access",
        Trap::IndirectCallToNull => "uninitialized element",
        Trap::BadSignature => "indirect call type mismatch",
        Trap::IntegerDivisionByZero => "integer divide by zero",
        Trap::IntegerOverflow => "integer overflow",
        Trap::BadConversionToInteger => "invalid conversion to integer",
        Trap::NullReference => "null reference",
        _ => "?",
    }
}

/// Appends how a call ended; false if nothing that follows can be compared.
fn print_stop(text: &mut String, store: &mut Store<()>, error: &wasmtime::Error) -> bool {
    match error.downcast_ref::<Trap>() {
        Some(Trap::StackOverflow) => {
            text.push_str("exhausted\n");
            return false;
        }
        Some(trap) => {
            let _ = write!(text, " trap {}", trap_text(*trap));
        }
        None if error.is::<wasmtime::ThrownException>() => {
            text.push_str(" exception");
            let exception = store.take_pending_exception().expect("an exception");
            let fields = exception
                .fields(&mut *store)
                .expect("its values")
                .collect::<Vec<_>>();
            fields.iter().for_each(|value| print(text, value));
        }
        None => {
            let _ = write!(text, " error {error:#}");
        }
    }
    true
}

fn hash(bytes: &[u8]) -> u64 {
    bytes
        .chunks_exact(8)
        .fold(0xcbf29ce484222325u64, |hash, chunk| {
            let word = u64::from_le_bytes(chunk.try_into().unwrap());
            (hash ^ word).wrapping_mul(0x100000001b3).rotate_left(23)
        })
}

/// A null or not, as a digit.
fn is_there(element: &Ref) -> char {
    if element.is_null() {
        '0'
    } else {
        '1'
    }
}

/// What the module does, and its instance where there is one.
pub struct Outcome {
    pub text: String,
    pub store: Store<()>,
    pub instance: Option<Instance>,
}

pub fn outcome(engine: &Engine, bytes: &[u8]) -> Outcome {
    let mut store = Store::new(engine, ());
    let mut text = String::new();
    let instance = run(engine, bytes, &mut store, &mut text);
    Outcome {
        text,
        store,
        instance,
    }
}

fn run(
    engine: &Engine,
    bytes: &[u8],
    store: &mut Store<()>,
    text: &mut String,
) -> Option<Instance> {
    let module = match Module::new(engine, bytes) {
        Ok(module) => module,
        Err(error) => {
            let _ = writeln!(text, "refused: {error:#}");
            return None;
        }
    };
    // By position: a module may import one name as two types.
    let imports: wasmtime::Result<Vec<Extern>> = module
        .imports()
        .map(|import| import.ty().default_value(&mut *store))
        .collect();
    let imports = match imports {
        Ok(imports) => imports,
        Err(error) => {
            let _ = writeln!(text, "refused: {error:#}");
            return None;
        }
    };
    let instance = match Instance::new(&mut *store, &module, &imports) {
        Ok(instance) => instance,
        Err(error) => {
            text.push_str("instantiation");
            if print_stop(text, store, &error) {
                text.push('\n');
            }
            return None;
        }
    };
    let exports: Vec<(String, ExternType)> = module
        .exports()
        .map(|export| (export.name().to_string(), export.ty()))
        .collect();
    for round in 0..ROUNDS {
        for (i, (name, ty)) in exports.iter().enumerate() {
            let ExternType::Func(ty) = ty else { continue };
            let args: Vec<Val> = ty
                .params()
                .enumerate()
                .map(|(p, ty)| argument(&ty, (i as u64 * ROUNDS + round) << 16 | p as u64))
                .collect();
            let mut results = vec![Val::I32(0); ty.results().len()];
            let func = instance.get_func(&mut *store, name).unwrap();
            let _ = write!(text, "{i}");
            match func.call(&mut *store, &args, &mut results) {
                Ok(()) => results.iter().for_each(|result| print(text, result)),
                Err(error) => {
                    if !print_stop(text, store, &error) {
                        return Some(instance);
                    }
                }
            }
            text.push('\n');
        }
    }
    for (i, (name, _)) in exports.iter().enumerate() {
        match instance.get_export(&mut *store, name).unwrap() {
            Extern::Global(global) => {
                let _ = write!(text, "{i} global");
                let value = global.get(&mut *store);
                print(text, &value);
                text.push('\n');
            }
            Extern::Memory(memory) => {
                let data = memory.data(&*store);
                let _ = writeln!(text, "{i} memory {} {:x}", data.len(), hash(data));
            }
            Extern::Table(table) => {
                let size = table.size(&*store);
                let elements: String = (0..size)
                    .map(|e| is_there(&table.get(&mut *store, e).unwrap()))
                    .collect();
                let _ = writeln!(text, "{i} table {size} {elements}");
            }
            _ => {}
        }
    }
    Some(instance)
}
