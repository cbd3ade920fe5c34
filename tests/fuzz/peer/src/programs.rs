//! Programs that execute every instruction of the engine's own table many times: wasm-smith's stop
//! early, and hardly contain what takes more than one operand.
//!
//! A statement takes a random instruction, makes its operands, and keeps the results in locals and
//! globals. Loops count down, and functions call later ones alone, so all of it ends. Addresses are
//! masked, divisors made odd and conversions made to fit, but for a few. Every NaN that an
//! instruction makes is replaced by the canonical one.
mod control;
mod edges;

use crate::random::Random;
use std::borrow::Cow;
use wasm_encoder::*;

/// A row of opcodes.def.
pub struct Op {
    prefix: u32,
    code: u32,
    text: String,
    immediate: String,
    params: Vec<char>,
    results: Vec<char>,
}

/// Of the runner's introduction.
pub fn ops(lines: &[String]) -> Vec<Op> {
    lines.iter().filter_map(|line| Op::parse(line)).collect()
}

impl Op {
    /// None: an instruction that is made by hand here.
    fn parse(line: &str) -> Option<Op> {
        let words: Vec<&str> = line.split(' ').collect();
        let ["op", prefix, code, text, immediate, signature] = words[..] else {
            return None;
        };
        let (params, results) = signature.split_once(':')?;
        let hex = |text| u32::from_str_radix(text, 16).ok();
        Some(Op {
            prefix: hex(prefix)?,
            code: hex(code)?,
            text: text.to_string(),
            immediate: immediate.to_string(),
            params: params.chars().collect(),
            results: results.chars().collect(),
        })
    }

    fn opcode(&self) -> Vec<u8> {
        if self.prefix == 0 {
            return vec![self.code as u8];
        }
        let mut bytes = vec![self.prefix as u8];
        self.code.encode(&mut bytes);
        bytes
    }

    /// A memarg, aligned to nothing.
    fn encode_access(bytes: &mut Vec<u8>, memory: usize, offset: u64) {
        match memory {
            0 => bytes.push(0),
            _ => [0x40, memory as u8]
                .iter()
                .for_each(|byte| bytes.push(*byte)),
        }
        offset.encode(bytes);
    }

    /// How many lanes an index tells apart.
    fn lanes(&self) -> usize {
        let shape = self
            .text
            .trim_start_matches("v128.load")
            .trim_start_matches("v128.store");
        match shape.trim_start_matches(['i', 'f']) {
            shape if shape.starts_with('8') => 16,
            shape if shape.starts_with("16") => 8,
            shape if shape.starts_with("32") => 4,
            _ => 2,
        }
    }
}

const NUMERIC: [char; 5] = ['i', 'l', 'f', 'd', 'v'];

fn val_type(ty: char) -> ValType {
    match ty {
        'i' => ValType::I32,
        'l' => ValType::I64,
        'f' => ValType::F32,
        'd' => ValType::F64,
        'v' => ValType::V128,
        'r' => ValType::FUNCREF,
        'x' => ValType::EXTERNREF,
        'e' => ValType::EXNREF,
        _ => unreachable!("no type {ty}"),
    }
}

fn val_types(types: &[char]) -> Vec<ValType> {
    types.iter().map(|ty| val_type(*ty)).collect()
}

struct Function {
    ty: u32,
    params: Vec<char>,
    results: Vec<char>,
}

/// What all functions of a module see.
struct Program<'a> {
    ops: &'a [Op],
    features: &'a [String],
    functions: Vec<Function>,
    /// 64-bit addresses?
    memories: Vec<bool>,
    /// Table 0 holds the functions and stays as it is; these are funcref, funcref, externref.
    tables: Vec<bool>,
    globals: Vec<char>,
    types: TypeSection,
    type_count: u32,
    tags: Vec<Vec<char>>,
}

impl Program<'_> {
    fn has(&self, feature: &str) -> bool {
        self.features.iter().any(|name| name == feature)
    }
    fn add_type(&mut self, params: &[char], results: &[char]) -> u32 {
        self.types
            .ty()
            .function(val_types(params), val_types(results));
        self.type_count += 1;
        self.type_count - 1
    }
}

/// One function's body.
struct Body<'a, 'b> {
    program: &'b mut Program<'a>,
    random: &'b mut Random,
    index: usize,
    code: wasm_encoder::Function,
    locals: Vec<char>,
    /// Whether a branch to the label, innermost last, goes forwards and takes no values.
    labels: Vec<bool>,
    loops: u32,
}

