//! A worker's sheet: text that it publishes in memory of its own, and that the primary reads without asking it, also
//! after its death.
//!
//! There is room for two texts: the worker writes the one that is not the last, and then says that it is. So whenever it
//! is killed there is a whole one. Nothing in the memory is believed: what is read is copied first, and bounded.
//!
//! Beside it is a bell, a pair of sockets. The primary rings, where somebody wants to know; the worker answers when it has
//! published.

use std::num::NonZeroUsize;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::ptr::NonNull;
use std::slice;
use std::sync::atomic::{fence, AtomicU64, Ordering};

use nix::sys::socket::{recv, send, MsgFlags, SockType};

use super::board::now;
use crate::os::error::Result;
use crate::os::memory::{self, Mapping};
use crate::os::socket;

/// No text is longer. Memory is taken for what was written only.
pub const ROOM: usize = 4 << 20;

const HEADER: usize = 4096;
const SIZE: NonZeroUsize = NonZeroUsize::new(HEADER + 2 * ROOM).unwrap();

/// What a word has.
const WORD: usize = 8;

/// How often a text is read again that has changed meanwhile.
const TRIES: usize = 3;

/// What lies at the start of the memory.
#[derive(Debug)]
#[repr(C)]
struct Header {
    /// How many were published: an even number, the first text is the last one.
    published: AtomicU64,
    texts: [Text; 2],
}

#[derive(Debug)]
#[repr(C)]
struct Text {
    length: AtomicU64,
    /// When, as boards have it.
    at: AtomicU64,
}

/// One worker's sheet, as either side has it.
#[derive(Debug)]
pub struct Sheet {
    memory: Mapping,
}

/// What was published last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// How many there were until then.
    pub number: u64,
    /// When, as [`now`] has it, and not later than this moment.
    pub at: u64,
    /// The text, whatever it is.
    pub text: Vec<u8>,
}

impl Sheet {
    /// A new one, and the descriptor for its worker.
    ///
    /// # Errors
    /// As [`memory::shared`].
    pub fn new() -> Result<(Sheet, OwnedFd)> {
        let memory = memory::shared(c"rust-cluster-sheet", SIZE)?;
        Ok((Sheet::open(&memory)?, memory))
    }

    /// The one that lies in this memory.
    ///
    /// # Errors
    /// As [`Mapping::new`].
    pub fn open(memory: &OwnedFd) -> Result<Sheet> {
        Ok(Sheet { memory: Mapping::new(memory, SIZE)? })
    }

    fn header(&self) -> &Header {
        let start: NonNull<Header> = self.memory.start().cast();
        // SAFETY: a page is large enough, and aligned. All is atomic, and every value of it is one.
        unsafe { start.as_ref() }
    }

    fn room(&self, number: u64) -> &[AtomicU64] {
        let first: NonNull<AtomicU64> = self.memory.start().cast();
        let words = (HEADER + which(number) * ROOM) / WORD;
        // SAFETY: both are within the mapping, and aligned; all is atomic.
        unsafe { slice::from_raw_parts(first.add(words).as_ptr(), ROOM / WORD) }
    }

    /// The worker publishes; `false`: it is longer than there is room.
    pub fn publish(&self, text: &[u8]) -> bool {
        if text.len() > ROOM {
            return false;
        }
        let header = self.header();
        let number = header.published.load(Ordering::Relaxed).wrapping_add(1);
        // Who reads must not see what is written now, and think that this is the last one still.
        fence(Ordering::SeqCst);
        for (word, bytes) in self.room(number).iter().zip(text.chunks(WORD)) {
            let mut whole = [0; WORD];
            whole[..bytes.len()].copy_from_slice(bytes);
            word.store(u64::from_ne_bytes(whole), Ordering::Relaxed);
        }
        let Text { length, at } = &header.texts[which(number)];
        length.store(text.len() as u64, Ordering::Relaxed);
        at.store(now(), Ordering::Relaxed);
        header.published.store(number, Ordering::Release);
        true
    }

    /// How many were published.
    pub fn published(&self) -> u64 {
        self.header().published.load(Ordering::Acquire)
    }

    /// The primary reads what was published last; `None`: nothing was, or it changes faster than it can be read.
    pub fn read(&self) -> Option<Published> {
        (0..TRIES).find_map(|_| self.read_once())
    }

    fn read_once(&self) -> Option<Published> {
        let header = self.header();
        let number = header.published.load(Ordering::Acquire);
        if number == 0 {
            return None;
        }
        let Text { length, at } = &header.texts[which(number)];
        let length = usize::try_from(length.load(Ordering::Relaxed)).ok().filter(|length| *length <= ROOM)?;
        let at = at.load(Ordering::Relaxed).min(now());
        let mut text = Vec::with_capacity(length.next_multiple_of(WORD));
        for word in &self.room(number)[..length.div_ceil(WORD)] {
            text.extend(word.load(Ordering::Relaxed).to_ne_bytes());
        }
        text.truncate(length);
        // The next one lies in the other room; the one after that, here.
        fence(Ordering::SeqCst);
        (header.published.load(Ordering::Acquire) == number).then_some(Published { number, at, text })
    }
}

