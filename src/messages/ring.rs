//! Long strings in shared memory: where they lie, and who may use which of it.
//!
//! A string that goes through the socket is copied twice by the kernel, and once more by each side. Here the sender's
//! V8 writes it into memory that both processes have, and the receiver's V8 makes its own string of it: two copies. All
//! else stays with the socket, which brings a mark in the place of the string (see [`parts`](crate::messages::parts)):
//! the order of messages, wake-ups, and what happens when a process ends.
//!
//! ```text
//!   sender                                     receiver
//!   put: room, copy, note  ──►  socket: mark  ──►  at: look where, copy
//!   forgets so many        ◄──  memory: taken ◄──  take: counts
//! ```
//!
//! **Who believes whom.** One number is shared: how many strings the receiver has taken. Where each string lies is known
//! to the sender alone, from its own notes, and told in the mark, which is in the receiver's own memory when it is
//! checked: there is nothing that could be read twice. A receiver that counts more than it was given breaks the ring
//! ([`Writer`] uses it no more), and one that counts too early is told nonsense. A sender that marks what lies outside
//! breaks the channel; one that changes a string while it is copied has sent another one, since V8 takes any bytes for
//! Latin-1, and any units for UTF-16 (text of UTF-8 would have to be checked first, and then be copied: it stays with
//! the socket). A mark may name what was named before, at 8 bytes of the socket each time: a few kilobytes of them would
//! be gigabytes of strings. So the strings of one message are no more than a message may have; and those of all messages
//! that one read has brought no more than a ring holds, since none of them had been taken when the last was put in
//! ([`Reader::arrived`]).
//!
//! **When it is full**, or a string short, or the ring not yet open at the other end, or its memory refused, a string takes the socket: nobody waits.
//! What lies in it is counted with what is queued ([`Writer::held`]), but for as much as a socket holds uncounted.
//!
//! **Who ends.** A mark is written after its string, and the kernel orders both. What a sender has marked stays when it
//! dies, as long as the receiver has the memory mapped. What a receiver has not taken is of no use to others.
//!
//! **Memory.** It is the space behind the worker's [board](crate::processes::board), which is mapped from the start and
//! costs nothing until it is used: no descriptor travels, so nobody can be short of one. Pages are asked for before they
//! are written, so that a system without any says so and sends no `SIGBUS` (Linux 5.14; what is older uses the socket).
//! Honest ends give back only what is taken. Another may give back any page at any time; whoever touches it then gets a
//! new one, all zeros, for which a system that overcommits finds memory: on others there are no rings
//! ([`is_overcommitted`](crate::os::memory::is_overcommitted)).
//! Strings follow each other up to [`NEAR`], and begin again at the start as soon as there is room: what was just read is
//! in the processor's caches, and what is farther is for large strings, or a receiver that is slow. What has rested for a
//! while goes back to the system ([`Writer::rest`]), and all of it once nobody reads it any more.
//!
//! **A fork** that executes no other program has the memory, as it has the socket; neither is for two users.

use std::cell::Cell;
use std::collections::VecDeque;
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::atomic::Ordering;

use crate::messages::parts::{Source, MORE};
use crate::os::error::{Error, Result};
use crate::os::sync::{fence, pause};
use crate::processes::board::Space;

/// Bytes of strings that a ring has room for.
pub const SIZE: usize = Space::SIZE;

/// Bytes up to which strings follow each other before they begin again at the start.
pub const NEAR: usize = 1024 * 1024;

/// The shortest string that is put in, in units: of shorter ones the notes and marks cost as much as is saved.
pub const LEAST: usize = 4096;

/// Strings begin at the start of a cache line.
const ALIGN: usize = 64;

/// Pages are asked for in such steps.
const STEP: usize = 64 * 1024;

/// As much as a socket holds, which is not counted as queued either.
const UNCOUNTED: usize = 208 * 1024;

/// Where a string lies in the ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Its first byte.
    pub start: u32,
    /// Its bytes.
    pub length: u32,
    /// Whether it is UTF-16; else it is Latin-1.
    pub wide: bool,
}

