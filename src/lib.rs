//! The Rust core of `rust-cluster`.
//!
//! A connection flows through it in one direction, in the primary [`acceptor`] → [`policy`] →
//! [`handoff`], in the worker [`handoff`] → its server; a message flows from [`channel`] through
//! [`frame`] (and [`parts`], where it is long) to the other process's [`channel`]. [`fork`] starts the workers, [`listen`] opens what they
//! share. [`node`] is the only module that knows Node-API and libuv: all else is plain Rust that
//! `cargo test` drives with real sockets and processes.
//!
//! ARCHITECTURE.md has the picture.

pub mod acceptor;
pub mod channel;
pub mod error;
pub mod flusher;
pub mod fork;
pub mod frame;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod handoff;
#[cfg(all(test, shuttle))]
mod interleavings;
pub mod listen;
pub mod node;
pub mod parts;
pub mod policy;
pub mod socket;
pub mod spare;
mod sync;