pub fn program(ops: &[Op], features: &[String], random: &mut Random) -> Vec<u8> {
    let mut program = Program {
        ops,
        features,
        functions: vec![],
        memories: vec![],
        tables: vec![],
        globals: vec![],
        types: TypeSection::new(),
        type_count: 0,
        tags: vec![],
    };
    let numeric = if program.has("simd") {
        &NUMERIC[..]
    } else {
        &NUMERIC[..4]
    };
    let some = |random: &mut Random, most: usize| -> Vec<char> {
        (0..random.below(most + 1))
            .map(|_| numeric[random.below(numeric.len())])
            .collect()
    };
    let results = [some(random, 2), some(random, 3)];
    for _ in 0..3 {
        let params = some(random, 5);
        let results = results[random.below(2)].clone();
        let ty = program.add_type(&params, &results);
        program.functions.push(Function {
            ty,
            params,
            results,
        });
    }
    let mut functions = FunctionSection::new();
    program.functions.iter().for_each(|function| {
        functions.function(function.ty);
    });

    let mut tables = TableSection::new();
    for element in [
        RefType::FUNCREF,
        RefType::FUNCREF,
        RefType::FUNCREF,
        RefType::EXTERNREF,
    ] {
        let table64 = !program.tables.is_empty() && program.has("memory64") && random.below(2) == 0;
        program.tables.push(table64);
        let (minimum, maximum) = (10, Some(12));
        tables.table(TableType {
            element_type: element,
            table64,
            minimum,
            maximum,
            shared: false,
        });
    }
    let mut memories = MemorySection::new();
    for _ in 0..if program.has("multi-memory") {
        1 + random.below(3)
    } else {
        1
    } {
        let memory64 = program.has("memory64") && random.below(3) == 0;
        let bytes = program.has("custom-page-sizes") && random.below(4) == 0;
        program.memories.push(memory64);
        memories.memory(MemoryType {
            minimum: if bytes { 65_500 } else { 1 },
            maximum: Some(if bytes { 65_520 } else { 2 }),
            memory64,
            shared: false,
            page_size_log2: bytes.then_some(0),
        });
    }
    let mut tags = TagSection::new();
    if program.has("exception-handling") {
        for params in [vec![], vec!['i'], some(random, 4)] {
            let func_type_idx = program.add_type(&params, &[]);
            tags.tag(TagType {
                kind: TagKind::Exception,
                func_type_idx,
            });
            program.tags.push(params);
        }
    }
    let mut globals = GlobalSection::new();
    for ty in numeric {
        let init = match ty {
            'i' => ConstExpr::i32_const(random.next() as i32),
            'l' => ConstExpr::i64_const(random.next() as i64),
            'f' => ConstExpr::f32_const((random.next() as i16 as f32).into()),
            'd' => ConstExpr::f64_const((random.next() as i32 as f64).into()),
            _ => ConstExpr::v128_const(random.next() as i128),
        };
        program.globals.push(*ty);
        globals.global(
            GlobalType {
                val_type: val_type(*ty),
                mutable: true,
                shared: false,
            },
            &init,
        );
    }
    let mut exports = ExportSection::new();
    let mut export = |kind, name: &str, count| {
        (0..count as u32).for_each(|i| {
            exports.export(&format!("{name}{i}"), kind, i);
        })
    };
    export(ExportKind::Func, "f", program.functions.len());
    export(ExportKind::Table, "t", program.tables.len());
    export(ExportKind::Memory, "m", program.memories.len());
    export(ExportKind::Global, "g", program.globals.len());
    let mut elements = ElementSection::new();
    let all: Vec<u32> = (0..program.functions.len() as u32).collect();
    elements.active(
        None,
        &ConstExpr::i32_const(0),
        Elements::Functions(Cow::Borrowed(&all)),
    );
    for _ in 0..2 {
        elements.passive(Elements::Functions(Cow::Owned(vec![
            0, 1, 2, 1, 0, 2, 2, 1,
        ])));
    }
    let mut data = DataSection::new();
    data.active(0, &address(program.memories[0], 1000), random.bytes(256));
    data.passive(random.bytes(64));
    data.passive(random.bytes(64));

    let mut code = CodeSection::new();
    for index in 0..program.functions.len() {
        code.function(&Body::make(&mut program, random, index));
    }
    let mut module = Module::new();
    module
        .section(&program.types)
        .section(&functions)
        .section(&tables)
        .section(&memories);
    if !program.tags.is_empty() {
        module.section(&tags);
    }
    module
        .section(&globals)
        .section(&exports)
        .section(&elements);
    module
        .section(&DataCountSection { count: 3 })
        .section(&code)
        .section(&data);
    module.finish()
}

