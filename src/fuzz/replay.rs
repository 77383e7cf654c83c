//! The corpus and random inputs, without a fuzzer.

use std::path::Path;

use crate::os::alone::alone;

use super::{
    bus::bus, channel::channel, handoff::handoff, header, host, metrics::metrics, parts, peek::peek,
    proxy_protocol::proxy_protocol, ring::ring,
};

/// Random inputs a target, so that all make 455,000. `FUZZ_INPUTS` asks for another number.
const INPUTS: usize = 50_000;

/// A number generator that is the same everywhere (xorshift64*).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

/// Runs the target on its corpus, and on inputs that are random bytes, or pieces of the corpus put together with
/// some bytes changed. `FUZZ_SEED` asks for others.
fn replay(name: &str, target: fn(&[u8])) {
    replay_some(name, INPUTS, target);
}

fn replay_some(name: &str, inputs: usize, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let corpus: Vec<_> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
    assert!(!corpus.is_empty());
    corpus.iter().for_each(|input| target(input));

    let (seed, inputs) = (setting("FUZZ_SEED", 1), setting("FUZZ_INPUTS", inputs));
    println!("{name}: {} inputs of the corpus, {inputs} random ones with FUZZ_SEED={seed}", corpus.len());
    let mut random = Random(seed as u64);
    for _ in 0..inputs {
        target(&input(&mut random, &corpus));
    }
}

fn setting(name: &str, default: usize) -> usize {
    std::env::var(name).map_or(default, |value| value.parse().unwrap_or_else(|_| panic!("{name} is a number above 0")))
}

fn input(random: &mut Random, corpus: &[Vec<u8>]) -> Vec<u8> {
    let mut input = Vec::new();
    for _ in 0..random.below(3) {
        let piece = &corpus[random.below(corpus.len())];
        let (start, end) = (random.below(piece.len() + 1), random.below(piece.len() + 1));
        input.extend_from_slice(&piece[start.min(end)..start.max(end)]);
    }
    if input.is_empty() {
        return (0..random.below(24)).map(|_| random.next() as u8).collect();
    }
    for _ in 0..random.below(3) {
        let place = random.below(input.len());
        input[place] = random.next() as u8;
    }
    input
}

#[test]
fn header_replayed() {
    replay("header", header);
}

#[test]
fn host_replayed() {
    replay("host", host);
}

#[test]
fn parts_replayed() {
    replay("parts", parts);
}

#[test]
fn bus_replayed() {
    replay("bus", bus);
}

#[test]
fn channel_replayed() {
    // It counts what is held, and buffers go from one channel to the next, whoever has it.
    alone(|| replay("channel", channel));
}

#[test]
fn handoff_replayed() {
    replay("handoff", handoff);
}

#[test]
fn metrics_replayed() {
    replay("metrics", metrics);
}

#[test]
fn peek_replayed() {
    replay("peek", peek);
}

#[test]
fn proxy_protocol_replayed() {
    replay("proxy_protocol", proxy_protocol);
}

#[test]
fn ring_replayed() {
    // Each takes memory, and gives it back.
    replay_some("ring", INPUTS / 10, ring);
}
