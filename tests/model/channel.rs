//! The outgoing queue of a channel, and what the other end makes of it: the frames that were pushed, in their order,
//! with their descriptors and their long strings, however short the writes are, and wherever the strings find room.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;
use std::slice;

use nix::sys::socket::{setsockopt, sockopt, SockType};
use nix::sys::stat::fstat;
use proptest::prelude::*;
use rust_cluster::messages::channel::{Channel, Pushed};
use rust_cluster::messages::frame::{Kind, HEADER, LIMIT};
use rust_cluster::messages::incoming::{Incoming, Read};
use rust_cluster::messages::parts::{self, Source, Text, MORE};
use rust_cluster::messages::ring::{self, LEAST, NEAR, SIZE};
use rust_cluster::os::memory;
use rust_cluster::os::socket;
use rust_cluster::processes::board::Board;

use super::config;

#[derive(Debug, Clone)]
enum Step {
    Push {
        kind: Kind,
        length: usize,
        descriptor: bool,
        now: bool,
    },
    /// A message with long strings, so long and of UTF-16 or not.
    PushStrings {
        strings: Vec<(usize, bool)>,
        now: bool,
    },
    Flush,
    /// The other end reads, so many times.
    Read(usize),
    /// Nothing was sent for a while.
    Rest,
}

fn step() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![Just(Kind::Json), Just(Kind::Advanced), Just(Kind::Control)];
    let length = prop_oneof![8 => 0..100usize, 2 => 100..10_000usize, 1 => 60_000..70_000usize, 1 => 0..400_000usize];
    prop_oneof![
        5 => (kind, length, prop::bool::weighted(0.3), any::<bool>())
            .prop_map(|(kind, length, descriptor, now)| Step::Push { kind, length, descriptor, now }),
        5 => (strings(), any::<bool>()).prop_map(|(strings, now)| Step::PushStrings { strings, now }),
        1 => Just(Step::Flush),
        3 => (1..4usize).prop_map(Step::Read),
        1 => Just(Step::Rest),
    ]
}

fn strings() -> impl Strategy<Value = Vec<(usize, bool)>> {
    let units = prop_oneof![
        4 => LEAST - 3..LEAST + 3,
        8 => 0..20_000usize,
        2 => 60_000..70_000usize,
        2 => 100_000..400_000usize,
        1 => NEAR - 70..NEAR + 3,
        1 => SIZE / 2 - 70..SIZE / 2 + 3,
        1 => SIZE - MORE - 3..SIZE + 3,
    ];
    prop::collection::vec((units, prop::bool::weighted(0.3)), 0..4)
}

/// A string of one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sent {
    units: usize,
    number: u8,
    wide: bool,
}

impl Sent {
    fn bytes(self) -> usize {
        if self.wide {
            2 * self.units
        } else {
            self.units
        }
    }

    /// Bytes that it needs in a ring while it is written.
    fn room(self) -> usize {
        (self.units + MORE).max(if self.wide { 2 * (self.units + 1) } else { 0 })
    }
}

// SAFETY: it writes what it says.
unsafe impl Source for Sent {
    fn units(&self) -> usize {
        self.units
    }

    unsafe fn narrow(&self, room: NonNull<u8>, length: usize) -> bool {
        // SAFETY: there is so much room. Of what is no Latin-1 all of it may have been written.
        unsafe { room.write_bytes(self.number, length) };
        !self.wide
    }

    unsafe fn wide(&self, room: NonNull<u16>, length: usize) {
        // SAFETY: there is so much room.
        unsafe { room.write_bytes(self.number, length) };
    }
}

/// A frame: kind, payload without its long strings, these, the number in its descriptor.
type Frame = (Kind, Vec<u8>, Vec<Sent>, Option<u16>);

/// A pipe with a number in it.
fn numbered(number: u16) -> OwnedFd {
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(&number.to_le_bytes()).unwrap();
    reader.into()
}

fn number(descriptor: OwnedFd) -> u16 {
    let mut bytes = [0; 2];
    File::from(descriptor).read_exact(&mut bytes).unwrap();
    u16::from_le_bytes(bytes)
}

/// What a naive sender knows of its ring.
#[derive(Debug, Default)]
struct Room {
    /// From and to, of each string that was put in and not taken.
    held: VecDeque<(usize, usize)>,
    is_open: bool,
    /// Whether anything was put in since the last rest.
    is_used: bool,
}

