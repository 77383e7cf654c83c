//! The queue between the primary and a worker.

use std::collections::VecDeque;

use nix::sys::socket::SockType;

use super::peer::{mark, send, Watched};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::connections::handoff::{Connection, Intake, ListenerId, Queue, Taken};
use crate::os::error::Result;
use crate::os::socket;
use crate::processes::board::gauge;

/// A packet as the model knows it.
struct Packet {
    bytes: Vec<u8>,
    /// Which descriptors came along, by their place in [`Queues::watched`].
    descriptors: Vec<usize>,
}

/// What shall become of a packet.
#[derive(Debug, PartialEq, Eq)]
enum Expected {
    /// The listener, whether the worker is asked for room, the address, the gauge, the descriptor.
    Connection(ListenerId, bool, Option<SocketAddr>, u8, usize),
    Probe,
    Room(ListenerId),
    Fewer,
    Nothing,
    End,
    Refused,
}

impl Packet {
    fn expected(&self) -> Expected {
        let word = self.bytes.iter().take(4).rev().fold(0, |number, byte| number << 8 | ListenerId::from(*byte));
        let (listener, flag) = (word & 0x7fff_ffff, word >> 31 == 1);
        let peer = self.bytes.get(6..24).filter(|address| address.iter().any(|byte| *byte != 0)).map(|address| {
            let ip = Ipv6Addr::from(<[u8; 16]>::try_from(&address[..16]).unwrap());
            let ip = ip.to_ipv4_mapped().map_or(IpAddr::V6(ip), IpAddr::V4);
            SocketAddr::new(ip, u16::from(address[17]) << 8 | u16::from(address[16]))
        });
        let gauge = self.bytes.get(32).copied().unwrap_or_default();
        match (self.bytes.len(), listener, flag, &self.descriptors[..], peer) {
            (0, _, _, [], _) => Expected::End,
            (33, 0, false, [], None) if gauge == 0 => Expected::Probe,
            (33, 0, true, [], None) if (1..=64).contains(&gauge) => Expected::Fewer,
            (33, 1.., true, [], None) if gauge == 0 => Expected::Room(listener),
            (33, 1.., asks, &[number], peer) if gauge <= 64 => {
                Expected::Connection(listener, asks, peer, gauge, number)
            }
            _ => Expected::Refused,
        }
    }

    /// The same, of a packet that the worker got.
    fn expected_by_worker(&self) -> Expected {
        match self.expected() {
            Expected::Room(_) | Expected::Fewer => Expected::Refused,
            expected => expected,
        }
    }

    /// The same, of a packet that the primary got.
    fn expected_by_primary(&self) -> Expected {
        match self.expected() {
            // We hold the other end too: nobody else can have closed it.
            Expected::Probe | Expected::End => Expected::Refused,
            expected => expected,
        }
    }
}

/// The bytes of one of ours, whatever its serial number.
fn packet(word: ListenerId, address: [u8; 18], gauge: u8) -> Vec<u8> {
    [&word.to_le_bytes()[..], &[0; 2], &address, &[0; 8], &[gauge]].concat()
}

/// The lengths of hostile packets.
const LENGTHS: [usize; 8] = [0, 1, 2, 4, 6, 32, 33, 34];

/// Both ends of a queue, and the packets that are under way.
struct Queues {
    queue: Queue,
    intake: Intake,
    to_worker: VecDeque<Packet>,
    to_primary: VecDeque<Packet>,
    watched: Vec<Watched>,
    /// The descriptors that came out, in the order of their coming.
    taken: Vec<usize>,
}

/// [`Queue`] and [`Intake`]: what comes out is what a naive queue of packets says, one packet at a time; a packet
/// that nobody of ours writes is refused; every descriptor comes out once at most and is closed.
///
/// The first byte of the input says who is hostile (bit 0: the primary). Each other byte is a step: bits 0 and 1 say
/// which; of a hostile packet, bits 2 to 4 are its length in [`LENGTHS`] (its bytes follow), 5 and 6 the number of its descriptors,
/// 7 that they are no connections; of a connection that is put in, 7 that the worker is asked for room.
pub fn handoff(input: &[u8]) {
    let Some((&who, mut input)) = input.split_first() else { return };
    let hostile_primary = who & 1 == 1;
    let mut queues = Queues::new();
    while let Some((&step, rest)) = input.split_first() {
        input = rest;
        match (step & 3, hostile_primary) {
            (0 | 1, _) => {
                let (bytes, rest) = input.split_at(input.len().min(LENGTHS[usize::from(step >> 2 & 7)]));
                input = rest;
                queues.send_hostile(hostile_primary, bytes, usize::from(step >> 5 & 3), step & 0x80 == 0);
            }
            (2, false) if step & 4 == 0 => queues.put(ListenerId::from(step >> 3 & 15) + 1, step & 0x80 != 0),
            (2, false) => queues.probe(),
            (_, true) => queues.take(),
            (_, false) => match step >> 2 & 3 {
                0 => queues.take(),
                1 => queues.take_back(),
                _ => queues.receive(),
            },
        }
    }
    queues.end();
}

