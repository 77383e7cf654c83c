//! The handoff: the queue of accepted connections between the primary and one worker.
//!
//! It is a pair of `SOCK_SEQPACKET` sockets, and the kernel keeps the queue. A packet is the
//! number of a listener, a serial number, an address, a time and a gauge, and may carry one connection:
//!
//! ```text
//!   primary                                      worker
//!   Queue ── near ═══ listener, connection ════► far ── Intake
//!              ▲                                  ║
//!              ╠═════ listener, connection ═══════╣  given back: the worker has no room for it; or it asks whose the
//!              ║                                  ║  next request is
//!              ╠═════ listener ═══════════════════╣  it has room again
//!              ╚═════ gauge ══════════════════════╝  it has fewer that count, and somebody waits for that
//! ```
//!
//! The primary keeps a duplicate of the worker's end, `far`. With it, it takes back what the worker has not
//! taken: all of it when the worker has died, or when it is stuck. The kernel gives each packet to exactly
//! one reader, so at every time a connection has one owner: the primary, the queue, or the worker. There is
//! no acknowledgement to wait for, and nothing that a death can leave in doubt.
//!
//! Who takes a packet has looked at a copy of it before, since its connection is lost if no number is free for it
//! ([`socket`]). The serial number tells whether what was taken is what was looked at, and not the next one because
//! the other process was quicker.
//!
//! A packet for listener 0 carries nothing: it is a *probe*, left in the queue of a stuck worker. When the
//! worker has taken it, it runs again.
//!
//! The address is that of the client, where a proxy has said it ([`proxy_protocol`]): it cannot be asked of the kernel,
//! and what said it has been taken out of the connection.
//!
//! The time is that of the accept, where somebody wants to know how long connections wait; else it is 0, and no clock
//! is looked at.
//!
//! The gauge is what the connection counts on where there is a limit ([`limit`]), until it is closed or given back.
//!
//! A worker that gave a connection back says when it has room again, once. So does one that was handed a
//! connection with [`ASKS`] set: more of them wait.
//!
//! [`proxy_protocol`]: crate::connections::proxy_protocol
//! [`limit`]: crate::connections::limit

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Instant;

use nix::errno::Errno;

use crate::connections::policy::WorkerId;
use crate::connections::sticky::Key;
use crate::os::error::{Error, Result};
use crate::os::socket::{self, Received};
use crate::processes::board::{gauge, Gauge};

/// The number of a listener, never 0 and below 2³¹.
pub type ListenerId = u32;

/// What tells a packet from those before and after it.
type Serial = u16;

/// Bytes of an address: its IPv6 form and its port. All are 0 where there is none.
const PEER: usize = size_of::<Ipv6Addr>() + size_of::<u16>();

/// Bytes of a time, as boards have it.
const TIME: usize = size_of::<u64>();

/// Bytes in a packet.
const PACKET: usize = size_of::<ListenerId>() + size_of::<Serial>() + PEER + TIME + size_of::<Gauge>();

/// A packet's bytes, and one more, to see one that is too long.
type Buffer = [u8; PACKET + 1];

const EMPTY: Buffer = [0; PACKET + 1];

/// The listener that a probe names.
const PROBE: ListenerId = 0;

/// Set in a packet with a connection: the worker is asked to say when it has room for another; in one that comes back: the
/// primary is asked whose its next request is. Set in one without: the worker says that it has room.
const ASKS: ListenerId = 1 << 31;

/// An accepted connection on its way to a worker.
#[derive(Debug)]
pub struct Connection {
    /// The listener that accepted it.
    pub listener: ListenerId,
    /// The connection.
    pub socket: OwnedFd,
    /// Whether its worker is asked to say when it has room for another; of one that comes back, whether it is asked whose
    /// its next request is.
    pub asks: bool,
    /// Its client's address, as a proxy said it.
    pub peer: Option<SocketAddr>,
    /// What it counts on in its worker, where there is a limit.
    pub gauge: Option<Gauge>,
    /// What is known of its client, which no packet says.
    pub client: Client,
    /// Since when it could be handed over, as boards have it; 0: nobody wants to know.
    pub since: u64,
    /// Since when it has waited for a worker, which no packet says either.
    pub waits_since: Option<Instant>,
}