/// The end that puts strings in.
#[derive(Debug)]
pub struct Writer {
    space: Space,
    /// Where the strings lie that were not taken, the oldest first: from, to.
    held: VecDeque<(usize, usize)>,
    /// Bytes of them.
    held_bytes: usize,
    /// How many were taken so far, going by the receiver.
    taken: u32,
    /// Bytes from the start on that have memory.
    populated: usize,
    /// Bytes of strings whose marks were not offered to the kernel.
    unmarked: usize,
    /// Whether anything was put in since [`Writer::rest`] looked.
    used: bool,
    /// The receiver has counted what it was not given, or there is no memory.
    broken: bool,
}

impl Writer {
    /// An empty one.
    pub fn new(space: Space) -> Self {
        Writer {
            space,
            held: VecDeque::new(),
            held_bytes: 0,
            taken: 0,
            populated: 0,
            unmarked: 0,
            used: false,
            broken: false,
        }
    }

    /// Puts a string in, if there is room for it.
    pub fn put(&mut self, string: &impl Source) -> Option<Place> {
        pause();
        if self.broken || self.space.said().open.load(Ordering::Acquire) == 0 {
            return None;
        }
        let units = string.units();
        if units < LEAST {
            return None;
        }
        let (start, room) = self.room(units + MORE)?;
        // SAFETY: there is so much room, which nobody else in this process uses.
        if unsafe { string.narrow(room, units + MORE) } {
            return Some(self.hold(start, units, false));
        }
        let (start, room) = self.room(2 * (units + 1))?;
        // SAFETY: as above; it begins at the start of a cache line.
        unsafe { string.wide(room.cast(), units + 1) };
        Some(self.hold(start, 2 * units, true))
    }

    /// Bytes that the receiver has not taken, beyond what a socket would hold.
    pub fn held(&mut self) -> usize {
        if self.held_bytes > UNCOUNTED {
            self.forget_taken();
        }
        self.held_bytes.saturating_sub(UNCOUNTED)
    }

    /// Bytes that were put in since the last call of [`marked`](Self::marked).
    pub fn unmarked(&self) -> usize {
        self.unmarked
    }

    /// The marks were offered to the kernel.
    pub fn marked(&mut self) {
        self.unmarked = 0;
    }

    /// Takes back what was put in after so many strings: nobody will get the marks of those.
    pub fn take_back(&mut self, after: u32) {
        for _ in 0..self.count().wrapping_sub(after) {
            // A receiver may have counted them all the same.
            let Some((start, end)) = self.held.pop_back() else { break };
            self.held_bytes -= end - start;
        }
    }

    /// Strings that were put in so far. What is taken meanwhile does not change it.
    pub fn count(&self) -> u32 {
        // No more are held than a ring has room for.
        self.taken.wrapping_add(self.held.len() as u32)
    }

    /// Gives the memory back, if nothing was put in since the last call, and all is taken. Whether none is left.
    pub fn rest(&mut self) -> bool {
        self.forget_taken();
        if std::mem::take(&mut self.used) || !self.held.is_empty() {
            return false;
        }
        if self.populated > 0 {
            self.space.release(self.populated);
            self.populated = 0;
        }
        true
    }

    fn hold(&mut self, start: usize, length: usize, wide: bool) -> Place {
        let end = (start + length).next_multiple_of(ALIGN);
        self.held.push_back((start, end));
        self.held_bytes += end - start;
        self.unmarked += length;
        self.used = true;
        // The string is there before its mark is.
        fence(Ordering::Release);
        // Both are below the size of a ring.
        Place { start: start as u32, length: length as u32, wide }
    }

    /// Room for so many bytes, with memory.
    fn room(&mut self, length: usize) -> Option<(usize, NonNull<u8>)> {
        self.forget_taken();
        if self.broken {
            return None;
        }
        let start = self.find(length)?;
        let end = start + length;
        if end > self.populated {
            let until = end.next_multiple_of(STEP).min(SIZE);
            if self.space.populate(self.populated, until).is_err() {
                self.broken = true;
                return None;
            }
            self.populated = until;
        }
        // SAFETY: `find` finds nothing beyond the end.
        Some((start, unsafe { self.space.strings().byte_add(start) }))
    }

