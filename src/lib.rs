//! The Rust core of `rust-cluster`.
//!
//! The storeys, and arrows go down only: [`node`] is what JavaScript sees, and alone knows Node-API and libuv; below
//! it [`connections`] and [`messages`] are the two things that flow ([`bus`]: messages between workers), [`processes`] are where they flow between, and
//! all stand on [`os`]. All but [`node`] is plain Rust that `cargo test` drives with real sockets and processes.
//!
//! ARCHITECTURE.md has the picture.

pub mod bus;
pub mod connections;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod messages;
pub mod node;
pub mod os;
pub mod processes;
pub mod supervisor;
pub mod telemetry;
