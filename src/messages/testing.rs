//! What the tests of this module share.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::ptr::NonNull;

use crate::messages::incoming::{Incoming, Read};
use crate::messages::parts::{Source, MORE};
use crate::messages::ring::{Reader, Writer};
use crate::processes::board::Board;

/// A descriptor that can be told from others: a pipe with its number in it.
pub fn marked(number: u8) -> OwnedFd {
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(&[number]).unwrap();
    reader.into()
}

/// Frames that arrived in one run, and the number in the descriptor that came along.
pub type Arrived = (Vec<String>, Option<u8>);

/// Reads until nothing is there, and takes all runs.
pub fn drain(incoming: &mut Incoming, socket: BorrowedFd<'_>) -> Vec<Arrived> {
    let mut runs = Vec::new();
    while matches!(incoming.read(socket).unwrap(), Read::Some | Read::Last) {
        while let Some(run) = incoming.next_run().unwrap() {
            let payloads = run.payloads.iter().map(|p| String::from_utf8(p.to_vec()).unwrap()).collect();
            runs.push((payloads, run.descriptor.map(mark)));
        }
    }
    runs
}

fn mark(descriptor: OwnedFd) -> u8 {
    let mut byte = [0];
    File::from(descriptor).read_exact(&mut byte).unwrap();
    byte[0]
}

/// What is sent in tests: so many bytes of one number, or as many units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    pub length: usize,
    pub number: u8,
    pub wide: bool,
}

// SAFETY: it writes what it says, and nothing beyond.
unsafe impl Source for Sent {
    fn units(&self) -> usize {
        self.length
    }

    unsafe fn narrow(&self, room: NonNull<u8>, length: usize) -> bool {
        assert_eq!(length, self.length + MORE);
        // SAFETY: there is so much room.
        unsafe { room.write_bytes(self.number, length) };
        !self.wide
    }

    unsafe fn wide(&self, room: NonNull<u16>, length: usize) {
        assert_eq!(length, self.length + 1);
        // SAFETY: there is so much room.
        unsafe { room.write_bytes(self.number, length) };
    }
}

/// So many bytes of one number.
pub const fn sent(length: usize, number: u8) -> Sent {
    Sent { length, number, wide: false }
}

/// Both ends of a ring.
pub fn ring_ends() -> (Writer, Reader) {
    let (board, memory) = Board::new().unwrap();
    let theirs = Board::open(&memory).unwrap();
    let (writer, reader) = (board.spaces().unwrap().0, theirs.spaces().unwrap().0);
    (Writer::new(writer), Reader::new(reader, usize::MAX))
}
