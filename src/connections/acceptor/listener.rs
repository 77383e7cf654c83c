//! A listener, as the acceptor knows it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Instant;

use nix::sys::socket::{getsockname, getsockopt, sockopt, SockType, SockaddrStorage};

use super::figures::name_of;
use super::parked::quarter_of_descriptors;
use super::worker::Worker;
use super::TICK;
use crate::connections::handoff::{Client, Connection};
use crate::connections::limit::{Limit, Starts};
use crate::connections::listen::Opened;
use crate::connections::policy::{Dispatch, Policy, Rotation, WorkerId};
use crate::connections::sticky::{self, Slot};

#[derive(Debug)]
pub(super) struct Listener {
    /// `None`: it has retired, and its last worker serves what was accepted.
    pub socket: Option<Opened>,
    pub accepting: Accepting,
    pub rotation: Rotation,
    /// Accepted connections that no worker takes for now.
    pub waiting: VecDeque<Connection>,
    /// Those that only one worker may have, which takes none for now: of a strict policy.
    pub held: VecDeque<Connection>,
    pub dispatch: Dispatch,
    /// Since when its workers serve, where there is a limit.
    pub starts: Starts,
    /// Whether clients may have waited in the kernel, as no worker had room.
    pub is_behind: bool,
    /// Workers that gave a connection back, and have not said yet that they have room again.
    refusing: BTreeSet<WorkerId>,
    /// When a connection was last offered to one of them.
    offered: Option<Instant>,
    /// The socket's address, which is that of its connections.
    address: Option<SockaddrStorage>,
    /// The same, for people.
    pub name: String,
    /// How many connections it has accepted.
    pub accepted: u64,
}

/// How many connections of a listener wait for their owners.
pub(super) const HELD: usize = 1024;

/// How many wait for any worker, where they are to wait in the primary.
const WAITING: usize = if cfg!(test) { 4 } else { 1024 };

/// Who is to have a client again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// This worker; and whether that is an offer, to one that refuses.
    Takes(WorkerId, bool),
    /// One that takes nothing for now, and nobody else.
    Waits,
    /// Nobody, or nobody who takes it: whoever is next.
    Nobody,
}

/// Whether clients are let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Accepting {
    /// epoll tells of clients.
    Watched,
    /// Nobody could serve more.
    Paused,
    /// Descriptors or memory were missing: the next tick tries again.
    Starved,
    /// The socket takes no clients any more: somebody shut it down.
    Ended,
}

impl Listener {
    pub fn new(socket: Opened, dispatch: Dispatch) -> Listener {
        Listener {
            address: getsockname(socket.socket().as_raw_fd()).ok(),
            name: name_of(&socket),
            accepted: 0,
            socket: Some(socket),
            accepting: Accepting::Paused,
            rotation: Rotation::default(),
            waiting: VecDeque::new(),
            held: VecDeque::new(),
            dispatch,
            starts: Starts::default(),
            is_behind: false,
            refusing: BTreeSet::new(),
            offered: None,
        }
    }

    /// The worker that gets the next connection, if one is ready; and whether that is an offer, to one that refuses.
    ///
    /// First come those that take what they are given, so that a slow one slows few.
    pub fn next(&mut self, workers: &mut BTreeMap<WorkerId, Worker>, now: Instant) -> Option<(WorkerId, bool)> {
        let Listener { rotation, refusing, dispatch, starts, .. } = self;
        let limit = dispatch.limit.as_ref();
        let may_have = |worker: &Worker, id: WorkerId| worker.is_ready() && is_within(limit, starts, worker, id, now);
        let is_ready = |workers: &BTreeMap<WorkerId, Worker>, id: &WorkerId| {
            !refusing.contains(id) && workers.get(id).is_some_and(|worker| may_have(worker, *id))
        };
        if !rotation.has_one() && !matches!(dispatch.policy, Policy::RoundRobin) {
            let load = |id| {
                let worker = workers.get_mut(&id).filter(|worker| may_have(worker, id) && !refusing.contains(&id))?;
                Some(worker.load(now))
            };
            if let Some(id) = rotation.next_least_busy(now, load) {
                return Some((id, false));
            }
        }
        if let Some(id) = rotation.next(|id| is_ready(workers, id)) {
            return Some((id, false));
        }
        if !may_offer(self.offered, now) {
            return None;
        }
        let id = rotation.next(|id| workers.get(id).is_some_and(|worker| may_have(worker, *id)))?;
        self.offered = Some(now);
        Some((id, true))
    }

