//! The acceptor: one thread in the primary that accepts connections and hands them to workers. No JavaScript
//! is on its way, so a primary that is busy goes on serving.
//!
//! # What the thread does
//!
//! ```text
//! wait for (epoll)
//!   a listener can accept  → accept; place each connection
//!   a full worker has room → place what waits; accept again
//!   a worker gave one back → place it with another
//!   a tick (25 ms, only while something is queued)
//!                          → see who took nothing for 75 ms: stuck, take its queue back
//!
//! place(connection):
//!   ask the listener's rotation for the next worker that is ready (not full, not stuck, has not refused it)
//!   put the connection into that worker's queue, and close our copy
//!   nobody ready: the connection waits, and its listener accepts no more: the rest waits in the kernel
//!
//! retire(listener, worker):
//!   others serve the listener: what waits in the worker's queue goes to them
//!   it is the last: it gets all that clients have connected, and the socket is closed; what finds no room in
//!   its queue waits, and an event tells when all is in it
//! ```
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
//!
//! Invariant: a [`Connection`] is in exactly one place: in the local variable that is placing it, in one
//! worker's queue, or in its listener's `waiting`. It is closed only when its listener is, or when that has
//! retired and its last worker does not take it.

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::socket::{accept4, SockFlag};
use parking_lot::Mutex;

use crate::connections::handoff::{Connection, ListenerId, Queue, Taken};
use crate::connections::listen::Opened;
use crate::connections::policy::{Rotation, WorkerId};
use crate::os::error::{Error, Result};
use crate::os::sync::thread::JoinHandle;
use crate::os::thread;

/// How often the queues are looked at while something is in them.
const TICK: Duration = Duration::from_millis(25);

/// A worker that took nothing from its queue for so long is stuck. With a tick it stays below the 100 ms
/// after which such a worker shall get no connection.
const STUCK: Duration = Duration::from_millis(70);

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
    /// Accepting failed for want of descriptors or memory; it is tried again at every tick. Once an episode.
    Starved {
        /// The error of accept(2).
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
    /// Connections handed to it and not taken back.
    pub handed: u64,
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
    wake: EventFd,
    /// Readable while events wait for [`Acceptor::next_event`].
    news: EventFd,
}

