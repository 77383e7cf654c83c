//! The handoff: the queue of accepted connections between the primary and one worker.
//!
//! It is a pair of `SOCK_SEQPACKET` sockets, and the kernel keeps the queue. A packet is six bytes, the number of
//! the listener and a serial number, and carries one connection:
//!
//! ```text
//!   primary                                     worker
//!   Queue ── near ═══ listener, connection ═══► far ── Intake
//!              ▲                                 ║
//!              ╚════ a refused connection ═══════╝
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

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{getsockopt, sockopt, SockType};

use crate::connections::policy::WorkerId;
use crate::os::error::{Error, Result};
use crate::os::socket::{self, Received};

/// The number of a listener, never 0.
pub type ListenerId = u32;

/// What tells a packet from those before and after it.
type Serial = u16;

/// Bytes in a packet.
const PACKET: usize = size_of::<ListenerId>() + size_of::<Serial>();

/// A packet's bytes, and one more, to see one that is too long.
type Buffer = [u8; PACKET + 1];

/// The listener that a probe names.
const PROBE: ListenerId = 0;

/// An accepted connection on its way to a worker.
#[derive(Debug)]
pub struct Connection {
    /// The listener that accepted it.
    pub listener: ListenerId,
    /// The connection.
    pub socket: OwnedFd,
    /// The workers that gave it back.
    pub refused_by: Vec<WorkerId>,
}

impl Connection {
    /// A connection that nobody has refused.
    pub fn new(listener: ListenerId, socket: OwnedFd) -> Self {
        Connection { listener, socket, refused_by: Vec::new() }
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
    /// Connections that were put into the queue, less those taken back.
    handed: u64,
    /// Connections that the worker gave back.
    returned: u64,
}

/// What a worker's end sent back, or what was taken out of its queue.
#[derive(Debug)]
pub enum Taken {
    /// A connection.
    Connection(Connection),
    /// A probe.
    Probe,
    /// Nothing is there now.
    Nothing,
    /// The process has no descriptor left to receive one: nothing was taken, ask again later.
    Starved,
    /// A connection that was lost: the process has no descriptor left, and another process took the packet before it
    /// that had been looked at.
    Lost,
    /// The other process closed its end.
    End,
}

impl Queue {
    /// The queue of `worker`; `far` is the primary's duplicate of the worker's end.
    pub fn new(worker: WorkerId, near: OwnedFd, far: OwnedFd) -> Self {
        Queue { worker, near, far, serial: 0, handed: 0, returned: 0 }
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
        let packet = packet(connection.listener, self.serial);
        let sent = match socket::send(self.near.as_fd(), &packet, Some(connection.socket.as_fd())) {
            // A death does not say this: we hold the worker's end too.
            Err(Error::Os { errno: Errno::EPIPE | Errno::ECONNRESET | Errno::ENOTCONN, .. }) => {
                return Err(Error::HandoffShut { worker: self.worker });
            }
            sent => sent?,
        };
        self.serial = self.serial.wrapping_add(1);
        self.handed += u64::from(sent.is_some());
        Ok(sent.is_some())
    }

    /// Leaves a probe in the queue. A full queue needs none.
    ///
    /// # Errors
    /// [`Error::Os`].
    pub fn probe(&mut self) -> Result<()> {
        self.serial = self.serial.wrapping_add(1);
        socket::send(self.near.as_fd(), &packet(PROBE, self.serial), None).map(drop)
    }

    /// How many packets the worker has not taken yet.
    ///
    /// # Errors
    /// [`Error::Os`].
    pub fn depth(&self) -> Result<usize> {
        socket::waiting_bytes(self.far.as_fd()).map(|bytes| bytes / PACKET)
    }

    /// How many connections have been put in and not been taken back: those that wait and those that the
    /// worker took.
    pub fn handed(&self) -> u64 {
        self.handed
    }

