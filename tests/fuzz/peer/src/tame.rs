//! Any valid module, rewritten so that two engines must agree on what it does: it ends by itself,
//! NaNs are canonical, memories and tables stay small.
use crate::count::name;
use std::convert::Infallible;
use wasm_encoder::reencode::{utils, Error, Reencode};
use wasm_encoder::*;
use wasmparser::{FunctionBody, Operator, Parser, Payload, TypeRef};

/// Function entries and turns of loops before the module traps.
const FUEL: i32 = 3000;
const MOST_MEMORY_BYTES: u64 = 8 << 16;
const MOST_TABLE_ELEMENTS: u64 = 1000;

#[derive(Default)]
struct Tamer {
    /// Index of the first global that is added, which holds the fuel.
    fuel: u32,
    has_globals: bool,
    /// Something that no rewriting makes small, or that has more than one right answer.
    hopeless: bool,
}

fn limit(minimum: u64, maximum: Option<u64>, most: u64, hopeless: &mut bool) -> Option<u64> {
    *hopeless |= minimum > most;
    Some(maximum.unwrap_or(most).min(most).max(minimum))
}

impl Tamer {
    fn add_fuel(&mut self, globals: &mut GlobalSection) {
        let mut add = |val_type, init| {
            globals.global(
                GlobalType {
                    val_type,
                    mutable: true,
                    shared: false,
                },
                &init,
            );
        };
        add(ValType::I32, ConstExpr::i32_const(FUEL));
        add(ValType::F32, ConstExpr::f32_const(0.0.into()));
        add(ValType::F64, ConstExpr::f64_const(0.0.into()));
        add(ValType::V128, ConstExpr::v128_const(0));
    }

    /// Through the global behind the fuel that has the value's type.
    fn canonicalise(&self, function: &mut Function, kind: usize) {
        let global = self.fuel + 1 + kind.min(2) as u32;
        let mut code = function.instructions();
        code.global_set(global).global_get(global);
        match kind {
            0 => code.f32_const(Ieee32::new(0x7fc00000)),
            1 => code.f64_const(Ieee64::new(0x7ff8000000000000)),
            2 => code.v128_const(0x7fc000007fc000007fc000007fc00000),
            _ => code.v128_const(0x7ff80000000000007ff8000000000000),
        };
        code.global_get(global).global_get(global);
        match kind {
            0 => code.f32_eq().select(),
            1 => code.f64_eq().select(),
            2 => code.f32x4_eq().v128_bitselect(),
            _ => code.f64x2_eq().v128_bitselect(),
        };
    }

    fn burn(&self, function: &mut Function) {
        function
            .instructions()
            .global_get(self.fuel)
            .i32_const(1)
            .i32_sub()
            .global_set(self.fuel)
            .global_get(self.fuel)
            .i32_eqz()
            .if_(BlockType::Empty)
            .i32_const(1)
            .global_set(self.fuel)
            .unreachable()
            .end();
    }
}

/// Which NaNs the operator makes: f32, f64, f32x4, f64x2.
fn nan_kind(operator: &Operator<'_>) -> Option<usize> {
    let (kind, operation) = match name(operator) {
        name if name.starts_with("F32x4") => (2, &name[5..]),
        name if name.starts_with("F64x2") => (3, &name[5..]),
        name if name.starts_with("F32") => (0, &name[3..]),
        name if name.starts_with("F64") => (1, &name[3..]),
        _ => return None,
    };
    let arithmetic = [
        "Ceil",
        "Floor",
        "Trunc",
        "Nearest",
        "Sqrt",
        "Add",
        "Sub",
        "Mul",
        "Div",
        "Min",
        "Max",
        "PMin",
        "PMax",
        "DemoteF64",
        "PromoteF32",
        "DemoteF64x2Zero",
        "PromoteLowF32x4",
        "RelaxedMin",
        "RelaxedMax",
    ];
    arithmetic.contains(&operation).then_some(kind)
}

impl Reencode for Tamer {
    type Error = Infallible;

    fn memory_type(&mut self, ty: wasmparser::MemoryType) -> Result<MemoryType, Error<Infallible>> {
        let page = ty.page_size_log2.unwrap_or(16);
        let most = MOST_MEMORY_BYTES >> page;
        let maximum = limit(ty.initial, ty.maximum, most, &mut self.hopeless);
        Ok(utils::memory_type(
            self,
            wasmparser::MemoryType { maximum, ..ty },
        ))
    }

    fn table_type(&mut self, ty: wasmparser::TableType) -> Result<TableType, Error<Infallible>> {
        let maximum = limit(
            ty.initial,
            ty.maximum,
            MOST_TABLE_ELEMENTS,
            &mut self.hopeless,
        );
        utils::table_type(self, wasmparser::TableType { maximum, ..ty })
    }

    fn parse_global_section(
        &mut self,
        globals: &mut GlobalSection,
        section: wasmparser::GlobalSectionReader<'_>,
    ) -> Result<(), Error<Infallible>> {
        utils::parse_global_section(self, globals, section)?;
        self.add_fuel(globals);
        Ok(())
    }

    fn intersperse_section_hook(
        &mut self,
        module: &mut Module,
        _after: Option<SectionId>,
        before: Option<SectionId>,
    ) -> Result<(), Error<Infallible>> {
        use SectionId::{Code, Data, DataCount, Element, Export, Start};
        let behind = [
            Some(Export),
            Some(Start),
            Some(Element),
            Some(DataCount),
            Some(Code),
            Some(Data),
        ];
        if !self.has_globals && (before.is_none() || behind.contains(&before)) {
            self.has_globals = true;
            let mut globals = GlobalSection::new();
            self.add_fuel(&mut globals);
            module.section(&globals);
        }
        Ok(())
    }

    fn parse_function_body(
        &mut self,
        code: &mut CodeSection,
        body: FunctionBody<'_>,
    ) -> Result<(), Error<Infallible>> {
        let mut function = self.new_function_with_parsed_locals(&body)?;
        self.burn(&mut function);
        let mut reader = body.get_operators_reader()?;
        while !reader.eof() {
            let operator = reader.read()?;
            let is_loop = matches!(operator, Operator::Loop { .. });
            let nan = nan_kind(&operator);
            // Rounded once or twice: both are right.
            self.hopeless |= name(&operator).contains("RelaxedMadd");
            self.hopeless |= name(&operator).contains("RelaxedNmadd");
            function.instruction(&self.instruction(operator)?);
            if is_loop {
                self.burn(&mut function);
            }
            if let Some(kind) = nan {
                self.canonicalise(&mut function, kind);
            }
        }
        code.function(&function);
        Ok(())
    }
}

/// None: the module is not valid, or cannot be tamed.
pub fn tamed(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut tamer = Tamer::default();
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.ok()? {
            Payload::ImportSection(section) => {
                let imports = section.into_imports().map_while(Result::ok);
                tamer.fuel += imports
                    .filter(|import| matches!(import.ty, TypeRef::Global(_)))
                    .count() as u32;
            }
            Payload::GlobalSection(section) => {
                tamer.fuel += section.count();
                tamer.has_globals = true;
            }
            _ => {}
        }
    }
    let mut module = Module::new();
    tamer
        .parse_core_module(&mut module, Parser::new(0), bytes)
        .ok()?;
    (!tamer.hopeless).then(|| module.finish())
}
