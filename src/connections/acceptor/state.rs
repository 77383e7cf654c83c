//! Who listens and who is there: workers and listeners come, and depart.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::figures::Past;
use super::listener::{Accepting, Listener};
use super::overdue::Refused;
use super::parked::{Looker, Parked};
use super::watch::{Token, Watched};
use super::worker::{Standing, Worker};
use super::{Event, WorkerStatus, BACKLOG};
use crate::connections::handoff::{Connection, ListenerId, Queue, Taken};
use crate::connections::listen::Opened;
use crate::connections::policy::{Dispatch, WorkerId};
use crate::connections::sticky::Slot;
use crate::os::error::{Error, Result};
use crate::processes::board::Board;
use crossbeam_channel::Sender;

#[derive(Debug)]
pub(super) struct State {
    pub epoll: Arc<Watched>,
    pub listeners: BTreeMap<ListenerId, Listener>,
    pub workers: BTreeMap<WorkerId, Worker>,
    pub looker: Looker,
    pub parked: Parked,
    pub past: Past,
    /// Whether workers are to note how long connections wait until they take them.
    pub times_handoffs: bool,
    pub refused: Refused,
    last_listener: ListenerId,
    events: Sender<Event>,
    /// Whether `events` got something since the thread last told.
    pub news: bool,
    pub ended: bool,
    /// When this turn of the thread, or this call of the event loop's, began.
    pub now: Instant,
}

/// Why a worker gets no more connections: of one listener, or of any.
#[derive(Debug)]
pub(super) enum Departure {
    /// It has closed its server.
    Left,
    /// It closes its server, and goes on serving what it was given.
    Retired,
    /// Its process has ended.
    Removed,
    /// It did what no worker does.
    Broken(Error),
}

impl State {
    pub fn new(events: Sender<Event>) -> Result<Self> {
        Ok(State {
            epoll: Arc::new(Watched::new()?),
            listeners: BTreeMap::new(),
            workers: BTreeMap::new(),
            looker: Looker::new(),
            parked: Parked::default(),
            past: Past::default(),
            times_handoffs: false,
            refused: Refused::default(),
            last_listener: 0,
            events,
            news: false,
            ended: false,
            now: Instant::now(),
        })
    }

    pub fn tell(&mut self, event: Event) {
        // The receiver lives as long as the thread.
        let _ = self.events.send(event);
        self.news = true;
    }

    pub fn tell_rescued(&mut self, worker: WorkerId, count: u64) {
        if count > 0 {
            self.tell(Event::Rescued { worker, count });
        }
    }

    // They come.

    pub fn add_worker(&mut self, id: WorkerId, slot: Slot, queue: Queue, board: Option<Arc<Board>>) -> Result<()> {
        let worker = Worker::new(slot, queue, board, self.now);
        self.epoll.add(worker.queue.near(), Token::Worker(id), worker.events())?;
        self.workers.insert(id, worker);
        Ok(())
    }

    pub fn add_listener(&mut self, socket: Opened, dispatch: Dispatch) -> ListenerId {
        self.last_listener += 1;
        self.listeners.insert(self.last_listener, Listener::new(socket, dispatch));
        self.last_listener
    }

    pub fn join(&mut self, listener: ListenerId, worker: WorkerId) -> bool {
        if self.workers.get(&worker).is_none_or(|worker| worker.standing == Standing::Leaving) {
            return false;
        }
        let now = self.now;
        let Some(joined) = self.listeners.get_mut(&listener) else { return false };
        joined.rotation.add(worker);
        if let Some(limit) = &joined.dispatch.limit {
            joined.starts.add(worker, now, limit.slow_start);
        }
        self.resume(listener);
        true
    }

    /// Whether a listener was open once.
    pub fn has_been(&self, listener: ListenerId) -> bool {
        (1..=self.last_listener).contains(&listener)
    }

    // They depart.

    /// A worker gets no more connections of a listener. `true` if it was the last: then the socket is closed.
    pub fn depart_from(&mut self, listener: ListenerId, worker: WorkerId, cause: Departure) -> bool {
        if !self.listeners.contains_key(&listener) {
            return false;
        }
        self.depart_from_each(vec![listener], worker, cause)
    }

    /// A worker gets no more connections.
    pub fn depart(&mut self, worker: WorkerId, cause: Departure) {
        let has_joined = |(id, listener): (&ListenerId, &Listener)| listener.rotation.contains(worker).then_some(*id);
        let listeners = self.listeners.iter().filter_map(has_joined).collect();
        self.depart_from_each(listeners, worker, cause);
    }

    /// What the worker has not taken, and what it has given back, goes to others; nobody may be left to serve the
    /// listener.
    fn depart_from_each(&mut self, listeners: Vec<ListenerId>, worker: WorkerId, cause: Departure) -> bool {
        if let (Departure::Retired, &[listener]) = (&cause, &listeners[..]) {
            if self.is_last(listener, worker) {
                self.retire(listener, worker);
                return true;
            }
        }
        for listener in &listeners {
            self.listeners.get_mut(listener).map(|listener| listener.remove(worker));
        }
        let goes_on = matches!(cause, Departure::Left | Departure::Retired);
        let left = if goes_on { self.take_all_back(worker).0 } else { self.part_with(worker) };
        if let Departure::Broken(error) = cause {
            self.tell(Event::Broken { worker, error });
        }
        let mut closed = false;
        for listener in listeners {
            closed |= self.abandon(listener, goes_on);
        }
        self.place_all(left);
        closed
    }

