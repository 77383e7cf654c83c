//! The message stream between the primary and one worker; the same type at both ends.
//!
//! A channel is a Unix stream socket. What goes out is queued in [`Outgoing`] and written in as few system
//! calls as the moment allows; what comes in is gathered in [`Incoming`] and taken out in *runs*, as many
//! frames at once as have arrived.
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
//! taken a byte (compatibility.md, "Descriptors": a partial write retried with the descriptor attached again).

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::messages::frame::{Header, Kind, HEADER, LIMIT};
use crate::messages::spare::{Spare, LARGEST};
use crate::os::error::{Error, Result};
use crate::os::socket;
use crate::os::sync::Mutex;

/// Bytes in the queue from which on [`Channel::push`] writes although the loop has not turned.
pub const FLUSH_AT: usize = 64 * 1024;

/// Bytes that one read asks for at least.
const READ: usize = 64 * 1024;

static OUTGOING: Spare = Spare::new();
static INCOMING: Spare = Spare::new();

/// One end of a channel: its socket and what waits to be written. Shared with the flusher.
#[derive(Debug)]
pub struct Channel {
    socket: OwnedFd,
    outgoing: Mutex<Outgoing>,
}

/// What became of a frame given to [`Channel::push`].
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Pushed {
    /// Bytes that wait in the queue. 0: the frame is in the kernel.
    pub queued: usize,
    /// Whether the queue waits for the kernel (its buffer is full), and not for a joined write.
    pub blocked: bool,
    /// Whether the flusher has to be told: something waits, and it does not know.
    pub untold: bool,
}

impl Channel {
    /// A channel over one end of a stream socket pair.
    pub fn new(socket: OwnedFd) -> Self {
        Channel { socket, outgoing: Mutex::default() }
    }

