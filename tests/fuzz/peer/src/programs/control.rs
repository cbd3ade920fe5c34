//! Statements that are made by hand: control, calls, exceptions, references, wide arithmetic.
use super::{Body, UNTAMED};
use std::borrow::Cow;
use wasm_encoder::*;

impl Body<'_, '_> {
    pub fn structure(&mut self, nesting: u32) {
        let empty = BlockType::Empty;
        match self.random.below(6) {
            0 => {
                self.expression('i', 1);
                self.begin(Instruction::If(empty), true);
                self.statements(nesting);
                self.emit(Instruction::Else);
                self.statements(nesting);
                self.end();
            }
            1 => {
                self.begin(Instruction::Block(empty), true);
                self.statements(nesting);
                self.end();
            }
            2 => {
                (0..3).for_each(|_| self.begin(Instruction::Block(empty), true));
                self.expression('i', 1);
                self.emit(Instruction::I32Const(3));
                self.emit(Instruction::I32And);
                self.emit(Instruction::BrTable(Cow::Borrowed(&[0, 1, 2]), 1));
                for _ in 0..3 {
                    self.end();
                    self.statements(0);
                }
            }
            3 if !self.program.tags.is_empty() => self.try_table(nesting),
            _ if self.loops < 2 => {
                // A local of its own, which nothing else takes while the loop runs.
                let counter = self.scratch('i');
                let times = 1 + self.random.below(24) as i32;
                self.emit(Instruction::I32Const(times));
                self.emit(Instruction::LocalSet(counter));
                self.locals[counter as usize] = '-';
                self.loops += 1;
                self.begin(Instruction::Loop(empty), false);
                self.statements(nesting);
                self.emit(Instruction::LocalGet(counter));
                self.emit(Instruction::I32Const(1));
                self.emit(Instruction::I32Sub);
                self.emit(Instruction::LocalTee(counter));
                self.emit(Instruction::BrIf(0));
                self.end();
                self.loops -= 1;
                self.locals[counter as usize] = 'i';
            }
            _ => self.control(),
        }
    }

    fn try_table(&mut self, nesting: u32) {
        let tag = self.random.below(self.program.tags.len());
        let (all, with_ref) = (self.chance(3), self.chance(2));
        let mut caught = if all {
            vec![]
        } else {
            self.program.tags[tag].clone()
        };
        if with_ref {
            caught.push('e');
        }
        let tag_index = tag as u32;
        let catch = match (all, with_ref) {
            (false, false) => Catch::One {
                tag: tag_index,
                label: 0,
            },
            (false, true) => Catch::OneRef {
                tag: tag_index,
                label: 0,
            },
            (true, false) => Catch::All { label: 0 },
            (true, true) => Catch::AllRef { label: 0 },
        };
        let handler = self.program.add_type(&[], &caught);
        self.begin(Instruction::Block(BlockType::Empty), true);
        self.begin(Instruction::Block(BlockType::FunctionType(handler)), false);
        self.begin(
            Instruction::TryTable(BlockType::Empty, Cow::Owned(vec![catch])),
            true,
        );
        self.statements(nesting);
        self.call();
        self.throw(tag);
        self.end();
        self.emit(Instruction::Br(1));
        self.end();
        self.keep(&caught);
        if with_ref && self.chance(4) {
            self.seldom();
            self.begin(Instruction::If(BlockType::Empty), true);
            let local = self.local('e');
            self.emit(Instruction::LocalGet(local));
            self.emit(Instruction::ThrowRef);
            self.end();
        }
        self.end();
    }

    fn throw(&mut self, tag: usize) {
        self.expression('i', 1);
        self.begin(Instruction::If(BlockType::Empty), true);
        for ty in self.program.tags[tag].clone() {
            self.expression(ty, 1);
        }
        self.emit(Instruction::Throw(tag as u32));
        self.end();
    }