/// What is known of a connection's client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Client {
    /// Nobody has looked.
    #[default]
    Unseen,
    /// It is known by nothing.
    Unknown,
    /// It is known by this.
    Known(Key),
}

impl Connection {
    /// A connection, and no question.
    pub fn new(listener: ListenerId, socket: OwnedFd) -> Self {
        let (gauge, client, waits_since) = (None, Client::Unseen, None);
        Connection { listener, socket, asks: false, peer: None, gauge, client, since: 0, waits_since }
    }
}

/// The primary's end of one worker's queue.
#[derive(Debug)]
pub struct Queue {
    worker: WorkerId,
    near: OwnedFd,
    far: OwnedFd,
    /// The next packet's.
    serial: Serial,
    /// Packets in the queue, if the worker has taken none since it was last looked at.
    queued: usize,
}

/// What a worker's end sent back, or what was taken out of its queue.
#[derive(Debug)]
pub enum Taken {
    /// A connection.
    Connection(Connection),
    /// A probe.
    Probe,
    /// The worker has room again for connections of this listener.
    Room(ListenerId),
    /// Of what counts on a gauge the worker has fewer.
    Fewer,
    /// Nothing is there now.
    Nothing,
    /// The process has no descriptor left to receive one: nothing was taken, ask again later.
    Starved,
    /// A connection that was lost: the process has no descriptor left, and another process took the packet before it
    /// that had been looked at. It counts no more.
    Lost(Option<Gauge>),
    /// The other process closed its end.
    End,
}

impl Queue {
    /// The queue of `worker`; `far` is the primary's duplicate of the worker's end.
    pub fn new(worker: WorkerId, near: OwnedFd, far: OwnedFd) -> Self {
        Queue { worker, near, far, serial: 0, queued: 0 }
    }

