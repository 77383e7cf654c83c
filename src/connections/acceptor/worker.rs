//! A worker, as the acceptor knows it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::epoll::EpollFlags;

use super::figures::{Handed, WorkerFigures};
use crate::connections::handoff::{Connection, ListenerId, Queue, Taken};
use crate::connections::policy::{Load, BUSY};
use crate::connections::sticky::Slot;
use crate::os::error::Result;
use crate::processes::board::{Board, Gauge};

/// A worker that takes nothing for so long comes after those that take. Below that it has its turn, on a busy machine
/// too: the round stays even.
const SLOW: Duration = Duration::from_millis(10);

/// How long a slow worker counts as one without another look.
const LOOK: Duration = Duration::from_millis(1);

#[derive(Debug)]
pub(super) struct Worker {
    pub slot: Slot,
    pub queue: Queue,
    /// What it notes of itself, where there is such memory.
    board: Option<Arc<Board>>,
    pub standing: Standing,
    /// No descriptor was left to receive what it gives back: epoll does not watch its end, ticks look at it.
    pub unheard: bool,
    /// When it last took something, or its queue was empty.
    pub moved: Instant,
    /// How many connections of each listener it was handed. What was taken back, or it gave back, is not among them.
    handed: BTreeMap<ListenerId, u64>,
    /// How many were put into its queue, and not taken back, of those that count on a gauge.
    counted: BTreeMap<Gauge, u64>,
    /// Whether somebody waits for what it has too much.
    pub is_wanted: bool,
    /// When it was last seen to be slow.
    seen_slow: Option<Instant>,
    /// How many more it was handed, in its life, than it says to have taken, when its queue was last seen to be empty.
    astray: u64,
    /// For those who want to know.
    pub counts: Handed,
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
    pub fn new(slot: Slot, queue: Queue, board: Option<Arc<Board>>, now: Instant) -> Worker {
        Worker {
            slot,
            queue,
            board,
            standing: Standing::Ready,
            unheard: false,
            moved: now,
            handed: BTreeMap::new(),
            counted: BTreeMap::new(),
            is_wanted: false,
            seen_slow: None,
            astray: 0,
            counts: Handed::default(),
        }
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
        self.counts.handed += u64::from(put);
        if let Some(gauge) = connection.gauge.filter(|_| put) {
            *self.counted.entry(gauge).or_default() += 1;
        }
        Ok(put)
    }

    /// Takes the oldest packet back out of its queue.
    ///
    /// # Errors
    /// As [`Queue::take_back`].
    pub fn take_back(&mut self) -> Result<Taken> {
        let taken = self.queue.take_back()?;
        let gauge = match &taken {
            Taken::Connection(connection) => {
                self.counts.taken_back += 1;
                self.give_up(connection.listener);
                connection.gauge
            }
            Taken::Lost(gauge) => *gauge,
            _ => None,
        };
        if let Some(counted) = gauge.and_then(|gauge| self.counted.get_mut(&gauge)) {
            *counted = counted.saturating_sub(1);
        }
        Ok(taken)
    }

    /// How many of its connections count on a gauge: those that lie in its queue, too. Without a board nobody knows.
    pub fn occupied(&self, gauge: Gauge) -> u64 {
        let counted = self.counted.get(&gauge).copied().unwrap_or_default();
        self.board.as_ref().map_or(0, |board| board.occupied(gauge, counted))
    }

    /// Has it say when it has one less.
    pub fn want(&mut self, gauge: Gauge) {
        self.is_wanted = true;
        self.board.as_ref().inspect(|board| board.want(gauge));
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

    /// What it notes of itself.
    pub fn board(&self) -> Option<&Board> {
        self.board.as_deref()
    }

    /// What there is to see of it.
    pub fn figures(&self, now: Instant) -> WorkerFigures {
        let queued = self.queue.depth().unwrap_or_default();
        let quiet = if queued > 0 { now.duration_since(self.moved) } else { Duration::ZERO };
        WorkerFigures { queued, quiet, is_stuck: self.standing == Standing::Stuck }
    }

    /// What is known of it, for the policy.
    pub fn load(&mut self, now: Instant) -> Load {
        let wait = self.board.as_ref().map_or(Duration::ZERO, |board| board.expected_wait_above(BUSY, now));
        Load { takes: self.is_prompt(now), queued: self.untaken().saturating_sub(self.astray), wait }
    }

    /// How many of those that it was handed it has not taken, going by what it says. Without a board nobody knows.
    fn untaken(&self) -> u64 {
        let handed = self.counts.handed.saturating_sub(self.counts.taken_back);
        self.board.as_ref().map_or(0, |board| handed.saturating_sub(board.taken()))
    }

    /// Whether it takes what is put into its queue: all of it, or some within [`SLOW`].
    ///
    /// The kernel is not asked at each connection: of a worker that takes, every [`SLOW`], and of one that does not, a
    /// thousand times a second at most.
    fn is_prompt(&mut self, now: Instant) -> bool {
        if self.queue.queued() == 0 || now.duration_since(self.moved) < SLOW {
            return true;
        }
        if self.seen_slow.is_some_and(|seen| now.duration_since(seen) < LOOK) {
            return false;
        }
        if self.queue.look().is_ok_and(|taken| taken) {
            self.moved = now;
        }
        if self.queue.queued() == 0 {
            self.astray = self.untaken();
        }
        let is_slow = self.queue.queued() > 0 && self.moved != now;
        self.seen_slow = is_slow.then_some(now);
        !is_slow
    }
}
