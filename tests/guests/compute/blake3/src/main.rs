// BLAKE3 over 4 MiB, in the manner of tests/guests/compute/bench.h: a warm-up round, then `scale`
// rounds under the clock; the checksum on stdout, "elapsed_ns N" on stderr.
use std::time::Instant;

const SCALE: u32 = 200;
const SIZE: usize = 4 << 20;

fn work(scale: u32) -> u64 {
    let mut state = 42u64;
    let mut text: Vec<u8> = (0..SIZE)
        .map(|_| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 33) as u8
        })
        .collect();
    for _ in 0..scale {
        let hash = blake3::hash(&text);
        text[..32].copy_from_slice(hash.as_bytes());
    }
    u64::from_le_bytes(text[..8].try_into().unwrap())
}

fn main() {
    let scale = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(SCALE);
    let warm = work(1);
    let start = Instant::now();
    let checksum = work(scale);
    let elapsed = start.elapsed();
    println!("checksum {warm:016x} {checksum:016x}");
    eprintln!("elapsed_ns {}", elapsed.as_nanos());
}