    /// The primary's end: readable when the worker gives something back, writable when there is room.
    pub fn near(&self) -> BorrowedFd<'_> {
        self.near.as_fd()
    }

    /// Puts a connection into the queue; `false` if it is full. The caller's descriptor stays open: it is
    /// to be dropped once it is in.
    ///
    /// # Errors
    /// [`Error::HandoffShut`]; [`Error::Os`], `ETOOMANYREFS` when the user has too many descriptors in flight.
    pub fn put(&mut self, connection: &Connection) -> Result<bool> {
        let word = word_of(connection);
        match self.send(word, connection.peer, connection.since, connection.gauge, Some(connection.socket.as_fd())) {
            // A death does not say this: we hold the worker's end too. And a worker may refuse all descriptors
            // (`SO_PASSRIGHTS`, EPERM), which must not keep them from others.
            Err(error) if is_end(&error) || matches!(error, Error::Os { errno: Errno::EPERM, .. }) => {
                Err(Error::HandoffShut { worker: self.worker })
            }
            sent => sent,
        }
    }

    /// Leaves a probe in the queue. A full queue needs none.
    ///
    /// # Errors
    /// [`Error::Os`].
    pub fn probe(&mut self) -> Result<()> {
        self.send(PROBE, None, 0, None, None).map(drop)
    }

    fn send(
        &mut self,
        word: ListenerId,
        peer: Option<SocketAddr>,
        since: u64,
        gauge: Option<Gauge>,
        carried: Option<BorrowedFd<'_>>,
    ) -> Result<bool> {
        let packet = packet(word, self.serial, peer, since, gauge);
        let sent = socket::send(self.near.as_fd(), &packet, carried)?.is_some();
        self.serial = self.serial.wrapping_add(1);
        self.queued += usize::from(sent);
        Ok(sent)
    }

    /// How many packets were in the queue when it was last looked at, and put in since.
    pub fn queued(&self) -> usize {
        self.queued
    }

    /// Looks at the queue; whether the worker has taken something since the last look.
    ///
    /// # Errors
    /// [`Error::Os`].
    pub fn look(&mut self) -> Result<bool> {
        let depth = self.depth()?;
        Ok(depth < std::mem::replace(&mut self.queued, depth))
    }

    /// How many packets the worker has not taken yet.
    ///
    /// # Errors
    /// [`Error::Os`].
    pub fn depth(&self) -> Result<usize> {
        socket::waiting_bytes(self.far.as_fd()).map(|bytes| bytes / PACKET)
    }

    /// Takes the oldest packet back out of the queue, before the worker does.
    ///
    /// # Errors
    /// [`Error::Os`].
    pub fn take_back(&mut self) -> Result<Taken> {
        // The worker's end is the worker's, too: it may have had it skip what is looked at.
        socket::look_from_the_start(self.far.as_fd())?;
        let taken = take_shared(self.far.as_fd(), self.worker)?;
        if matches!(taken, Taken::Connection(_) | Taken::Probe | Taken::Lost(_)) {
            self.queued = self.queued.saturating_sub(1);
        }
        Ok(taken)
    }

    /// Receives what the worker sends: a connection that it gives back, or that it has room again.
    ///
    /// # Errors
    /// [`Error::BadHandoff`] when it sends what no worker sends, [`Error::HandoffShut`] when it will send nothing
    /// more, [`Error::Os`].
    pub fn receive(&mut self) -> Result<Taken> {
        let worker = self.worker;
        let (mut buffer, mut descriptors) = (EMPTY, Vec::new());
        let received = socket::receive(self.near.as_fd(), &mut buffer, &mut descriptors)?;
        match read(received, &buffer, descriptors, worker)? {
            // We hold the worker's end too: it was shut down, and would be readable for ever.
            Taken::End => Err(Error::HandoffShut { worker }),
            Taken::Probe => Err(bad(worker, PACKET, 0, PROBE)),
            taken => Ok(taken),
        }
    }

    /// Lets the worker send nothing more; what it has sent can still be received.
    pub fn close_to_worker(&self) {
        // One that has shut it down itself is as deaf.
        let _ = rustix::net::shutdown(&self.near, rustix::net::Shutdown::Read);
    }
}

/// The worker's end of its queue.
#[derive(Debug)]
pub struct Intake {
    far: OwnedFd,
    /// What is to be sent to the primary, whose buffer is full.
    unsent: VecDeque<Answer>,
}

/// What a worker says to the primary.
#[derive(Debug)]
enum Answer {
    GivesBack(Connection),
    HasRoom(ListenerId),
    HasFewer(Gauge),
}

/// How far the primary has been sent what is for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// Nothing waits. (If the primary is gone, nobody waits for it.)
    All,
    /// Its buffer is full: the worker's end becomes writable when [`Intake::flush`] may go on.
    Full,
    /// The kernel takes no descriptor for now (`ETOOMANYREFS`, `ENOMEM` …), and no event tells when it does.
    Later,
}

impl Intake {
    /// The intake over the worker's end.
    pub fn new(far: OwnedFd) -> Self {
        Intake { far, unsent: VecDeque::new() }
    }

