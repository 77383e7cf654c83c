//! The acceptor: one thread in the primary that accepts connections and hands them to workers. No JavaScript
//! is on its way, so a primary that is busy goes on serving.
//!
//! # What the thread does
//!
//! ```text
//! wait for (epoll)
//!   a listener can accept   → accept; place each connection
//!   a full queue has room   → place what waits; accept again
//!   a worker gave one back  → it refuses the listener; place the connection with another
//!   a worker has room again → it refuses no more; or, while others wait, it gets one of them
//!   a tick (25 ms, only while there is something to look at)
//!                           → see who took nothing for 75 ms: stuck, take its queue back
//!                             try again what failed for want of descriptors or memory
//!                             offer one of those that wait, though all refuse
//!
//!   more of a parked connection has come, or its time is over
//!                           → look at it again; place it, or not
//!
//! admit(connection), where something of it goes by its client:
//!   look at what it says, without taking it (`MSG_PEEK`): a proxy's header, the head of its first request
//!   not all there: it is parked
//!
//! place(connection):
//!   its client has an owner: that one's queue, if he takes it
//!   ask the listener's rotation for the next worker that is ready (not full, not stuck, not refusing), first
//!   among those that take what they are given and are not busy; put the connection into its queue, and close our copy
//!   nobody ready: the connection waits, and its listener accepts no more: the rest waits in the kernel
//!   (who has as many as a limit says is not ready; it says when it has fewer)
//!
//! depart(worker, cause): it closed a server, retires, has gone, or is broken
//!   others serve the listener: what waits in the worker's queue goes to them, and what it gave back before
//!   it retires and is the last: it gets all that clients have connected, and the socket is closed; what finds
//!   no room in its queue waits, and an event tells when all is in it
//! ```
//!
//! # Where it is
//!
//! This file has the handle and the thread; `state` who listens and who is there, and how they depart; `dispatch`
//! a connection's way; `figures` what was counted; `stuck` the clock; `parked` those that are looked at; `overdue` those that
//! have waited for too long; `listener`, `worker` and `watch` what these are
//! about.
//!
//! # Reasons
//!
//! 1. *One lock, no messages.* The event loop's thread changes the same [`State`] under the same lock, so what
//!    it asks for has happened when the call returns: a listener that was left by its last worker is closed,
//!    and its port can be bound again. No system call made under the lock blocks.
//! 2. *Level-triggered.* A listener is asked for one batch a turn, so that none starves another; what is left
//!    is reported again.
//! 3. *Stuck is measured by the queue, not by an answer.* The depth of a worker's queue is one `ioctl` away
//!    and is looked at only while something was handed over. A worker that takes nothing for [`STUCK`] gets
//!    nothing more; a probe in its queue tells when it runs again.
//! 4. *A worker that refuses says when it has room.* Until then it is not asked, so that a connection which finds
//!    all full does not go round and round. Room that opens without a word (a larger `maxConnections`) is found by
//!    the offers of the tick.
//!
//! Invariant: a [`Connection`] is in exactly one place: in the local variable that is placing it, parked, in one
//! worker's queue, or in its listener's `waiting` or `held`. It is closed only when its listener is, or when that has
//! retired and its last worker does not take it; when a proxy owes it a header; when too many wait for their owners; and,
//! where there is a limit, when it has waited for too long, or its client has gone.
//!
//! [`Connection`]: crate::connections::handoff::Connection

mod dispatch;
mod figures;
mod hear;
mod listener;
mod overdue;
mod parked;
mod state;
mod stuck;
mod watch;
mod worker;

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use nix::errno::Errno;
use nix::libc;
use nix::sys::epoll::{EpollEvent, EpollFlags, EpollTimeout};
use nix::time::{clock_gettime, ClockId};
use parking_lot::Mutex;

use crate::connections::handoff::{ListenerId, Queue};
use crate::connections::listen::Opened;
use crate::connections::policy::{Dispatch, WorkerId};
use crate::connections::sticky::Slot;
use crate::os::error::{Error, Result};
use crate::os::sync::thread::JoinHandle;
use crate::os::thread;
use crate::os::wait::Flag;
use crate::processes::board::Board;
pub use figures::{Figures, Handed, ListenerFigures, WorkerFigures};
use state::{Departure, State};
use watch::Token;

/// How often the queues are looked at while something is in them; how long a try that failed for want of
/// descriptors or memory waits; how often a connection is offered though all workers of its listener refuse.
const TICK: Duration = Duration::from_millis(25);

/// A worker that took nothing from its queue for so long is stuck. With a tick it stays below the 100 ms
/// after which such a worker shall get no connection.
const STUCK: Duration = Duration::from_millis(70);

/// A worker whose loop has not turned for so long may idle, or be stuck: see [`Acceptor::knock`].
const LONGEST_IDLE: Duration = Duration::from_secs(1);

/// How many connections are accepted from one listener before others get their turn.
const BATCH: usize = 64;

/// How many connections are accepted as a listener closes: what the kernel keeps for one at most, unless
/// `net.core.somaxconn` was changed.
const BACKLOG: usize = 4096;