    /// Calls a later function, if there is one.
    fn call(&mut self) {
        let next = self.index + 1;
        if next >= self.program.functions.len() || self.loops > 1 {
            return;
        }
        let callee = next + self.random.below(self.program.functions.len() - next);
        self.call_to(callee, false);
        let results = self.program.functions[callee].results.clone();
        self.keep(&results);
    }
    fn call_to(&mut self, callee: usize, tail: bool) {
        for ty in self.program.functions[callee].params.clone() {
            self.expression(ty, 1);
        }
        let function_index = callee as u32;
        let type_index = self.program.functions[callee].ty;
        if self.chance(2) {
            // An element that is null, or none at all, hardly ever.
            let element = if self.chance(UNTAMED) {
                4 + self.random.below(9)
            } else {
                callee
            };
            self.emit(Instruction::I32Const(element as i32));
            self.emit(if tail {
                Instruction::ReturnCallIndirect {
                    type_index,
                    table_index: 0,
                }
            } else {
                Instruction::CallIndirect {
                    type_index,
                    table_index: 0,
                }
            });
        } else if tail {
            self.emit(Instruction::ReturnCall(function_index));
        } else {
            self.emit(Instruction::Call(function_index));
        }
    }

    pub fn control(&mut self) {
        match self.random.below(8) {
            0 => {
                if let Some(target) = self.target() {
                    self.seldom();
                    self.emit(Instruction::BrIf(target));
                }
            }
            1 => {
                if self.target().is_some() {
                    self.seldom();
                    self.begin(Instruction::If(BlockType::Empty), true);
                    let target = self.target().unwrap();
                    self.emit(Instruction::Br(target));
                    self.end();
                }
            }
            2 => {
                self.seldom();
                self.begin(Instruction::If(BlockType::Empty), true);
                for ty in self.program.functions[self.index].results.clone() {
                    self.expression(ty, 1);
                }
                self.emit(Instruction::Return);
                self.end();
            }
            3 if self.program.has("tail-call") => {
                let functions = &self.program.functions;
                let results = &functions[self.index].results;
                let callee = (self.index + 1..functions.len())
                    .find(|callee| functions[*callee].results == *results);
                if let Some(callee) = callee {
                    self.seldom();
                    self.begin(Instruction::If(BlockType::Empty), true);
                    self.call_to(callee, true);
                    self.end();
                }
            }
            4 if self.program.has("wide-arithmetic") => {
                let (params, instruction) = match self.random.below(4) {
                    0 => (4, Instruction::I64Add128),
                    1 => (4, Instruction::I64Sub128),
                    2 => (2, Instruction::I64MulWideS),
                    _ => (2, Instruction::I64MulWideU),
                };
                (0..params).for_each(|_| self.expression('l', 1));
                self.emit(instruction);
                self.keep(&['l', 'l']);
            }
            5 => {
                let memory = self.random.below(self.program.memories.len());
                let result = if self.program.memories[memory] {
                    'l'
                } else {
                    'i'
                };
                if self.chance(4) {
                    self.count(result == 'l', 2);
                    self.emit(Instruction::MemoryGrow(memory as u32));
                } else {
                    self.emit(Instruction::MemorySize(memory as u32));
                }
                self.keep(&[result]);
            }
            6 => self.emit(Instruction::Nop),
            _ => self.call(),
        }
    }

    pub fn references(&mut self) {
        let table = 1 + self.random.below(3);
        let is_64 = self.program.tables[table];
        let (ty, index) = (if table == 3 { 'x' } else { 'r' }, table as u32);
        match self.random.below(7) {
            0 | 1 => {
                self.expression(ty, 0);
                self.emit(Instruction::RefIsNull);
                self.keep(&['i']);
            }
            2 => {
                self.constant(ty);
                self.keep(&[ty]);
            }
            3 => {
                self.index(is_64, 8, 1);
                self.emit(Instruction::TableGet(index));
                self.keep(&[ty]);
            }
            4 => {
                self.index(is_64, 8, 1);
                self.expression(ty, 0);
                self.emit(Instruction::TableSet(index));
            }
            5 => {
                self.expression(ty, 0);
                self.count(is_64, 2);
                self.emit(Instruction::TableGrow(index));
                self.keep(&[if is_64 { 'l' } else { 'i' }]);
            }
            _ => {
                self.index(is_64, 4, 1);
                self.expression(ty, 0);
                self.count(is_64, 4);
                self.emit(Instruction::TableFill(index));
            }
        }
    }
}
