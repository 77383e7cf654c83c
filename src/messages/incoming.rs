//! What arrives on a channel: gathered as it comes, taken out in *runs*, as many frames at once as there are.

use std::collections::VecDeque;
use std::os::fd::{BorrowedFd, OwnedFd};

use crate::messages::frame::{Header, Kind, HEADER};
use crate::messages::spare::Spare;
use crate::os::error::{Error, Result};
use crate::os::socket::{self, Received};

/// Bytes that one read asks for at least.
const READ: usize = 64 * 1024;

/// The same while every read has found fewer: most workers never hear more than the cluster's own messages.
const FIRST_READ: usize = 4 * 1024;

/// Frames of [`Kind::Parts`] in one run at most: each is large, and all of a run are JavaScript's before the first is
/// delivered.
const MOST_PARTS: usize = 8;

static SPARE: Spare = Spare::new();

/// Frames that have arrived, or are arriving.
#[derive(Debug)]
pub struct Incoming {
    /// Room to read into; `start..end` of it holds what has arrived and was not taken. None while nothing has.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Descriptors that arrived and whose frames were not taken yet; `None`: it found no number.
    descriptors: VecDeque<Option<OwnedFd>>,
    limit: usize,
    /// [`FIRST_READ`], or [`READ`].
    least: usize,
    /// Whether none of the peer's descriptors is taken: then none has to be looked for.
    only_bytes: bool,
}

/// What a read found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Read {
    /// Bytes arrived; there may be more.
    Some,
    /// Bytes arrived, and they were all.
    Last,
    /// Nothing is there now.
    Nothing,
    /// The peer has closed its end.
    End,
    /// The next frame brings a descriptor, and the process has no number for it: nothing was read, ask again later.
    Starved,
}

/// Frames of one kind that arrived one after the other. A frame with a descriptor is a run of its own.
#[derive(Debug)]
pub struct Run<'a> {
    /// What the payloads are.
    pub kind: Kind,
    /// The payloads, in the order of their sending.
    pub payloads: Vec<&'a [u8]>,
    /// The descriptor that came with the frame.
    pub descriptor: Option<OwnedFd>,
    /// Whether one came with the frame, and found no number.
    pub lost: bool,
}

impl Incoming {
    /// An empty one that refuses frames of more than `limit` bytes.
    pub fn new(limit: usize) -> Self {
        let (buffer, descriptors) = (Vec::new(), VecDeque::new());
        Incoming { buffer, start: 0, end: 0, descriptors, limit, least: FIRST_READ, only_bytes: false }
    }

    /// The same for a peer that sends no descriptor: one that comes is an error.
    pub fn of_bytes(limit: usize) -> Self {
        Incoming { only_bytes: true, ..Incoming::new(limit) }
    }

    /// Reads once.
    ///
    /// # Errors
    /// [`Error::Os`], and [`Error::StrayDescriptor`] when more descriptors pile up than frames can announce.
    pub fn read(&mut self, socket: BorrowedFd<'_>) -> Result<Read> {
        self.make_room();
        let mut descriptors = Vec::new();
        let rest = self.rest();
        let mut room = &mut self.buffer[self.end..];
        // The rest of a large frame needs no look: a descriptor comes with the first byte of one.
        if rest >= READ {
            let wanted = rest.min(room.len());
            room = &mut room[..wanted];
        }
        let wanted = room.len();
        let received = if self.only_bytes || rest >= READ {
            socket::receive_bytes(socket, room)?
        } else {
            socket::receive(socket, room, &mut descriptors)?
        };
        let bytes = match received {
            Received::Bytes(bytes) | Received::Truncated(bytes) => bytes,
            Received::Starved(seen) => self.receive_before_descriptor(socket, seen)?,
            Received::Nothing | Received::Lost => {
                self.give_buffer();
                return Ok(Read::Nothing);
            }
        };
        if bytes == 0 {
            self.give_buffer();
            return Ok(if matches!(received, Received::Starved(_)) { Read::Starved } else { Read::End });
        }
        // A read ends at a descriptor, too.
        let last = bytes < wanted && descriptors.is_empty() && matches!(received, Received::Bytes(_));
        if bytes == wanted {
            self.least = READ;
        }
        self.end += bytes;
        self.descriptors.extend(descriptors.into_iter().map(Some));
        self.descriptors.extend(matches!(received, Received::Truncated(_)).then_some(None));
        // A frame takes at least a header, and carries one descriptor at most.
        let announced = (self.end - self.start) / HEADER + 1;
        if self.descriptors.len() > announced {
            return Err(Error::StrayDescriptor { received: self.descriptors.len(), announced });
        }
        Ok(if last { Read::Last } else { Read::Some })
    }