/// What the acceptor tells the primary's JavaScript.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A worker sent something that no worker of ours sends. It gets no more connections.
    Broken {
        /// The worker.
        worker: WorkerId,
        /// What it sent.
        error: Error,
    },
    /// A connection could not be accepted, or received from a worker that gave it back, for want of descriptors or
    /// memory; it is tried again at every tick. Once an episode.
    Starved {
        /// The error of the system call.
        error: Error,
    },
    /// A worker takes nothing from its queue any more.
    Stuck {
        /// The worker.
        worker: WorkerId,
    },
    /// A stuck worker takes from its queue again.
    Recovered {
        /// The worker.
        worker: WorkerId,
    },
    /// Connections were taken out of a worker's queue again: it is stuck, has ended, or listens no more. Others get them.
    Rescued {
        /// The worker.
        worker: WorkerId,
        /// How many.
        count: u64,
    },
    /// Clients have waited for longer than a limit allows, and were refused. Told once a second at most.
    Refused {
        /// Where they had connected.
        address: String,
        /// How many, since it was last told.
        count: u64,
    },
    /// A worker that retires has all that was accepted for it in its queue: see [`Acceptor::has_all`].
    HasAll {
        /// The worker.
        worker: WorkerId,
    },
}

/// One line of [`Acceptor::workers`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerStatus {
    /// The worker.
    pub id: WorkerId,
    /// The slot that it fills.
    pub slot: Slot,
    /// Packets that wait in its queue.
    pub depth: usize,
    /// Whether it takes nothing from its queue.
    pub stuck: bool,
}

/// A handle on the thread, which ends with it.
#[derive(Debug)]
pub struct Acceptor {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    events: Receiver<Event>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Ends the wait of the thread.
    wake: Flag,
    /// Readable while events wait for [`Acceptor::next_event`].
    news: Flag,
    /// The clock of the thread's processor time.
    clock: AtomicI32,
}

/// While there is none. It is the real time's number, which no thread has.
const NO_CLOCK: ClockId = ClockId::CLOCK_REALTIME;

impl Acceptor {
    /// Starts the thread.
    ///
    /// # Errors
    /// [`Error::Os`] when descriptors or threads are missing.
    pub fn start() -> Result<Self> {
        let (wake, news) = (Flag::new()?, Flag::new()?);
        let (sender, events) = crossbeam_channel::unbounded();
        let state = State::new(sender)?;
        state.epoll.add(wake.as_fd(), Token::Wake, EpollFlags::EPOLLIN)?;
        let shared =
            Arc::new(Shared { state: Mutex::new(state), wake, news, clock: AtomicI32::new(NO_CLOCK.as_raw()) });
        let run = Arc::clone(&shared);
        let thread = thread::start("cluster-accept", move || run.run())?;
        Ok(Acceptor { shared, thread: Some(thread), events })
    }

    /// Adds a worker, which fills this slot, its queue, and its board.
    ///
    /// # Errors
    /// [`Error::Os`].
    pub fn add_worker(&self, worker: WorkerId, slot: Slot, queue: Queue, board: Option<Arc<Board>>) -> Result<()> {
        self.shared.state.lock().add_worker(worker, slot, queue, board)
    }

    /// Takes a worker out, with what it has not taken from its queue: that goes to the others.
    pub fn remove_worker(&self, worker: WorkerId) {
        self.change(|state| state.depart(worker, Departure::Removed));
    }

    /// Adds a listening socket. It accepts once a worker has joined it.
    pub fn add_listener(&self, socket: Opened, dispatch: Dispatch) -> ListenerId {
        self.shared.state.lock().add_listener(socket, dispatch)
    }

    /// Has a worker get the listener's connections; `false` if there is no such worker or listener.
    pub fn join(&self, listener: ListenerId, worker: WorkerId) -> bool {
        self.change(|state| state.join(listener, worker))
    }

    /// Takes a worker off a listener. What waits for it in its queue goes to others. `true` if it was the
    /// last: then the socket is closed, and so is what waited.
    pub fn leave(&self, listener: ListenerId, worker: WorkerId) -> bool {
        self.change(|state| state.depart_from(listener, worker, Departure::Left))
    }

    /// As [`leave`](Self::leave), of a worker that goes on serving what it was given: if it is the last, that is
    /// all that clients have connected. Those that come later are refused.
    pub fn retire(&self, listener: ListenerId, worker: WorkerId) -> bool {
        self.change(|state| state.depart_from(listener, worker, Departure::Retired))
    }

    /// Whether nothing waits for a place in the queue of a worker that retires. If something does,
    /// [`Event::HasAll`] tells when this may have changed.
    pub fn has_all(&self, worker: WorkerId) -> bool {
        self.shared.state.lock().has_all(worker)
    }

    /// For how long a worker has taken nothing, though something is in its queue. With `knock` something is put there
    /// if nothing is, so that the next question has an answer.
    pub fn quiet(&self, worker: WorkerId, knock: bool) -> Duration {
        self.change(|state| state.quiet(worker, knock))
    }