    fn is_last(&self, listener: ListenerId, worker: WorkerId) -> bool {
        self.listeners.get(&listener).is_some_and(|listener| listener.rotation.iter().eq([worker]))
    }

    /// What becomes of a listener that a worker has left; `true` if that was its last one.
    fn abandon(&mut self, id: ListenerId, goes_on: bool) -> bool {
        let Some(listener) = self.listeners.get(&id).filter(|listener| listener.rotation.is_empty()) else {
            return false;
        };
        if goes_on || listener.socket.is_none() {
            // Of one that has retired nobody can serve what waits.
            self.close(id);
        } else {
            // The worker has gone without a word: the listener waits for another, or to be closed.
            self.pause(id, Accepting::Paused);
        }
        true
    }

    /// The last worker of a listener gets all that clients have connected, whether it has room or not.
    fn retire(&mut self, id: ListenerId, last: WorkerId) {
        let Some(listener) = self.listeners.get_mut(&id) else { return };
        listener.admit(last);
        if let Some(socket) = &listener.socket {
            socket.refuse();
        }
        self.place_held(id);
        self.place_waiting(vec![id]);
        for _ in 0..BACKLOG {
            if !self.accept_one(id) {
                break;
            }
        }
        self.give_up_all_of(id);
        self.pause(id, Accepting::Ended);
        if let Some(listener) = self.listeners.get_mut(&id) {
            listener.socket = None;
        }
    }

    pub fn has_all(&self, worker: WorkerId) -> bool {
        let waits = |listener: &Listener| listener.socket.is_none() && listener.has_waiting();
        !self.listeners.values().any(|listener| waits(listener) && listener.rotation.contains(worker))
    }

    pub fn close(&mut self, listener: ListenerId) {
        self.pause(listener, Accepting::Ended);
        if let Some(closed) = self.listeners.remove(&listener) {
            self.past.keep_listener(&closed);
        }
        for parked in self.parked.of(listener) {
            self.unpark(parked);
        }
        self.workers.values_mut().for_each(|worker| worker.forget(listener));
    }

    pub fn status(&self) -> Vec<WorkerStatus> {
        let status = |(&id, worker): (&WorkerId, &Worker)| WorkerStatus {
            id,
            slot: worker.slot,
            depth: worker.queue.depth().unwrap_or_default(),
            stuck: worker.standing == Standing::Stuck,
        };
        self.workers.iter().map(status).collect()
    }

    // A worker that goes for good.

    /// Says good-bye to a worker, which is given nothing more and can send nothing more. Returns what is left of it.
    fn part_with(&mut self, id: WorkerId) -> Vec<Connection> {
        if let Some(worker) = self.workers.get_mut(&id) {
            if std::mem::replace(&mut worker.standing, Standing::Leaving) != Standing::Leaving {
                self.epoll.remove(worker.queue.near());
                worker.queue.close_to_worker();
            }
        }
        self.empty(id)
    }

    /// What a worker that leaves has given back, and what it has not taken. Once that is all, it is forgotten; without
    /// a descriptor to receive one with, the next tick goes on.
    pub fn empty(&mut self, id: WorkerId) -> Vec<Connection> {
        let (mut left, has_received_all) = self.receive_rest(id);
        let (queued, has_taken_all) = self.take_all_back(id);
        left.extend(queued);
        if has_received_all && has_taken_all {
            if let Some(gone) = self.workers.remove(&id) {
                self.past.keep_worker(&gone);
            }
        }
        left
    }

    /// Receives what a worker that leaves has given back, and whether that was all.
    fn receive_rest(&mut self, id: WorkerId) -> (Vec<Connection>, bool) {
        let mut connections = Vec::new();
        loop {
            let Some(worker) = self.workers.get_mut(&id) else { return (connections, true) };
            match worker.queue.receive() {
                Ok(Taken::Connection(connection)) => {
                    if self.check_returned(id, &connection).is_ok() {
                        connections.push(Connection { since: 0, ..connection });
                    }
                }
                Ok(Taken::Probe | Taken::Room(_) | Taken::Fewer | Taken::Lost(_)) | Err(Error::BadHandoff { .. }) => {}
                Ok(Taken::Starved) | Err(Error::Os { .. }) => return (connections, false),
                // It can have sent nothing more.
                Ok(Taken::Nothing | Taken::End) | Err(_) => return (connections, true),
            }
        }
    }

    /// Empties a worker's queue; whether nothing is left in it. Without a descriptor to take one with, it stays.
    fn take_all_back(&mut self, id: WorkerId) -> (Vec<Connection>, bool) {
        let (connections, has_taken_all) = self.take_back(id);
        self.tell_rescued(id, connections.len() as u64);
        (connections, has_taken_all)
    }

    fn take_back(&mut self, id: WorkerId) -> (Vec<Connection>, bool) {
        let mut connections = Vec::new();
        loop {
            let Some(worker) = self.workers.get_mut(&id) else { return (connections, true) };
            match worker.take_back() {
                Ok(Taken::Connection(connection)) => connections.push(connection),
                Ok(Taken::Probe | Taken::Room(_) | Taken::Fewer | Taken::Lost(_)) => {}
                Ok(Taken::Starved) | Err(Error::Os { .. }) => return (connections, false),
                Ok(Taken::Nothing | Taken::End) | Err(_) => return (connections, true),
            }
        }
    }
}
