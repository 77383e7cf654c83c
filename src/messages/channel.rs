//! The message stream between the primary and one worker; the same type at both ends.
//!
//! A channel is a Unix stream socket. What goes out is [queued](crate::messages::outgoing) and written in as few
//! system calls as the moment allows; what comes in is [gathered](crate::messages::incoming).
//!
//! # What `send` was given leaves
//!
//! Writing every message at once costs a system call and a wake-up each; holding messages until the event
//! loop turns loses them when it never does (`process.send(x); while (true);`). So the first message after
//! a quiet moment is written at once ([`Channel::push`] says that it was), the ones that follow it are
//! joined, and they leave with whatever comes first: the turn of the event loop, [`FLUSH_AT`] bytes, or the
//! [flusher](crate::messages::flusher), a thread that waits a millisecond and needs no event loop.
//!
//! # Descriptors
//!
//! A descriptor is owned by the queue from `push` until the first byte of its frame is in the kernel, and by
//! the kernel from then on. It is attached to exactly one `sendmsg`, because it is dropped when that call has
//! taken a byte (a partial write that is tried again with the descriptor would pass it twice).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use crate::messages::frame::{Kind, HEADER};
use crate::messages::incoming::Run;
use crate::messages::outgoing::Outgoing;
pub use crate::messages::outgoing::{Block, Pushed, FLUSH_AT};
use crate::messages::ring;
use crate::messages::traffic::Traffic;
use crate::os::error::Result;
use crate::os::sync::Mutex;

/// One end of a channel: its socket and what waits to be written. Shared with the flusher.
#[derive(Debug)]
pub struct Channel {
    socket: OwnedFd,
    outgoing: Mutex<Outgoing>,
    traffic: Arc<Traffic>,
}

impl Channel {
    /// A channel over one end of a stream socket pair.
    pub fn new(socket: OwnedFd) -> Self {
        Channel { socket, outgoing: Mutex::default(), traffic: Arc::default() }
    }

    /// Has long strings go into a ring, as long as there is room.
    pub fn share(&self, ring: ring::Writer) {
        self.outgoing.lock().ring = Some(ring);
    }

    /// Gives the memory of a ring back that has rested: see [`ring::Writer::rest`].
    pub fn rest(&self) -> bool {
        self.outgoing.lock().ring.as_mut().is_none_or(ring::Writer::rest)
    }

    /// The channel's socket.
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// What has gone over it. It outlives the channel.
    pub fn traffic(&self) -> &Arc<Traffic> {
        &self.traffic
    }

    /// Counts what has arrived: by the one thread that reads.
    pub fn count_received(&self, run: &Run<'_>) {
        let bytes = run.payloads.iter().map(|payload| HEADER + payload.len()).sum();
        self.traffic.received.add(run.payloads.len(), bytes);
    }

    /// Counts bytes of strings that came with them in the ring: by the same.
    pub fn count_shared(&self, bytes: usize) {
        self.traffic.received.add(0, bytes);
    }

    /// Queues a frame whose payload `write` appends, and writes the queue if `now`, or if enough waits.
    ///
    /// # Errors
    /// [`Error::Os`](crate::os::error::Error::Os) when the peer is gone: the frame and all that waited are dropped.
    /// [`Error::MessageTooLarge`](crate::os::error::Error::MessageTooLarge): nothing was queued.
    pub fn push(
        &self,
        kind: Kind,
        descriptor: Option<OwnedFd>,
        now: bool,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<Pushed> {
        self.push_with(kind, descriptor, now, |bytes, _| write(bytes))
    }

    /// As [`push`](Self::push); `write` may also put strings into the ring.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn push_with(
        &self,
        kind: Kind,
        descriptor: Option<OwnedFd>,
        now: bool,
        write: impl FnOnce(&mut Vec<u8>, Option<&mut ring::Writer>),
    ) -> Result<Pushed> {
        let mut outgoing = self.outgoing.lock();
        let before = outgoing.queued() + outgoing.unmarked();
        outgoing.push(kind, descriptor, write)?;
        self.traffic.sent.add(1, outgoing.queued() + outgoing.unmarked() - before);
        if outgoing.blocked.is_none() && (now || outgoing.is_much()) {
            self.write(&mut outgoing)?;
        }
        self.traffic.set_queued(outgoing.queued());
        Ok(outgoing.pushed())
    }

    /// Writes what waits, as much as the kernel takes.
    ///
    /// # Errors
    /// [`Error::Os`](crate::os::error::Error::Os) when the peer is gone: what waited is dropped.
    pub fn flush(&self) -> Result<Pushed> {
        let mut outgoing = self.outgoing.lock();
        self.write(&mut outgoing)?;
        Ok(outgoing.pushed())
    }

    /// As [`flush`](Self::flush), by the flusher or in its place. `again`: whether it comes again for what still waits;
    /// else it has to be told of what is queued from now on.
    pub(crate) fn flush_in_time(&self, again: bool) -> Pushed {
        let mut outgoing = self.outgoing.lock();
        // A gone peer is seen, and told, by the loop that reads the channel. What waited for it is dropped.
        let _ = self.write(&mut outgoing);
        let (queued, blocked) = (outgoing.queued(), outgoing.blocked);
        outgoing.told = again && queued > 0;
        Pushed { queued, shared: 0, blocked, untold: queued > 0 && !again }
    }

    fn write(&self, outgoing: &mut Outgoing) -> Result<()> {
        let written = outgoing.flush(self.socket.as_fd());
        self.traffic.set_queued(outgoing.queued());
        written
    }

    /// Bytes that wait to be written.
    pub fn queued(&self) -> usize {
        self.outgoing.lock().queued()
    }

    /// Bytes written since the channel was made, when all that waits will be.
    pub fn end(&self) -> u64 {
        let outgoing = self.outgoing.lock();
        outgoing.written + outgoing.queued() as u64
    }

    /// Bytes written since the channel was made.
    pub fn written(&self) -> u64 {
        self.outgoing.lock().written
    }
}

#[cfg(test)]
mod tests;
