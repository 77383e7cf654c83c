//! The core against naive models of it, step by step, for random steps.

mod acceptor;
mod bus;
mod channel;
mod policy;
mod supervisor;

use proptest::test_runner::Config;

/// A failure prints its steps: a test of its own is the place to keep them, not a file of seeds.
fn config(cases: u32) -> Config {
    Config { cases, failure_persistence: None, max_shrink_iters: 2000, ..Config::default() }
}
