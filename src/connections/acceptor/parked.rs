//! Connections that are looked at before they are placed: a proxy is to say who the client is, or the head of its first
//! request. What has not come is waited for, without a thread and for a while.
//!
//! # What they cost
//!
//! The bytes stay in the kernel: they are looked at (`MSG_PEEK`) in one buffer of the thread's, from the first on, whenever
//! more of them come. Only a header of a proxy is taken out, and no byte after it. A connection that says nothing is a
//! descriptor and a hundred bytes. It is watched edge-triggered, since half a head would keep a level-triggered epoll awake.
//!
//! # Who waits how long
//!
//! [`SILENT`] for the first byte, [`SLOW`] from there for the head. Who has not said it by then is placed as a client of
//! whom nothing is known; behind a proxy that owes a header it is closed. There is room for [`MOST`], and for a quarter of
//! the descriptors that this process may have. Where that is full, the one whose time would be over first makes room,
//! as if it were: so nobody's silence keeps others out.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::epoll::EpollFlags;
use nix::sys::resource::{getrlimit, Resource};
use nix::sys::socket::{getpeername, recv, MsgFlags, SockaddrStorage};

use super::state::State;
use super::watch::Token;
use crate::connections::handoff::{Client, Connection, ListenerId};
use crate::connections::peek::{self, Peek, HEAD};
use crate::connections::policy::{Dispatch, Policy};
use crate::connections::proxy_protocol;
use crate::connections::sticky::{By, Hasher, Sticky};
use crate::os::socket;

/// The number of a parked connection. They are given out in turn, and nobody waits for four thousand million others.
pub(super) type ParkedId = u32;

/// How long a client may say nothing. Browsers open connections before they need them, and close those that they did not
/// need after ten seconds.
pub(super) const SILENT: Duration = Duration::from_secs(15);

/// How long the head of a request may take, or a proxy's header.
pub(super) const SLOW: Duration = Duration::from_secs(5);

/// How many wait at once.
pub(super) const MOST: usize = if cfg!(test) { 16 } else { 4096 };

/// What is waited for.
#[derive(Debug)]
enum Awaited {
    /// What a proxy says of the client.
    Proxy,
    /// The head of the first request.
    Head(Peek),
    /// Nothing.
    Nothing,
}

/// A connection that is looked at.
#[derive(Debug)]
pub(super) struct Visitor {
    pub connection: Connection,
    awaited: Awaited,
    /// Whether something has come of what is awaited.
    is_heard: bool,
}

/// What a look came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// It can be placed.
    Ready,
    /// More is to come.
    Waits,
    /// It is no proxy's, though it should be: it is closed.
    Refused,
}

/// What looks: the buffer, and the secret of the hashes.
#[derive(Debug)]
pub(super) struct Looker {
    buffer: Box<[u8; HEAD]>,
    hasher: Hasher,
}

impl Looker {
    pub fn new() -> Looker {
        Looker { buffer: Box::new([0; HEAD]), hasher: Hasher::default() }
    }

    /// What is to be waited for before a connection is placed.
    pub fn meet(&mut self, connection: Connection, dispatch: &Dispatch) -> Visitor {
        let mut visitor = Visitor { connection, awaited: Awaited::Nothing, is_heard: false };
        let is_of_proxy = |address: IpAddr| dispatch.proxies.iter().any(|network| network.contains(address));
        if !dispatch.proxies.is_empty() && address_of(&visitor.connection).is_some_and(is_of_proxy) {
            visitor.awaited = Awaited::Proxy;
        } else {
            self.await_head(&mut visitor, dispatch);
        }
        visitor
    }

    /// As `meet`, of a connection on which requests have been served.
    pub fn meet_again(&mut self, connection: Connection, dispatch: &Dispatch) -> Visitor {
        let mut visitor = Visitor { connection, awaited: Awaited::Nothing, is_heard: false };
        self.await_head(&mut visitor, dispatch);
        visitor
    }

    fn await_head(&mut self, visitor: &mut Visitor, dispatch: &Dispatch) {
        visitor.is_heard = false;
        visitor.awaited = match &dispatch.policy {
            Policy::Sticky(Sticky { by: By::Id(_) | By::Slot(_), .. }) => Awaited::Head(Peek::default()),
            Policy::Sticky(Sticky { by: By::Address, .. }) => {
                let address = address_of(&visitor.connection);
                visitor.connection.client =
                    address.map_or(Client::Unknown, |address| Client::Known(self.hasher.of_address(address)));
                Awaited::Nothing
            }
            Policy::LeastBusy | Policy::RoundRobin => Awaited::Nothing,
        };
    }

