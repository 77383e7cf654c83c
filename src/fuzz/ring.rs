//! The ring of long strings: each end beside another that does what it likes with the memory.

use std::collections::VecDeque;
use std::ptr::NonNull;

use crate::messages::parts::{self, Source, Text, MORE};
use crate::messages::ring::{Place, Reader, Shared, Writer, LEAST, NEAR, SIZE};
use crate::os::sync::fence;
use crate::processes::board::{Board, Space};
use std::sync::atomic::Ordering;

/// Bytes that a message may have, where that is less than a ring holds.
const SHORT: usize = 1 << 20;

/// Where strings lie begins at multiples of this.
const LINE: usize = 64;

/// The lengths of strings: most are short, since memory takes the most time.
const LENGTHS: [usize; 16] = [
    LEAST - 1,
    LEAST,
    LEAST + 1,
    5000,
    5000,
    10_000,
    10_000,
    20_000,
    20_000,
    65_536 - MORE,
    65_536,
    100_000,
    300_000,
    NEAR - MORE,
    SIZE - MORE,
    SIZE,
];

thread_local! {
    static MARKED: Reader = {
        let (board, _) = Board::new().unwrap();
        Reader::new(board.spaces().unwrap().0, SHORT)
    };
}

/// [`parts::read`] where there is a ring: what it finds there lies within, and is no more than one message may have.
pub(super) fn marks(bytes: &[u8]) {
    MARKED.with(|ring| {
        ring.arrived();
        let Ok((strings, _)) = parts::read(bytes, Some(ring)) else { return };
        let total: usize = shared(&strings).map(|string| within(ring, string)).sum();
        assert!(total <= SHORT, "{total} bytes");
    });
}

