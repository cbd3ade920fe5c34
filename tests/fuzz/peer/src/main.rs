//! Compares the engine under test, a process (tests/fuzz/fuzz_runner.cc), with its peers.
//!
//!   fuzz_peer RUNNER generate BUDGET SEED       modules of wasm-smith, run by both and by wasmtime
//!   fuzz_peer RUNNER mutate BUDGET SEED PATH …  mutants of the modules below the paths: verdicts, and
//!                                               what valid ones do, tamed (tame.rs)
//!   fuzz_peer RUNNER neighbours BUDGET PATH …   every prefix and every change of one byte of the valid
//!                                               modules below the paths, small ones first: verdicts
//!
//!   fuzz_peer RUNNER record COUNT SEED FOLDER   writes modules, and what wasmtime says that they do
//!
//! BUDGET is a count, or seconds with an "s" behind it. Prints counts and findings; exits 1 where
//! there are findings, whose modules are then in the current folder.
mod count;
mod features;
mod outcome;
mod programs;
mod random;
mod runner;
mod tame;
mod verdict;

use arbitrary::Unstructured;
use random::Random;
use runner::{Question, Runner};
use std::path::Path;
use std::time::{Duration, Instant};
use verdict::{Counts, Seed};

/// Calls and back edges until a generated module's own fuel ends.
const FUEL: u32 = 4000;
/// One module in so many counts what it executes.
const SAMPLED: u64 = 8;
/// Of a module that is mutated, so that a change means something.
const LARGEST_SEED: u64 = 16 << 10;

struct Budget {
    start: Instant,
    count: u64,
    time: Duration,
}

impl Budget {
    fn new(text: &str) -> Budget {
        let seconds = text
            .strip_suffix('s')
            .map(|text| text.parse().expect("BUDGET"));
        Budget {
            start: Instant::now(),
            count: seconds.map_or_else(|| text.parse().expect("BUDGET"), |_| u64::MAX),
            time: Duration::from_secs(seconds.unwrap_or(u64::MAX)),
        }
    }
    fn has(&self, count: u64) -> bool {
        count < self.count && self.start.elapsed() < self.time
    }
    fn per_second(&self, count: u64) -> f64 {
        count as f64 / self.start.elapsed().as_secs_f64()
    }
}

/// Every other module is of our own making.
fn generate(ops: &[programs::Op], names: &[String], seed: u64) -> Option<Vec<u8>> {
    let mut random = Random(seed);
    if seed % 2 == 0 {
        return Some(programs::program(ops, names, &mut random));
    }
    let config = features::of_generator(names, &mut random);
    let size = [1500, 4000, 9000][random.below(3)];
    let bytes = random.bytes(size);
    let mut module = wasm_smith::Module::new(config, &mut Unstructured::new(&bytes)).ok()?;
    module.ensure_termination(FUEL).ok()?;
    Some(module.to_bytes())
}

/// Ends of the guest's stack come at different depths: what came before is compared. wasmtime does
/// not do without garbage collection what verdict.rs says.
fn agree(ours: &str, peers: &str) -> bool {
    let is_strict = peers.contains("global.get of locally defined global");
    if (ours.starts_with("refused") || is_strict) && peers.starts_with("refused") {
        return true;
    }
    let mut lines = ours.lines().zip(peers.lines());
    let apart = lines.find(|(a, b)| a != b || a.ends_with("exhausted"));
    match apart {
        Some((a, b)) => a.ends_with("exhausted") || b.ends_with("exhausted"),
        None => ours.lines().count() == peers.lines().count(),
    }
}

/// What the module does here and there.
fn run_both(runner: &mut Runner, engine: &wasmtime::Engine, module: &[u8]) -> (String, String) {
    runner.ask(Question::Run, module);
    let peers = outcome::outcome(engine, module).text;
    let died = |runner: &mut Runner| format!("the engine's process died: {}\n", runner.restart());
    (runner.receive().unwrap_or_else(|| died(runner)), peers)
}

/// 1 and a file, if the outcomes differ; 0 if not.
fn report(ours: &str, peers: &str, module: &[u8], name: &str) -> u64 {
    if agree(ours, peers) {
        return 0;
    }
    let file = format!("finding-{name}.wasm");
    std::fs::write(&file, module).expect("the finding's file");
    println!("{file}\nours:\n{ours}wasmtime:\n{peers}");
    1
}

fn run_generated(runner: &mut Runner, budget: &Budget, seed: u64) -> u64 {
    let names = runner.features.clone();
    let features = features::of_parser(&names);
    let engine = outcome::engine(features);
    let ops = programs::ops(&runner.opcodes);
    let mut counts = count::Counts::default();
    let (mut modules, mut refused, mut exhausted, mut findings) = (0, 0, 0, 0);
    for number in 0.. {
        if !budget.has(modules) {
            break;
        }
        let Some(module) = generate(&ops, &names, random::mix(seed) ^ number) else {
            continue;
        };
        modules += 1;
        let (ours, peers) = run_both(runner, &engine, &module);
        if random::mix(number) % SAMPLED == 0 {
            counts.add(&engine, &module, &peers);
        }
        refused += ours.starts_with("refused") as u64;
        exhausted += ours.ends_with("exhausted\n") as u64;
        findings += report(&ours, &peers, &module, &format!("{seed}-{number}"));
    }
    println!(
        "modules {modules}, refused by both {refused}, out of stack {exhausted}, findings \
         {findings}, {:.0} modules/s",
        budget.per_second(modules)
    );
    counts.print(features);
    findings
}