    /// Who is to have a connection of this client: its owner, or whoever is next.
    pub fn choose(&mut self, client: Client, workers: &mut BTreeMap<WorkerId, Worker>, now: Instant) -> Owner {
        match self.owner(client, workers, now) {
            Owner::Nobody => {
                self.next(workers, now).map_or(Owner::Nobody, |(worker, is_offer)| Owner::Takes(worker, is_offer))
            }
            owner => owner,
        }
    }

    /// Who is to have the client of a connection again.
    fn owner(&mut self, client: Client, workers: &BTreeMap<WorkerId, Worker>, now: Instant) -> Owner {
        let Some(slot) = self.slot_of(client, workers) else { return Owner::Nobody };
        let of = |id: &WorkerId| workers.get(id).filter(|worker| worker.slot == slot);
        let fills = |id: &WorkerId| of(id).is_some_and(|worker| self.may_have(worker, *id, now));
        // Two fill a slot while one replaces the other: it belongs to the newer one.
        if let Some(id) = self.rotation.iter().filter(|id| fills(id) && !self.refusing.contains(id)).max() {
            return Owner::Takes(id, false);
        }
        if !matches!(&self.dispatch.policy, Policy::Sticky(sticky) if sticky.is_strict) {
            return Owner::Nobody;
        }
        match self.rotation.iter().filter(fills).max() {
            Some(id) if may_offer(self.offered, now) => {
                self.offered = Some(now);
                Owner::Takes(id, true)
            }
            _ => Owner::Waits,
        }
    }

    /// Whether a worker can be given a connection, if it does not refuse.
    pub fn may_have(&self, worker: &Worker, id: WorkerId, now: Instant) -> bool {
        worker.is_ready() && is_within(self.dispatch.limit.as_ref(), &self.starts, worker, id, now)
    }

    /// Has those of its workers that have as many as they may say when they have fewer; whether one has by now.
    pub fn want_room(&self, workers: &mut BTreeMap<WorkerId, Worker>, now: Instant) -> bool {
        let Some(limit) = &self.dispatch.limit else { return false };
        let mut has_room = false;
        for id in self.rotation.iter() {
            let Some(worker) = workers.get_mut(&id).filter(|worker| worker.is_ready()) else { continue };
            if !self.may_have(worker, id, now) {
                worker.want(limit.gauge);
                has_room |= self.may_have(worker, id, now);
            }
        }
        has_room
    }

    /// Whether a connection that comes is one of those that count on the same gauge as these.
    pub fn shares_limit(&self, other: &Listener) -> bool {
        let gauge = |listener: &Listener| listener.dispatch.limit.as_ref().map(|limit| limit.gauge);
        gauge(self).is_some_and(|own| gauge(other) == Some(own))
    }

    /// Whether clients are let in: while none waits, or those that wait do so here.
    pub fn takes_more(&self, all_waiting: usize) -> bool {
        let waits_here = self.dispatch.limit.as_ref().is_some_and(|limit| limit.wait.is_some());
        self.waiting.is_empty() || waits_here && self.waiting.len() < WAITING && all_waiting < quarter_of_descriptors()
    }

    /// When the one that has waited longest is to wait no longer.
    pub fn first_overdue(&self) -> Option<Instant> {
        let wait = self.dispatch.limit.as_ref()?.wait?;
        let firsts = [self.waiting.front(), self.held.front()];
        firsts.into_iter().flatten().filter_map(|first| first.waits_since?.checked_add(wait)).min()
    }