    /// Looks at what has come. `is_all`: no more will, or is waited for.
    pub fn look(&mut self, visitor: &mut Visitor, dispatch: &Dispatch, is_all: bool) -> Look {
        loop {
            if matches!(visitor.awaited, Awaited::Nothing) {
                return Look::Ready;
            }
            let seen = match socket::peek(&visitor.connection.socket, &mut self.buffer[..]) {
                Ok(length) => length,
                Err(Errno::EAGAIN) => 0,
                // It was reset. Who reads from it is told.
                Err(_) => return given_up(visitor),
            };
            visitor.is_heard |= seen > 0;
            let look = match visitor.awaited {
                Awaited::Proxy => self.look_for_proxy(visitor, dispatch, seen),
                _ => self.look_for_head(visitor, dispatch, seen),
            };
            match look {
                Some(Look::Waits) if is_all => return given_up(visitor),
                Some(look) => return look,
                None => {}
            }
        }
    }

    /// `None`: the header has been taken out, and the next thing is to be looked for.
    fn look_for_proxy(&mut self, visitor: &mut Visitor, dispatch: &Dispatch, seen: usize) -> Option<Look> {
        match proxy_protocol::look(&self.buffer[..seen]) {
            proxy_protocol::Seen::More => Some(Look::Waits),
            proxy_protocol::Seen::Bad => Some(Look::Refused),
            proxy_protocol::Seen::Header { length, client } => {
                let taken =
                    recv(visitor.connection.socket.as_raw_fd(), &mut self.buffer[..length], MsgFlags::MSG_DONTWAIT);
                if taken != Ok(length) {
                    return Some(Look::Refused);
                }
                visitor.connection.peer = client;
                self.await_head(visitor, dispatch);
                None
            }
        }
    }

    fn look_for_head(&mut self, visitor: &mut Visitor, dispatch: &Dispatch, seen: usize) -> Option<Look> {
        let (Awaited::Head(peek), Policy::Sticky(sticky)) = (&mut visitor.awaited, &dispatch.policy) else {
            return Some(Look::Ready);
        };
        let place = sticky.place()?;
        let key = match peek.look(&self.buffer[..seen], place) {
            peek::Seen::More => return Some(Look::Waits),
            peek::Seen::Id(id) => self.hasher.of_id(&id, &sticky.by),
            peek::Seen::NoId | peek::Seen::NotHttp | peek::Seen::TooLarge => None,
        };
        visitor.connection.client = key.map_or(Client::Unknown, Client::Known);
        Some(Look::Ready)
    }

    /// Looks again at a connection that comes back: its worker has not read from it.
    pub fn recall(&mut self, connection: Connection, dispatch: &Dispatch) -> Connection {
        let mut visitor = self.meet_again(connection, dispatch);
        self.look(&mut visitor, dispatch, true);
        if visitor.connection.client == Client::Unseen {
            visitor.connection.client = Client::Unknown;
        }
        visitor.connection
    }
}

impl State {
    /// Places a connection that has come, or parks it until its client has said more.
    pub fn admit(&mut self, connection: Connection) {
        let Some(listener) = self.listeners.get(&connection.listener) else { return };
        if !listener.dispatch.looks() {
            self.place(connection);
            return;
        }
        let visitor = self.looker.meet(connection, &listener.dispatch);
        self.look_at_first(visitor);
    }

    pub fn look_at_first(&mut self, mut visitor: Visitor) {
        let Some(listener) = self.listeners.get(&visitor.connection.listener) else { return };
        match self.looker.look(&mut visitor, &listener.dispatch, false) {
            Look::Waits => self.park(visitor),
            look => self.let_go(visitor, look),
        }
    }

    fn let_go(&mut self, visitor: Visitor, look: Look) {
        match look {
            Look::Ready | Look::Waits => drop(self.place(visitor.connection)),
            Look::Refused => self.past.dropped += 1,
        }
    }

    fn park(&mut self, visitor: Visitor) {
        if self.parked.is_full() {
            self.parked.first().inspect(|first| self.give_up(*first));
        }
        let id = self.parked.next_id();
        let events = EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLET;
        match self.epoll.add(visitor.connection.socket.as_fd(), Token::Parked(id), events) {
            Ok(()) => self.parked.keep(id, visitor, self.now),
            // The user may watch no more.
            Err(_) => self.look_last(visitor),
        }
    }

    /// More has come of a parked connection, or it has ended.
    pub fn parked_ready(&mut self, id: ParkedId, events: EpollFlags) {
        let Some((end, mut visitor)) = self.parked.take(id) else { return };
        let Some(listener) = self.listeners.get(&visitor.connection.listener) else { return };
        let was_heard = visitor.is_heard();
        let has_ended = events.intersects(EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR);
        match self.looker.look(&mut visitor, &listener.dispatch, has_ended) {
            Look::Waits => self.parked.put_back(id, (end, was_heard), visitor, self.now),
            look => {
                self.epoll.remove(visitor.connection.socket.as_fd());
                self.let_go(visitor, look);
            }
        }
    }