/// The modules below the paths, in the order of their names.
fn seeds(paths: &[String]) -> Vec<Seed> {
    fn find(path: &Path, found: &mut Vec<Seed>) {
        if path.is_dir() {
            let entries = std::fs::read_dir(path).expect("a folder");
            let mut entries: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
            entries.sort();
            entries.iter().for_each(|entry| find(entry, found));
        } else if path
            .extension()
            .is_some_and(|extension| extension == "wasm")
            && path.metadata().is_ok_and(|data| data.len() <= LARGEST_SEED)
        {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            found.push(Seed::new(name, std::fs::read(path).expect("a module")));
        }
    }
    let mut found = vec![];
    paths
        .iter()
        .for_each(|path| find(Path::new(path), &mut found));
    assert!(!found.is_empty(), "no module below {paths:?}");
    found
}

fn print_verdicts(counts: &Counts, budget: &Budget) {
    println!(
        "inputs {}, valid {}, run {}, reached a function body {} ({:.0} %), errors without an offset {}, \
         refused by a feature's name {}, \
         findings {}, {:.0} inputs/s",
        counts.inputs,
        counts.valid,
        counts.run,
        counts.reached_body,
        counts.reached_body as f64 * 100.0 / counts.inputs.max(1) as f64,
        counts.without_offset,
        counts.by_name,
        counts.findings,
        budget.per_second(counts.inputs)
    );
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let findings = match words[..] {
        [path, "generate", budget, seed] => {
            let mut runner = Runner::start(path);
            run_generated(
                &mut runner,
                &Budget::new(budget),
                seed.parse().expect("SEED"),
            )
        }
        [path, "mutate", budget, seed, _, ..] => {
            let mut runner = Runner::start(path);
            let features = features::of_parser(&runner.features);
            let engine = outcome::engine(features);
            let seeds = seeds(&arguments[4..]);
            let mut random = Random(seed.parse().expect("SEED"));
            let mut counts = Counts::default();
            let budget = Budget::new(budget);
            while budget.has(counts.inputs) {
                let bytes = verdict::mutant(&seeds, &mut random);
                let valid = verdict::compare(&mut runner, features, &bytes, seed, &mut counts);
                if let Some(module) = valid.then(|| tame::tamed(&bytes)).flatten() {
                    let (ours, peers) = run_both(&mut runner, &engine, &module);
                    let name = format!("{seed}-{}", counts.inputs);
                    counts.findings += report(&ours, &peers, &module, &name);
                    counts.run += 1;
                }
            }
            print_verdicts(&counts, &budget);
            counts.findings
        }
        [path, "record", count, seed, folder] => {
            let runner = Runner::start(path);
            let engine = outcome::engine(features::of_parser(&runner.features));
            let ops = programs::ops(&runner.opcodes);
            for number in 0..count.parse().expect("COUNT") {
                let seed = random::mix(seed.parse().expect("SEED")) ^ number;
                if let Some(module) = generate(&ops, &runner.features, seed) {
                    let file = format!("{folder}/{number:02}");
                    std::fs::write(file.clone() + ".wasm", &module).expect("the module's file");
                    let text = outcome::outcome(&engine, &module).text;
                    std::fs::write(file + ".txt", text).expect("the outcome's file");
                }
            }
            0
        }
        [path, "neighbours", budget, _, ..] => {
            let mut runner = Runner::start(path);
            let features = features::of_parser(&runner.features);
            let mut counts = Counts::default();
            let mut seeds = seeds(&arguments[3..]);
            seeds.retain(|seed| verdict::is_valid(features, &seed.bytes));
            seeds.sort_by_key(|seed| (seed.bytes.len(), seed.bytes.clone()));
            seeds.dedup_by(|a, b| a.bytes == b.bytes);
            let budget = Budget::new(budget);
            let mut whole = 0;
            'all: for seed in &seeds {
                for bytes in verdict::neighbours(&seed.bytes) {
                    if !budget.has(counts.inputs) {
                        break 'all;
                    }
                    verdict::compare(&mut runner, features, &bytes, &seed.name, &mut counts);
                }
                whole += 1;
            }
            println!("all neighbours of {whole} of {} modules", seeds.len());
            print_verdicts(&counts, &budget);
            counts.findings
        }
        _ => {
            eprintln!(
                "usage: fuzz_peer RUNNER generate BUDGET SEED | mutate BUDGET SEED PATH … | \
                 record COUNT SEED FOLDER | neighbours BUDGET PATH …"
            );
            std::process::exit(64);
        }
    };
    std::process::exit((findings > 0) as i32);
}
