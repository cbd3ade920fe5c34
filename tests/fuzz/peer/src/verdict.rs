//! Malformed modules: the engine's decoder and validator beside wasmparser's, which is what
//! `wasm-tools validate` runs.
use crate::random::Random;
use crate::runner::{Question, Runner};
use wasmparser::{Parser, Payload, Validator, WasmFeatures};

#[derive(Default)]
pub struct Counts {
    pub inputs: u64,
    pub valid: u64,
    /// Of the valid ones, by both engines.
    pub run: u64,
    pub reached_body: u64,
    pub without_offset: u64,
    /// Valid ones that we refuse since they need a feature, which we name, that we do not support:
    /// wasmparser lets in the long forms of reference types and nullexnref without theirs.
    pub by_name: u64,
    pub findings: u64,
}

/// A module and where its function bodies are in it.
pub struct Seed {
    pub name: String,
    pub bytes: Vec<u8>,
    bodies: Vec<std::ops::Range<usize>>,
}

impl Seed {
    pub fn new(name: String, bytes: Vec<u8>) -> Seed {
        let bodies = Parser::new(0)
            .parse_all(&bytes)
            .map_while(Result::ok)
            .filter_map(|payload| match payload {
                Payload::CodeSectionEntry(body) => Some(body.range()),
                _ => None,
            })
            .filter(|range| !range.is_empty())
            .map(|range| range.start as usize..range.end as usize)
            .collect();
        Seed {
            name,
            bytes,
            bodies,
        }
    }
}

/// A change or a few. Half of them replace bytes of one body, so that its frame stays whole.
pub fn mutant(seeds: &[Seed], random: &mut Random) -> Vec<u8> {
    let seed = &seeds[random.below(seeds.len())];
    let mut bytes = seed.bytes.clone();
    let inside = match seed.bodies.len() {
        0 => None,
        count => (random.below(4) != 0).then(|| seed.bodies[random.below(count)].clone()),
    };
    for _ in 0..1 + random.below(3) {
        if bytes.is_empty() {
            break;
        }
        let range = inside.clone().unwrap_or(0..bytes.len());
        let at = range.start + random.below(range.len());
        let byte = random.next() as u8;
        match random.below(if inside.is_some() { 4 } else { 8 }) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = byte,
            2 => bytes[at] = [0, 1, 0x0b, 0x40, 0x7f, 0x80, 0xfc, 0xff][random.below(8)],
            3 => {
                let from = range.start + random.below(range.len());
                let count = random.below(8).min(range.end - from).min(range.end - at);
                bytes.copy_within(from..from + count, at);
            }
            4 => bytes.insert(at, byte),
            5 => {
                bytes.remove(at);
            }
            6 => bytes.truncate(at),
            _ => {
                let other = &seeds[random.below(seeds.len())].bytes;
                let from = random.below(other.len().max(1)).min(other.len());
                let count = random.below(64).min(other.len() - from);
                bytes.splice(at..at, other[from..from + count].iter().copied());
            }
        }
    }
    bytes
}

/// Every prefix, and every byte with every other value.
pub fn neighbours(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    let prefixes = (0..bytes.len()).map(|size| bytes[..size].to_vec());
    let changes = (0..bytes.len()).flat_map(move |at| {
        (1..=255u8).map(move |difference| {
            let mut changed = bytes.to_vec();
            changed[at] ^= difference;
            changed
        })
    });
    prefixes.chain(changes)
}

pub fn is_valid(features: WasmFeatures, bytes: &[u8]) -> bool {
    Validator::new_with_features(features)
        .validate_all(bytes)
        .is_ok()
}

/// wasmparser's verdict, but for two ways of its own: that a constant expression may name any earlier
/// global came to the specification with garbage collection, and to us without; and a function import
/// of an exact type (0x20) is let in without its feature.
fn peers_verdict(features: WasmFeatures, bytes: &[u8], ours: &str) -> Result<(), String> {
    let of = |features| match Validator::new_with_features(features).validate_all(bytes) {
        Ok(_) => Ok(()),
        Err(error) => Err(error.to_string()),
    };
    match of(features) {
        Err(error) if error.contains("global.get of locally defined global") => {
            of(features | WasmFeatures::GC | WasmFeatures::FUNCTION_REFERENCES)
        }
        Ok(()) if ours.contains("malformed import kind 0x20") => Err("an exact type".to_string()),
        verdict => verdict,
    }
}

fn names_unsupported(supported: &[String], ours: &str) -> bool {
    let name = ours
        .split_once("needs the feature ")
        .and_then(|(_, rest)| rest.split_once(','));
    name.is_some_and(|(name, _)| !supported.iter().any(|other| other == name))
}

/// Compares one verdict. Prints a finding. True if the module is valid.
pub fn compare(
    runner: &mut Runner,
    features: WasmFeatures,
    bytes: &[u8],
    name: &str,
    counts: &mut Counts,
) -> bool {
    runner.ask(Question::Verdict, bytes);
    let ours = runner
        .receive()
        .unwrap_or_else(|| format!("the engine's process died: {}", runner.restart()));
    let peers = peers_verdict(features, bytes, &ours);
    counts.inputs += 1;
    counts.valid += ours.starts_with('0') as u64;
    counts.reached_body += (ours.as_bytes().get(1) == Some(&b'1')) as u64;
    counts.without_offset += (!ours.starts_with('0') && !ours.contains("at offset 0x")) as u64;
    let crashed = ours.starts_with("the engine");
    if ours.starts_with('2') && peers.is_ok() && names_unsupported(&runner.features, &ours) {
        counts.by_name += 1;
        return false;
    }
    if crashed || ours.starts_with('0') != peers.is_ok() {
        counts.findings += 1;
        let file = format!("finding-{}-{}.wasm", name.replace('/', "_"), counts.inputs);
        std::fs::write(&file, bytes).expect("the finding's file");
        println!("{file}\n  ours: {ours}\n  wasmparser: {peers:?}");
    }
    ours.starts_with('0') && peers.is_ok()
}