impl Room {
    fn bytes(&self) -> usize {
        self.held.iter().map(|(from, to)| to - from).sum()
    }

    /// Where the strings of a message lie, going by its payload; what does not lie beside the JSON lies where there is room.
    fn put(&mut self, payload: &[u8], strings: &[Sent]) {
        let number = |at: usize| u32::from_le_bytes(*payload[at..].first_chunk().unwrap());
        assert_eq!(number(0) as usize, strings.len());
        let mut at = 4 * (1 + strings.len());
        for (index, string) in strings.iter().enumerate() {
            let length = number(4 * (1 + index));
            assert_eq!((length & 0x3fff_ffff) as usize, string.bytes());
            assert_eq!(length >> 31 == 1, string.wide);
            if length & 1 << 30 == 0 {
                at += string.bytes();
                let may = self.is_open && string.units >= LEAST && string.room() <= SIZE;
                assert!(!may || !self.held.is_empty(), "an empty ring has no room for {string:?}");
                continue;
            }
            let start = number(at) as usize;
            at += 4;
            let end = (start + string.bytes()).next_multiple_of(64);
            assert!(
                self.is_open && string.units >= LEAST && start.is_multiple_of(64) && end <= SIZE,
                "{start} {string:?}"
            );
            assert!(
                self.held.iter().all(|(from, to)| end <= *from || *to <= start),
                "{start} {string:?}: {:?}",
                self.held
            );
            self.held.push_back((start, end));
            self.is_used = true;
        }
    }
}

/// The other end.
struct Receiver {
    socket: OwnedFd,
    incoming: Incoming,
    ring: Option<ring::Reader>,
    found: Vec<Frame>,
}

impl Receiver {
    /// Reads once, as `src/node/channel/` does; `false` when nothing is there.
    fn read(&mut self, room: &mut Room) -> bool {
        if matches!(self.incoming.read(self.socket.as_fd()).unwrap(), Read::Nothing | Read::End) {
            return false;
        }
        self.ring.as_ref().inspect(|ring| ring.arrived());
        while let Some(run) = self.incoming.next_run().unwrap() {
            let mut descriptor = run.descriptor.map(number);
            if run.kind != Kind::Parts {
                let frame = |payload: &&[u8]| (run.kind, payload.to_vec(), Vec::new(), descriptor.take());
                self.found.extend(run.payloads.iter().map(frame));
                continue;
            }
            let read: Vec<_> =
                run.payloads.iter().map(|payload| parts::read(payload, self.ring.as_ref()).unwrap()).collect();
            let mut shared = 0;
            for (strings, json) in read {
                shared += strings.iter().filter(|string| matches!(string, Text::Shared(_))).count();
                self.found.push((Kind::Parts, json.to_vec(), strings.into_iter().map(sent).collect(), None));
            }
            self.ring.iter_mut().for_each(|ring| ring.take(shared));
            room.held.drain(..shared);
        }
        true
    }
}

/// What was sent, going by what was found: a string that is not all of one number is none.
fn sent(text: Text<'_>) -> Sent {
    let (bytes, wide) = match text {
        Text::Latin1(bytes) => (bytes, false),
        Text::Utf16(bytes) => (bytes, true),
        // SAFETY: within the ring, and nobody writes there until it is taken.
        Text::Shared(it) => (unsafe { slice::from_raw_parts(it.start.as_ptr(), it.length) }, it.wide),
    };
    let number = bytes.first().copied().unwrap_or_default();
    assert!(bytes.iter().all(|byte| *byte == number), "of {} bytes some are others", bytes.len());
    Sent { units: bytes.len() / if wide { 2 } else { 1 }, number, wide }
}

