//! What the core does, in the ways that the calls are to be met in.

use std::collections::VecDeque;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::ptr::NonNull;
use std::sync::mpsc::{self, Sender};

use nix::errno::Errno;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::sys::socket::SockType;
use rust_cluster::bus::hub::Hub;
use rust_cluster::connections::acceptor::Acceptor;
use rust_cluster::connections::handoff::{Connection, Intake, Queue, Taken};
use rust_cluster::connections::listen::{Opened, Request};
use rust_cluster::connections::policy::Dispatch;
use rust_cluster::messages::channel::Channel;
use rust_cluster::messages::frame::{Kind, LIMIT};
use rust_cluster::messages::incoming::{Incoming, Read};
use rust_cluster::messages::parts::{self, Source, Text};
use rust_cluster::messages::ring;
use rust_cluster::os::error::{Error, Result};
use rust_cluster::os::socket;
use rust_cluster::processes::board::{self, Board};
use rust_cluster::processes::child::{Child, Exit};
use rust_cluster::processes::fork::{Program, Stdio};

/// The other processes: what they do does not fail.
pub struct Outside(Sender<Box<dyn FnOnce() + Send>>);

impl Outside {
    pub fn start() -> Outside {
        let (sender, work) = mpsc::channel::<Box<dyn FnOnce() + Send>>();
        std::thread::spawn(move || work.iter().for_each(|work| work()));
        Outside(sender)
    }

    fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let (sender, result) = mpsc::channel();
        self.0.send(Box::new(move || drop(sender.send(work())))).unwrap();
        result.recv().unwrap()
    }
}

type Way = fn(&Outside) -> Result<()>;

pub const WAYS: &[(&str, Way)] = &[
    ("start a process", start),
    ("make a board", make_board),
    ("start a process elsewhere", start_elsewhere),
    ("listen on TCP", listen_tcp),
    ("listen on a path", listen_path),
    ("listen where another died", listen_where_another_died),
    ("listen on a descriptor", listen_descriptor),
    ("bind UDP", bind_udp),
    ("accept and hand over", accept_tcp),
    ("accept at a path and hand over", accept_at_a_path),
    ("take from the queue", take),
    ("send and receive", converse),
    ("send long strings", send_long_strings),
    ("talk over the bus", talk_over_the_bus),
];

/// Something that was to come never did.
fn never(what: &'static str) -> Error {
    Error::os(what, Errno::ETIME)
}

fn readable(descriptor: impl AsFd) -> Result<()> {
    loop {
        match poll(&mut [PollFd::new(descriptor.as_fd(), PollFlags::POLLIN)], PollTimeout::from(5000u16)) {
            Ok(0) => return Err(never("poll")),
            Ok(_) => return Ok(()),
            Err(_) => {}
        }
    }
}

fn program(cwd: Option<&str>, ids: Option<u32>) -> Program {
    let null = || Stdio::Ignore;
    Program {
        file: "/bin/sleep".into(),
        args: vec!["sleep".into(), "60".into()],
        env: vec![],
        cwd: cwd.map(Into::into),
        uid: ids,
        gid: ids,
        parent_death_signal: ids.map(|_| 9),
        stdio: vec![null(), Stdio::Inherit(1), null()],
    }
}

/// Starts it, signals it, and sees its end.
fn see_end(program: Program) -> Result<()> {
    let child = Child::start(program)?;
    child.kill(15)?;
    readable(child.end())?;
    match child.exited()? {
        Some(Exit { code: 0, signal: 15 }) => Ok(()),
        _ => Err(never("its end")),
    }
}

fn start(_: &Outside) -> Result<()> {
    see_end(program(None, None))
}

fn start_elsewhere(_: &Outside) -> Result<()> {
    see_end(program(Some("/"), Some(nix::unistd::getuid().as_raw())))
}

fn tcp() -> Result<Opened> {
    let opened = Opened::bind(&Request::Tcp { host: Some("127.0.0.1".into()), port: 0, ipv6_only: false })?;
    opened.listen(16)?;
    Ok(opened)
}

fn listen_tcp(_: &Outside) -> Result<()> {
    tcp().map(drop)
}

fn path() -> PathBuf {
    std::env::temp_dir().join(format!("errnos-{}", std::process::id()))
}

fn listen_path(_: &Outside) -> Result<()> {
    let request = Request::Unix { path: path() };
    let result = Opened::bind(&request).and_then(|opened| opened.listen(16));
    // Nothing stays in the file system either.
    if path().exists() {
        std::fs::remove_file(path()).unwrap();
        return Err(never("unlink"));
    }
    result
}

/// What a dead server has left is there, and stays there if it cannot be known that nobody listens.
fn listen_where_another_died(outside: &Outside) -> Result<()> {
    outside.run(|| drop(UnixListener::bind(path()).unwrap()));
    let request = Request::Unix { path: path() };
    let result = Opened::bind(&request).and_then(|opened| opened.listen(16));
    let _ = std::fs::remove_file(path());
    match result {
        Err(Error::Os { errno: Errno::EADDRINUSE, .. }) => Ok(()),
        result => result,
    }
}

