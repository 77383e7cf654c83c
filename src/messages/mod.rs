//! The way of a message: [`channel`] writes it as a [`frame`] (and [`parts`], where it is long; then [`ring`]) into the stream to the
//! other process, whose channel reads it. [`flusher`] bounds how long it waits for that.

mod backlog;
pub mod channel;
pub mod exit;
pub mod flusher;
pub mod frame;
pub mod incoming;
#[cfg(all(test, shuttle))]
mod interleavings;
mod outgoing;
pub mod parts;
pub mod ring;
pub mod spare;
#[cfg(test)]
mod testing;
pub mod traffic;
#[cfg(all(test, weak_memory))]
mod weak_memory;
