//! How often each opcode is executed: a module is rewritten so that it counts its own instructions,
//! each in a global of its own, and run.
use crate::outcome;
use std::collections::HashMap;
use std::convert::Infallible;
use wasm_encoder::reencode::{utils, Error, Reencode};
use wasm_encoder::{CodeSection, ConstExpr, ExportKind, ExportSection, GlobalSection, GlobalType};
use wasmparser::{FunctionBody, Operator, Parser, Payload, TypeRef, WasmFeatures};

/// What a module has to execute, and how often an opcode has to be executed, to count as fuzzed.
pub const ENOUGH: u64 = 1000;

/// Unlike what any generator calls its exports.
fn counter_name(index: u32) -> String {
    format!("counter of opcode {index}")
}

/// Adds the instructions that count. All counters are exported.
struct Rewriter {
    /// Opcodes of the module, and which of the counters is theirs.
    opcodes: HashMap<&'static str, u32>,
    /// Globals that the module has without counters.
    globals: u32,
}

impl Reencode for Rewriter {
    type Error = Infallible;

    fn parse_global_section(
        &mut self,
        globals: &mut GlobalSection,
        section: wasmparser::GlobalSectionReader<'_>,
    ) -> Result<(), Error<Infallible>> {
        utils::parse_global_section(self, globals, section)?;
        let counter = GlobalType {
            val_type: wasm_encoder::ValType::I64,
            mutable: true,
            shared: false,
        };
        for _ in 0..self.opcodes.len() {
            globals.global(counter, &ConstExpr::i64_const(0));
        }
        Ok(())
    }

    fn parse_export_section(
        &mut self,
        exports: &mut ExportSection,
        section: wasmparser::ExportSectionReader<'_>,
    ) -> Result<(), Error<Infallible>> {
        utils::parse_export_section(self, exports, section)?;
        for i in 0..self.opcodes.len() as u32 {
            exports.export(&counter_name(i), ExportKind::Global, self.globals + i);
        }
        Ok(())
    }

    fn parse_function_body(
        &mut self,
        code: &mut CodeSection,
        body: FunctionBody<'_>,
    ) -> Result<(), Error<Infallible>> {
        let mut function = self.new_function_with_parsed_locals(&body)?;
        let mut reader = body.get_operators_reader()?;
        while !reader.eof() {
            let operator = reader.read()?;
            let counter = self.globals + self.opcodes[name(&operator)];
            function
                .instructions()
                .global_get(counter)
                .i64_const(1)
                .i64_add()
                .global_set(counter);
            function.instruction(&self.instruction(operator)?);
        }
        code.function(&function);
        Ok(())
    }
}

macro_rules! define_names {
    ($(@$proposal:ident $op:ident $({ $($arg:ident: $argty:ty),* })? => $visit:ident ($($ann:tt)*))*) => {
        pub fn name(operator: &Operator<'_>) -> &'static str {
            match operator {
                $(Operator::$op { .. } => stringify!($op),)*
                _ => "?",
            }
        }
        /// Every opcode and its proposal.
        const OPCODES: &[(&str, &str)] = &[$((stringify!($op), stringify!($proposal)),)*];
    };
}
wasmparser::for_each_operator!(define_names);

fn has(features: WasmFeatures, proposal: &str) -> bool {
    match proposal {
        "mvp" => true,
        "sign_extension" => features.contains(WasmFeatures::SIGN_EXTENSION),
        "saturating_float_to_int" => features.contains(WasmFeatures::SATURATING_FLOAT_TO_INT),
        "bulk_memory" => features.contains(WasmFeatures::BULK_MEMORY),
        "reference_types" => features.contains(WasmFeatures::REFERENCE_TYPES),
        "simd" => features.contains(WasmFeatures::SIMD),
        "relaxed_simd" => features.contains(WasmFeatures::RELAXED_SIMD),
        "tail_call" => features.contains(WasmFeatures::TAIL_CALL),
        "exceptions" => features.contains(WasmFeatures::EXCEPTIONS),
        "wide_arithmetic" => features.contains(WasmFeatures::WIDE_ARITHMETIC),
        "function_references" => features.contains(WasmFeatures::FUNCTION_REFERENCES),
        "gc" => features.contains(WasmFeatures::GC),
        "threads" => features.contains(WasmFeatures::THREADS),
        _ => false,
    }
}

fn rewritten(bytes: &[u8]) -> Option<(Vec<u8>, HashMap<&'static str, u32>)> {
    let mut rewriter = Rewriter {
        opcodes: HashMap::new(),
        globals: 0,
    };
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.ok()? {
            Payload::ImportSection(section) => {
                let imports = section.into_imports().map_while(Result::ok);
                rewriter.globals += imports
                    .filter(|import| matches!(import.ty, TypeRef::Global(_)))
                    .count() as u32;
            }
            Payload::GlobalSection(section) => rewriter.globals += section.count(),
            Payload::CodeSectionEntry(body) => {
                for operator in body.get_operators_reader().ok()? {
                    let next = rewriter.opcodes.len() as u32;
                    rewriter
                        .opcodes
                        .entry(name(&operator.ok()?))
                        .or_insert(next);
                }
            }
            _ => {}
        }
    }
    let mut module = wasm_encoder::Module::new();
    rewriter
        .parse_core_module(&mut module, Parser::new(0), bytes)
        .ok()?;
    Some((module.finish(), rewriter.opcodes))
}

#[derive(Default)]
pub struct Counts {
    sampled: u64,
    enough: u64,
    by_opcode: HashMap<&'static str, u64>,
}

impl Counts {
    /// Runs the module once more, counting. `text` is what it does without.
    pub fn add(&mut self, engine: &wasmtime::Engine, bytes: &[u8], text: &str) {
        let Some((module, opcodes)) = rewritten(bytes) else {
            return;
        };
        let mut counted = outcome::outcome(engine, &module);
        // Frames are larger: a module that ends with its stack may do so earlier, and says little.
        if text.ends_with("exhausted\n") || counted.text.ends_with("exhausted\n") {
            return;
        }
        assert!(
            counted.text.starts_with(text),
            "counting changed the module: {}",
            counted.text
        );
        self.sampled += 1;
        let Some(instance) = counted.instance else {
            return;
        };
        let mut total = 0;
        for (name, counter) in opcodes {
            let global = instance
                .get_global(&mut counted.store, &counter_name(counter))
                .unwrap();
            let count = global.get(&mut counted.store).unwrap_i64() as u64;
            *self.by_opcode.entry(name).or_default() += count;
            total += count;
        }
        self.enough += (total >= ENOUGH) as u64;
    }

    pub fn print(&self, features: WasmFeatures) {
        let opcodes: Vec<&str> = OPCODES
            .iter()
            // A select of several types is valid nowhere.
            .filter(|(name, proposal)| has(features, proposal) && *name != "TypedSelectMulti")
            .map(|(name, _)| *name)
            .collect();
        let count = |name: &str| self.by_opcode.get(name).copied().unwrap_or(0);
        let rare: Vec<String> = opcodes
            .iter()
            .filter(|name| count(name) < ENOUGH)
            .map(|name| format!("{name} {}", count(name)))
            .collect();
        println!(
            "counted {} modules: {} ({:.0} %) execute {ENOUGH} instructions; {} of {} opcodes executed \
             {ENOUGH} times{}{}",
            self.sampled,
            self.enough,
            self.enough as f64 * 100.0 / self.sampled.max(1) as f64,
            opcodes.len() - rare.len(),
            opcodes.len(),
            if rare.is_empty() { "" } else { ", not " },
            rare.join(", ")
        );
    }
}