fn listen_descriptor(outside: &Outside) -> Result<()> {
    let theirs = outside.run(|| TcpListener::bind("127.0.0.1:0").unwrap());
    let request = Request::Descriptor { number: theirs.as_raw_fd(), datagrams: false };
    Opened::bind(&request).and_then(|opened| opened.listen(16))
}

fn bind_udp(_: &Outside) -> Result<()> {
    Opened::bind(&Request::Udp { host: "127.0.0.1".into(), port: 0, ipv6_only: false, reuse_address: false }).map(drop)
}

fn worker(acceptor: &Acceptor, id: u32) -> Result<Intake> {
    let (near, far) = socket::pair(SockType::SeqPacket)?;
    acceptor.add_worker(id, 0, Queue::new(id, near, socket::duplicate(&far)?), None)?;
    Ok(Intake::new(far))
}

fn make_board(_: &Outside) -> Result<()> {
    let (ours, memory) = Board::new()?;
    Board::open(&memory)?.took(0);
    assert_eq!(ours.read(board::now()).taken, 1);
    Ok(())
}

/// Two workers, and three clients, of which each is served by one of them.
fn accept_tcp(outside: &Outside) -> Result<()> {
    let opened = tcp()?;
    let address = opened.address().ok_or(Error::os("getsockname", Errno::ENOBUFS))?;
    accept(outside, opened, move || TcpStream::connect(address).unwrap())
}

fn accept_at_a_path(outside: &Outside) -> Result<()> {
    let opened = Opened::bind(&Request::Unix { path: path() })?;
    opened.listen(16)?;
    accept(outside, opened, || UnixStream::connect(path()).unwrap())
}

fn accept<C>(outside: &Outside, opened: Opened, connect: impl Fn() -> C + Send + 'static) -> Result<()> {
    let acceptor = Acceptor::start()?;
    let workers = [worker(&acceptor, 1)?, worker(&acceptor, 2)?];
    let listener = acceptor.add_listener(opened, Dispatch::default());
    assert!(acceptor.join(listener, 1) && acceptor.join(listener, 2));
    let result = outside.run(move || {
        let clients: Vec<_> = (0..3).map(|_| connect()).collect();
        let mut served = 0;
        while served < clients.len() {
            let mut ready: Vec<_> = workers.iter().map(|it| PollFd::new(it.far(), PollFlags::POLLIN)).collect();
            if poll(&mut ready, PollTimeout::from(5000u16)) == Ok(0) {
                return Err(never("a connection"));
            }
            for worker in &workers {
                while let Taken::Connection(_) = worker.take()? {
                    served += 1;
                }
            }
        }
        Ok(())
    });
    while acceptor.next_event().is_some() {}
    result
}

/// A worker takes a connection and gives it back, and the primary takes it again.
fn take(outside: &Outside) -> Result<()> {
    let (mut queue, mut intake) = outside.run(|| {
        let (near, far) = socket::pair(SockType::SeqPacket).unwrap();
        let mut queue = Queue::new(1, near, socket::duplicate(&far).unwrap());
        let (connection, _) = socket::pair(SockType::Stream).unwrap();
        assert!(queue.put(&Connection::new(1, connection)).unwrap());
        (queue, Intake::new(far))
    });
    let connection = taken(|| intake.take())?;
    intake.give_back(connection);
    taken(|| {
        intake.flush();
        queue.receive()
    })
    .map(drop)
}

/// Takes until something comes: what failed is tried again, as the loop does where the descriptor stays readable.
fn taken(mut take: impl FnMut() -> Result<Taken>) -> Result<Connection> {
    for _ in 0..10 {
        if let Taken::Connection(connection) = take()? {
            return Ok(connection);
        }
    }
    Err(never("a connection"))
}

/// Messages, one of them with a descriptor.
fn converse(_: &Outside) -> Result<()> {
    let (near, far) = socket::pair(SockType::Stream)?;
    let descriptor = socket::duplicate(&near)?;
    let (channel, mut incoming) = (Channel::new(near), Incoming::new(LIMIT));
    let mut descriptor = Some(descriptor);
    for number in 0..3u8 {
        let carried = if number == 1 { descriptor.take() } else { None };
        channel.push(Kind::Json, carried, true, |bytes| bytes.push(number))?;
    }
    let (mut numbers, mut descriptors) = (Vec::new(), 0);
    for _ in 0..10 {
        channel.flush()?;
        incoming.read(far.as_fd())?;
        while let Some(run) = incoming.next_run()? {
            numbers.extend(run.payloads.iter().flat_map(|payload| payload.iter().copied()));
            descriptors += usize::from(run.descriptor.is_some());
        }
    }
    if (&numbers[..], descriptors) == (&[0, 1, 2], 1) {
        Ok(())
    } else {
        Err(never("a message"))
    }
}

/// A string that is always the same.
struct Long;

impl Long {
    const UNITS: usize = 100_000;
}

// SAFETY: it writes what it says, and nothing beyond.
unsafe impl Source for Long {
    fn units(&self) -> usize {
        Self::UNITS
    }

