//! What two processors may see of a ring, in all ways in which the orderings allow it (loom):
//!
//! ```sh
//! RUSTFLAGS='--cfg weak_memory' cargo test --target-dir target/weak_memory weak_memory
//! ```
//!
//! The kernel, which brings the marks, orders nothing here: they are numbers of their own, written and read without
//! any order. On x86 the processor alone would hide most of what is wrong.

use std::ptr::NonNull;
use std::sync::Arc;

use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicU32, Ordering};
use loom::thread::{spawn, yield_now};

use crate::messages::parts::Source;
use crate::messages::ring::{Place, Reader, Writer, LEAST};
use crate::processes::board::Board;

/// How many strings are sent: the third may lie where the first one did.
const STRINGS: usize = 3;

/// No mark yet.
const NONE: u32 = u32::MAX;

/// Stands for the memory of a ring: loom tells who reads what another has not done with.
type Cells = [UnsafeCell<usize>; STRINGS];

/// A string of [`LEAST`] bytes that is one number.
struct Number<'a> {
    number: usize,
    cells: &'a Cells,
    ring: NonNull<u8>,
}

// SAFETY: what is read is what is in the cell.
unsafe impl Source for Number<'_> {
    fn units(&self) -> usize {
        LEAST
    }

    unsafe fn narrow(&self, room: NonNull<u8>, _: usize) -> bool {
        let start = room.as_ptr() as usize - self.ring.as_ptr() as usize;
        // SAFETY: loom finds it out if another thread reads it.
        self.cells[start / LEAST].with_mut(|cell| unsafe { *cell = self.number });
        true
    }

    unsafe fn wide(&self, _: NonNull<u16>, _: usize) {
        unreachable!("it is narrow");
    }
}

#[test]
fn what_is_marked_is_there_and_what_is_taken_was_copied() {
    let (board, _memory) = Board::new().unwrap();
    loom::model(move || {
        let (space, _) = board.spaces().unwrap();
        let ring = space.strings();
        let cells: Arc<Cells> = Arc::default();
        let marks: Arc<[AtomicU32; STRINGS]> = Arc::new([(); STRINGS].map(|()| AtomicU32::new(NONE)));
        let mut reader = Reader::new(space.clone(), usize::MAX);
        let mut writer = Writer::new(space);
        let (read_cells, read_marks) = (Arc::clone(&cells), Arc::clone(&marks));
        let receiver = spawn(move || {
            for (number, mark) in read_marks.iter().enumerate() {
                let start = loop {
                    match mark.load(Ordering::Relaxed) {
                        NONE => yield_now(),
                        start => break start,
                    }
                };
                reader.at(Place { start, length: LEAST as u32, wide: false }).unwrap();
                // SAFETY: loom finds it out if another thread writes it.
                let read = read_cells[start as usize / LEAST].with(|cell| unsafe { *cell });
                assert_eq!(read, number);
                reader.take(1);
            }
        });
        for (number, mark) in marks.iter().enumerate() {
            let place = writer.put(&Number { number, cells: &cells, ring }).unwrap();
            mark.store(place.start, Ordering::Relaxed);
        }
        receiver.join().unwrap();
    });
}
