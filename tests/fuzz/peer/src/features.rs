//! The proposals that the engine under test supports, in the words of the crates.
use crate::random::Random;
use wasmparser::WasmFeatures;

pub fn of_parser(names: &[String]) -> WasmFeatures {
    let mut features = WasmFeatures::FLOATS | WasmFeatures::GC_TYPES;
    for name in names {
        features |= match name.as_str() {
            "mutable-globals" => WasmFeatures::MUTABLE_GLOBAL,
            "sign-extension" => WasmFeatures::SIGN_EXTENSION,
            "saturating-float-to-int" => WasmFeatures::SATURATING_FLOAT_TO_INT,
            "multi-value" => WasmFeatures::MULTI_VALUE,
            "bulk-memory" => WasmFeatures::BULK_MEMORY | WasmFeatures::BULK_MEMORY_OPT,
            "reference-types" => {
                WasmFeatures::REFERENCE_TYPES | WasmFeatures::CALL_INDIRECT_OVERLONG
            }
            "simd" => WasmFeatures::SIMD,
            "relaxed-simd" => WasmFeatures::RELAXED_SIMD,
            "tail-call" => WasmFeatures::TAIL_CALL,
            "extended-const" => WasmFeatures::EXTENDED_CONST,
            "multi-memory" => WasmFeatures::MULTI_MEMORY,
            "memory64" => WasmFeatures::MEMORY64,
            "exception-handling" => WasmFeatures::EXCEPTIONS,
            "legacy-exceptions" => WasmFeatures::LEGACY_EXCEPTIONS,
            "function-references" => WasmFeatures::FUNCTION_REFERENCES,
            "gc" => WasmFeatures::GC,
            "threads" => WasmFeatures::THREADS,
            "custom-page-sizes" => WasmFeatures::CUSTOM_PAGE_SIZES,
            "wide-arithmetic" => WasmFeatures::WIDE_ARITHMETIC,
            _ => WasmFeatures::empty(),
        };
    }
    features
}

/// Modules that run for a while, do not need much memory, and have one answer: NaNs are canonical,
/// and the sizes that memories and tables may grow to are their types'.
pub fn of_generator(names: &[String], random: &mut Random) -> wasm_smith::Config {
    let has = |name: &str| names.iter().any(|other| other == name);
    let many = |feature: &str, count: usize| if has(feature) { count } else { 1 };
    wasm_smith::Config {
        export_everything: true,
        canonicalize_nans: true,
        generate_custom_sections: false,
        memory_max_size_required: true,
        table_max_size_required: true,
        max_memory32_bytes: 8 << 16,
        max_memory64_bytes: 8 << 16,
        max_table_elements: 200,
        max_data_segments: 6,
        max_element_segments: 6,
        max_elements: 20,
        max_exports: 200,
        min_funcs: 2,
        max_funcs: 8,
        max_globals: 12,
        max_imports: if random.below(4) == 0 { 8 } else { 0 },
        max_instructions: [40, 100, 250, 600][random.below(4)],
        max_types: 12,
        min_types: 2,
        max_tags: 4,
        min_memories: 1,
        max_memories: many("multi-memory", 3),
        max_tables: 4,
        // An offset near the memory's size, hardly ever beyond it: what runs to its end says more.
        memory_offset_choices: wasm_smith::MemoryOffsetChoices(90, 9, 1),
        bulk_memory_enabled: has("bulk-memory"),
        reference_types_enabled: has("reference-types"),
        multi_value_enabled: has("multi-value"),
        saturating_float_to_int_enabled: has("saturating-float-to-int"),
        sign_extension_ops_enabled: has("sign-extension"),
        simd_enabled: has("simd"),
        relaxed_simd_enabled: false, // Fused or not, both are right: programs.rs has them.
        tail_call_enabled: has("tail-call"),
        extended_const_enabled: has("extended-const"),
        memory64_enabled: has("memory64"),
        exceptions_enabled: has("exception-handling"),
        gc_enabled: has("gc"),
        threads_enabled: has("threads"),
        custom_page_sizes_enabled: has("custom-page-sizes"),
        wide_arithmetic_enabled: has("wide-arithmetic"),
        // Half of the modules mask addresses and guard divisions; the others trap where they like.
        disallow_traps: random.below(2) == 0,
        ..Default::default()
    }
}