fn shared<'a>(strings: &'a [Text<'a>]) -> impl Iterator<Item = Shared<'a>> {
    strings.iter().filter_map(|string| match string {
        Text::Shared(shared) => Some(*shared),
        _ => None,
    })
}

/// The bytes of a string, which lies in the ring.
fn within(ring: &Reader, Shared { start, length, wide, .. }: Shared<'_>) -> usize {
    let first = ring.at(Place { start: 0, length: 0, wide: false }).unwrap().start.as_ptr() as usize;
    let from = start.as_ptr() as usize;
    assert!(first <= from && from + length <= first + SIZE, "it lies outside");
    assert!(!wide || (from | length) & 1 == 0, "half a unit");
    length
}

/// A string whose first and last units are a number; all between is as it was.
#[derive(Debug, Clone, Copy)]
struct Sent {
    units: usize,
    number: u8,
    wide: bool,
}

// SAFETY: it writes within, and what it does not write has been mapped, and so is zeros at least.
unsafe impl Source for Sent {
    fn units(&self) -> usize {
        self.units
    }

    unsafe fn narrow(&self, room: NonNull<u8>, length: usize) -> bool {
        // SAFETY: there is so much room. What is found to be no Latin-1 may have been written up to its end.
        unsafe {
            room.write_volatile(self.number);
            room.add(if self.wide { length } else { self.units } - 1).write_volatile(self.number);
        }
        !self.wide
    }

    unsafe fn wide(&self, room: NonNull<u16>, _: usize) {
        // SAFETY: there is so much room.
        unsafe {
            room.write_volatile(self.number.into());
            room.add(self.units - 1).write_volatile(self.number.into());
        }
    }
}

/// What a naive writer knows.
#[derive(Debug, Default)]
struct Twin {
    /// From and to, of what was not taken as far as the writer has looked.
    held: VecDeque<(usize, usize)>,
    /// How many were taken, as far as it has looked.
    seen: u32,
    is_broken: bool,
    /// Whether anything was put in since it was last asked whether it rests.
    is_used: bool,
}

impl Twin {
    /// Looks at what is said to be taken.
    fn look(&mut self, said: u32) {
        let more = said.wrapping_sub(self.seen) as usize;
        if more > self.held.len() {
            self.is_broken = true;
            self.held.clear();
        } else {
            self.held.drain(..more);
            self.seen = said;
        }
    }

    /// A string was put in there, or not.
    fn put(&mut self, sent: Sent, said: u32, is_open: bool, place: Option<Place>) {
        if is_open && sent.units >= LEAST && !self.is_broken {
            self.look(said);
        }
        let Some(Place { start, length, wide }) = place else {
            let room = if sent.wide { 2 * (sent.units + 1) } else { sent.units + MORE };
            let may = is_open && sent.units >= LEAST && !self.is_broken && room <= SIZE;
            return assert!(!may || !self.held.is_empty(), "an empty ring has no room");
        };
        let (start, length) = (start as usize, length as usize);
        assert!(is_open && sent.units >= LEAST && !self.is_broken, "it is not to be used");
        assert_eq!((length, wide), (if sent.wide { 2 * sent.units } else { sent.units }, sent.wide));
        let end = start + length;
        assert!(start.is_multiple_of(LINE) && end <= SIZE, "{start}, {length} bytes");
        assert!(self.held.iter().all(|(from, to)| end <= *from || *to <= start), "it lies where another does");
        self.held.push_back((start, end.next_multiple_of(LINE)));
        self.is_used = true;
    }
}

/// Both ends, what is on its way between them, and a hand in the memory.
struct Ends {
    writer: Writer,
    reader: Reader,
    hand: Space,
    twin: Twin,
    /// Messages that have not been read, with their strings.
    sent: VecDeque<(Vec<u8>, Vec<Sent>)>,
    number: u8,
    /// Whether nobody has changed anything that is not his.
    is_honest: bool,
}

/// [`Writer`]: whatever stands in the memory, what it puts in lies within, and where nothing lies that was not taken,
/// going by what a naive writer knows; it stops where more was taken than was there. [`Reader`]: of an honest sender
/// it refuses nothing and finds all; of another it reads what lies within, no more at once than lies there.
///
/// The input is a row of steps: the low three bits of a byte say which, the others how, and some take bytes that follow.
pub fn ring(input: &[u8]) {
    let (board, _memory) = Board::new().unwrap();
    let [writer, reader, hand] = [(); 3].map(|()| board.spaces().unwrap().0);
    let (reader, twin) = (Reader::new(reader, SIZE + 1024), Twin::default());
    let sent = VecDeque::new();
    let mut ends = Ends { writer: Writer::new(writer), reader, hand, twin, sent, number: 0, is_honest: true };
    let mut rest = input;
    while let Some((&step, tail)) = rest.split_first() {
        rest = tail;
        let mut take = |count: usize| {
            let (taken, tail) = rest.split_at(count.min(rest.len()));
            rest = tail;
            taken
        };
        let how = step >> 3;
        match step & 7 {
            0 | 1 => ends.send(take(1 + usize::from(how & 1))),
            2 => {
                if !ends.receive(usize::from(how)) {
                    return;
                }
            }
            3 => ends.rest(),
            4 => ends.take_back(take(1)),
            5 => ends.say_taken(how, take(if how < 16 { 0 } else { 4 })),
            6 => ends.scribble(how, take(2)),
            _ => {
                if !ends.receive_mark(take(12)) {
                    return;
                }
            }
        }
        let held = ends.writer.held();
        if ends.twin.held.iter().map(|(from, to)| to - from).sum::<usize>() > 208 * 1024 {
            ends.twin.look(ends.said());
        }
        let naive = ends.twin.held.iter().map(|(from, to)| to - from).sum::<usize>();
        assert_eq!(held, naive.saturating_sub(208 * 1024));
    }
}

impl Ends {
    fn said(&self) -> u32 {
        self.hand.said().taken.load(Ordering::Relaxed)
    }

    /// The next string to send: its length and kind, by a byte.
    fn string(&mut self, how: u8) -> Sent {
        self.number = self.number.wrapping_add(1);
        Sent { units: LENGTHS[usize::from(how & 15)], number: self.number, wide: how & 16 != 0 }
    }

    fn put(&mut self, string: Sent) -> Option<Place> {
        let (said, is_open) = (self.said(), self.hand.said().open.load(Ordering::Relaxed) != 0);
        let place = self.writer.put(&string);
        self.twin.put(string, said, is_open, place);
        place
    }

    /// A message with a string for each byte, of those that find room.
    fn send(&mut self, how: &[u8]) {
        let (mut lengths, mut starts, mut strings) = (Vec::new(), Vec::new(), Vec::new());
        for how in how {
            let string = self.string(*how);
            let Some(Place { start, length, wide }) = self.put(string) else { continue };
            lengths.extend((length | 1 << 30 | u32::from(wide) << 31).to_le_bytes());
            starts.extend(start.to_le_bytes());
            strings.push(string);
        }
        let count = (strings.len() as u32).to_le_bytes();
        self.sent.push_back(([&count[..], &lengths, &starts].concat(), strings));
    }

    /// Reads so many messages, which have arrived together; whether the stream goes on.
    fn receive(&mut self, messages: usize) -> bool {
        self.reader.arrived();
        for _ in 0..messages.min(self.sent.len()) {
            let Some((payload, sent)) = self.sent.pop_front() else { break };
            let count = match parts::read(&payload, Some(&self.reader)) {
                Ok((strings, _)) => {
                    assert_eq!(strings.len(), sent.len());
                    let found: Vec<_> = shared(&strings).collect();
                    assert!(!self.is_honest || found.iter().zip(&sent).all(|(found, sent)| is(*found, *sent)));
                    found.len()
                }
                Err(error) => {
                    assert!(!self.is_honest, "{error}");
                    return false;
                }
            };
            self.reader.take(count);
        }
        true
    }

    /// Reads what the sender has not written so; whether the stream goes on.
    fn receive_mark(&mut self, payload: &[u8]) -> bool {
        self.is_honest = false;
        let Ok((strings, _)) = parts::read(payload, Some(&self.reader)) else { return false };
        let mut count = 0;
        for string in shared(&strings) {
            count += 1;
            if within(&self.reader, string) > 0 {
                // SAFETY: it lies within, as that has just found.
                let _ = unsafe { (string.start.read_volatile(), string.start.add(string.length - 1).read_volatile()) };
            }
        }
        self.reader.take(count);
        true
    }

    fn rest(&mut self) {
        self.twin.look(self.said());
        let rests = !std::mem::take(&mut self.twin.is_used) && self.twin.held.is_empty();
        assert_eq!(self.writer.rest(), rests);
    }

    /// A message that turns out to be too large.
    fn take_back(&mut self, how: &[u8]) {
        let Some(&how) = how.first() else { return };
        let before = self.writer.count();
        let string = self.string(how);
        if self.put(string).is_some() {
            self.twin.held.pop_back();
        }
        self.writer.take_back(before);
    }

    fn say_taken(&mut self, how: u8, number: &[u8]) {
        self.is_honest = false;
        let near = || self.said().wrapping_add(how.into()).wrapping_sub(4);
        let taken = number.first_chunk().map_or_else(near, |number| u32::from_le_bytes(*number));
        self.hand.said().taken.store(taken, Ordering::Relaxed);
    }

    /// Opens or closes the ring, gives its memory back, or writes in it.
    fn scribble(&mut self, how: u8, place: &[u8]) {
        self.is_honest = false;
        fence(Ordering::SeqCst);
        match (how, place) {
            (0..4, _) => self.hand.said().open.store(how.into(), Ordering::Relaxed),
            (4..8, _) => self.hand.release(SIZE),
            (_, [low, high]) => {
                let place = usize::from(u16::from_le_bytes([*low, *high])) * LINE;
                // SAFETY: within the ring, which is a multiple of it.
                unsafe { self.hand.strings().add(place % SIZE).write_volatile(how) };
            }
            _ => {}
        }
    }
}

/// Whether a string that was found is one that was sent.
fn is(Shared { start, length, wide, .. }: Shared<'_>, sent: Sent) -> bool {
    let unit = if wide { 2 } else { 1 };
    // SAFETY: within the ring; it is at least `LEAST` units long.
    let ends = unsafe { [start.read_volatile(), start.add(length - unit).read_volatile()] };
    wide == sent.wide && length == unit * sent.units && ends == [sent.number; 2]
}
