#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| rust_cluster::fuzz::proxy_protocol::proxy_protocol(bytes));
