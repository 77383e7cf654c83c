//! Buffers that are not in use, kept for the next user.
//!
//! A channel holds a buffer only while something is in it, so idle workers cost no memory, and a large message
//! finds the room that the last one made: no growing, no zeroing, no page faults anew.

use parking_lot::Mutex;

/// The largest buffer that is kept, in bytes.
pub const LARGEST: usize = 2 * 1024 * 1024;

/// One buffer that is not in use.
#[derive(Debug)]
pub struct Spare(Mutex<Vec<u8>>);

impl Spare {
    /// None yet.
    pub const fn new() -> Self {
        Spare(Mutex::new(Vec::new()))
    }

    /// The buffer as it was given, or a new one.
    pub fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock())
    }

    /// Keeps a buffer, unless it is too large or a larger one is there.
    pub fn give(&self, buffer: Vec<u8>) {
        let mut kept = self.0.lock();
        if buffer.capacity() <= LARGEST && buffer.capacity() > kept.capacity() {
            *kept = buffer;
        }
    }
}

impl Default for Spare {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_goes_from_one_user_to_the_next() {
        let spare = Spare::new();
        assert_eq!(spare.take().capacity(), 0);
        spare.give(vec![7; 10]);
        assert_eq!(spare.take(), [7; 10]);
        assert_eq!(spare.take().capacity(), 0, "one user has it");
    }

    #[test]
    fn the_largest_is_kept_up_to_a_limit() {
        let spare = Spare::new();
        for size in [10, 1000, 100, LARGEST + 1] {
            spare.give(Vec::with_capacity(size));
        }
        assert_eq!(spare.take().capacity(), 1000);
    }
}