    unsafe fn narrow(&self, room: NonNull<u8>, length: usize) -> bool {
        // SAFETY: there is so much room.
        unsafe { room.write_bytes(b'x', length) };
        true
    }

    unsafe fn wide(&self, _: NonNull<u16>, _: usize) {
        unreachable!("it is Latin-1");
    }
}

/// Through shared memory, if there is any; else through the socket.
fn send_long_strings(_: &Outside) -> Result<()> {
    let (board, memory) = Board::new()?;
    let theirs = Board::open(&memory)?;
    let (near, far) = socket::pair(SockType::Stream)?;
    let (channel, mut incoming) = (Channel::new(near), Incoming::new(LIMIT));
    let mut reader = theirs.spaces().map(|(_, space)| ring::Reader::new(space, LIMIT));
    if let Some((_, space)) = board.spaces() {
        channel.share(ring::Writer::new(space));
    }
    let mut received = 0;
    for _ in 0..3 {
        channel.push_with(Kind::Parts, None, true, |bytes, ring| {
            let mut parts = parts::Writer::new(bytes, ring, 1);
            parts.string(&Long);
            parts.json(|bytes| bytes.extend_from_slice(b"[0]"));
        })?;
        for _ in 0..10 {
            channel.flush()?;
            incoming.read(far.as_fd())?;
            while let Some(run) = incoming.next_run()? {
                for payload in &run.payloads {
                    let (strings, json) = parts::read(payload, reader.as_ref())?;
                    assert_eq!((strings.len(), json), (1, &b"[0]"[..]));
                    let (bytes, shared) = match strings[0] {
                        // SAFETY: within the ring, and nobody writes there until it is taken.
                        Text::Shared(it) => (unsafe { std::slice::from_raw_parts(it.start.as_ptr(), it.length) }, 1),
                        Text::Latin1(bytes) => (bytes, 0),
                        Text::Utf16(_) => unreachable!("it is Latin-1"),
                    };
                    assert!(bytes.len() == Long::UNITS && bytes.iter().all(|byte| *byte == b'x'));
                    reader.iter_mut().for_each(|reader| reader.take(shared));
                    received += 1;
                }
            }
        }
    }
    if received == 3 {
        Ok(())
    } else {
        Err(never("a message"))
    }
}

/// Two members of a bus, of which one asks and the other answers, with more than a socket holds at once; and a lock that goes
/// from one to the other as that one ends.
fn talk_over_the_bus(outside: &Outside) -> Result<()> {
    let hub = Hub::start(1 << 20)?;
    let sockets = [hub.join(0)?, hub.join(1)?];
    outside.run(move || {
        let [mut one, mut other] = sockets.map(BusMember::new);
        one.say(&[&[4, 1, 0, 0, 0, 1, 0, b'a']])?;
        one.say(&[&[9, 2, 0, 0, 0, 0, 1, 0, b'l']])?;
        one.hears(&[11, 1, 0, 0, 0])?;
        one.hears(&[6, 2, 0, 0, 0])?;
        let question = vec![b'?'; 1 << 20];
        for number in 1..=2u8 {
            other.say(&[&[6, number, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, b'a'], &question])?;
        }
        for number in 1..=2u8 {
            one.hears(&[3, number])?;
            one.say(&[&[8, number, 0, 0, 0, 0, 0, 0, 0, 1], &question])?;
            other.hears(&[5, number])?;
        }
        other.say(&[&[9, 3, 0, 0, 0, 0, 1, 0, b'l']])?;
        drop(one);
        other.hears(&[6, 3, 0, 0, 0])
    })
}

/// A process on the bus.
struct BusMember {
    channel: Channel,
    incoming: Incoming,
    /// What it was told, and has not looked at.
    told: VecDeque<Vec<u8>>,
}

impl BusMember {
    fn new(socket: OwnedFd) -> BusMember {
        BusMember { channel: Channel::new(socket), incoming: Incoming::of_bytes(LIMIT), told: VecDeque::new() }
    }

    fn say(&self, parts: &[&[u8]]) -> Result<()> {
        let mut left = self.channel.push(Kind::Advanced, None, true, |bytes| bytes.extend(parts.concat()))?.queued;
        while left > 0 {
            let mut room = [PollFd::new(self.channel.socket(), PollFlags::POLLOUT)];
            if poll(&mut room, PollTimeout::from(5000u16)) == Ok(0) {
                return Err(never("room"));
            }
            left = self.channel.flush()?.queued;
        }
        Ok(())
    }

    /// What it is told next begins with this.
    fn hears(&mut self, expected: &[u8]) -> Result<()> {
        while self.told.is_empty() {
            readable(self.channel.socket())?;
            if self.incoming.read(self.channel.socket())? == Read::End {
                return Err(Error::os("recvmsg", Errno::ECONNRESET));
            }
            while let Some(run) = self.incoming.next_run()? {
                self.told.extend(run.payloads.iter().map(|payload| payload.to_vec()));
            }
        }
        let told = self.told.pop_front().unwrap_or_default();
        assert!(told.starts_with(expected), "{:?}", &told[..told.len().min(16)]);
        Ok(())
    }
}