    /// What was counted, and what there is now.
    pub fn figures(&self) -> Figures {
        self.change(|state| state.figures())
    }

    /// Puts something into the queue of each worker whose loop has not turned for a while: so [`figures`](Self::figures)
    /// say of it, from some time on, whether it is stuck.
    pub fn knock(&self) {
        self.change(State::knock);
    }

    /// Has workers note how long connections wait until they take them.
    pub fn time_handoffs(&self) {
        self.shared.state.lock().times_handoffs = true;
    }

    /// Seconds for which the thread had a processor; `None` where the system does not say.
    pub fn processor_time(&self) -> Option<f64> {
        let clock = ClockId::from_raw(self.shared.clock.load(Ordering::Relaxed));
        let time = (clock != NO_CLOCK).then(|| clock_gettime(clock).ok())?;
        time.map(|time| Duration::from(time).as_secs_f64())
    }

    /// Closes a listener that nobody has joined.
    pub fn close(&self, listener: ListenerId) {
        self.shared.state.lock().close(listener);
    }

    /// The workers and their queues.
    pub fn workers(&self) -> Vec<WorkerStatus> {
        self.shared.state.lock().status()
    }

    /// Readable when [`next_event`](Self::next_event) has something.
    pub fn news(&self) -> BorrowedFd<'_> {
        self.shared.news.as_fd()
    }

    /// The next event, in the order in which they happened.
    pub fn next_event(&self) -> Option<Event> {
        let event = self.events.try_recv().ok();
        if event.is_none() {
            // Nothing to read is no error; an event sent in between makes it readable again.
            self.shared.news.lower();
            return self.events.try_recv().ok();
        }
        event
    }

    /// Changes the state, and wakes the thread if it now has to look at the clock.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.shared.state.lock();
        state.now = Instant::now();
        let (ticked, end) = (state.needs_tick(), state.first_overdue());
        let result = change(&mut state);
        let wake = state.news || (!ticked && state.needs_tick()) || end != state.first_overdue();
        drop(state);
        if wake {
            self.shared.wake.raise();
        }
        result
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        self.shared.state.lock().ended = true;
        self.shared.wake.raise();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn run(&self) {
        self.clock.store(own_clock(), Ordering::Relaxed);
        let epoll = self.state.lock().epoll.clone();
        let mut ready = [EpollEvent::empty(); 64];
        let mut last_tick = Instant::now();
        let mut ticking = false;
        let mut end = None;
        loop {
            let next = ticking.then_some(last_tick + TICK).into_iter().chain(end).min();
            let timeout = next.map_or(EpollTimeout::NONE, until);
            let (count, failed) = match epoll.wait(&mut ready, timeout) {
                Ok(count) => (count, None),
                Err(Errno::EINTR) => (0, None),
                // Somebody closed the descriptor, or the kernel has no memory: without events the clock is left.
                Err(errno) => {
                    std::thread::sleep(TICK);
                    (0, Some(errno))
                }
            };
            let mut state = self.state.lock();
            if state.ended {
                return;
            }
            state.now = Instant::now();
            if let Some(errno) = failed {
                state.starved(Error::os("epoll_wait", errno));
            }
            let mut accepted = 0;
            for event in &ready[..count] {
                match Token::from(event.data()) {
                    Token::Wake => self.wake.lower(),
                    Token::Listener(listener) => accepted += state.accept(listener),
                    Token::Worker(worker) => state.worker_ready(worker, event.events()),
                    Token::Parked(parked) => state.parked_ready(parked, event.events()),
                }
            }
            if !ticking {
                last_tick = state.now;
            } else if state.now.duration_since(last_tick) >= TICK {
                last_tick = state.now;
                state.tick();
            }
            state.give_up_overdue();
            state.refuse_overdue();
            ticking = state.needs_tick();
            end = state.parked.first_end().into_iter().chain(state.first_overdue()).min();
            let news = std::mem::take(&mut state.news);
            drop(state);
            if news {
                self.news.raise();
            }
            if accepted > 0 {
                // Connections come in crowds. Where workers wait for a processor, they go first, and the next look
                // finds more at once: half the CPU a connection.
                std::thread::yield_now();
            }
        }
    }
}

/// The clock of this thread's processor time.
fn own_clock() -> i32 {
    let mut clock = NO_CLOCK.as_raw();
    // SAFETY: of this thread, which lives; the number is written to where there is room for it.
    let failed = unsafe { libc::pthread_getcpuclockid(libc::pthread_self(), &mut clock) } != 0;
    if failed {
        NO_CLOCK.as_raw()
    } else {
        clock
    }
}

/// The time until something is to be done, in whole milliseconds and not too early.
fn until(then: Instant) -> EpollTimeout {
    let left = then.saturating_duration_since(Instant::now()).as_millis() + 1;
    EpollTimeout::from(u16::try_from(left).unwrap_or(u16::MAX))
}

#[cfg(test)]
mod tests;