    /// The worker's end: readable when a connection waits.
    pub fn far(&self) -> BorrowedFd<'_> {
        self.far.as_fd()
    }

    /// Takes the oldest packet out of the queue.
    ///
    /// # Errors
    /// [`Error::Os`] or [`Error::BadHandoff`]: the other process is no primary of ours.
    pub fn take(&self) -> Result<Taken> {
        match take_shared(self.far.as_fd(), 0)? {
            Taken::Room(listener) => Err(bad(0, PACKET, 0, listener | ASKS)),
            Taken::Fewer => Err(bad(0, PACKET, 0, ASKS)),
            taken => Ok(taken),
        }
    }

    /// Gives a connection back, for another worker, or for whoever is to have its next request. It never blocks: what the primary does not take now waits.
    pub fn give_back(&mut self, connection: Connection) -> Sent {
        self.unsent.push_back(Answer::GivesBack(connection));
        self.flush()
    }

    /// Says that there is room again for connections of a listener.
    pub fn has_room(&mut self, listener: ListenerId) -> Sent {
        self.unsent.push_back(Answer::HasRoom(listener));
        self.flush()
    }

    /// Says that fewer count on a gauge.
    pub fn has_fewer(&mut self, gauge: Gauge) -> Sent {
        self.unsent.push_back(Answer::HasFewer(gauge));
        self.flush()
    }

    /// Sends what waits to be sent.
    pub fn flush(&mut self) -> Sent {
        while let Some(answer) = self.unsent.front() {
            let (word, peer, gauge, carried) = match answer {
                Answer::GivesBack(connection) => {
                    (word_of(connection), connection.peer, None, Some(connection.socket.as_fd()))
                }
                Answer::HasRoom(listener) => (listener | ASKS, None, None, None),
                Answer::HasFewer(gauge) => (ASKS, None, Some(*gauge), None),
            };
            // Nobody but the primary reads them: no two need be told apart.
            match socket::send(self.far.as_fd(), &packet(word, 0, peer, 0, gauge), carried) {
                Ok(Some(_)) => drop(self.unsent.pop_front()),
                Ok(None) => return Sent::Full,
                // The primary is gone, and with it all who could serve these.
                Err(error) if is_end(&error) => self.unsent.clear(),
                Err(_) => return Sent::Later,
            }
        }
        Sent::All
    }
}

/// Whether an error of `sendmsg` says that the peer is gone. Any other is of this moment.
fn is_end(error: &Error) -> bool {
    matches!(error, Error::Os { errno: Errno::EPIPE | Errno::ECONNRESET | Errno::ENOTCONN, .. })
}

fn bad(worker: WorkerId, length: usize, descriptors: usize, listener: ListenerId) -> Error {
    Error::BadHandoff { worker, length, descriptors, listener }
}

fn word_of(connection: &Connection) -> ListenerId {
    if connection.asks {
        connection.listener | ASKS
    } else {
        connection.listener
    }
}

fn packet(
    word: ListenerId,
    serial: Serial,
    peer: Option<SocketAddr>,
    since: u64,
    gauge: Option<Gauge>,
) -> [u8; PACKET] {
    let mut packet = [0; PACKET];
    packet[PACKET - 1] = gauge.map_or(0, Gauge::get);
    let (number, rest) = packet.split_at_mut(size_of::<ListenerId>());
    let (place, rest) = rest.split_at_mut(size_of::<Serial>());
    let (address, rest) = rest.split_at_mut(PEER);
    number.copy_from_slice(&word.to_le_bytes());
    place.copy_from_slice(&serial.to_le_bytes());
    rest[..TIME].copy_from_slice(&since.to_le_bytes());
    if let Some(peer) = peer {
        let ip = match peer.ip() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        address[..PEER - 2].copy_from_slice(&ip.octets());
        address[PEER - 2..].copy_from_slice(&peer.port().to_le_bytes());
    }
    packet
}

/// The address in a packet.
fn peer_in(address: &[u8; PEER]) -> Option<SocketAddr> {
    if *address == [0; PEER] {
        return None;
    }
    let (ip, port) = address.split_first_chunk::<{ PEER - 2 }>()?;
    let port = u16::from_le_bytes(port.try_into().ok()?);
    Some(SocketAddr::new(Ipv6Addr::from(*ip).to_canonical(), port))
}

/// Takes a packet out of the queue, from which the other process takes packets, too.
fn take_shared(socket: BorrowedFd<'_>, worker: WorkerId) -> Result<Taken> {
    let (mut buffer, mut descriptors) = (EMPTY, Vec::new());
    let received = socket::receive_shared(socket, &mut buffer, &mut descriptors)?;
    read(received, &buffer, descriptors, worker)
}

