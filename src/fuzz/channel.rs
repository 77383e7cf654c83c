//! The message stream.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::LazyLock;

use nix::sys::socket::SockType;

use super::memory::grown;
use super::peer::{mark, send, Watched};
use crate::messages::frame::HEADER;
use crate::messages::incoming::{Incoming, Read};
use crate::os::error::Result;
use crate::os::socket;

/// The largest payload that is accepted: more than a socket holds, and little to fill.
const LIMIT: usize = 256 * 1024;

/// What an idle decoder may hold: room for one read, and what descriptors are listed in.
const IDLE: usize = 132 * 1024;

/// The peer begins no write behind so many bytes: two of the largest frames fit.
const MOST: usize = 2 * LIMIT + 2 * HEADER;

/// What filling is counted in.
const UNIT: usize = 8192;

/// The longest filling. It is made once: a fuzzer counts every step of ours, and would do little else.
static FILLING: LazyLock<Vec<u8>> = LazyLock::new(|| (0..15 * UNIT).map(|place| (place % 251) as u8).collect());

/// One `sendmsg` of the peer.
struct Write<'a> {
    bytes: &'a [u8],
    descriptors: usize,
    /// Whether we read before the peer goes on.
    read: bool,
}

/// A frame: its kind, its payload, whether a descriptor came with it.
type Frame<'a> = (u8, &'a [u8], bool);

/// [`Incoming`]: it finds the frames that a naive parser finds in the whole stream, however the stream is cut;
/// descriptors go with the frames that announce them, each once, and all are closed; what it holds follows what has
/// arrived.
///
/// The input is a row of writes. The first byte of each says how many bytes follow (bits 0 to 3; with bit 4 so many
/// times 8 KiB of filling, of which none follow), whether we read then (bit 5), and the number of descriptors that
/// come along (bits 6 and 7).
pub fn channel(input: &[u8]) {
    let writes = writes(input);
    let stream = writes.iter().map(|write| write.bytes).collect::<Vec<_>>().concat();
    let expected = Expected::of(&writes, &stream);
    let (near, far) = socket::pair(SockType::Stream).unwrap();
    let mut reader = Reader::new(&expected);
    let mut watched = Vec::new();
    let mut ended = false;
    for write in &writes {
        let (descriptors, ends): (Vec<_>, Vec<_>) = (0..write.descriptors).map(|_| Watched::pipe()).unzip();
        watched.extend(ends);
        ended = send_all(&near, write, descriptors, || reader.read(far.as_fd()));
        ended = ended || write.read && reader.read(far.as_fd());
        if ended {
            break;
        }
        let kept = watched.len() - usize::from(reader.descriptors);
        assert!(!write.read || kept <= 1, "{kept} descriptors are kept");
    }
    drop(near);
    ended = ended || reader.read(far.as_fd());
    expected.check(reader.found, ended);
    drop((reader, far));
    // The n-th descriptor that came out is the n-th that went in, of those that came out at all.
    let marks: Vec<_> = watched.into_iter().map(Watched::marks).collect();
    assert!(marks.iter().all(|marks| marks.len() <= 1), "a descriptor was given out twice");
    assert!(marks.concat().is_sorted(), "descriptors changed their order");
}

fn writes(mut input: &[u8]) -> Vec<Write<'_>> {
    let mut writes = Vec::new();
    let mut total = 0;
    while let Some((&how, rest)) = input.split_first().filter(|_| total < MOST) {
        let length = usize::from(how & 0x0f);
        let bytes = if how & 0x10 == 0 {
            let (bytes, rest) = rest.split_at(length.min(rest.len()));
            input = rest;
            bytes
        } else {
            input = rest;
            &FILLING[..length * UNIT]
        };
        total += bytes.len();
        // Without a byte to go with, the kernel sends no descriptor.
        let descriptors = if bytes.is_empty() { 0 } else { usize::from(how >> 6) };
        writes.push(Write { bytes, descriptors, read: how & 0x20 != 0 });
    }
    writes
}

/// Sends it all, having `read` whenever the socket is full; `true` when that says that it reads no more.
fn send_all(near: &OwnedFd, write: &Write<'_>, mut descriptors: Vec<OwnedFd>, mut read: impl FnMut() -> bool) -> bool {
    let mut sent = 0;
    while sent < write.bytes.len() {
        match send(near.as_fd(), &write.bytes[sent..], &descriptors) {
            Some(count) => {
                sent += count;
                descriptors.clear();
            }
            None if read() => return true,
            None => {}
        }
    }
    false
}

