//! Accesses about the end of a memory through one local, which changes in between: what a compiler
//! remembers of an address that it has checked, it has to forget again.
use super::{Body, Op};
use wasm_encoder::Instruction;

impl<'a> Body<'a, '_> {
    pub fn edges(&mut self) {
        let memory = self.random.below(self.program.memories.len());
        let is_64 = self.program.memories[memory];
        let address = if is_64 { 'l' } else { 'i' };
        let local = self.local(address);
        self.set_address(local, is_64);
        let ops = self.program.ops;
        let accesses: Vec<&'a Op> = ops
            .iter()
            .filter(|op| op.immediate.starts_with("MemArg"))
            .collect();
        for _ in 0..2 + self.random.below(4) {
            let op = accesses[self.random.below(accesses.len())];
            for ty in &op.params {
                match ty {
                    'a' => self.emit(Instruction::LocalGet(local)),
                    _ => self.expression(*ty, 0),
                }
            }
            let mut bytes = op.opcode();
            Op::encode_access(&mut bytes, memory, self.offset());
            if op.immediate == "MemArgLane" {
                bytes.push(self.random.below(op.lanes()) as u8);
            }
            self.code.raw(bytes);
            self.keep(&op.results);
            if self.chance(2) {
                self.set_address(local, is_64);
            }
        }
    }

    /// Small, about the end of the first page, any in it, or further than before.
    fn set_address(&mut self, local: u32, is_64: bool) {
        let add = self.random.below(64) as i32;
        match self.random.below(8) {
            0 => self.count(is_64, 65_536),
            1 => {
                self.emit(Instruction::LocalGet(local));
                self.count(is_64, 4096);
                self.emit(if is_64 {
                    Instruction::I64Add
                } else {
                    Instruction::I32Add
                });
            }
            2 => {
                let end = 65_472 + add;
                self.emit(if is_64 {
                    Instruction::I64Const(end as i64)
                } else {
                    Instruction::I32Const(end)
                });
            }
            3 => self.index(is_64, 0x10000, 1),
            _ => self.index(is_64, 64, 1),
        }
        self.emit(Instruction::LocalSet(local));
    }

    fn offset(&mut self) -> u64 {
        match self.random.below(8) {
            0 => 65_400 + self.random.below(80) as u64,
            1 => self.random.below(65_400) as u64,
            _ => self.random.below(32) as u64,
        }
    }
}