/// What was received is a packet of ours, or it is refused.
fn read(received: Received, buffer: &Buffer, mut descriptors: Vec<OwnedFd>, worker: WorkerId) -> Result<Taken> {
    let length = match received {
        Received::Nothing => return Ok(Taken::Nothing),
        Received::Starved(_) => return Ok(Taken::Starved),
        Received::Lost | Received::Truncated(_) => return Ok(Taken::Lost(gauge(buffer[PACKET - 1].into()))),
        Received::Bytes(0) if descriptors.is_empty() => return Ok(Taken::End),
        Received::Bytes(length) => length,
    };
    let &[a, b, c, d, _, _, ref rest @ ..] = &buffer[..length] else {
        return Err(bad(worker, length, descriptors.len(), 0));
    };
    let word = ListenerId::from_le_bytes([a, b, c, d]);
    let Ok(rest) = <&[u8; PEER + TIME + 1]>::try_from(rest) else {
        return Err(bad(worker, length, descriptors.len(), word));
    };
    let &[ref address @ .., a, b, c, d, e, f, g, h, number] = rest;
    let (peer, since) = (peer_in(address), u64::from_le_bytes([a, b, c, d, e, f, g, h]));
    let (listener, asks, gauge) = (word & !ASKS, word & ASKS != 0, gauge(number.into()));
    let counts = number != 0;
    if counts && gauge.is_none() {
        return Err(bad(worker, length, descriptors.len(), word));
    }
    match (listener, descriptors.len(), descriptors.pop()) {
        (PROBE, 0, None) if !asks && peer.is_none() && !counts => Ok(Taken::Probe),
        // Which gauge it is, nobody needs to know: all of the worker's are looked at.
        (PROBE, 0, None) if asks && peer.is_none() && counts => Ok(Taken::Fewer),
        (1.., 0, None) if asks && peer.is_none() && !counts => Ok(Taken::Room(listener)),
        (1.., 1, Some(socket)) => {
            Ok(Taken::Connection(Connection { asks, peer, gauge, since, ..Connection::new(listener, socket) }))
        }
        (_, count, _) => Err(bad(worker, length, count, word)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::alone::{alone, limit, take_numbers};
    use nix::sys::socket::SockType;
    use std::io::{Read, Write};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    fn queue() -> (Queue, Intake) {
        let (near, far) = socket::pair(SockType::SeqPacket).unwrap();
        let duplicate = socket::duplicate(&far).unwrap();
        (Queue::new(7, near, duplicate), Intake::new(far))
    }

    /// A connection and its client.
    fn connection(listener: ListenerId) -> (Connection, UnixStream) {
        let (client, server) = UnixStream::pair().unwrap();
        (Connection::new(listener, server.into()), client)
    }

    fn put(queue: &mut Queue, listener: ListenerId) -> UnixStream {
        let (connection, client) = connection(listener);
        assert!(queue.put(&connection).unwrap());
        client
    }

    fn taken(taken: Result<Taken>) -> Connection {
        match taken.unwrap() {
            Taken::Connection(connection) => connection,
            other => panic!("{other:?}"),
        }
    }

    fn says_hello(connection: Connection, mut client: UnixStream) {
        UnixStream::from(connection.socket).write_all(b"hello").unwrap();
        let mut text = String::new();
        client.read_to_string(&mut text).unwrap();
        assert_eq!(text, "hello");
    }

    #[test]
    fn a_connection_put_in_is_the_one_taken_out() {
        let (mut queue, intake) = queue();
        let client = put(&mut queue, 3);
        assert_eq!(queue.depth().unwrap(), 1);
        let connection = taken(intake.take());
        assert_eq!((connection.listener, queue.depth().unwrap()), (3, 0));
        says_hello(connection, client);
        assert!(matches!(intake.take(), Ok(Taken::Nothing)));
    }

    #[test]
    fn what_a_dead_worker_has_not_taken_is_taken_back() {
        let (mut queue, intake) = queue();
        let clients: Vec<_> = (0..5).map(|_| put(&mut queue, 1)).collect();
        drop(taken(intake.take()));
        drop(intake);
        for client in clients.into_iter().skip(1) {
            says_hello(taken(queue.take_back()), client);
        }
        assert!(matches!(queue.take_back(), Ok(Taken::Nothing)));
    }

    #[test]
    fn a_full_queue_says_so_and_loses_nothing() {
        let (mut queue, intake) = queue();
        let mut clients = Vec::new();
        loop {
            let (connection, client) = connection(1);
            if !queue.put(&connection).unwrap() {
                break;
            }
            clients.push(client);
        }
        assert_eq!((queue.depth().unwrap(), queue.queued()), (clients.len(), clients.len()));
        for client in clients {
            says_hello(taken(intake.take()), client);
        }
    }

    #[test]
    fn a_refused_connection_comes_back_and_so_does_word_of_room() {
        let (mut queue, mut intake) = queue();
        let client = put(&mut queue, 3);
        let connection = taken(intake.take());
        assert_eq!(intake.give_back(Connection::new(3, connection.socket)), Sent::All);
        assert_eq!(intake.has_room(3), Sent::All);
        let returned = taken(queue.receive());
        assert_eq!(returned.listener, 3);
        says_hello(returned, client);
        assert!(matches!(queue.receive(), Ok(Taken::Room(3))));
        assert!(matches!(queue.receive(), Ok(Taken::Nothing)));
    }

    #[test]
    fn a_worker_is_asked_to_say_when_it_has_room() {
        let (mut queue, intake) = queue();
        let (mut connection, _client) = connection(3);
        for asks in [true, false] {
            connection.asks = asks;
            assert!(queue.put(&connection).unwrap());
            let taken = taken(intake.take());
            assert_eq!((taken.listener, taken.asks), (3, asks));
        }
    }

    #[test]
    fn what_is_given_back_waits_for_a_primary_that_does_not_read() {
        let (mut queue, mut intake) = queue();
        let mut clients = Vec::new();
        loop {
            clients.push(put(&mut queue, 1));
            let connection = taken(intake.take());
            match intake.give_back(Connection::new(1, connection.socket)) {
                Sent::All => {}
                Sent::Full => break,
                Sent::Later => panic!("a buffer that is full is not a lack of memory"),
            }
        }
        clients.push(put(&mut queue, 1));
        let connection = taken(intake.take());
        assert_eq!(intake.give_back(Connection::new(1, connection.socket)), Sent::Full);
        assert_eq!(intake.has_room(1), Sent::Full);
        let unsent = clients.split_off(clients.len() - 2);
        for client in clients {
            says_hello(taken(queue.receive()), client);
        }
        assert_eq!(intake.flush(), Sent::All);
        for client in unsent {
            says_hello(taken(queue.receive()), client);
        }
        assert!(matches!(queue.receive(), Ok(Taken::Room(1))));
    }

    #[test]
    fn what_was_to_go_to_a_primary_that_is_gone_is_closed() {
        let (mut queue, mut intake) = queue();
        let mut client = put(&mut queue, 1);
        let connection = taken(intake.take());
        drop(queue);
        assert_eq!(intake.give_back(Connection::new(1, connection.socket)), Sent::All);
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn a_probe_is_no_connection() {
        let (mut queue, intake) = queue();
        queue.probe().unwrap();
        assert!(matches!(intake.take(), Ok(Taken::Probe)));
    }

    #[test]
    fn a_look_tells_whether_something_was_taken() {
        let (mut queue, intake) = queue();
        let _clients = [put(&mut queue, 1), put(&mut queue, 1)];
        assert_eq!((queue.look(), queue.queued()), (Ok(false), 2));
        drop(taken(intake.take()));
        assert_eq!((queue.look(), queue.queued()), (Ok(true), 1));
        drop(taken(queue.take_back()));
        assert_eq!((queue.look(), queue.queued()), (Ok(false), 0));
    }

    #[test]
    fn what_was_sent_before_the_good_bye_is_received() {
        let (mut queue, mut intake) = queue();
        let clients = [put(&mut queue, 1), put(&mut queue, 1)];
        let [first, second] = [taken(intake.take()), taken(intake.take())];
        assert_eq!(intake.give_back(Connection::new(1, first.socket)), Sent::All);
        queue.close_to_worker();
        assert_eq!(intake.give_back(Connection::new(1, second.socket)), Sent::All);
        let [client, mut late] = clients;
        says_hello(taken(queue.receive()), client);
        assert_eq!(queue.receive().unwrap_err(), Error::HandoffShut { worker: 7 });
        assert_eq!(late.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn a_worker_that_shuts_its_end_down_is_found_out() {
        let (mut queue, intake) = queue();
        rustix::net::shutdown(intake.far(), rustix::net::Shutdown::Write).unwrap();
        assert_eq!(queue.receive().unwrap_err(), Error::HandoffShut { worker: 7 });
        rustix::net::shutdown(intake.far(), rustix::net::Shutdown::Read).unwrap();
        assert_eq!(queue.put(&connection(1).0), Err(Error::HandoffShut { worker: 7 }));
    }

    #[test]
    fn a_worker_that_takes_no_descriptors_is_found_out() {
        const SO_PASSRIGHTS: nix::libc::c_int = 83;
        let (mut queue, intake) = queue();
        let off: nix::libc::c_int = 0;
        // SAFETY: the value is a number of the length that is said.
        let failed = unsafe {
            let (level, value) = (nix::libc::SOL_SOCKET, (&raw const off).cast());
            nix::libc::setsockopt(intake.far().as_raw_fd(), level, SO_PASSRIGHTS, value, size_of_val(&off) as u32)
        };
        // Before Linux 6.16 nobody can.
        if failed == 0 {
            assert_eq!(queue.put(&connection(1).0), Err(Error::HandoffShut { worker: 7 }));
        }
    }

    #[test]
    fn packets_that_nobody_of_ours_writes_are_refused() {
        let none_of_ours = [
            (&b"abc"[..], 0),
            (b"abcdef", 0),
            (b"abcdefg", 1),
            (b"\0\0\0\0ef", 1),
            (b"\0\0\0\0ef", 0),
            (b"\x01\0\0\x80ef", 1),
        ];
        for (bytes, descriptors) in none_of_ours {
            let (mut queue, intake) = queue();
            let (connection, _client) = connection(1);
            let carried = (descriptors == 1).then(|| connection.socket.as_fd());
            socket::send(intake.far(), bytes, carried).unwrap();
            assert!(matches!(queue.receive(), Err(Error::BadHandoff { .. })), "{bytes:?}");
        }
    }

    #[test]
    fn the_end_of_the_primary_is_the_end_of_the_intake() {
        let (queue, intake) = queue();
        drop(queue);
        crate::os::alone::until_readable(&intake.far());
        assert!(matches!(intake.take(), Ok(Taken::End)));
    }

    #[test]
    fn what_finds_no_number_stays_in_the_queue_for_whoever_has_one() {
        alone(|| {
            limit(64);
            let (mut queue, mut intake) = queue();
            let clients = [put(&mut queue, 1), put(&mut queue, 2)];
            let mut taken_numbers = take_numbers(0);
            assert!(matches!(intake.take(), Ok(Taken::Starved)));
            assert!(matches!(queue.take_back(), Ok(Taken::Starved)));
            assert_eq!(queue.depth().unwrap(), 2);
            taken_numbers.pop();
            let [first, second] = clients;
            let connection = taken(intake.take());
            assert_eq!(intake.give_back(Connection::new(1, connection.socket)), Sent::All);
            says_hello(taken(queue.receive()), first);
            says_hello(taken(queue.take_back()), second);
        });
    }

    #[test]
    fn a_worker_cannot_hide_what_it_has_not_taken() {
        let (mut queue, intake) = queue();
        let client = put(&mut queue, 1);
        let skipped: nix::libc::c_int = 1000;
        // SAFETY: the value is a number of the length that is said.
        let failed = unsafe {
            let (fd, length) = (intake.far().as_raw_fd(), size_of_val(&skipped) as u32);
            nix::libc::setsockopt(
                fd,
                nix::libc::SOL_SOCKET,
                nix::libc::SO_PEEK_OFF,
                (&raw const skipped).cast(),
                length,
            )
        };
        assert_eq!(failed, 0);
        says_hello(taken(queue.take_back()), client);
    }
}