    /// Bytes that are missing of the frame that is arriving, as far as its header tells.
    fn rest(&self) -> usize {
        match Header::decode(&self.buffer[self.start..self.end], self.limit) {
            Ok(Some(header)) => (HEADER + header.length).saturating_sub(self.end - self.start),
            // What is wrong is for `next_run` to say.
            Ok(None) | Err(_) => 0,
        }
    }

    /// Receives what comes before the frame whose descriptor finds no number, of `seen` bytes that were copied to `end`.
    fn receive_before_descriptor(&mut self, socket: BorrowedFd<'_>, seen: usize) -> Result<usize> {
        let seen = self.end + seen;
        let mut frame = self.start;
        while let Some(Ok(Some(header))) = self.buffer.get(frame..seen).map(|bytes| Header::decode(bytes, self.limit)) {
            // That of a frame whose first byte has been received is here.
            if header.descriptor && frame >= self.end {
                break;
            }
            frame += HEADER + header.length;
        }
        let room = &mut self.buffer[self.end..seen.min(frame.max(self.end))];
        if room.is_empty() {
            return Ok(0);
        }
        match socket::receive_bytes(socket, room)? {
            Received::Bytes(bytes) => Ok(bytes),
            _ => Ok(0),
        }
    }

    /// Takes out the next run; `None` when no complete frame is left.
    ///
    /// # Errors
    /// [`Error::FrameTooLarge`], [`Error::UnknownFrame`], [`Error::StrayDescriptor`]: the stream is of no
    /// more use.
    pub fn next_run(&mut self) -> Result<Option<Run<'_>>> {
        let mut run: Option<(Kind, Vec<std::ops::Range<usize>>)> = None;
        let (mut descriptor, mut lost) = (None, false);
        loop {
            let header = match Header::decode(&self.buffer[self.start..self.end], self.limit) {
                Ok(Some(header)) => header,
                // What came before it is good; the next call says what is wrong.
                Err(_) if run.is_some() => break,
                Ok(None) => break,
                Err(error) => return Err(error),
            };
            let payload = self.start + HEADER;
            if self.end - payload < header.length {
                break;
            }
            let first = run.is_none();
            let (kind, frames) = run.get_or_insert((header.kind, Vec::new()));
            if !first && (header.descriptor || header.kind != *kind) {
                break;
            }
            frames.push(payload..payload + header.length);
            self.start = payload + header.length;
            if header.descriptor {
                let stray = Error::StrayDescriptor { received: 0, announced: 1 };
                descriptor = self.descriptors.pop_front().ok_or(stray)?;
                lost = descriptor.is_none();
                break;
            }
            if header.kind == Kind::Parts && frames.len() == MOST_PARTS {
                break;
            }
        }
        if run.is_none() {
            // What is left is one frame at most, and it brings one descriptor at most: nobody fills our table.
            let arriving = Header::decode(&self.buffer[self.start..self.end], self.limit)?;
            let announced = usize::from(arriving.map_or(self.start < self.end, |header| header.descriptor));
            if self.descriptors.len() > announced {
                return Err(Error::StrayDescriptor { received: self.descriptors.len(), announced });
            }
            self.give_buffer();
        }
        Ok(run.map(|(kind, frames)| Run {
            kind,
            payloads: frames.into_iter().map(|frame| &self.buffer[frame]).collect(),
            descriptor,
            lost,
        }))
    }

    /// Whether [`next_run`](Self::next_run) has something to tell, be it what is wrong.
    pub fn has_run(&mut self) -> bool {
        self.give_buffer();
        match Header::decode(&self.buffer[self.start..self.end], self.limit) {
            Ok(Some(header)) => self.end - self.start - HEADER >= header.length || !self.descriptors.is_empty(),
            Ok(None) => !self.descriptors.is_empty(),
            Err(_) => true,
        }
    }

    /// Drops what has arrived and was not taken: nothing more is wanted.
    pub fn clear(&mut self) {
        self.start = self.end;
        self.descriptors.clear();
        self.give_buffer();
    }

    /// Leaves the buffer to others, unless something is in it.
    fn give_buffer(&mut self) {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            SPARE.give(std::mem::take(&mut self.buffer));
        }
    }

    /// Makes room for at least one read behind `end`. Memory follows what has arrived, not what a header
    /// claims: it is at most twice that.
    fn make_room(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = SPARE.take();
        }
        if self.start > 0 && self.buffer.len() - self.end < self.least {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.buffer.len() - self.end < self.least {
            let length = 2 * self.end.max(self.least);
            // Left to itself, a vector doubles what was doubled already.
            self.buffer.reserve_exact(length - self.buffer.len());
            self.buffer.resize(length, 0);
        }
    }
}

#[cfg(test)]
mod tests;