    /// Takes out those that have waited for too long, the oldest first.
    pub fn take_overdue(&mut self, now: Instant) -> Vec<Connection> {
        let Some(wait) = self.dispatch.limit.as_ref().and_then(|limit| limit.wait) else { return Vec::new() };
        let is_overdue = |connection: &Connection| {
            connection.waits_since.and_then(|since| since.checked_add(wait)).is_some_and(|end| end <= now)
        };
        let mut overdue = Vec::new();
        for line in [&mut self.waiting, &mut self.held] {
            while line.front().is_some_and(is_overdue) {
                overdue.extend(line.pop_front());
            }
        }
        overdue
    }

    /// The slot that a client belongs to.
    fn slot_of(&self, client: Client, workers: &BTreeMap<WorkerId, Worker>) -> Option<Slot> {
        let (Policy::Sticky(_), Client::Known(key)) = (&self.dispatch.policy, client) else { return None };
        sticky::owner(key, self.rotation.iter().filter_map(|id| Some(workers.get(&id)?.slot)))
    }

    /// Takes out the oldest connection that a worker of this slot may have, if more than one waits that it may have; and
    /// whether that was held. Held ones come first: no other worker may have them.
    pub fn first_of_many(&mut self, slot: Slot, workers: &BTreeMap<WorkerId, Worker>) -> Option<(Connection, bool)> {
        let is_its = |(_, connection): &(usize, &Connection)| self.slot_of(connection.client, workers) == Some(slot);
        let held: Vec<_> = self.held.iter().enumerate().filter(is_its).map(|(place, _)| place).take(2).collect();
        if held.len() + self.waiting.len() < 2 {
            return None;
        }
        match held.first() {
            Some(place) => Some((self.held.remove(*place)?, true)),
            None => Some((self.waiting.pop_front()?, false)),
        }
    }

    /// Whether anything accepted waits here.
    pub fn has_waiting(&self) -> bool {
        !self.waiting.is_empty() || !self.held.is_empty()
    }

    /// A worker has no room for its connections.
    pub fn refuse(&mut self, worker: WorkerId) {
        self.refusing.insert(worker);
    }

    pub fn is_refused_by(&self, worker: WorkerId) -> bool {
        self.refusing.contains(&worker)
    }

    /// A worker has room again.
    pub fn admit(&mut self, worker: WorkerId) {
        self.refusing.remove(&worker);
    }

    /// Takes a worker off; `false` if it was not there.
    pub fn remove(&mut self, worker: WorkerId) -> bool {
        self.refusing.remove(&worker);
        self.starts.remove(worker);
        self.rotation.remove(worker)
    }

    /// Whether a socket can be one that was accepted here: no other has the listener's address, and listens not itself.
    pub fn has_accepted(&self, socket: BorrowedFd<'_>) -> bool {
        getsockopt(&socket, sockopt::SockType) == Ok(SockType::Stream)
            && getsockopt(&socket, sockopt::AcceptConn) == Ok(false)
            && getsockname(socket.as_raw_fd()).ok().zip(self.address).is_some_and(|(own, ours)| is_among(&own, &ours))
    }
}

/// Whether a worker has fewer connections than it may have.
fn is_within(limit: Option<&Limit>, starts: &Starts, worker: &Worker, id: WorkerId, now: Instant) -> bool {
    limit.is_none_or(|limit| worker.occupied(limit.gauge) < limit.at(starts.age(id, now)))
}

/// Whether a connection may be offered to a worker that refuses, after one was offered at some time.
fn may_offer(offered: Option<Instant>, now: Instant) -> bool {
    offered.is_none_or(|offered| now.duration_since(offered) >= TICK)
}

/// Whether a connection's own address is one that a listener's address stands for.
fn is_among(own: &SockaddrStorage, listener: &SockaddrStorage) -> bool {
    if let (Some(own), Some(listener)) = (own.as_sockaddr_in(), listener.as_sockaddr_in()) {
        return own.port() == listener.port() && (listener.ip().is_unspecified() || own.ip() == listener.ip());
    }
    if let (Some(own), Some(listener)) = (own.as_sockaddr_in6(), listener.as_sockaddr_in6()) {
        return own.port() == listener.port() && (listener.ip().is_unspecified() || own.ip() == listener.ip());
    }
    own.as_unix_addr().zip(listener.as_unix_addr()).is_some_and(|(own, listener)| own == listener)
}