    /// Where so many bytes are free.
    fn find(&self, length: usize) -> Option<usize> {
        let (Some(&(first, _)), Some(&(_, end))) = (self.held.front(), self.held.back()) else {
            return (length <= SIZE).then_some(0);
        };
        let until = |limit: usize| end.checked_add(length).is_some_and(|it| it <= limit).then_some(end);
        if end > first {
            until(NEAR).or_else(|| (length <= first).then_some(0)).or_else(|| until(SIZE))
        } else {
            until(first)
        }
    }

    fn forget_taken(&mut self) {
        pause();
        let taken = self.space.said().taken.load(Ordering::Acquire);
        let more = taken.wrapping_sub(self.taken) as usize;
        if more > self.held.len() {
            self.broken = true;
            self.held.clear();
            self.held_bytes = 0;
            return;
        }
        self.held_bytes -= self.held.drain(..more).map(|(start, end)| end - start).sum::<usize>();
        self.taken = taken;
    }
}

/// The end that takes strings out.
#[derive(Debug)]
pub struct Reader {
    space: Space,
    taken: u32,
    longest: usize,
    /// Bytes that may be marked until more marks arrive.
    left: Cell<usize>,
}

/// A string in the ring. Its sender may change it at any time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shared<'a> {
    /// Its first byte, at the start of a cache line.
    pub start: NonNull<u8>,
    /// Its bytes.
    pub length: usize,
    /// Whether it is UTF-16; else it is Latin-1.
    pub wide: bool,
    ring: PhantomData<&'a Reader>,
}

impl Reader {
    /// Opens the ring: from now on strings are put in. A message has no more than `longest` bytes, with its strings.
    pub fn new(space: Space, longest: usize) -> Self {
        space.said().open.store(1, Ordering::Release);
        Reader { space, taken: 0, longest, left: Cell::new(SIZE) }
    }

    /// More marks may have arrived. Of those that came before none is left to be read.
    pub fn arrived(&self) {
        self.left.set(SIZE);
    }

    /// Whether a message may have one more string in the ring, of so many bytes, besides others, and so many bytes beside.
    ///
    /// # Errors
    /// [`Error::FrameTooLarge`]; [`Error::BadParts`] when the sender cannot have had room for all that it has marked.
    pub fn admit(&self, more: usize, others: usize, beside: usize) -> Result<()> {
        let shared = others.saturating_add(more);
        let (length, limit) = (shared.saturating_add(beside), self.longest);
        if shared > SIZE || length > limit {
            return Err(Error::FrameTooLarge { length, limit: limit.min(beside.saturating_add(SIZE)) });
        }
        let left = self.left.get().checked_sub(more).ok_or(Error::BadParts { length: beside })?;
        self.left.set(left);
        Ok(())
    }

    /// The string of a mark; none lies outside, or has half a unit.
    pub fn at(&self, Place { start, length, wide }: Place) -> Option<Shared<'_>> {
        let (start, length) = (start as usize, length as usize);
        let is_within = start.checked_add(length)? <= SIZE;
        if !is_within || start % ALIGN != 0 || (wide && length % 2 != 0) {
            return None;
        }
        // Its mark was there before it is read.
        fence(Ordering::Acquire);
        // SAFETY: within the ring.
        Some(Shared { start: unsafe { self.space.strings().byte_add(start) }, length, wide, ring: PhantomData })
    }

    /// So many strings more were copied: their room is the sender's again.
    pub fn take(&mut self, strings: usize) {
        pause();
        self.taken = self.taken.wrapping_add(strings as u32);
        self.space.said().taken.store(self.taken, Ordering::Release);
    }
}

impl Drop for Reader {
    /// Nobody takes out what is there, or will be: its memory goes back, while its sender may live on.
    fn drop(&mut self) {
        self.space.said().open.store(0, Ordering::Release);
        self.space.release(SIZE);
    }
}

#[cfg(test)]
mod tests;
