//! What waits to be written to a channel.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;

use crate::messages::backlog::Backlog;
use crate::messages::frame::{Header, Kind, HEADER, LIMIT};
use crate::messages::ring;
use crate::messages::spare::{Spare, LARGEST};
use crate::os::error::{Error, Result};
use crate::os::socket;

/// Bytes in the queue from which on [`Channel::push`](crate::messages::channel::Channel::push) writes although the loop has not turned.
pub const FLUSH_AT: usize = 64 * 1024;

/// More than waits for the kernel where a program waits for it: the backlog's memory is new, and so is dearer.
const MUCH: usize = 2 * LARGEST;

/// The same for bytes in the ring: the receiver copies them meanwhile.
const MARK_AT: usize = 4 * FLUSH_AT;

static SPARE: Spare = Spare::new();

/// Why the kernel does not take what waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Block {
    /// Its buffer is full. The socket says when there is room.
    Full,
    /// It is short of something else (`ETOOMANYREFS`: of descriptors on their way, `ENOBUFS`, `ENOMEM`), or has other
    /// reasons. Nobody says when they are gone: it has to be tried again.
    Refused(Errno),
}

/// What became of a frame given to [`Channel::push`](crate::messages::channel::Channel::push).
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Pushed {
    /// Bytes that wait in the queue. 0: the frame is in the kernel.
    pub queued: usize,
    /// Bytes that wait in the ring, beyond what a socket would hold.
    pub shared: usize,
    /// Why the queue waits for the kernel, if it does: else it waits for a joined write.
    pub blocked: Option<Block>,
    /// Whether the flusher has to be told: something waits, and it does not know.
    pub untold: bool,
}

/// The peer is gone. No other error says so, and what waits may still leave.
const ENDS: [Errno; 3] = [Errno::EPIPE, Errno::ECONNRESET, Errno::ENOTCONN];

/// Frames that wait to be written: their bytes in a row, and each descriptor with the place of its frame.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    /// The oldest bytes, if many wait because the kernel takes none.
    backlog: Backlog,
    /// What was queued since.
    bytes: Vec<u8>,
    /// How much of `bytes` is in the kernel already: nothing as long as there is a backlog.
    start: usize,
    /// Bytes in the kernel since the beginning: the stream's position of the oldest byte.
    pub(super) written: u64,
    /// Descriptors and the stream's position of the frame that each travels with.
    descriptors: VecDeque<(u64, OwnedFd)>,
    /// Why the last write came to nothing, if it did.
    pub(super) blocked: Option<Block>,
    /// Whether the flusher has this channel on its list.
    pub(super) told: bool,
    /// Where long strings go.
    pub(super) ring: Option<ring::Writer>,
}

impl Outgoing {
    pub(super) fn queued(&self) -> usize {
        self.backlog.len() + self.bytes.len() - self.start
    }

    /// Bytes of memory that are taken for what waits.
    #[cfg(test)]
    pub(super) fn memory(&self) -> usize {
        self.backlog.memory() + self.bytes.capacity()
    }

    /// Bytes in the ring whose marks were not offered to the kernel.
    pub(super) fn unmarked(&self) -> usize {
        self.ring.as_ref().map_or(0, ring::Writer::unmarked)
    }

    /// Whether so much waits that it is written although the loop has not turned.
    pub(super) fn is_much(&self) -> bool {
        self.queued() >= FLUSH_AT || self.unmarked() >= MARK_AT
    }

    pub(super) fn pushed(&mut self) -> Pushed {
        let queued = self.queued();
        let untold = queued > 0 && !std::mem::replace(&mut self.told, true);
        let shared = self.ring.as_mut().map_or(0, ring::Writer::held);
        Pushed { queued, shared, blocked: self.blocked, untold }
    }