proptest! {
    #![proptest_config(config(100))]

    #[test]
    fn what_is_pushed_arrives(
        steps in prop::collection::vec(step(), 0..60),
        room in prop_oneof![Just(1usize), Just(20_000), Just(200_000)],
        // The other end begins to read, and to take strings out of the ring, then.
        opens in prop_oneof![3 => Just(0usize), 1 => 0..10usize],
    ) {
        let (near, far) = socket::pair(SockType::Stream).unwrap();
        let channel = Channel::new(near);
        setsockopt(&channel.socket(), sockopt::SndBuf, &room).unwrap();
        let (board, memory) = Board::new().unwrap();
        let theirs = Board::open(&memory).unwrap();
        let spaces = board.spaces().zip(theirs.spaces());
        prop_assert_eq!(spaces.is_some(), memory::is_overcommitted());
        let (near, mut far_ring) = spaces.map(|((near, _), (far, _))| (near, far)).unzip();
        near.into_iter().for_each(|space| channel.share(ring::Writer::new(space)));
        let mut receiver = Receiver { socket: far, incoming: Incoming::new(LIMIT), ring: None, found: Vec::new() };
        let (mut pushed, mut bytes, mut told, mut room) = (Vec::new(), 0, false, Room::default());
        for (place, step) in (0..).zip(steps) {
            if usize::from(place) == opens {
                receiver.ring = far_ring.take().map(|space| ring::Reader::new(space, LIMIT));
                room.is_open = receiver.ring.is_some();
            }
            let became = match step {
                Step::Push { kind, length, descriptor, now } => {
                    let payload = vec![place as u8; length];
                    let carried = descriptor.then(|| numbered(place));
                    let became = channel.push(kind, carried, now, |bytes| bytes.extend_from_slice(&payload)).unwrap();
                    bytes += HEADER + length;
                    pushed.push((kind, payload, Vec::new(), descriptor.then_some(place)));
                    prop_assert!(!now || became.queued == 0 || became.blocked.is_some(), "what is to go now waits for the kernel only");
                    became
                }
                Step::PushStrings { strings, now } => {
                    let strings = numbers(&strings, place);
                    let became = channel.push_with(Kind::Parts, None, now, |into, ring| {
                        let payload = into.len();
                        write_parts(into, ring, &strings);
                        room.put(&into[payload..], &strings);
                        bytes += HEADER + into.len() - payload;
                    });
                    pushed.push((Kind::Parts, b"[0]".to_vec(), strings, None));
                    let became = became.unwrap();
                    prop_assert!(!now || became.queued == 0 || became.blocked.is_some());
                    became
                }
                Step::Flush => channel.flush().unwrap(),
                Step::Read(times) => {
                    for _ in 0..times {
                        receiver.read(&mut room);
                    }
                    continue;
                }
                Step::Rest => {
                    let rests = !std::mem::take(&mut room.is_used) && room.held.is_empty();
                    prop_assert_eq!(channel.rest(), rests);
                    continue;
                }
            };
            let Pushed { queued, blocked, untold, shared } = became;
            prop_assert_eq!(queued, channel.queued());
            // Of what lies in the ring a socket would have held so much.
            prop_assert_eq!(shared, room.bytes().saturating_sub(208 * 1024));
            prop_assert_eq!(channel.end(), bytes as u64);
            prop_assert_eq!(channel.written() + queued as u64, bytes as u64);
            prop_assert!(blocked.is_none() || queued > 0);
            prop_assert_eq!(untold, queued > 0 && !told);
            told |= queued > 0;
            prop_assert!(pushed.starts_with(&receiver.found));
        }
        while channel.flush().unwrap().queued > 0 {
            receiver.read(&mut room);
        }
        while receiver.read(&mut room) {}
        prop_assert_eq!(receiver.found.len(), pushed.len());
        prop_assert!(receiver.found == pushed);
        // All is taken: the page that is the board stays.
        channel.rest();
        prop_assert!(room.held.is_empty() && channel.rest());
        prop_assert!(fstat(&memory).unwrap().st_blocks * 512 <= 4096);
    }
}

/// Strings that differ from those of other steps, and from each other.
fn numbers(strings: &[(usize, bool)], place: u16) -> Vec<Sent> {
    let sent = |(index, (units, wide)): (u16, &(usize, bool))| Sent {
        units: *units,
        number: if *units == 0 { 0 } else { (4 * place + index) as u8 },
        wide: *wide,
    };
    (0..).zip(strings).map(sent).collect()
}

fn write_parts(into: &mut Vec<u8>, ring: Option<&mut ring::Writer>, strings: &[Sent]) {
    let mut parts = parts::Writer::new(into, ring, strings.len() as u32);
    strings.iter().for_each(|string| parts.string(string));
    parts.json(|into| into.extend_from_slice(b"[0]"));
}
