//! A worker, as the acceptor knows it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use nix::sys::epoll::EpollFlags;

use crate::connections::handoff::{Connection, ListenerId, Queue, Taken};
use crate::os::error::Result;

/// How long a queue that was seen to hold something counts as holding it.
const LOOK: Duration = Duration::from_millis(1);

#[derive(Debug)]
pub(super) struct Worker {
    pub queue: Queue,
    pub standing: Standing,
    /// No descriptor was left to receive what it gives back: epoll does not watch its end, ticks look at it.
    pub unheard: bool,
    /// When it last took something, or its queue was empty.
    pub moved: Instant,
    /// How many connections of each listener it was handed. What was taken back, or it gave back, is not among them.
    handed: BTreeMap<ListenerId, u64>,
    /// When its queue was last seen to hold something.
    seen_busy: Option<Instant>,
}

/// Whether a worker can be given connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Ready,
    /// Its queue took no more: epoll tells when it does.
    Full,
    /// It took nothing from its queue for [`STUCK`](super::STUCK).
    Stuck,
    /// It has gone, or is broken; its queue is being emptied.
    Leaving,
}

impl Worker {
    pub fn new(queue: Queue, now: Instant) -> Worker {
        let (standing, handed) = (Standing::Ready, BTreeMap::new());
        Worker { queue, standing, unheard: false, moved: now, handed, seen_busy: None }
    }

    pub fn is_ready(&self) -> bool {
        self.standing == Standing::Ready
    }

    /// What epoll is to tell of its end.
    pub fn events(&self) -> EpollFlags {
        match self.standing {
            Standing::Full => EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT,
            Standing::Ready | Standing::Stuck | Standing::Leaving => EpollFlags::EPOLLIN,
        }
    }

    /// Puts a connection into its queue; `false` if that is full.
    ///
    /// # Errors
    /// As [`Queue::put`].
    pub fn hand(&mut self, connection: &Connection, now: Instant) -> Result<bool> {
        if self.queue.queued() == 0 {
            self.moved = now;
        }
        let put = self.queue.put(connection)?;
        *self.handed.entry(connection.listener).or_default() += u64::from(put);
        Ok(put)
    }

    /// Takes the oldest packet back out of its queue.
    ///
    /// # Errors
    /// As [`Queue::take_back`].
    pub fn take_back(&mut self) -> Result<Taken> {
        let taken = self.queue.take_back()?;
        if let Taken::Connection(connection) = &taken {
            self.give_up(connection.listener);
        }
        Ok(taken)
    }

    /// It has a connection less of those that it was handed; `false` if it has none.
    pub fn give_up(&mut self, listener: ListenerId) -> bool {
        let Some(handed) = self.handed.get_mut(&listener).filter(|handed| **handed > 0) else { return false };
        *handed -= 1;
        true
    }

    /// A listener has closed: what was handed of it matters no more.
    pub fn forget(&mut self, listener: ListenerId) {
        self.handed.remove(&listener);
    }

    /// Whether it has taken all that was put into its queue.
    ///
    /// The kernel is asked once for a connection at most; a queue that holds something is not asked again for a
    /// while, so that a thousand connections do not look at each busy worker a thousand times.
    pub fn is_idle(&mut self, now: Instant) -> bool {
        if self.queue.queued() == 0 {
            return true;
        }
        if self.seen_busy.is_some_and(|seen| now.duration_since(seen) < LOOK) {
            return false;
        }
        if self.queue.look().is_ok_and(|taken| taken) {
            self.moved = now;
        }
        self.seen_busy = (self.queue.queued() > 0).then_some(now);
        self.seen_busy.is_none()
    }
}
