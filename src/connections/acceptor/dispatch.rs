//! A connection's way: accepted, and placed with a worker, or with those that wait.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::epoll::EpollFlags;
use nix::sys::socket::{accept4, SockFlag};

use super::listener::{Accepting, Listener, Owner, HELD};
use super::overdue::has_left;
use super::parked::quarter_of_descriptors;
use super::state::{Departure, State};
use super::watch::Token;
use super::worker::Standing;
use super::{Event, BATCH};
use crate::connections::handoff::{Client, Connection, ListenerId};
use crate::connections::listen::waiting;
use crate::connections::policy::WorkerId;
use crate::os::error::Error;
use crate::processes::board::now;

/// What came of handing a connection to a worker.
pub(super) enum Handed {
    Over,
    /// Another worker may take it.
    NotToThisOne,
    /// None takes it for now: the user has too many descriptors in flight (ETOOMANYREFS), or memory is short.
    ToNobody,
}

impl State {
    // A connection comes.

    /// Accepts a batch from a listener and places each connection.
    ///
    /// Returns how many there were. The kernel is asked how many wait: an `accept4` that finds nobody costs more than one
    /// that succeeds, and five times as much as asking.
    pub fn accept(&mut self, id: ListenerId) -> usize {
        // One it is by what epoll says; or a try, after others have failed.
        let mut waiting = 1;
        for accepted in 0..BATCH {
            if !self.takes_more(id) {
                return accepted;
            }
            let Some(listener) = self.listeners.get_mut(&id) else { return accepted };
            if waiting == 0 {
                waiting = listener.socket.as_ref().map_or(0, |socket| waiting::clients(socket.socket()));
                listener.is_behind &= waiting > 0;
            }
            if waiting == 0 || !self.accept_one(id) {
                return accepted;
            }
            waiting -= 1;
        }
        BATCH
    }

    /// Accepts a connection and places it; `false` if there is none to be had for now.
    pub fn accept_one(&mut self, id: ListenerId) -> bool {
        let Some(listener) = self.listeners.get_mut(&id) else { return false };
        let Some(socket) = &listener.socket else { return false };
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        match accept4(socket.socket().as_raw_fd(), flags) {
            Ok(socket) => {
                // SAFETY: accept4 made this descriptor, and nobody else knows it.
                let socket = unsafe { OwnedFd::from_raw_fd(socket) };
                listener.accepted += 1;
                if listener.accepting == Accepting::Starved {
                    listener.accepting = Accepting::Paused;
                }
                if listener.is_behind && has_left(&socket, listener.dispatch.limit.as_ref()) {
                    self.past.dropped += 1;
                } else {
                    self.admit(Connection::new(id, socket));
                }
                true
            }
            Err(Errno::EAGAIN) => {
                listener.is_behind = false;
                if listener.accepting == Accepting::Starved {
                    listener.accepting = Accepting::Paused;
                }
                false
            }
            // What accept(2) says of one connection concerns no other.
            Err(
                Errno::ECONNABORTED
                | Errno::EINTR
                | Errno::EPROTO
                | Errno::ENOPROTOOPT
                | Errno::ENETDOWN
                | Errno::ENETUNREACH
                | Errno::EHOSTDOWN
                | Errno::EHOSTUNREACH
                | Errno::ENONET,
            ) => true,
            Err(Errno::EINVAL | Errno::EBADF | Errno::ENOTSOCK | Errno::EOPNOTSUPP) => {
                // Somebody shut the socket down (it came in as `{ fd }`): there is nothing to accept.
                self.pause(id, Accepting::Ended);
                false
            }
            // EMFILE, ENFILE, ENOBUFS, ENOMEM, and what a policy of the system may say: the connection stays in the
            // kernel's backlog.
            Err(errno) => {
                self.starve(id, Error::os("accept4", errno));
                false
            }
        }
    }