    /// The channel's socket.
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Queues a frame whose payload `write` appends, and writes the queue if `now`, or if enough waits.
    ///
    /// # Errors
    /// [`Error::Os`] when the peer is gone: the frame and all that waited are dropped. [`Error::MessageTooLarge`]:
    /// nothing was queued.
    pub fn push(
        &self,
        kind: Kind,
        descriptor: Option<OwnedFd>,
        now: bool,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<Pushed> {
        let mut outgoing = self.outgoing.lock();
        outgoing.push(kind, descriptor, write)?;
        if !outgoing.blocked && (now || outgoing.queued() >= FLUSH_AT) {
            outgoing.flush(self.socket.as_fd())?;
        }
        Ok(outgoing.pushed())
    }

    /// Writes what waits, as much as the kernel takes.
    ///
    /// # Errors
    /// [`Error::Os`] when the peer is gone: what waited is dropped.
    pub fn flush(&self) -> Result<Pushed> {
        let mut outgoing = self.outgoing.lock();
        outgoing.flush(self.socket.as_fd())?;
        Ok(outgoing.pushed())
    }

    /// As [`flush`](Self::flush), by the flusher: what is queued from now on it has to be told of.
    pub(crate) fn flush_in_time(&self) -> usize {
        let mut outgoing = self.outgoing.lock();
        // A gone peer is seen, and told, by the loop that reads the channel.
        let _ = outgoing.flush(self.socket.as_fd());
        outgoing.told = outgoing.queued() > 0;
        outgoing.queued()
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

/// Frames that wait to be written: their bytes in a row, and each descriptor with the place of its frame.
#[derive(Debug, Default)]
struct Outgoing {
    bytes: Vec<u8>,
    /// How much of `bytes` is in the kernel already.
    start: usize,
    /// Bytes in the kernel since the beginning: the stream's position of `bytes[start]`.
    written: u64,
    /// Descriptors and the stream's position of the frame that each travels with.
    descriptors: VecDeque<(u64, OwnedFd)>,
    /// Whether the kernel's buffer was full at the last write.
    blocked: bool,
    /// Whether the flusher has this channel on its list.
    told: bool,
}

impl Outgoing {
    fn queued(&self) -> usize {
        self.bytes.len() - self.start
    }

    fn pushed(&mut self) -> Pushed {
        let queued = self.queued();
        let untold = queued > 0 && !std::mem::replace(&mut self.told, true);
        Pushed { queued, blocked: self.blocked, untold }
    }

    fn push(&mut self, kind: Kind, descriptor: Option<OwnedFd>, write: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
        if self.bytes.is_empty() {
            self.bytes = OUTGOING.take();
        }
        let header = self.bytes.len();
        let position = self.written + self.queued() as u64;
        self.bytes.extend_from_slice(&[0; HEADER]);
        write(&mut self.bytes);
        let length = self.bytes.len() - header - HEADER;
        if length > LIMIT {
            self.bytes.truncate(header);
            self.bytes.shrink_to(FLUSH_AT);
            return Err(Error::MessageTooLarge { length, limit: LIMIT });
        }
        let encoded = Header { length, kind, descriptor: descriptor.is_some() }.encode();
        self.bytes[header..header + HEADER].copy_from_slice(&encoded);
        if let Some(descriptor) = descriptor {
            self.descriptors.push_back((position, descriptor));
        }
        Ok(())
    }

    fn flush(&mut self, socket: BorrowedFd<'_>) -> Result<()> {
        self.blocked = false;
        while self.start < self.bytes.len() {
            let (descriptor, until) = self.next_write();
            match socket::send(socket, &self.bytes[self.start..until], descriptor) {
                Ok(Some(sent)) => self.advance(sent),
                Ok(None) => {
                    self.blocked = true;
                    self.forget_written();
                    return Ok(());
                }
                Err(error) => {
                    self.clear();
                    return Err(error);
                }
            }
        }
        self.clear();
        Ok(())
    }

    /// The descriptor that goes with the next byte, and the end of the bytes that may go with it: a later
    /// descriptor starts a write of its own.
    fn next_write(&self) -> (Option<BorrowedFd<'_>>, usize) {
        let mut waiting = self.descriptors.iter().peekable();
        let descriptor = waiting.next_if(|(position, _)| *position == self.written).map(|(_, fd)| fd.as_fd());
        let until = match waiting.peek() {
            Some((position, _)) => self.start + (position - self.written) as usize,
            None => self.bytes.len(),
        };
        (descriptor, until)
    }

    fn advance(&mut self, sent: usize) {
        if sent > 0 && self.descriptors.front().is_some_and(|(position, _)| *position == self.written) {
            self.descriptors.pop_front();
        }
        self.start += sent;
        self.written += sent as u64;
    }

    /// Memory follows what waits, also in a queue that is never empty. What is moved is less than what was
    /// written since the last time, so a byte costs one move at most.
    fn forget_written(&mut self) {
        if self.start > self.queued() {
            self.bytes.drain(..self.start);
            self.bytes.shrink_to(LARGEST.max(2 * self.bytes.len()));
            self.start = 0;
        }
    }

    fn clear(&mut self) {
        self.bytes.clear();
        OUTGOING.give(std::mem::take(&mut self.bytes));
        self.start = 0;
        self.descriptors.clear();
    }
}

/// Frames that have arrived, or are arriving.
#[derive(Debug)]
pub struct Incoming {
    /// Room to read into; `start..end` of it holds what has arrived and was not taken. None while nothing has.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Descriptors that arrived and whose frames were not taken yet.
    descriptors: VecDeque<OwnedFd>,
    limit: usize,
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
    /// The process has no descriptor left to receive one: nothing was read, ask again later.
    Starved,
}

/// Frames of one kind that arrived one after the other. A frame with a descriptor is a run of its own, and so is
/// one of [`Kind::Parts`].
#[derive(Debug)]
pub struct Run<'a> {
    /// What the payloads are.
    pub kind: Kind,
    /// The payloads, in the order of their sending.
    pub payloads: Vec<&'a [u8]>,
    /// The descriptor that came with the frame.
    pub descriptor: Option<OwnedFd>,
}

impl Incoming {
    /// An empty one that refuses frames of more than `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Incoming { buffer: Vec::new(), start: 0, end: 0, descriptors: VecDeque::new(), limit }
    }

    /// Reads once.
    ///
    /// # Errors
    /// [`Error::Os`], and [`Error::StrayDescriptor`] when more descriptors pile up than frames can announce.
    pub fn read(&mut self, socket: BorrowedFd<'_>) -> Result<Read> {
        if !socket::has_room(socket) {
            return Ok(Read::Starved);
        }
        self.make_room();
        let mut descriptors = Vec::new();
        let room = &mut self.buffer[self.end..];
        let wanted = room.len();
        let Some(received) = socket::receive(socket, room, &mut descriptors)? else {
            self.give_buffer();
            return Ok(Read::Nothing);
        };
        if received.bytes == 0 {
            self.give_buffer();
            return Ok(Read::End);
        }
        // A read ends at a descriptor, too.
        let last = received.bytes < wanted && descriptors.is_empty();
        self.end += received.bytes;
        self.descriptors.extend(descriptors);
        // A frame takes at least a header, and carries one descriptor at most.
        let announced = (self.end - self.start) / HEADER + 1;
        if self.descriptors.len() > announced {
            return Err(Error::StrayDescriptor { received: self.descriptors.len(), announced });
        }
        Ok(if last { Read::Last } else { Read::Some })
    }

    /// Takes out the next run; `None` when no complete frame is left.
    ///
    /// # Errors
    /// [`Error::FrameTooLarge`], [`Error::UnknownFrame`], [`Error::StrayDescriptor`]: the stream is of no
    /// more use.
    pub fn next_run(&mut self) -> Result<Option<Run<'_>>> {
        let mut run: Option<(Kind, Vec<std::ops::Range<usize>>)> = None;
        let mut descriptor = None;
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
                descriptor =
                    Some(self.descriptors.pop_front().ok_or(Error::StrayDescriptor { received: 0, announced: 1 })?);
                break;
            }
            if header.kind == Kind::Parts {
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
        }))
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
            INCOMING.give(std::mem::take(&mut self.buffer));
        }
    }

    /// Makes room for at least one read behind `end`. Memory follows what has arrived, not what a header
    /// claims: it is at most twice that.
    fn make_room(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = INCOMING.take();
        }
        if self.start > 0 && self.buffer.len() - self.end < READ {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if self.buffer.len() - self.end < READ {
            let length = 2 * self.end.max(READ);
            // Left to itself, a vector doubles what was doubled already.
            self.buffer.reserve_exact(length - self.buffer.len());
            self.buffer.resize(length, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::SockType;
    use std::fs::File;
    use std::io::{Read as _, Write as _};
    use std::os::unix::net::UnixStream;

    fn ends() -> (Channel, OwnedFd) {
        let (near, far) = socket::pair(SockType::Stream).unwrap();
        (Channel::new(near), far)
    }

    /// A descriptor that can be told from others: a pipe with its number in it.
    fn marked(number: u8) -> OwnedFd {
        let (reader, mut writer) = std::io::pipe().unwrap();
        writer.write_all(&[number]).unwrap();
        reader.into()
    }

    fn mark(descriptor: OwnedFd) -> u8 {
        let mut byte = [0];
        File::from(descriptor).read_exact(&mut byte).unwrap();
        byte[0]
    }

    fn push(channel: &Channel, payload: &[u8], descriptor: Option<OwnedFd>, now: bool) -> Pushed {
        channel.push(Kind::Json, descriptor, now, |bytes| bytes.extend_from_slice(payload)).unwrap()
    }

    /// Reads until nothing is there and takes all runs: (payloads, mark of the descriptor).
    fn drain(incoming: &mut Incoming, socket: BorrowedFd<'_>) -> Vec<(Vec<String>, Option<u8>)> {
        let mut runs = Vec::new();
        while matches!(incoming.read(socket).unwrap(), Read::Some | Read::Last) {
            while let Some(run) = incoming.next_run().unwrap() {
                let payloads = run.payloads.iter().map(|p| String::from_utf8(p.to_vec()).unwrap()).collect();
                runs.push((payloads, run.descriptor.map(mark)));
            }
        }
        runs
    }

    #[test]
    fn a_message_pushed_now_is_in_the_kernel_and_later_ones_wait_for_the_flush() {
        let (channel, far) = ends();
        let mut incoming = Incoming::new(LIMIT);
        assert_eq!(push(&channel, b"1", None, true).queued, 0);
        assert_eq!(push(&channel, b"2", None, false).queued, HEADER + 1);
        assert_eq!(push(&channel, b"3", None, false).queued, 2 * (HEADER + 1));
        assert_eq!(drain(&mut incoming, far.as_fd()), [(vec!["1".into()], None)]);
        assert_eq!(channel.flush().unwrap().queued, 0);
        assert_eq!(drain(&mut incoming, far.as_fd()), [(vec!["2".into(), "3".into()], None)]);
    }

    #[test]
    fn the_flusher_is_told_once_until_it_has_flushed() {
        let (channel, _far) = ends();
        let untold = |now| push(&channel, b"x", None, now).untold;
        assert_eq!([untold(true), untold(false), untold(false)], [false, true, false]);
        channel.flush().unwrap();
        assert!(!untold(false), "it is still on the flusher's list");
        channel.flush_in_time();
        assert!(untold(false));
    }

    #[test]
    fn descriptors_keep_their_messages_and_their_order() {
        let (channel, far) = ends();
        for number in 0..40u8 {
            push(&channel, format!("plain {number}").as_bytes(), None, false);
            push(&channel, format!("with {number}").as_bytes(), Some(marked(number)), false);
        }
        channel.flush().unwrap();
        let runs = drain(&mut Incoming::new(LIMIT), far.as_fd());
        let expected: Vec<_> = (0..40u8)
            .flat_map(|n| [(vec![format!("plain {n}")], None), (vec![format!("with {n}")], Some(n))])
            .collect();
        assert_eq!(runs, expected);
    }

    #[test]
    fn a_descriptor_is_attached_once_however_short_the_writes_are() {
        let (channel, far) = ends();
        nix::sys::socket::setsockopt(&channel.socket, nix::sys::socket::sockopt::SndBuf, &1).unwrap();
        let large = "x".repeat(300_000);
        for number in 0..3 {
            push(&channel, large.as_bytes(), Some(marked(number)), true);
        }
        assert!(channel.queued() > 0, "the write was cut short");
        let mut incoming = Incoming::new(LIMIT);
        let mut runs = drain(&mut incoming, far.as_fd());
        while channel.flush().unwrap().queued > 0 {
            runs.extend(drain(&mut incoming, far.as_fd()));
        }
        runs.extend(drain(&mut incoming, far.as_fd()));
        assert_eq!(runs.iter().map(|(_, mark)| mark.unwrap()).collect::<Vec<_>>(), [0, 1, 2]);
        assert!(runs.iter().all(|(payloads, _)| payloads == std::slice::from_ref(&large)));
    }

    #[test]
    fn a_stream_cut_at_every_byte_gives_the_same_frames() {
        let mut stream = Vec::new();
        for payload in ["", "a", "[1,2]"] {
            stream.extend(Header { length: payload.len(), kind: Kind::Json, descriptor: false }.encode());
            stream.extend(payload.as_bytes());
        }
        for cut in 0..=stream.len() {
            let (mut near, far) = UnixStream::pair().unwrap();
            let mut incoming = Incoming::new(LIMIT);
            let mut payloads = Vec::new();
            for part in [&stream[..cut], &stream[cut..]] {
                near.write_all(part).unwrap();
                payloads.extend(drain(&mut incoming, far.as_fd()).into_iter().flat_map(|(payloads, _)| payloads));
            }
            assert_eq!(payloads, ["", "a", "[1,2]"], "cut at {cut}");
        }
    }

    #[test]
    fn a_descriptor_that_no_frame_announces_ends_the_stream() {
        let (near, far) = socket::pair(SockType::Stream).unwrap();
        let frame = Header { length: 0, kind: Kind::Json, descriptor: false }.encode();
        socket::send(near.as_fd(), &frame, Some(marked(1).as_fd())).unwrap();
        let mut incoming = Incoming::new(LIMIT);
        assert_eq!(incoming.read(far.as_fd()).unwrap(), Read::Some, "a descriptor ends a read");
        assert!(incoming.next_run().unwrap().unwrap().descriptor.is_none());
        assert_eq!(incoming.next_run().unwrap_err(), Error::StrayDescriptor { received: 1, announced: 0 });
    }

    #[test]
    fn descriptors_do_not_pile_up_within_a_frame() {
        let (near, far) = socket::pair(SockType::Stream).unwrap();
        let header = Header { length: 1000, kind: Kind::Json, descriptor: true }.encode();
        let mut incoming = Incoming::new(LIMIT);
        socket::send(near.as_fd(), &header, Some(marked(1).as_fd())).unwrap();
        incoming.read(far.as_fd()).unwrap();
        assert!(incoming.next_run().unwrap().is_none(), "it is the frame's");
        socket::send(near.as_fd(), b"payload", Some(marked(2).as_fd())).unwrap();
        incoming.read(far.as_fd()).unwrap();
        assert_eq!(incoming.next_run().unwrap_err(), Error::StrayDescriptor { received: 2, announced: 1 });
    }

    #[test]
    fn a_frame_that_announces_a_descriptor_and_brings_none_ends_the_stream() {
        let (mut near, far) = UnixStream::pair().unwrap();
        near.write_all(&Header { length: 0, kind: Kind::Json, descriptor: true }.encode()).unwrap();
        let mut incoming = Incoming::new(LIMIT);
        incoming.read(far.as_fd()).unwrap();
        assert_eq!(incoming.next_run().unwrap_err(), Error::StrayDescriptor { received: 0, announced: 1 });
    }

    #[test]
    fn frames_before_a_broken_one_are_taken_out() {
        let (mut near, far) = UnixStream::pair().unwrap();
        let good = Header { length: 1, kind: Kind::Json, descriptor: false }.encode();
        near.write_all(&[&good, b"1".as_slice(), &good, b"2", &[0xff; HEADER]].concat()).unwrap();
        let mut incoming = Incoming::new(LIMIT);
        incoming.read(far.as_fd()).unwrap();
        assert_eq!(incoming.next_run().unwrap().unwrap().payloads, [b"1", b"2"]);
        assert_eq!(incoming.next_run().unwrap_err(), Error::UnknownFrame { kind: 0xff });
    }

    #[test]
    fn memory_follows_what_arrived_not_what_was_claimed() {
        let (mut near, far) = UnixStream::pair().unwrap();
        near.write_all(&Header { length: LIMIT, kind: Kind::Json, descriptor: false }.encode()).unwrap();
        let mut incoming = Incoming::new(LIMIT);
        incoming.read(far.as_fd()).unwrap();
        assert!(incoming.next_run().unwrap().is_none());
        incoming.make_room();
        assert!(incoming.buffer.len() <= 2 * READ);
    }

    #[test]
    fn an_idle_channel_holds_no_buffer() {
        let (channel, far) = ends();
        let mut incoming = Incoming::new(LIMIT);
        push(&channel, b"1", None, true);
        assert_eq!(incoming.read(far.as_fd()).unwrap(), Read::Last, "there is no more to read");
        assert!(incoming.next_run().unwrap().is_some());
        assert!(incoming.next_run().unwrap().is_none());
        assert_eq!((incoming.buffer.capacity(), channel.outgoing.lock().bytes.capacity()), (0, 0));
        assert_eq!(incoming.read(far.as_fd()).unwrap(), Read::Nothing);
        assert_eq!(incoming.buffer.capacity(), 0);
        drop(channel);
        assert_eq!(incoming.read(far.as_fd()).unwrap(), Read::End);
        assert_eq!(incoming.buffer.capacity(), 0);
    }

    #[test]
    fn what_is_cleared_leaves_no_buffer_and_no_descriptor() {
        let (near, far) = socket::pair(SockType::Stream).unwrap();
        let unfinished = Header { length: 1000, kind: Kind::Json, descriptor: true }.encode();
        socket::send(near.as_fd(), &unfinished, Some(marked(1).as_fd())).unwrap();
        let mut incoming = Incoming::new(LIMIT);
        incoming.read(far.as_fd()).unwrap();
        assert!(incoming.next_run().unwrap().is_none());
        incoming.clear();
        assert_eq!((incoming.buffer.capacity(), incoming.descriptors.len()), (0, 0));
    }

    #[test]
    fn a_queue_that_is_never_empty_keeps_only_what_waits() {
        const MANY: usize = 4_000_000;
        const FEW: usize = 400_000;
        let (channel, far) = ends();
        push(&channel, &[b'x'; MANY], None, true);
        let mut incoming = Incoming::new(LIMIT);
        let mut leave = |waiting: usize| {
            while channel.queued() > waiting {
                drain(&mut incoming, far.as_fd());
                channel.flush().unwrap();
            }
            assert!(channel.queued() > 0, "the queue never is empty");
            channel.outgoing.lock().bytes.capacity()
        };
        for _ in 0..500 {
            push(&channel, &[b'x'; 100_000], None, true);
            assert!(leave(MANY) <= 4 * MANY, "of 50 MB");
        }
        assert!(leave(FEW) <= LARGEST, "it shrinks with what waits");
    }

    #[test]
    fn a_message_that_no_peer_would_take_is_not_queued() {
        let (channel, far) = ends();
        push(&channel, b"before", None, false);
        let too_long = channel.push(Kind::Advanced, None, true, |bytes| bytes.resize(bytes.len() + LIMIT + 1, 0));
        assert_eq!(too_long, Err(Error::MessageTooLarge { length: LIMIT + 1, limit: LIMIT }));
        push(&channel, b"after", None, true);
        let messages = drain(&mut Incoming::new(LIMIT), far.as_fd());
        assert_eq!(messages, [(vec!["before".into(), "after".into()], None)]);
    }

    #[test]
    fn a_gone_peer_drops_what_waited() {
        let (channel, far) = ends();
        push(&channel, b"waits", Some(marked(1)), false);
        drop(far);
        assert_eq!(channel.flush().unwrap_err().code(), "EPIPE");
        assert_eq!(channel.queued(), 0);
    }
}