fn address(is_64: bool, value: i32) -> ConstExpr {
    if is_64 {
        ConstExpr::i64_const(value as i64)
    } else {
        ConstExpr::i32_const(value)
    }
}

/// One in so many operands is left as it comes, so that some instructions trap.
const UNTAMED: usize = 400;

impl<'a> Body<'a, '_> {
    fn make(
        program: &mut Program<'a>,
        random: &mut Random,
        index: usize,
    ) -> wasm_encoder::Function {
        let mut kinds: Vec<char> = program.globals.clone();
        kinds.extend(['r', 'x']);
        if program.has("exception-handling") {
            kinds.push('e');
        }
        // Three to work with, and one to canonicalise a NaN or to count in.
        let declared: Vec<char> = kinds.iter().flat_map(|ty| [*ty; 4]).collect();
        let mut locals = program.functions[index].params.clone();
        locals.extend(&declared);
        let code = wasm_encoder::Function::new(kinds.iter().map(|ty| (4, val_type(*ty))));
        let mut body = Body {
            program,
            random,
            index,
            code,
            locals,
            labels: vec![true],
            loops: 0,
        };
        body.statements(3);
        body.statements(3);
        for ty in body.program.functions[index].results.clone() {
            body.expression(ty, 2);
        }
        body.emit(Instruction::End);
        body.code
    }

    fn emit(&mut self, instruction: Instruction<'_>) {
        self.code.instruction(&instruction);
    }
    fn chance(&mut self, one_in: usize) -> bool {
        self.random.below(one_in) == 0
    }
    /// The last local of a type is scratch.
    fn scratch(&self, ty: char) -> u32 {
        self.locals
            .iter()
            .rposition(|other| *other == ty)
            .expect("a local") as u32
    }
    fn local(&mut self, ty: char) -> u32 {
        let scratch = self.scratch(ty) as usize;
        let all: Vec<usize> = (0..self.locals.len())
            .filter(|i| self.locals[*i] == ty && *i != scratch)
            .collect();
        all[self.random.below(all.len())] as u32
    }
    fn global(&self, ty: char) -> Option<u32> {
        self.program
            .globals
            .iter()
            .position(|other| *other == ty)
            .map(|index| index as u32)
    }

    /// Takes the values of these types from the stack.
    fn keep(&mut self, types: &[char]) {
        for ty in types.iter().rev() {
            let global = self.global(*ty);
            match self.random.below(8) {
                0 => self.emit(Instruction::Drop),
                1 if global.is_some() => self.emit(Instruction::GlobalSet(global.unwrap())),
                2 => {
                    let local = self.local(*ty);
                    self.emit(Instruction::LocalTee(local));
                    self.emit(Instruction::Drop);
                }
                _ => {
                    let local = self.local(*ty);
                    self.emit(Instruction::LocalSet(local));
                }
            }
        }
    }

    fn constant(&mut self, ty: char) {
        let bits = crate::outcome::fuzz_bits(self.random.next());
        let wide = self.random.below(2) == 0;
        match ty {
            'i' => self.emit(Instruction::I32Const(bits as i32)),
            'l' => self.emit(Instruction::I64Const(bits as i64)),
            'f' if wide => self.emit(Instruction::F32Const(Ieee32::new(bits as u32))),
            'f' => self.emit(Instruction::F32Const((bits as i16 as f32 / 4.0).into())),
            'd' if wide => self.emit(Instruction::F64Const(Ieee64::new(bits))),
            'd' => self.emit(Instruction::F64Const((bits as i32 as f64 / 4.0).into())),
            'v' => {
                let high = self.random.next();
                self.emit(Instruction::V128Const(
                    (bits as u128 | (high as u128) << 64) as i128,
                ));
            }
            'r' if wide => {
                let function = self.random.below(self.program.functions.len());
                self.emit(Instruction::RefFunc(function as u32));
            }
            'r' => self.emit(Instruction::RefNull(HeapType::FUNC)),
            'x' => self.emit(Instruction::RefNull(HeapType::EXTERN)),
            _ => self.emit(Instruction::RefNull(HeapType::Abstract {
                shared: false,
                ty: AbstractHeapType::Exn,
            })),
        }
    }

    /// Leaves a value of the type on the stack.
    fn expression(&mut self, ty: char, depth: u32) {
        let global = self.global(ty);
        if depth > 0 && global.is_some() && !self.chance(3) {
            if self.chance(10) {
                self.expression(ty, depth - 1);
                self.expression(ty, 0);
                self.expression('i', depth - 1);
                if self.chance(2) {
                    self.emit(Instruction::TypedSelect(val_type(ty)));
                } else {
                    self.emit(Instruction::Select);
                }
                return;
            }
            let ops = self.program.ops;
            let fits = |op: &&Op| op.results == [ty];
            let count = ops.iter().filter(fits).count();
            let chosen = self.random.below(count);
            let op = ops.iter().filter(fits).nth(chosen).unwrap();
            return self.operation(op, depth - 1);
        }
        match self.random.below(8) {
            0 | 1 => self.constant(ty),
            2 if global.is_some() => self.emit(Instruction::GlobalGet(global.unwrap())),
            _ => {
                let local = self.local(ty);
                self.emit(Instruction::LocalGet(local));
            }
        }
    }

    /// An i32 or i64 below `bound`, a power of two.
    fn index(&mut self, is_64: bool, bound: i32, depth: u32) {
        self.expression('i', depth);
        if !self.chance(UNTAMED) {
            self.emit(Instruction::I32Const(bound - 1));
            self.emit(Instruction::I32And);
        }
        if is_64 {
            self.emit(Instruction::I64ExtendI32U);
        }
    }
    fn count(&mut self, is_64: bool, bound: usize) {
        let count = self.random.below(bound) as i32;
        self.emit(if is_64 {
            Instruction::I64Const(count as i64)
        } else {
            Instruction::I32Const(count)
        });
    }

    /// The instruction with its operands.
    fn operation(&mut self, op: &'a Op, depth: u32) {
        let memory = self.random.below(self.program.memories.len());
        let is_64 = self.program.memories[memory];
        // Of those that may change.
        let table = 1 + self.random.below(2);
        let table_64 = self.program.tables[table];
        let is_bulk = op.prefix == 0xfc && (0x08..=0x11).contains(&op.code);
        let tame = !self.chance(UNTAMED);
        for (i, ty) in op.params.iter().enumerate() {
            match ty {
                'a' if is_bulk && i == 2 => self.count(is_64, 40),
                't' if is_bulk && i == 2 => self.count(table_64, 4),
                'a' => self.index(is_64, 0x4000, depth),
                't' => self.index(table_64, 4, depth),
                'i' if is_bulk && op.immediate.ends_with("Init") => self.count(false, 5),
                _ if tame && op.text.contains(".trunc_f") && op.prefix == 0 => {
                    self.index(false, 0x10000, depth);
                    self.emit(if *ty == 'f' {
                        Instruction::F32ConvertI32U
                    } else {
                        Instruction::F64ConvertI32U
                    });
                }
                _ if op.text.contains("madd") => {
                    // Small integers: rounded once or twice, which both are right, is the same.
                    self.expression('v', depth);
                    self.emit(Instruction::V128Const(0xff_0000_00ff_0000_00ff_0000_00ff));
                    self.emit(Instruction::V128And);
                    self.emit(if op.text.starts_with("f32") {
                        Instruction::F32x4ConvertI32x4S
                    } else {
                        Instruction::F64x2ConvertLowI32x4S
                    });
                }
                _ if op.text.contains("relaxed_dot") && i == 1 => {
                    // Not -128: the sum of two of its squares saturates, but wraps in wasmtime.
                    self.expression('v', depth);
                    self.emit(Instruction::V128Const(
                        0x8181_8181_8181_8181_8181_8181_8181_8181_u128 as i128,
                    ));
                    self.emit(Instruction::I8x16MaxS);
                }
                _ => {
                    self.expression(*ty, depth);
                    let divides = op.text.contains(".div_") || op.text.contains(".rem_");
                    if divides && i == 1 && tame && *ty == 'i' {
                        self.emit(Instruction::I32Const(1));
                        self.emit(Instruction::I32Or);
                    } else if divides && i == 1 && tame && *ty == 'l' {
                        self.emit(Instruction::I64Const(1));
                        self.emit(Instruction::I64Or);
                    }
                }
            }
        }
        let mut bytes = op.opcode();
        let segment = if self.chance(8) { 2u32 } else { 1 };
        match op.immediate.as_str() {
            "None" => {}
            "MemArg" | "MemArgLane" => {
                let bits = if self.chance(UNTAMED) {
                    32
                } else {
                    1 + self.random.below(14)
                };
                let offset = self.random.next() & ((1 << bits) - 1);
                Op::encode_access(&mut bytes, memory, offset);
                if op.immediate == "MemArgLane" {
                    bytes.push(self.random.below(op.lanes()) as u8);
                }
            }
            "Lane" => bytes.push(self.random.below(op.lanes()) as u8),
            "Lanes" => (0..16).for_each(|_| bytes.push(self.random.below(32) as u8)),
            "MemoryIndex" => (memory as u32).encode(&mut bytes),
            "MemoryCopy" => [memory as u32; 2].iter().for_each(|i| i.encode(&mut bytes)),
            "MemoryInit" => [segment, memory as u32]
                .iter()
                .for_each(|i| i.encode(&mut bytes)),
            "TableIndex" => (table as u32).encode(&mut bytes),
            "TableCopy" => [table as u32; 2].iter().for_each(|i| i.encode(&mut bytes)),
            "TableInit" => [segment, table as u32]
                .iter()
                .for_each(|i| i.encode(&mut bytes)),
            "DataIndex" | "ElemIndex" => 2u32.encode(&mut bytes),
            "I32" | "I64" | "F32" | "F64" | "V128" => return self.constant(op.results[0]),
            other => unreachable!("an immediate {other} in {}", op.text),
        }
        self.code.raw(bytes);
        if op.results == ['t'] && table_64 {
            self.emit(Instruction::I32WrapI64);
        }
        self.canonicalise(op);
    }

    fn canonicalise(&mut self, op: &Op) {
        let makes_nans = ["f32", "f64"]
            .iter()
            .any(|shape| op.text.starts_with(shape));
        if !makes_nans || op.text.contains(".load") {
            return;
        }
        let [ty @ ('f' | 'd' | 'v')] = op.results[..] else {
            return;
        };
        let local = self.scratch(ty);
        let twice = [Instruction::LocalGet(local), Instruction::LocalGet(local)];
        self.emit(Instruction::LocalTee(local));
        const NAN: u64 = 0x7ff8000000000000;
        let [nan, equal, choose] = match ty {
            'f' => [
                Instruction::F32Const(Ieee32::new(0x7fc00000)),
                Instruction::F32Eq,
                Instruction::Select,
            ],
            'd' => [
                Instruction::F64Const(Ieee64::new(NAN)),
                Instruction::F64Eq,
                Instruction::Select,
            ],
            _ if op.text.starts_with("f32") => [
                Instruction::V128Const(0x7fc000007fc000007fc000007fc00000),
                Instruction::F32x4Eq,
                Instruction::V128Bitselect,
            ],
            _ => [
                Instruction::V128Const((NAN as i128) << 64 | NAN as i128),
                Instruction::F64x2Eq,
                Instruction::V128Bitselect,
            ],
        };
        self.emit(nan);
        twice.into_iter().for_each(|get| self.emit(get));
        self.emit(equal);
        self.emit(choose);
    }

    fn begin(&mut self, instruction: Instruction<'_>, forwards: bool) {
        self.emit(instruction);
        self.labels.push(forwards);
    }
    fn end(&mut self) {
        self.labels.pop();
        self.emit(Instruction::End);
    }
    /// A label to branch to without values.
    fn target(&mut self) -> Option<u32> {
        let targets: Vec<usize> = (1..self.labels.len()).filter(|i| self.labels[*i]).collect();
        if targets.is_empty() {
            return None;
        }
        let target = targets[self.random.below(targets.len())];
        Some((self.labels.len() - 1 - target) as u32)
    }
    /// True one time in about 16.
    fn seldom(&mut self) {
        self.expression('i', 1);
        self.emit(Instruction::I32Const(15));
        self.emit(Instruction::I32And);
        self.emit(Instruction::I32Eqz);
    }

    fn statements(&mut self, nesting: u32) {
        for _ in 0..2 + self.random.below(4) {
            match self.random.below(10) {
                0 | 1 if nesting > 0 => self.structure(nesting - 1),
                2 => self.control(),
                3 => self.references(),
                4 if self.chance(2) => {
                    // It may well trap: seldom where it would be again and again.
                    if self.loops > 0 {
                        self.seldom();
                        self.begin(Instruction::If(BlockType::Empty), true);
                        self.edges();
                        self.end();
                    } else if self.chance(3) {
                        self.edges();
                    }
                }
                _ => {
                    let ops = self.program.ops;
                    let op = &ops[self.random.below(ops.len())];
                    self.operation(op, 1);
                    let results: Vec<char> = op
                        .results
                        .iter()
                        .map(|ty| if *ty == 't' { 'i' } else { *ty })
                        .collect();
                    self.keep(&results);
                }
            }
        }
    }
}