impl Acceptor {
    /// Starts the thread.
    ///
    /// # Errors
    /// [`Error::Os`] when descriptors or threads are missing.
    pub fn start() -> Result<Self> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        let eventfd = || EventFd::from_value_and_flags(0, flags).map_err(|errno| Error::os("eventfd", errno));
        let (wake, news) = (eventfd()?, eventfd()?);
        let (sender, events) = crossbeam_channel::unbounded();
        let state = State::new(sender)?;
        state.epoll.watch(wake.as_fd(), Token::Wake, EpollFlags::EPOLLIN)?;
        let shared = Arc::new(Shared { state: Mutex::new(state), wake, news });
        let run = Arc::clone(&shared);
        let thread = thread::start("cluster-accept", move || run.run())?;
        Ok(Acceptor { shared, thread: Some(thread), events })
    }

    /// Adds a worker's queue.
    ///
    /// # Errors
    /// [`Error::Os`].
    pub fn add_worker(&self, worker: WorkerId, queue: Queue) -> Result<()> {
        self.shared.state.lock().add_worker(worker, queue)
    }

    /// Takes a worker out, with what it has not taken from its queue: that goes to the others.
    pub fn remove_worker(&self, worker: WorkerId) {
        self.change(|state| state.remove_worker(worker));
    }

    /// Adds a listening socket. It accepts once a worker has joined it.
    pub fn add_listener(&self, socket: Opened) -> ListenerId {
        self.shared.state.lock().add_listener(socket)
    }

    /// Has a worker get the listener's connections; `false` if there is no such worker or listener.
    pub fn join(&self, listener: ListenerId, worker: WorkerId) -> bool {
        let mut joined = false;
        self.change(|state| joined = state.join(listener, worker));
        joined
    }

    /// Takes a worker off a listener. What waits for it in its queue goes to others. `true` if it was the
    /// last: then the socket is closed, and so is what waited.
    pub fn leave(&self, listener: ListenerId, worker: WorkerId) -> bool {
        let mut closed = false;
        self.change(|state| closed = state.leave(listener, worker));
        closed
    }

    /// As [`leave`](Self::leave), of a worker that goes on serving what it was given: if it is the last, that is
    /// all that clients have connected. Those that come later are refused.
    pub fn retire(&self, listener: ListenerId, worker: WorkerId) -> bool {
        let mut closed = false;
        self.change(|state| closed = state.retire(listener, worker));
        closed
    }

    /// Whether nothing waits for a place in the queue of a worker that retires. If something does,
    /// [`Event::HasAll`] tells when this may have changed.
    pub fn has_all(&self, worker: WorkerId) -> bool {
        self.shared.state.lock().has_all(worker)
    }

    /// Closes a listener that nobody has joined.
    pub fn close(&self, listener: ListenerId) {
        self.shared.state.lock().close(listener);
    }

    /// The workers and their queues.
    pub fn workers(&self) -> Vec<WorkerStatus> {
        let state = self.shared.state.lock();
        let status = |(&id, worker): (&WorkerId, &Worker)| WorkerStatus {
            id,
            handed: worker.queue.handed(),
            depth: worker.queue.depth().unwrap_or_default(),
            stuck: worker.stuck,
        };
        state.workers.iter().map(status).collect()
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
            let _ = self.shared.news.read();
            return self.events.try_recv().ok();
        }
        event
    }

    /// Changes the state, and wakes the thread if it now has to look at the clock.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.shared.state.lock();
        let ticked = state.needs_tick();
        change(&mut state);
        let wake = state.news || (!ticked && state.needs_tick());
        drop(state);
        if wake {
            self.shared.wake();
        }
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        self.shared.state.lock().ended = true;
        self.shared.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn wake(&self) {
        // A counter that is full wakes as well.
        let _ = self.wake.write(1);
    }

    fn run(&self) {
        let epoll = self.state.lock().epoll.clone();
        let mut ready = [EpollEvent::empty(); 64];
        let mut last_tick = Instant::now();
        let mut ticking = false;
        loop {
            let timeout = if ticking {
                let left = TICK.saturating_sub(last_tick.elapsed());
                EpollTimeout::try_from(left + Duration::from_millis(1)).expect("a tick is a short time")
            } else {
                EpollTimeout::NONE
            };
            let count = match epoll.0.wait(&mut ready, timeout) {
                Ok(count) => count,
                Err(Errno::EINTR) => 0,
                Err(errno) => unreachable!("epoll_wait of an open epoll: {errno}"),
            };
            let mut state = self.state.lock();
            if state.ended {
                return;
            }
            let mut accepted = 0;
            for event in &ready[..count] {
                match Token::from(event.data()) {
                    Token::Wake => drop(self.wake.read()),
                    Token::Listener(listener) => accepted += state.accept(listener),
                    Token::Worker(worker) => state.worker_ready(worker, event.events()),
                }
            }
            if !ticking {
                last_tick = Instant::now();
            } else if last_tick.elapsed() >= TICK {
                last_tick = Instant::now();
                state.tick(last_tick);
            }
            ticking = state.needs_tick();
            let news = std::mem::take(&mut state.news);
            drop(state);
            if news {
                let _ = self.news.write(1);
            }
            if accepted > 0 {
                // Connections come in crowds. Where workers wait for a processor, they go first, and the next look
                // finds more at once: half the CPU a connection.
                std::thread::yield_now();
            }
        }
    }
}

/// What an epoll event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Wake,
    Listener(ListenerId),
    Worker(WorkerId),
}

impl From<Token> for u64 {
    fn from(token: Token) -> u64 {
        match token {
            Token::Wake => 0,
            Token::Listener(listener) => 1 << 32 | u64::from(listener),
            Token::Worker(worker) => 2 << 32 | u64::from(worker),
        }
    }
}

impl From<u64> for Token {
    fn from(token: u64) -> Token {
        match (token >> 32, token as u32) {
            (1, listener) => Token::Listener(listener),
            (2, worker) => Token::Worker(worker),
            _ => Token::Wake,
        }
    }
}

#[derive(Debug)]
struct State {
    epoll: Arc<EpollFd>,
    listeners: BTreeMap<ListenerId, Listener>,
    workers: BTreeMap<WorkerId, Worker>,
    last_listener: ListenerId,
    events: Sender<Event>,
    /// Whether `events` got something since the thread last told.
    news: bool,
    ended: bool,
}