    /// Takes the oldest packet back out of the queue, before the worker does.
    ///
    /// # Errors
    /// [`Error::Os`].
    pub fn take_back(&mut self) -> Result<Taken> {
        // The worker's end is the worker's, too: it may have had it skip what is looked at.
        socket::look_from_the_start(self.far.as_fd())?;
        let taken = take_shared(self.far.as_fd(), self.worker, self.handed)?;
        self.handed -= u64::from(matches!(taken, Taken::Connection(_) | Taken::Lost));
        Ok(taken)
    }

    /// Receives a connection that the worker has refused.
    ///
    /// # Errors
    /// [`Error::BadHandoff`] when the worker sends what it cannot have been handed, [`Error::HandoffShut`] when
    /// it will send nothing more.
    pub fn receive_returned(&mut self) -> Result<Taken> {
        let owned = self.handed.saturating_sub(self.returned);
        let (mut buffer, mut descriptors) = (Buffer::default(), Vec::new());
        let received = socket::receive(self.near.as_fd(), &mut buffer, &mut descriptors)?;
        let mut taken = read(received, &buffer, descriptors, self.worker, owned)?;
        if matches!(taken, Taken::End) {
            // We hold the worker's end too: it was shut down, and would be readable for ever.
            return Err(Error::HandoffShut { worker: self.worker });
        }
        if let Taken::Connection(connection) = &mut taken {
            if owned == 0 || getsockopt(&connection.socket, sockopt::SockType) != Ok(SockType::Stream) {
                let listener = connection.listener;
                return Err(Error::BadHandoff { worker: self.worker, length: PACKET, descriptors: 1, listener, owned });
            }
            self.returned += 1;
            connection.refused_by.push(self.worker);
        }
        Ok(taken)
    }
}

/// The worker's end of its queue.
#[derive(Debug)]
pub struct Intake {
    far: OwnedFd,
}

impl Intake {
    /// The intake over the worker's end.
    pub fn new(far: OwnedFd) -> Self {
        Intake { far }
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
        take_shared(self.far.as_fd(), 0, 0)
    }

    /// Gives a connection back, for another worker. It blocks while the primary's buffer is full, which is
    /// the time that the acceptor needs to read it.
    ///
    /// # Errors
    /// [`Error::Os`] when the primary is gone.
    pub fn give_back(&self, listener: ListenerId, connection: BorrowedFd<'_>) -> Result<()> {
        use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
        // Nobody but the primary reads them: no two need be told apart.
        while socket::send(self.far(), &packet(listener, 0), Some(connection))?.is_none() {
            let mut writable = [PollFd::new(self.far(), PollFlags::POLLOUT)];
            match poll(&mut writable, PollTimeout::NONE) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(errno) => return Err(Error::os("poll", errno)),
            }
        }
        Ok(())
    }
}

fn packet(listener: ListenerId, serial: Serial) -> [u8; PACKET] {
    let (mut packet, length) = ([0; PACKET], size_of::<ListenerId>());
    packet[..length].copy_from_slice(&listener.to_le_bytes());
    packet[length..].copy_from_slice(&serial.to_le_bytes());
    packet
}

/// Takes a packet out of the queue, from which the other process takes packets, too.
fn take_shared(socket: BorrowedFd<'_>, worker: WorkerId, owned: u64) -> Result<Taken> {
    let (mut buffer, mut descriptors) = (Buffer::default(), Vec::new());
    let received = socket::receive_shared(socket, &mut buffer, &mut descriptors)?;
    read(received, &buffer, descriptors, worker, owned)
}