    pub(super) fn push(
        &mut self,
        kind: Kind,
        descriptor: Option<OwnedFd>,
        write: impl FnOnce(&mut Vec<u8>, Option<&mut ring::Writer>),
    ) -> Result<()> {
        if self.bytes.is_empty() {
            self.bytes = SPARE.take();
        }
        let header = self.bytes.len();
        let position = self.written + self.queued() as u64;
        self.bytes.extend_from_slice(&[0; HEADER]);
        let strings = self.ring.as_ref().map_or(0, ring::Writer::count);
        write(&mut self.bytes, self.ring.as_mut());
        let length = self.bytes.len() - header - HEADER;
        if length > LIMIT {
            self.bytes.truncate(header);
            self.bytes.shrink_to(FLUSH_AT);
            if let Some(ring) = &mut self.ring {
                ring.take_back(strings);
            }
            return Err(Error::MessageTooLarge { length, limit: LIMIT });
        }
        let encoded = Header { length, kind, descriptor: descriptor.is_some() }.encode();
        self.bytes[header..header + HEADER].copy_from_slice(&encoded);
        if let Some(descriptor) = descriptor {
            self.descriptors.push_back((position, descriptor));
        }
        if self.blocked.is_some() {
            self.set_aside();
        }
        Ok(())
    }

    pub(super) fn flush(&mut self, socket: BorrowedFd<'_>) -> Result<()> {
        self.blocked = None;
        if let Some(ring) = &mut self.ring {
            ring.marked();
        }
        while self.queued() > 0 {
            let (descriptor, most) = self.next_write();
            let oldest = self.backlog.oldest().unwrap_or(&self.bytes[self.start..]);
            let block = match socket::send(socket, &oldest[..oldest.len().min(most)], descriptor) {
                Ok(Some(sent)) => {
                    self.advance(sent);
                    continue;
                }
                Ok(None) => Block::Full,
                Err(Error::Os { errno, .. }) if !ENDS.contains(&errno) => Block::Refused(errno),
                Err(error) => {
                    self.clear();
                    return Err(error);
                }
            };
            self.blocked = Some(block);
            self.set_aside();
            self.forget_written();
            return Ok(());
        }
        self.clear();
        Ok(())
    }

    /// The descriptor that goes with the next byte, and how many bytes may go with it: a later descriptor starts a
    /// write of its own.
    fn next_write(&self) -> (Option<BorrowedFd<'_>>, usize) {
        let mut waiting = self.descriptors.iter().peekable();
        let descriptor = waiting.next_if(|(position, _)| *position == self.written).map(|(_, fd)| fd.as_fd());
        let most = waiting.peek().map_or(usize::MAX, |(position, _)| (position - self.written) as usize);
        (descriptor, most)
    }

    fn advance(&mut self, sent: usize) {
        if sent > 0 && self.descriptors.front().is_some_and(|(position, _)| *position == self.written) {
            self.descriptors.pop_front();
        }
        match self.backlog.is_empty() {
            true => self.start += sent,
            false => self.backlog.remove(sent),
        }
        self.written += sent as u64;
    }

    /// Leaves what the kernel does not take to the backlog, if it is much: there it is not moved again, and its memory
    /// goes back as it leaves.
    fn set_aside(&mut self) {
        let much = if self.backlog.is_empty() { MUCH } else { FLUSH_AT };
        if self.bytes.len() - self.start >= much {
            self.backlog.append(&mut self.bytes, self.start);
            self.start = 0;
        }
    }

    /// Memory follows what waits, also in a queue that is never empty. What is moved is less than what was
    /// written since the last time, so a byte costs one move at most.
    fn forget_written(&mut self) {
        if self.start > self.bytes.len() - self.start {
            self.bytes.drain(..self.start);
            self.bytes.shrink_to(LARGEST.max(2 * self.bytes.len()));
            self.start = 0;
        }
    }

    fn clear(&mut self) {
        self.backlog = Backlog::default();
        self.bytes.clear();
        SPARE.give(std::mem::take(&mut self.bytes));
        self.start = 0;
        self.descriptors.clear();
    }
}