/// What `Incoming` has been made to find.
struct Reader<'a> {
    expected: &'a Expected<'a>,
    incoming: Incoming,
    /// How many frames came out.
    found: usize,
    /// How many descriptors came out.
    descriptors: u8,
    /// Bytes that `incoming` has allocated and not freed.
    held: isize,
    arrived: usize,
}

impl<'a> Reader<'a> {
    fn new(expected: &'a Expected<'a>) -> Self {
        Reader { expected, incoming: Incoming::new(LIMIT), found: 0, descriptors: 0, held: 0, arrived: 0 }
    }

    /// Reads until nothing is there; `true` when the decoder refused what came.
    fn read(&mut self, socket: BorrowedFd<'_>) -> bool {
        loop {
            let waiting = socket::waiting_bytes(socket).unwrap();
            let (read, grew) = grown(|| self.read_once(socket));
            self.arrived += waiting - socket::waiting_bytes(socket).unwrap();
            self.held += grew;
            let most = IDLE + 2 * self.arrived;
            assert!(self.held <= most.cast_signed(), "{} bytes are held for {} that arrived", self.held, self.arrived);
            match read {
                Ok(Read::Nothing | Read::End) => return false,
                Ok(Read::Starved) => panic!("the test has descriptors left"),
                Ok(_) => {}
                Err(_) => return true,
            }
        }
    }

    fn read_once(&mut self, socket: BorrowedFd<'_>) -> Result<Read> {
        let read = self.incoming.read(socket)?;
        while let Some(run) = self.incoming.next_run()? {
            assert!(!run.payloads.is_empty());
            assert!(run.descriptor.is_none() || run.payloads.len() == 1, "a descriptor goes with one frame");
            for payload in run.payloads {
                let frame = (run.kind as u8, payload, run.descriptor.is_some());
                assert!(self.expected.frames.get(self.found) == Some(&frame), "frame {} is another", self.found);
                self.found += 1;
            }
            if let Some(descriptor) = run.descriptor {
                mark(descriptor, self.descriptors);
                self.descriptors += 1;
            }
        }
        Ok(read)
    }
}

/// What a naive parser finds in the whole stream.
#[derive(Default)]
struct Expected<'a> {
    frames: Vec<Frame<'a>>,
    /// Whether a header comes that nobody of ours writes.
    bad: bool,
    /// Whether each descriptor travels with the first byte of a frame that announces one, and no frame goes without.
    paired: bool,
}

impl<'a> Expected<'a> {
    fn of(writes: &[Write<'_>], stream: &'a [u8]) -> Self {
        let mut carried = BTreeMap::new();
        let mut start = 0;
        for write in writes {
            if write.descriptors > 0 {
                carried.insert(start, write.descriptors);
            }
            start += write.bytes.len();
        }
        let mut expected = Expected::default();
        let mut announced = BTreeMap::new();
        let mut at = 0;
        while let Some(&[a, b, c, d, kind, descriptor, e, f]) = stream[at..].first_chunk::<HEADER>() {
            let length = a as usize | (b as usize) << 8 | (c as usize) << 16 | (d as usize) << 24;
            expected.bad = length > LIMIT || !(1..=4).contains(&kind) || descriptor > 1 || e != 0 || f != 0;
            if expected.bad {
                break;
            }
            if descriptor == 1 {
                announced.insert(at, 1);
            }
            let Some(payload) = stream.get(at + HEADER..at + HEADER + length) else { break };
            expected.frames.push((kind, payload, descriptor == 1));
            at += HEADER + length;
        }
        // A frame whose header has not arrived in full may be one that announces it.
        let in_doubt = |place: usize| place == at && stream.len() - at < HEADER;
        expected.paired =
            carried.iter().all(|(place, count)| *count == 1 && in_doubt(*place) || announced.get(place) == Some(count))
                && announced.keys().all(|place| carried.contains_key(place));
        expected
    }

    /// The frames that were found have been held against ours already.
    fn check(&self, found: usize, ended: bool) {
        if self.paired && !self.bad {
            assert!(!ended, "a good stream was refused");
            assert_eq!(found, self.frames.len(), "frames are missing");
        } else {
            assert!(ended || !self.bad, "a bad header was accepted");
        }
    }
}