/// What was received is a packet of ours, or it is refused.
fn read(
    received: Received,
    buffer: &Buffer,
    mut descriptors: Vec<OwnedFd>,
    worker: WorkerId,
    owned: u64,
) -> Result<Taken> {
    let length = match received {
        Received::Nothing => return Ok(Taken::Nothing),
        Received::Starved(_) => return Ok(Taken::Starved),
        Received::Lost => return Ok(Taken::Lost),
        Received::Bytes(0) if descriptors.is_empty() => return Ok(Taken::End),
        Received::Bytes(length) => length,
    };
    let bad = |listener, descriptors| Error::BadHandoff { worker, length, descriptors, listener, owned };
    let &[a, b, c, d, _, _] = &buffer[..length] else { return Err(bad(0, descriptors.len())) };
    let listener = ListenerId::from_le_bytes([a, b, c, d]);
    match (listener, descriptors.len(), descriptors.pop()) {
        (PROBE, 0, None) => Ok(Taken::Probe),
        (listener, 1, Some(socket)) if listener != PROBE => Ok(Taken::Connection(Connection::new(listener, socket))),
        (listener, count, _) => Err(bad(listener, count)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
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
        assert_eq!(queue.handed(), 1);
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
        assert_eq!((queue.depth().unwrap(), queue.handed()), (clients.len(), clients.len() as u64));
        for client in clients {
            says_hello(taken(intake.take()), client);
        }
    }

    #[test]
    fn a_refused_connection_comes_back_and_says_who_refused_it() {
        let (mut queue, intake) = queue();
        let client = put(&mut queue, 3);
        let connection = taken(intake.take());
        intake.give_back(connection.listener, connection.socket.as_fd()).unwrap();
        drop(connection);
        let returned = taken(queue.receive_returned());
        assert_eq!((returned.listener, &returned.refused_by[..]), (3, &[7][..]));
        says_hello(returned, client);
    }

    #[test]
    fn a_probe_is_no_connection() {
        let (mut queue, intake) = queue();
        queue.probe().unwrap();
        assert!(matches!(intake.take(), Ok(Taken::Probe)));
    }

    #[test]
    fn a_worker_cannot_return_what_it_was_not_handed() {
        let (mut queue, intake) = queue();
        let (invented, _client) = connection(1);
        intake.give_back(1, invented.socket.as_fd()).unwrap();
        assert!(matches!(queue.receive_returned(), Err(Error::BadHandoff { worker: 7, owned: 0, .. })));
    }

    #[test]
    fn a_worker_cannot_return_a_file() {
        let (mut queue, intake) = queue();
        let _client = put(&mut queue, 1);
        intake.give_back(1, std::fs::File::open("/dev/null").unwrap().as_fd()).unwrap();
        assert!(matches!(queue.receive_returned(), Err(Error::BadHandoff { .. })));
    }

    #[test]
    fn a_worker_that_shuts_its_end_down_is_found_out() {
        let (mut queue, intake) = queue();
        rustix::net::shutdown(intake.far(), rustix::net::Shutdown::Write).unwrap();
        assert_eq!(queue.receive_returned().unwrap_err(), Error::HandoffShut { worker: 7 });
        rustix::net::shutdown(intake.far(), rustix::net::Shutdown::Read).unwrap();
        assert_eq!(queue.put(&connection(1).0), Err(Error::HandoffShut { worker: 7 }));
    }

    #[test]
    fn packets_that_nobody_of_ours_writes_are_refused() {
        for (bytes, descriptors) in [(&b"abc"[..], 0), (b"abcdef", 0), (b"abcdefg", 1), (b"\0\0\0\0ef", 1)] {
            let (mut queue, intake) = queue();
            let (connection, _client) = connection(1);
            let carried = (descriptors == 1).then(|| connection.socket.as_fd());
            socket::send(intake.far(), bytes, carried).unwrap();
            assert!(matches!(queue.receive_returned(), Err(Error::BadHandoff { .. })), "{bytes:?}");
        }
    }

    #[test]
    fn the_end_of_the_primary_is_the_end_of_the_intake() {
        let (queue, intake) = queue();
        drop(queue);
        assert!(matches!(intake.take(), Ok(Taken::End)));
    }
}
