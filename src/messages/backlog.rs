//! Bytes that the kernel does not take, though it was offered them: as many as a program sends that does not wait.
//!
//! They lie in pieces of memory of their own, so that none is moved as more come, and each goes back to the system once
//! the kernel has what was in it.

use std::collections::VecDeque;

use crate::messages::spare::LARGEST;
use crate::os::memory::Pages;

/// Bytes in a row, in pieces.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    pieces: VecDeque<Piece>,
    /// How much of the first piece has been removed.
    start: usize,
    length: usize,
}

#[derive(Debug)]
enum Piece {
    /// Memory from the system, and how much of it is in use.
    Pages(Pages, usize),
    /// What was too large to be copied, or found no such memory.
    Whole(Vec<u8>),
}

impl Piece {
    fn bytes(&self) -> &[u8] {
        match self {
            Piece::Pages(pages, end) => &pages.bytes()[..*end],
            Piece::Whole(bytes) => bytes,
        }
    }

    /// Copies as much as there is room for; returns how much that was.
    fn fill(&mut self, bytes: &[u8]) -> usize {
        let Piece::Pages(pages, end) = self else { return 0 };
        let room = &mut pages.bytes_mut()[*end..];
        let length = bytes.len().min(room.len());
        room[..length].copy_from_slice(&bytes[..length]);
        *end += length;
        length
    }
}

impl Backlog {
    pub fn len(&self) -> usize {
        self.length
    }

    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Bytes of memory that are taken.
    #[cfg(test)]
    pub fn memory(&self) -> usize {
        let memory = |piece: &Piece| match piece {
            Piece::Pages(pages, _) => pages.bytes().len(),
            Piece::Whole(bytes) => bytes.capacity(),
        };
        self.pieces.iter().map(memory).sum()
    }

    /// Takes what is in `bytes` from `start` on, and leaves them empty.
    pub fn append(&mut self, bytes: &mut Vec<u8>, start: usize) {
        self.length += bytes.len() - start;
        if bytes.capacity() > LARGEST {
            return self.append_whole(bytes, start);
        }
        let mut copied = start;
        while copied < bytes.len() {
            match self.pieces.back_mut().map_or(0, |piece| piece.fill(&bytes[copied..])) {
                0 => match Pages::new() {
                    Ok(pages) => self.pieces.push_back(Piece::Pages(pages, 0)),
                    Err(_) => return self.append_whole(bytes, copied),
                },
                filled => copied += filled,
            }
        }
        bytes.clear();
    }

    fn append_whole(&mut self, bytes: &mut Vec<u8>, start: usize) {
        if self.pieces.is_empty() {
            self.start = start;
        } else {
            bytes.drain(..start);
        }
        self.pieces.push_back(Piece::Whole(std::mem::take(bytes)));
    }

    /// The oldest bytes that lie in a row.
    pub fn oldest(&self) -> Option<&[u8]> {
        self.pieces.front().map(|piece| &piece.bytes()[self.start..])
    }

    /// Removes the oldest bytes, no more than [`oldest`](Self::oldest) has.
    pub fn remove(&mut self, length: usize) {
        self.start += length;
        self.length -= length;
        if self.pieces.front().is_some_and(|piece| piece.bytes().len() == self.start) {
            self.pieces.pop_front();
            self.start = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::alone::alone;
    use nix::sys::resource::{getrlimit, setrlimit, Resource};
    use proptest::prelude::*;

    #[derive(Debug, Clone)]
    enum Step {
        Append { length: usize, start: usize },
        Remove { most: usize },
    }

    fn step() -> impl Strategy<Value = Step> {
        let length = prop_oneof![4 => 1..200_000_usize, 1 => 1..2 * LARGEST];
        let append = (length, any::<prop::sample::Index>())
            .prop_map(|(length, start)| Step::Append { length, start: start.index(length) });
        prop_oneof![append, (1..LARGEST).prop_map(|most| Step::Remove { most })]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20))]

        #[test]
        fn what_is_removed_is_what_was_appended_and_memory_follows_it(steps in prop::collection::vec(step(), 1..30)) {
            let (mut backlog, mut naive) = (Backlog::default(), Vec::new());
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Append { length, start } => {
                        let mut bytes = [number as u8, 1, 2, 3, 5, 8, 13].repeat(length / 7 + 1);
                        bytes.truncate(length);
                        naive.extend_from_slice(&bytes[start..]);
                        backlog.append(&mut bytes, start);
                        prop_assert!(bytes.is_empty());
                    }
                    Step::Remove { most } => {
                        let Some(oldest) = backlog.oldest() else { continue };
                        let length = oldest.len().min(most);
                        prop_assert!(length > 0 && naive[..length] == oldest[..length]);
                        naive.drain(..length);
                        backlog.remove(length);
                    }
                }
                prop_assert_eq!((backlog.len(), backlog.is_empty()), (naive.len(), naive.is_empty()));
                let large = backlog.pieces.iter().filter(|piece| matches!(piece, Piece::Whole(_))).count();
                prop_assert!(backlog.memory() <= naive.len() + (large + 2) * 2 * LARGEST);
            }
            while let Some(oldest) = backlog.oldest() {
                let length = oldest.len();
                prop_assert!(naive[..length] == *oldest);
                naive.drain(..length);
                backlog.remove(length);
            }
            prop_assert!(naive.is_empty());
            prop_assert_eq!(backlog.memory(), 0);
        }
    }

    #[test]
    fn what_finds_no_memory_stays_where_it_is() {
        alone(|| {
            let mut backlog = Backlog::default();
            backlog.append(&mut vec![1; 1000], 0);
            let mut bytes = vec![2; LARGEST];
            let (soft, hard) = getrlimit(Resource::RLIMIT_AS).unwrap();
            setrlimit(Resource::RLIMIT_AS, 0, hard).unwrap();
            backlog.append(&mut bytes, 10);
            setrlimit(Resource::RLIMIT_AS, soft, hard).unwrap();
            assert!(matches!(&backlog.pieces.make_contiguous()[..], [Piece::Pages(..), Piece::Whole(_)]));
            let mut found = Vec::new();
            while let Some(oldest) = backlog.oldest().map(<[u8]>::to_vec) {
                backlog.remove(oldest.len());
                found.extend(oldest);
            }
            assert_eq!(found, [vec![1; 1000], vec![2; LARGEST - 10]].concat());
        });
    }
}
