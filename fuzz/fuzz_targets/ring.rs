#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| rust_cluster::fuzz::ring::ring(bytes));
