//! wasmtime_peer CALL.wasm INSTANTIATE.wasm SAMPLES: what wasmtime's own crate takes for what
//! `scripts/bench.sh call` measures. Prints flat JSON, nanoseconds: the minimum under the plain key,
//! the median under X_median_ns.
//!
//! The pooling allocator, resident pages kept and found by PAGEMAP_SCAN, no fuel and no epochs: the
//! fastest that wasmtime makes instances. Traps capture backtraces, as they do by default.
use std::hint::black_box;
use std::time::Instant;
use wasmtime::{
    Config, Engine, InstanceAllocationStrategy, Linker, Module, PoolingAllocationConfig, Result,
    Store,
};

const INSTANCES: u32 = 1000;
const BATCH: u32 = 200;
const KEPT_RESIDENT_BYTES: usize = 1 << 20;

struct Figures {
    samples: usize,
    lines: Vec<String>,
}

impl Figures {
    /// `sample` returns nanoseconds for one operation.
    fn measure(&mut self, key: &str, mut sample: impl FnMut() -> Result<f64>) -> Result<()> {
        sample()?; // Warm-up.
        let mut values = (0..self.samples)
            .map(|_| sample())
            .collect::<Result<Vec<_>>>()?;
        values.sort_by(f64::total_cmp);
        self.lines.push(format!("\"{key}_ns\": {:.3}", values[0]));
        self.lines.push(format!(
            "\"{key}_median_ns\": {:.3}",
            values[values.len() / 2]
        ));
        Ok(())
    }
}

fn per_operation(start: Instant, count: u32) -> f64 {
    start.elapsed().as_nanos() as f64 / f64::from(count)
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, call_path, instantiate_path, samples] = &arguments[..] else {
        eprintln!("usage: wasmtime_peer CALL.wasm INSTANTIATE.wasm SAMPLES");
        std::process::exit(64);
    };
    let mut figures = Figures {
        samples: samples.parse().expect("SAMPLES"),
        lines: Vec::new(),
    };

    let mut pool = PoolingAllocationConfig::new();
    pool.total_core_instances(INSTANCES)
        .total_memories(INSTANCES)
        .total_tables(INSTANCES)
        .linear_memory_keep_resident(KEPT_RESIDENT_BYTES)
        .table_keep_resident(KEPT_RESIDENT_BYTES)
        .pagemap_scan(wasmtime::Enabled::Auto);
    let mut config = Config::new();
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    let engine = Engine::new(&config)?;

    let module = Module::from_file(&engine, call_path)?;
    let mut linker: Linker<()> = Linker::new(&engine);
    linker.func_wrap("env", "nop", || {})?;
    let mut store = Store::new(&engine, ());
    let instance = linker.instantiate(&mut store, &module)?;
    const CALLS: u32 = 200_000;
    let nop = instance.get_typed_func::<(), ()>(&mut store, "nop")?;
    figures.measure("wasmtime_typed_nop", || {
        let start = Instant::now();
        for _ in 0..CALLS {
            nop.call(&mut store, ())?;
        }
        Ok(per_operation(start, CALLS))
    })?;
    let add = instance.get_typed_func::<(i32, i32), i32>(&mut store, "add")?;
    figures.measure("wasmtime_typed_add", || {
        let start = Instant::now();
        let mut sum = 0;
        for i in 0..CALLS {
            sum = add.call(&mut store, (sum, i as i32))?;
        }
        black_box(sum);
        Ok(per_operation(start, CALLS))
    })?;
    let untyped = instance.get_func(&mut store, "add").expect("add");
    figures.measure("wasmtime_untyped_add", || {
        let start = Instant::now();
        let mut results = [wasmtime::Val::I32(0)];
        for i in 0..CALLS {
            let arguments = [results[0].clone(), wasmtime::Val::I32(i as i32)];
            untyped.call(&mut store, &arguments, &mut results)?;
        }
        black_box(&results);
        Ok(per_operation(start, CALLS))
    })?;
    // The loop is in wasm, and its own cost, measured with an empty body, is taken off.
    let call_host = instance.get_typed_func::<i32, ()>(&mut store, "call_host")?;
    let call_nothing = instance.get_typed_func::<i32, ()>(&mut store, "call_nothing")?;
    figures.measure("wasmtime_to_host_nop", || {
        let start = Instant::now();
        call_host.call(&mut store, CALLS as i32)?;
        let with_call = per_operation(start, CALLS);
        let start = Instant::now();
        call_nothing.call(&mut store, CALLS as i32)?;
        Ok(with_call - per_operation(start, CALLS))
    })?;
    let trap = instance.get_typed_func::<(), ()>(&mut store, "trap")?;
    const TRAPS: u32 = 2_000;
    figures.measure("wasmtime_trap_branch", || {
        let start = Instant::now();
        for _ in 0..TRAPS {
            assert!(trap.call(&mut store, ()).is_err());
        }
        Ok(per_operation(start, TRAPS))
    })?;
    drop(store);

    let module = Module::from_file(&engine, instantiate_path)?;
    let linker: Linker<()> = Linker::new(&engine);
    let prepared = linker.instantiate_pre(&module)?;
    figures.measure("wasmtime_instantiate", || {
        let mut store = Store::new(&engine, ());
        let start = Instant::now();
        for _ in 0..BATCH {
            black_box(prepared.instantiate(&mut store)?);
        }
        Ok(per_operation(start, BATCH)) // The store, and with it the instances, goes after this.
    })?;
    figures.measure("wasmtime_store_call_drop", || {
        let start = Instant::now();
        for _ in 0..BATCH {
            let mut store = Store::new(&engine, ());
            let instance = prepared.instantiate(&mut store)?;
            let first = instance.get_typed_func::<(), i32>(&mut store, "first")?;
            black_box(first.call(&mut store, ())?);
        }
        Ok(per_operation(start, BATCH))
    })?;
    println!("{{{}}}", figures.lines.join(", "));
    Ok(())
}