    /// Watches a listener no more, and notes why.
    pub fn pause(&mut self, id: ListenerId, why: Accepting) {
        let Some(listener) = self.listeners.get_mut(&id) else { return };
        match (listener.accepting, &listener.socket) {
            (Accepting::Ended, _) => return,
            (Accepting::Watched, Some(socket)) => self.epoll.remove(socket.socket()),
            _ => {}
        }
        listener.accepting = why;
    }

    /// A listener lacks descriptors or memory until the next tick.
    fn starve(&mut self, id: ListenerId, error: Error) {
        let starved = |accepting| accepting == Accepting::Starved;
        if self.listeners.get(&id).is_some_and(|listener| !starved(listener.accepting)) {
            self.pause(id, Accepting::Starved);
            self.starved(error);
        }
    }

    pub fn starved(&mut self, error: Error) {
        self.tell(Event::Starved { error });
    }

    // It is looked at, where that matters.

    // It is placed.

    /// Gives a connection to the next worker that is ready, or has it wait; `false` if it waits.
    pub fn place(&mut self, mut connection: Connection) -> bool {
        if self.times_handoffs && connection.since == 0 {
            connection.since = now();
        }
        let left = if self.has_others_before(&connection) { Some(connection) } else { self.hand_over(connection) };
        let Some(mut connection) = left else { return true };
        let id = connection.listener;
        // If its listener was closed, it is closed with it.
        let Some(listener) = self.listeners.get_mut(&id) else { return true };
        connection.waits_since.get_or_insert(self.now);
        listener.waiting.push_back(connection);
        if listener.accepting == Accepting::Watched && !self.takes_more(id) {
            self.pause(id, Accepting::Paused);
        }
        false
    }

    /// Whether others wait for what a connection would get, where room is scarce. One that has an owner waits for no
    /// others.
    fn has_others_before(&self, connection: &Connection) -> bool {
        let Some(listener) = self.listeners.get(&connection.listener) else { return false };
        let has_owner = matches!(connection.client, Client::Known(_));
        let waits = |other: &Listener| !other.waiting.is_empty() && other.shares_limit(listener);
        listener.dispatch.limit.is_some() && !has_owner && self.listeners.values().any(waits)
    }

    /// How many connections wait in this process.
    fn all_waiting(&self) -> usize {
        self.listeners.values().map(|listener| listener.waiting.len() + listener.held.len()).sum()
    }

    /// Whether a listener lets clients in.
    fn takes_more(&self, id: ListenerId) -> bool {
        self.listeners
            .get(&id)
            .is_some_and(|listener| listener.waiting.is_empty() || listener.takes_more(self.all_waiting()))
    }

    pub fn place_all(&mut self, connections: impl IntoIterator<Item = Connection>) {
        for connection in connections {
            self.place(connection);
        }
    }

    /// Gives a connection to the next worker that is ready; back it comes if there is none.
    fn hand_over(&mut self, mut connection: Connection) -> Option<Connection> {
        let mut has_asked = false;
        loop {
            let listener = self.listeners.get_mut(&connection.listener)?;
            if connection.client == Client::Unseen && listener.dispatch.looks() {
                connection = self.looker.recall(connection, &listener.dispatch);
            }
            let (worker, is_offer) = match listener.choose(connection.client, &mut self.workers, self.now) {
                Owner::Takes(worker, is_offer) => (worker, is_offer),
                // What became free before they were asked to say so is seen at a second look.
                _ if !std::mem::replace(&mut has_asked, true) && listener.want_room(&mut self.workers, self.now) => {
                    continue;
                }
                Owner::Waits => {
                    self.hold(connection);
                    return None;
                }
                Owner::Nobody => {
                    listener.is_behind = listener.dispatch.limit.is_some();
                    return Some(connection);
                }
            };
            connection.asks = is_offer;
            connection.gauge = listener.dispatch.limit.as_ref().map(|limit| limit.gauge);
            match self.hand_to(worker, &connection) {
                Handed::Over => return None,
                Handed::NotToThisOne => {}
                Handed::ToNobody => return Some(connection),
            }
        }
    }

