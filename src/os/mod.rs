//! What all others stand on: the kernel's sockets, locks and threads, and the one error type.

#[cfg(test)]
pub(crate) mod alone;
pub mod error;
#[cfg(test)]
pub mod faults;
pub mod memory;
pub mod socket;
pub(crate) mod sync;
pub mod systemd;
pub mod thread;
pub mod wait;