#[derive(Debug)]
struct EpollFd(Epoll);

impl EpollFd {
    fn watch(&self, socket: BorrowedFd<'_>, token: Token, flags: EpollFlags) -> Result<()> {
        self.0.add(socket, EpollEvent::new(flags, token.into())).map_err(|errno| Error::os("epoll_ctl", errno))
    }

    fn rewatch(&self, socket: BorrowedFd<'_>, token: Token, flags: EpollFlags) {
        // The socket is watched already, so nothing has to be allocated for it.
        let _ = self.0.modify(socket, &mut EpollEvent::new(flags, token.into()));
    }

    fn unwatch(&self, socket: BorrowedFd<'_>) {
        // One that is not watched needs nothing done.
        let _ = self.0.delete(socket);
    }
}

#[derive(Debug)]
struct Listener {
    /// `None`: it has retired, and its last worker serves what was accepted.
    socket: Option<Opened>,
    rotation: Rotation,
    /// Accepted connections for which no worker is ready.
    waiting: VecDeque<Connection>,
    /// Whether epoll watches the socket.
    watched: bool,
    /// Whether accept(2) failed for want of descriptors or memory.
    starved: bool,
}

#[derive(Debug)]
struct Worker {
    queue: Queue,
    /// The queue took no more: epoll tells when it does.
    full: bool,
    stuck: bool,
    /// It sent what no worker sends: its end is not read any more.
    broken: bool,
    /// It has gone, and its queue is being emptied.
    leaving: bool,
    /// Whether the queue holds something, as far as is known.
    queued: bool,
    /// Packets that the worker had taken when it was last looked at.
    taken: u64,
    /// Packets put into the queue, probes too, less those taken back.
    put: u64,
    /// When the worker last took something, or its queue was empty.
    moved: Instant,
}

impl Worker {
    fn ready(&self) -> bool {
        !self.full && !self.stuck && !self.broken && !self.leaving
    }
}