    /// Takes a parked connection out.
    pub fn unpark(&mut self, id: ParkedId) -> Option<Visitor> {
        let (_, visitor) = self.parked.take(id)?;
        self.epoll.remove(visitor.connection.socket.as_fd());
        Some(visitor)
    }

    /// Waits no longer for what a client may say.
    fn give_up(&mut self, id: ParkedId) {
        if let Some(visitor) = self.unpark(id) {
            self.look_last(visitor);
        }
    }

    fn look_last(&mut self, mut visitor: Visitor) {
        let Some(listener) = self.listeners.get(&visitor.connection.listener) else { return };
        let look = self.looker.look(&mut visitor, &listener.dispatch, true);
        self.let_go(visitor, look);
    }

    pub fn give_up_overdue(&mut self) {
        while self.parked.first_end().is_some_and(|end| end <= self.now) {
            self.parked.first().inspect(|first| self.give_up(*first));
        }
    }

    pub fn give_up_all_of(&mut self, listener: ListenerId) {
        for id in self.parked.of(listener) {
            self.give_up(id);
        }
    }
}

/// What becomes of one that is waited for no longer.
fn given_up(visitor: &mut Visitor) -> Look {
    match visitor.awaited {
        Awaited::Proxy => Look::Refused,
        Awaited::Head(_) | Awaited::Nothing => {
            visitor.connection.client = Client::Unknown;
            Look::Ready
        }
    }
}

/// The client's address: as a proxy said it, or the connection's own.
fn address_of(connection: &Connection) -> Option<IpAddr> {
    if let Some(peer) = connection.peer {
        return Some(peer.ip());
    }
    let address = getpeername::<SockaddrStorage>(connection.socket.as_raw_fd()).ok()?;
    let four = address.as_sockaddr_in().map(|address| SocketAddr::V4((*address).into()));
    let address = four.or_else(|| address.as_sockaddr_in6().map(|address| SocketAddr::V6((*address).into())))?;
    Some(address.ip())
}

/// How many descriptors are a quarter of those that this process may have.
pub(super) fn quarter_of_descriptors() -> usize {
    let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(limit, _)| limit / 4);
    usize::try_from(limit).unwrap_or(usize::MAX)
}

/// Those who wait.
#[derive(Debug, Default)]
pub(super) struct Parked {
    visitors: BTreeMap<ParkedId, (Instant, Visitor)>,
    /// The ends of their times, the next one first.
    ends: BTreeSet<(Instant, ParkedId)>,
    last: ParkedId,
}

impl Parked {
    /// The number of the next one.
    pub fn next_id(&mut self) -> ParkedId {
        self.last = self.last.wrapping_add(1);
        self.last
    }

    /// How many wait.
    pub fn count(&self) -> usize {
        self.visitors.len()
    }

    /// Whether one has to go before another can come.
    pub fn is_full(&self) -> bool {
        self.visitors.len() >= MOST.min(quarter_of_descriptors())
    }

    /// Keeps one. Its time begins now, or with its first byte.
    pub fn keep(&mut self, id: ParkedId, visitor: Visitor, now: Instant) {
        let end = now + if visitor.is_heard { SLOW } else { SILENT };
        self.put(id, end, visitor);
    }

    fn put(&mut self, id: ParkedId, end: Instant, visitor: Visitor) {
        self.ends.insert((end, id));
        self.visitors.insert(id, (end, visitor));
    }

    /// Takes one out to look at it.
    pub fn take(&mut self, id: ParkedId) -> Option<(Instant, Visitor)> {
        let (end, visitor) = self.visitors.remove(&id)?;
        self.ends.remove(&(end, id));
        Some((end, visitor))
    }

    /// Puts one back that was looked at. Who had been heard before gets no more time.
    pub fn put_back(&mut self, id: ParkedId, (end, was_heard): (Instant, bool), visitor: Visitor, now: Instant) {
        match visitor.is_heard && was_heard || !visitor.is_heard && !was_heard {
            true => self.put(id, end, visitor),
            false => self.keep(id, visitor, now),
        }
    }

    /// The end of the first one's time.
    pub fn first_end(&self) -> Option<Instant> {
        self.ends.first().map(|(end, _)| *end)
    }

    /// The one whose time is over first.
    pub fn first(&self) -> Option<ParkedId> {
        self.ends.first().map(|(_, id)| *id)
    }

    /// Those of a listener, the oldest first.
    pub fn of(&self, listener: ListenerId) -> Vec<ParkedId> {
        let is_of = |(_, visitor): &(Instant, Visitor)| visitor.connection.listener == listener;
        self.visitors.iter().filter(|(_, parked)| is_of(parked)).map(|(id, _)| *id).collect()
    }
}

impl Visitor {
    /// Whether something has come of what is awaited.
    pub fn is_heard(&self) -> bool {
        self.is_heard
    }
}