const fn which(number: u64) -> usize {
    (number % 2) as usize
}

/// One end of a bell.
#[derive(Debug)]
pub struct Bell(OwnedFd);

/// What there was to hear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// Nothing.
    Nothing,
    /// It has rung.
    Ring,
    /// The other end is gone.
    End,
}

impl Bell {
    /// Our end, and the one for the worker.
    ///
    /// # Errors
    /// As [`socket::pair`].
    pub fn new() -> Result<(Bell, OwnedFd)> {
        let (ours, theirs) = socket::pair(SockType::Stream)?;
        Ok((Bell(ours), theirs))
    }

    /// The end that is this descriptor.
    pub fn open(end: OwnedFd) -> Bell {
        Bell(end)
    }

    /// Rings. It never waits: where the other end has not heard what there was before, this is nothing new to it.
    pub fn ring(&self) {
        let _ = send(self.0.as_raw_fd(), &[1], MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL);
    }

    /// Takes what has come; it never waits.
    pub fn hear(&self) -> Heard {
        match recv(self.0.as_raw_fd(), &mut [0; 256], MsgFlags::MSG_DONTWAIT) {
            Ok(0) => Heard::End,
            Ok(_) => Heard::Ring,
            Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EINTR) => Heard::Nothing,
            Err(_) => Heard::End,
        }
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    fn both() -> (Sheet, Sheet) {
        let (primary, memory) = Sheet::new().unwrap();
        let worker = Sheet::open(&memory).unwrap();
        (primary, worker)
    }

    #[test]
    fn what_is_published_last_is_read_also_when_the_worker_is_gone() {
        let (primary, worker) = both();
        assert_eq!(primary.read(), None);
        let start = now();
        for text in ["", "a", "12345678", "a longer text, of no round length"] {
            assert!(worker.publish(text.as_bytes()));
            let read = primary.read().unwrap();
            assert_eq!(read.text, text.as_bytes());
            assert!(read.at >= start && read.at <= now());
        }
        drop(worker);
        assert_eq!((primary.published(), primary.read().unwrap().number), (4, 4));
    }

    #[test]
    fn what_is_too_long_is_refused_and_what_just_fits_is_not() {
        let (primary, worker) = both();
        assert!(worker.publish(&vec![b'x'; ROOM]));
        assert!(!worker.publish(&vec![b'y'; ROOM + 1]));
        assert_eq!(primary.read().unwrap().text, vec![b'x'; ROOM]);
    }

    #[test]
    fn a_text_that_is_half_written_is_not_read() {
        let (primary, worker) = both();
        worker.publish(b"one");
        // As a worker that is killed while it writes the next one leaves it.
        worker.room(2)[0].store(u64::MAX, Ordering::Relaxed);
        worker.header().texts[0].length.store(8, Ordering::Relaxed);
        assert_eq!(primary.read().unwrap().text, b"one");
    }

    #[test]
    fn whatever_a_worker_writes_reading_is_safe() {
        let (primary, worker) = both();
        for number in [0, 1, 2, u64::MAX - 1, u64::MAX] {
            for length in [0, 1, ROOM as u64, ROOM as u64 + 1, u64::MAX] {
                worker.header().published.store(number, Ordering::Relaxed);
                for text in &worker.header().texts {
                    text.length.store(length, Ordering::Relaxed);
                    text.at.store(u64::MAX, Ordering::Relaxed);
                }
                let read = primary.read();
                assert_eq!(read.is_some(), number > 0 && length <= ROOM as u64, "{number} {length}");
                assert!(read.is_none_or(|read| read.text.len() as u64 == length && read.at <= now()));
                worker.publish(b"x");
            }
        }
    }

    #[test]
    fn no_text_is_a_mixture_of_two() {
        let (primary, worker) = both();
        let ended = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for round in 0..20_000_usize {
                    worker.publish(&vec![b'a' + (round % 26) as u8; 64 + round % 512]);
                }
                ended.store(true, Ordering::Relaxed);
            });
            let mut last = 0;
            while !ended.load(Ordering::Relaxed) {
                let Some(Published { number, text, .. }) = primary.read() else { continue };
                assert!(text.iter().all(|byte| *byte == text[0]), "{text:?}");
                assert_eq!(text[0], b'a' + ((number - 1) % 26) as u8);
                assert!(number >= last);
                last = number;
            }
        });
        assert_eq!(primary.read().unwrap().number, 20_000);
    }

    #[test]
    fn a_bell_is_heard_once_and_never_blocks() {
        let (primary, theirs) = Bell::new().unwrap();
        let worker = Bell::open(theirs);
        assert_eq!(worker.hear(), Heard::Nothing);
        for _ in 0..100_000 {
            primary.ring();
        }
        let mut rings = 0;
        while worker.hear() == Heard::Ring {
            rings += 1;
        }
        assert!(rings > 0);
        drop(primary);
        worker.ring();
        assert_eq!(worker.hear(), Heard::End);
    }
}