    /// Has a connection wait for its owner. Where too many do, it is closed: so its client is told at once, and those
    /// of others find a descriptor.
    fn hold(&mut self, mut connection: Connection) {
        let all = self.all_waiting();
        if let Some(listener) = self.listeners.get_mut(&connection.listener) {
            connection.waits_since.get_or_insert(self.now);
            if listener.held.len() < HELD && all < quarter_of_descriptors() {
                listener.held.push_back(connection);
                return;
            }
        }
        self.past.dropped += 1;
    }

    /// Puts a connection into a worker's queue.
    pub fn hand_to(&mut self, id: WorkerId, connection: &Connection) -> Handed {
        let Some(worker) = self.workers.get_mut(&id) else { return Handed::NotToThisOne };
        match worker.hand(connection, self.now) {
            Ok(true) => Handed::Over,
            Ok(false) => {
                worker.standing = Standing::Full;
                self.watch_worker(id);
                Handed::NotToThisOne
            }
            Err(error @ Error::HandoffShut { .. }) => {
                self.depart(id, Departure::Broken(error));
                Handed::NotToThisOne
            }
            Err(_) => Handed::ToNobody,
        }
    }

    /// Places what waits for its owner, oldest first.
    pub fn place_held(&mut self, id: ListenerId) {
        let held = self.listeners.get_mut(&id).map(|listener| std::mem::take(&mut listener.held));
        self.place_all(held.unwrap_or_default());
    }

    /// Places what waits at these listeners, whoever has waited longest first.
    pub fn place_waiting(&mut self, mut ids: Vec<ListenerId>) {
        let since = |state: &State, id: ListenerId| Some((state.listeners.get(&id)?.waiting.front()?.waits_since, id));
        while let Some((_, id)) = ids.iter().filter_map(|id| since(self, *id)).min() {
            if !self.place_first(id) {
                ids.retain(|other| *other != id);
            }
        }
    }

    /// Places the first that waits at a listener, if its client is still there; `false` if nobody takes it.
    fn place_first(&mut self, id: ListenerId) -> bool {
        let Some(listener) = self.listeners.get_mut(&id) else { return false };
        let Some(connection) = listener.waiting.pop_front() else { return false };
        let limit = listener.dispatch.limit.as_ref();
        if limit.is_some() && has_left(&connection.socket, limit) {
            self.past.dropped += 1;
            return true;
        }
        let Some(connection) = self.hand_over(connection) else { return true };
        if let Some(listener) = self.listeners.get_mut(&id) {
            listener.waiting.push_front(connection);
        }
        false
    }

    /// Places what waits at a listener, and at those that share its limit; and has them accept again.
    pub fn resume(&mut self, id: ListenerId) {
        let Some(listener) = self.listeners.get(&id) else { return };
        let sharing = self.listeners.iter().filter(|(other, it)| **other == id || it.shares_limit(listener));
        let all: Vec<_> = sharing.map(|(id, listener)| (*id, listener.has_waiting())).collect();
        all.iter().for_each(|(id, _)| self.place_held(*id));
        self.place_waiting(all.iter().map(|(id, _)| *id).collect());
        for (id, waited) in all {
            self.go_on(id, waited);
        }
    }

    /// Accepts again, if fewer wait; or tells that all have been placed that came before a listener retired.
    pub fn go_on(&mut self, id: ListenerId, waited: bool) {
        let takes_more = self.takes_more(id);
        let Some(listener) = self.listeners.get_mut(&id) else { return };
        let Some(worker) = listener.rotation.iter().next() else { return };
        match &listener.socket {
            // One that has retired has one worker.
            None if waited && !listener.has_waiting() => self.tell(Event::HasAll { worker }),
            Some(socket) if listener.accepting == Accepting::Paused && takes_more => {
                match self.epoll.add(socket.socket(), Token::Listener(id), EpollFlags::EPOLLIN) {
                    Ok(()) => listener.accepting = Accepting::Watched,
                    Err(error) => self.starve(id, error),
                }
            }
            _ => {}
        }
    }

    pub fn resume_all(&mut self) {
        let listeners: Vec<_> = self.listeners.keys().copied().collect();
        for listener in listeners {
            self.resume(listener);
        }
    }
}