impl Queues {
    fn new() -> Queues {
        let (near, far) = socket::pair(SockType::SeqPacket).unwrap();
        let duplicate = socket::duplicate(&far).unwrap();
        Queues {
            queue: Queue::new(1, near, duplicate),
            intake: Intake::new(far),
            to_worker: VecDeque::new(),
            to_primary: VecDeque::new(),
            watched: Vec::new(),
            taken: Vec::new(),
        }
    }

    fn send_hostile(&mut self, to_worker: bool, bytes: &[u8], count: usize, stream: bool) {
        let made = || if stream { Watched::connection() } else { Watched::pipe() };
        let (descriptors, watched): (Vec<_>, Vec<_>) = (0..count).map(|_| made()).unzip();
        let (socket, packets) = match to_worker {
            true => (self.queue.near(), &mut self.to_worker),
            false => (self.intake.far(), &mut self.to_primary),
        };
        if send(socket, bytes, &descriptors).is_some() {
            let first = self.watched.len();
            packets.push_back(Packet { bytes: bytes.to_vec(), descriptors: (first..first + count).collect() });
        }
        self.watched.extend(watched);
    }

    fn put(&mut self, listener: ListenerId, asks: bool) {
        let (socket, watched) = Watched::connection();
        // Every third connection has come by a proxy.
        let (peer, address) = match listener % 3 {
            0 => (Some("192.0.2.1:258".parse().unwrap()), *b"\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\x02\x01\x02\x01"),
            _ => (None, [0; 18]),
        };
        // Of every fourth listener connections count.
        let number = if listener.is_multiple_of(4) { listener } else { 0 };
        let connection = Connection { asks, peer, gauge: gauge(number), ..Connection::new(listener, socket) };
        if self.queue.put(&connection).unwrap() {
            let word = listener | ListenerId::from(asks) << 31;
            let (bytes, descriptors) = (packet(word, address, number as u8), vec![self.watched.len()]);
            self.to_worker.push_back(Packet { bytes, descriptors });
        }
        self.watched.push(watched);
    }

    fn probe(&mut self) {
        let depth = self.queue.depth().unwrap();
        self.queue.probe().unwrap();
        if self.queue.depth().unwrap() > depth {
            self.to_worker.push_back(Packet { bytes: packet(0, [0; 18], 0), descriptors: Vec::new() });
        }
    }

    fn take(&mut self) {
        let expected = self.to_worker.pop_front().map_or(Expected::Nothing, |packet| packet.expected_by_worker());
        let taken = self.intake.take();
        self.check(taken, &expected);
    }

    fn take_back(&mut self) {
        let expected = self.to_worker.pop_front().map_or(Expected::Nothing, |packet| packet.expected());
        let taken = self.queue.take_back();
        self.check(taken, &expected);
        assert!(self.queue.queued() >= self.to_worker.len(), "more is in the queue than is known of");
    }

    fn receive(&mut self) {
        let expected = self.to_primary.pop_front().map_or(Expected::Nothing, |packet| packet.expected_by_primary());
        let taken = self.queue.receive();
        self.check(taken, &expected);
    }

    fn check(&mut self, taken: Result<Taken>, expected: &Expected) {
        match (taken, expected) {
            (Ok(Taken::Connection(connection)), Expected::Connection(listener, asks, peer, counts, number)) => {
                assert_eq!((connection.listener, connection.asks, connection.peer), (*listener, *asks, *peer));
                assert_eq!(connection.gauge, gauge(u32::from(*counts)));
                mark(connection.socket, *number as u8);
                self.taken.push(*number);
            }
            (Ok(Taken::Room(room)), Expected::Room(listener)) => assert_eq!(room, *listener),
            (Ok(Taken::Probe), Expected::Probe)
            | (Ok(Taken::Fewer), Expected::Fewer)
            | (Ok(Taken::Nothing), Expected::Nothing) => {}
            (Ok(Taken::End), Expected::End) | (Err(_), Expected::Refused) => {}
            (taken, expected) => panic!("{expected:?} was to come, and {taken:?} came"),
        }
    }

    /// Closes all, and looks where each descriptor went.
    fn end(self) {
        drop((self.queue, self.intake));
        for (number, watched) in self.watched.into_iter().enumerate() {
            let marks = watched.marks();
            let expected = if self.taken.contains(&number) { &[number as u8][..] } else { &[] };
            assert_eq!(marks, expected, "who got descriptor {number}");
        }
    }
}
