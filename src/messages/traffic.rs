//! What has gone over a channel, for whoever wants to know: other threads read it without a lock.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Both ways of a channel, from this process's side.
#[derive(Debug, Default)]
pub struct Traffic {
    /// What was queued for the other process.
    pub sent: Count,
    /// What came from it.
    pub received: Count,
    queued: AtomicUsize,
}

/// Messages and their bytes, with their headers.
#[derive(Debug, Default)]
pub struct Count {
    messages: AtomicU64,
    bytes: AtomicU64,
}

impl Count {
    /// Some more. By one thread at a time: two would lose some.
    pub(super) fn add(&self, messages: usize, bytes: usize) {
        for (count, more) in [(&self.messages, messages), (&self.bytes, bytes)] {
            count.store(count.load(Ordering::Relaxed).wrapping_add(more as u64), Ordering::Relaxed);
        }
    }

    /// How many messages.
    pub fn messages(&self) -> u64 {
        self.messages.load(Ordering::Relaxed)
    }

    /// How many bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl Traffic {
    /// Bytes that wait to be written.
    pub fn queued(&self) -> usize {
        self.queued.load(Ordering::Relaxed)
    }

    pub(super) fn set_queued(&self, bytes: usize) {
        self.queued.store(bytes, Ordering::Relaxed);
    }
}