impl State {
    fn new(events: Sender<Event>) -> Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(|errno| Error::os("epoll_create1", errno))?;
        Ok(State {
            epoll: Arc::new(EpollFd(epoll)),
            listeners: BTreeMap::new(),
            workers: BTreeMap::new(),
            last_listener: 0,
            events,
            news: false,
            ended: false,
        })
    }

    fn tell(&mut self, event: Event) {
        // The receiver lives as long as the thread.
        let _ = self.events.send(event);
        self.news = true;
    }

    // Workers come and go.

    fn add_worker(&mut self, id: WorkerId, queue: Queue) -> Result<()> {
        self.epoll.watch(queue.near(), Token::Worker(id), EpollFlags::EPOLLIN)?;
        let moved = Instant::now();
        let worker = Worker {
            queue,
            full: false,
            stuck: false,
            broken: false,
            leaving: false,
            queued: false,
            taken: 0,
            put: 0,
            moved,
        };
        self.workers.insert(id, worker);
        Ok(())
    }

    fn remove_worker(&mut self, id: WorkerId) {
        for listener in self.listeners.values_mut() {
            listener.rotation.remove(id);
        }
        let Some(worker) = self.workers.get_mut(&id) else { return };
        worker.leaving = true;
        self.epoll.unwatch(worker.queue.near());
        // What it gave back before it went is still to be read.
        while let Some(Ok(Taken::Connection(connection))) =
            self.workers.get_mut(&id).map(|worker| worker.queue.receive_returned())
        {
            self.place_refused(connection);
        }
        self.empty_leaving(id);
        let abandoned: Vec<_> =
            self.listeners.iter().filter(|(_, listener)| listener.rotation.is_empty()).map(|(id, _)| *id).collect();
        for listener in abandoned {
            self.unwatch_listener(listener);
        }
        self.close_retired();
    }

    /// Empties the queue of a worker that leaves, and forgets it. Without a descriptor left to take a
    /// connection out with, the next tick goes on.
    fn empty_leaving(&mut self, id: WorkerId) {
        let left = self.take_all_back(id);
        if self.workers.get(&id).is_some_and(|worker| worker.queue.depth().is_ok_and(|depth| depth == 0)) {
            self.workers.remove(&id);
        }
        self.place_all(left);
    }

    // Listeners come and go.

    fn add_listener(&mut self, socket: Opened) -> ListenerId {
        self.last_listener += 1;
        let listener = Listener {
            socket: Some(socket),
            rotation: Rotation::default(),
            waiting: VecDeque::new(),
            watched: false,
            starved: false,
        };
        self.listeners.insert(self.last_listener, listener);
        self.last_listener
    }

    fn join(&mut self, listener: ListenerId, worker: WorkerId) -> bool {
        if !self.workers.contains_key(&worker) {
            return false;
        }
        let Some(joined) = self.listeners.get_mut(&listener) else { return false };
        joined.rotation.add(worker);
        self.resume(listener);
        true
    }

    fn leave(&mut self, id: ListenerId, worker: WorkerId) -> bool {
        let Some(listener) = self.listeners.get_mut(&id) else { return false };
        // One that has died may be out already, and have been the last.
        listener.rotation.remove(worker);
        let closed = listener.rotation.is_empty();
        let queued = self.take_all_back(worker);
        if closed {
            self.close(id);
        }
        self.place_all(queued);
        closed
    }

    fn retire(&mut self, id: ListenerId, worker: WorkerId) -> bool {
        let Some(listener) = self.listeners.get(&id) else { return false };
        if !listener.rotation.iter().eq([worker]) {
            return self.leave(id, worker);
        }
        if let Some(socket) = &listener.socket {
            socket.refuse();
        }
        for _ in 0..BACKLOG {
            if !self.accept_one(id) {
                break;
            }
        }
        self.unwatch_listener(id);
        let listener = self.listeners.get_mut(&id).expect("accepting closes no listener");
        listener.starved = false;
        listener.socket = None;
        true
    }

    fn has_all(&self, worker: WorkerId) -> bool {
        let waits = |listener: &Listener| listener.socket.is_none() && !listener.waiting.is_empty();
        !self.listeners.values().any(|listener| waits(listener) && listener.rotation.contains(worker))
    }

    fn close(&mut self, listener: ListenerId) {
        self.unwatch_listener(listener);
        self.listeners.remove(&listener);
    }

    /// Forgets the listeners that have retired and whose last worker has gone: nobody can serve what waits.
    fn close_retired(&mut self) {
        self.listeners.retain(|_, listener| listener.socket.is_some() || !listener.rotation.is_empty());
    }

    fn unwatch_listener(&mut self, id: ListenerId) {
        let Some(listener) = self.listeners.get_mut(&id) else { return };
        if let (true, Some(socket)) = (std::mem::take(&mut listener.watched), &listener.socket) {
            self.epoll.unwatch(socket.socket());
        }
    }

    // A connection's way.

    /// Accepts a batch from a listener and places each connection.
    ///
    /// Returns how many there were.
    fn accept(&mut self, id: ListenerId) -> usize {
        for accepted in 0..BATCH {
            let has_room = self.listeners.get(&id).is_some_and(|listener| listener.waiting.is_empty());
            if !has_room || !self.accept_one(id) {
                return accepted;
            }
        }
        BATCH
    }

    /// Accepts a connection and places it; `false` if there is none to be had for now.
    fn accept_one(&mut self, id: ListenerId) -> bool {
        let Some(listener) = self.listeners.get_mut(&id) else { return false };
        let Some(socket) = &listener.socket else { return false };
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        match accept4(socket.socket().as_raw_fd(), flags) {
            Ok(socket) => {
                listener.starved = false;
                // SAFETY: accept4 made this descriptor, and nobody else knows it.
                let socket = unsafe { OwnedFd::from_raw_fd(socket) };
                self.place(Connection::new(id, socket));
                true
            }
            Err(Errno::EAGAIN) => false,
            Err(errno @ (Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM)) => {
                // The connection stays in the kernel's backlog; the next tick tries again.
                let first = !std::mem::replace(&mut listener.starved, true);
                self.unwatch_listener(id);
                if first {
                    self.tell(Event::Starved { error: Error::os("accept4", errno) });
                }
                false
            }
            Err(Errno::EINVAL | Errno::EBADF | Errno::ENOTSOCK) => {
                // Somebody shut the socket down (it came in as `{ fd }`): there is nothing to accept.
                self.unwatch_listener(id);
                false
            }
            // What accept(2) says of one connection (ECONNABORTED, EPROTO, ENETDOWN …) concerns no other.
            Err(_) => true,
        }
    }

    /// Gives a connection to the next worker that is ready, or has it wait.
    fn place(&mut self, connection: Connection) {
        let Some(listener) = self.listeners.get_mut(&connection.listener) else {
            return; // Its listener was closed, and it is closed with it.
        };
        loop {
            let workers = &self.workers;
            let ready =
                |id: &WorkerId| !connection.refused_by.contains(id) && workers.get(id).is_some_and(Worker::ready);
            let Some(id) = listener.rotation.next(ready) else { break };
            let worker = self.workers.get_mut(&id).expect("only a worker that is there is ready");
            match worker.queue.put(&connection) {
                Ok(true) => {
                    worker.put += 1;
                    if !std::mem::replace(&mut worker.queued, true) {
                        worker.moved = Instant::now();
                    }
                    return;
                }
                Ok(false) => {
                    worker.full = true;
                    let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT;
                    self.epoll.rewatch(worker.queue.near(), Token::Worker(id), flags);
                }
                Err(error @ Error::HandoffShut { .. }) => {
                    self.broken(id, error);
                    return self.place(connection);
                }
                // The user has too many descriptors in flight (ETOOMANYREFS): the next tick tries again.
                Err(_) => break,
            }
        }
        let id = connection.listener;
        listener.waiting.push_back(connection);
        self.unwatch_listener(id);
    }

    fn place_all(&mut self, connections: impl IntoIterator<Item = Connection>) {
        for connection in connections {
            self.place(connection);
        }
    }

    /// Places what waits at a listener, and accepts again if nothing waits any more.
    fn resume(&mut self, id: ListenerId) {
        let Some(listener) = self.listeners.get_mut(&id) else { return };
        let waiting = std::mem::take(&mut listener.waiting);
        let waited = !waiting.is_empty();
        self.place_all(waiting);
        let Some(listener) = self.listeners.get_mut(&id) else { return };
        if listener.watched || !listener.waiting.is_empty() {
            return;
        }
        let Some(worker) = listener.rotation.iter().next() else { return };
        if let Some(socket) = &listener.socket {
            let added = self.epoll.watch(socket.socket(), Token::Listener(id), EpollFlags::EPOLLIN);
            listener.watched = added.is_ok();
        } else if waited {
            // A listener that has retired has one worker.
            self.tell(Event::HasAll { worker });
        }
    }

    fn resume_all(&mut self) {
        let paused = |listener: &Listener| !listener.watched && !listener.rotation.is_empty();
        let listeners: Vec<_> =
            self.listeners.iter().filter(|(_, listener)| paused(listener)).map(|(id, _)| *id).collect();
        for listener in listeners {
            self.resume(listener);
        }
    }

    // What the workers' ends tell.

    fn worker_ready(&mut self, id: WorkerId, events: EpollFlags) {
        if events.contains(EpollFlags::EPOLLOUT) {
            if let Some(worker) = self.workers.get_mut(&id) {
                worker.full = false;
                self.epoll.rewatch(worker.queue.near(), Token::Worker(id), EpollFlags::EPOLLIN);
            }
            self.resume_all();
        }
        if events.contains(EpollFlags::EPOLLIN) {
            self.receive_returned(id);
        }
    }

    fn receive_returned(&mut self, id: WorkerId) {
        for _ in 0..BATCH {
            let Some(worker) = self.workers.get_mut(&id) else { return };
            match worker.queue.receive_returned() {
                Ok(Taken::Connection(connection)) => self.place_refused(connection),
                Ok(Taken::Probe | Taken::Lost) => {}
                Ok(Taken::Nothing | Taken::Starved | Taken::End) => return,
                Err(error) => return self.broken(id, error),
            }
        }
    }

    /// A worker did what no worker does: its end is read no more, and others serve what waits in its queue.
    fn broken(&mut self, id: WorkerId, error: Error) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        worker.broken = true;
        self.epoll.unwatch(worker.queue.near());
        self.tell(Event::Broken { worker: id, error });
        for listener in self.listeners.values_mut().filter(|listener| listener.socket.is_none()) {
            listener.rotation.remove(id);
        }
        self.close_retired();
        let queued = self.take_all_back(id);
        self.place_all(queued);
    }

    /// Places a connection that a worker gave back. One that every worker has refused waits for the next
    /// tick, and starts anew; where the listener has retired, nobody will take it: it is closed.
    fn place_refused(&mut self, mut connection: Connection) {
        let Some(listener) = self.listeners.get_mut(&connection.listener) else { return };
        if listener.rotation.iter().all(|worker| connection.refused_by.contains(&worker)) {
            if listener.socket.is_none() {
                return;
            }
            connection.refused_by.clear();
            let id = connection.listener;
            listener.waiting.push_back(connection);
            self.unwatch_listener(id);
        } else {
            self.place(connection);
        }
    }

    /// Empties a worker's queue.
    fn take_all_back(&mut self, id: WorkerId) -> Vec<Connection> {
        let mut connections = Vec::new();
        let Some(worker) = self.workers.get_mut(&id) else { return connections };
        loop {
            match worker.queue.take_back() {
                Ok(Taken::Connection(connection)) => connections.push(connection),
                Ok(Taken::Probe | Taken::Lost) => {}
                // Starved: without a descriptor to take one with, it stays; the next tick sees to it.
                Ok(Taken::Nothing | Taken::End | Taken::Starved) | Err(_) => return connections,
            }
            worker.put = worker.put.saturating_sub(1);
        }
    }

    // The clock.

    /// Whether something can happen that no descriptor tells of.
    fn needs_tick(&self) -> bool {
        self.workers.values().any(|worker| worker.queued || worker.leaving)
            || self.listeners.values().any(|listener| listener.starved || !listener.waiting.is_empty())
    }

    fn tick(&mut self, now: Instant) {
        let ids: Vec<_> =
            self.workers.iter().filter(|(_, worker)| worker.queued && !worker.leaving).map(|(id, _)| *id).collect();
        for id in ids {
            self.look_at(id, now);
        }
        let leaving: Vec<_> = self.workers.iter().filter(|(_, worker)| worker.leaving).map(|(id, _)| *id).collect();
        for id in leaving {
            self.empty_leaving(id);
        }
        self.resume_all();
    }

    /// Sees whether a worker has taken something since the last tick.
    fn look_at(&mut self, id: WorkerId, now: Instant) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        let depth = worker.queue.depth().unwrap_or_default() as u64;
        let taken = worker.put.saturating_sub(depth);
        worker.queued = depth > 0;
        if taken > worker.taken || depth == 0 {
            worker.taken = taken;
            worker.moved = now;
            if std::mem::take(&mut worker.stuck) {
                self.tell(Event::Recovered { worker: id });
            }
            return;
        }
        if now.duration_since(worker.moved) < STUCK {
            return;
        }
        if !std::mem::replace(&mut worker.stuck, true) {
            self.tell(Event::Stuck { worker: id });
        }
        self.rescue(id);
    }

    /// Takes back what a stuck worker has not taken, as long as others that serve what it serves are ready.
    fn rescue(&mut self, id: WorkerId) {
        let someone_ready = |state: &State| {
            let ready = |other: WorkerId| state.workers.get(&other).is_some_and(Worker::ready);
            let others = |listener: &Listener| listener.rotation.contains(id) && listener.rotation.iter().any(ready);
            state.listeners.values().any(others)
        };
        while someone_ready(self) {
            let Some(worker) = self.workers.get_mut(&id) else { return };
            match worker.queue.take_back() {
                Ok(Taken::Connection(connection)) => {
                    worker.put = worker.put.saturating_sub(1);
                    self.place(connection);
                }
                Ok(Taken::Probe | Taken::Lost) => worker.put = worker.put.saturating_sub(1),
                Ok(Taken::Nothing | Taken::End | Taken::Starved) | Err(_) => break,
            }
        }
        if let Some(worker) = self.workers.get_mut(&id) {
            // What it takes next is seen by the depth: so something must be there to take.
            if worker.queue.depth() == Ok(0) && worker.queue.probe().is_ok() {
                worker.put += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests;
