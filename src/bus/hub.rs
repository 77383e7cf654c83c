//! The hub: one thread that reads what the members say, and writes what the [`House`] makes of it.
//!
//! It writes at the end of a turn, to each member once. For a member that does not read, [`ENOUGH`] bytes wait, and what
//! can be missed is not kept beyond them; one that asks and does not read the answers is cut off at [`TOO_MUCH`].

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::socket::SockType;
use parking_lot::Mutex;

use crate::bus::figures::Figures;
use crate::bus::house::House;
use crate::bus::protocol::{Command, Notice, LONGEST_NAME, LONGEST_NAMES};
use crate::bus::topics::Outbox;
use crate::bus::{Member, Place};
use crate::messages::channel::{Block, Channel};
use crate::messages::incoming::{Incoming, Read};
use crate::os::error::{Error, Result};
use crate::os::sync::thread::JoinHandle;
use crate::os::wait;
use crate::os::{socket, thread};

/// The longest message, in bytes.
pub const LONGEST: usize = 16 * 1024 * 1024;

/// What a command takes besides its data, in bytes, at most.
/// A bridge's has another machine's name in it.
const ENVELOPE: usize = 1024 + LONGEST_NAME;

/// Bytes that wait for a member from which on what can be missed is missed.
pub const ENOUGH: usize = 16 * 1024 * 1024;

/// Bytes that wait for a member at which it is cut off. One message may be on top.
pub const TOO_MUCH: usize = 64 * 1024 * 1024;

/// What the store keeps, in bytes, unless it is told otherwise.
pub const STORED: usize = 64 * 1024 * 1024;

/// How many reads one readiness is good for, before others get their turn.
const READS: u32 = 4;

/// How long what the kernel refuses for want of memory waits.
const RETRY: Duration = Duration::from_millis(25);

/// The thread's number of the socket whose other end is the handle's. Members begin at 1.
const HANDLE: u64 = 0;

/// A handle on the thread, which ends with it.
#[derive(Debug)]
pub struct Hub {
    shared: Arc<Shared>,
    /// Closed, it ends the thread: nothing has to be written, which could fail.
    end: Option<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    epoll: Epoll,
    inbox: Mutex<Inbox>,
    /// As of the end of the last turn.
    figures: Arc<Mutex<Figures>>,
}

/// Who has joined, and has not said anything yet. They are watched already: of the first to speak the thread does not know.
#[derive(Debug, Default)]
struct Inbox {
    joining: Vec<(Member, Place, OwnedFd)>,
    last: Member,
}

impl Shared {
    fn watch(&self, socket: impl AsFd, number: u64) -> Result<()> {
        let event = EpollEvent::new(EpollFlags::EPOLLIN, number);
        self.epoll.add(socket, event).map_err(|errno| Error::os("epoll_ctl", errno))
    }
}

impl Hub {
    /// Starts the thread. `most_stored`: bytes that its store keeps at most.
    ///
    /// # Errors
    /// [`Error::Os`] when descriptors or threads are missing.
    pub fn start(most_stored: usize) -> Result<Hub> {
        let (watched, end) = socket::pair(SockType::Stream)?;
        let shared = Arc::new(Shared { epoll: wait::epoll()?, inbox: Mutex::default(), figures: Arc::default() });
        shared.watch(&watched, HANDLE)?;
        let house = House::new(most_stored, LONGEST_NAMES);
        let members = Members::new(Arc::clone(&shared));
        let room = Room { house, members, began: Instant::now(), _watched: watched };
        let thread = thread::start("cluster-bus", move || room.run())?;
        Ok(Hub { shared, end: Some(end), thread: Some(thread) })
    }

    /// Lets a member in, and returns its socket.
    ///
    /// # Errors
    /// [`Error::Os`] when descriptors are missing, or memory to watch them: `EMFILE`, `ENFILE`, `ENOBUFS`, `ENOMEM`, `ENOSPC`.
    pub fn join(&self, place: Place) -> Result<OwnedFd> {
        let (ours, theirs) = socket::pair(SockType::Stream)?;
        let mut inbox = self.shared.inbox.lock();
        let member = inbox.last + 1;
        self.shared.watch(&ours, member.into())?;
        inbox.last = member;
        inbox.joining.push((member, place, ours));
        Ok(theirs)
    }

    /// What it has counted, by the end of its last turn. They outlive it.
    pub fn figures(&self) -> &Arc<Mutex<Figures>> {
        &self.shared.figures
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What the thread has.
struct Room {
    house: House,
    members: Members,
    began: Instant,
    _watched: OwnedFd,
}

impl Room {
    fn run(mut self) {
        let shared = Arc::clone(&self.members.shared);
        let mut ready = [EpollEvent::empty(); 64];
        loop {
            let timeout = if self.members.refused.is_empty() { EpollTimeout::NONE } else { retry() };
            let count = match shared.epoll.wait(&mut ready, timeout) {
                Ok(count) => count,
                Err(Errno::EINTR) => 0,
                // Somebody closed the descriptor, or the kernel has no memory.
                Err(_) => {
                    std::thread::sleep(RETRY);
                    0
                }
            };
            for event in &ready[..count] {
                if event.data() == HANDLE {
                    return;
                }
                let member = event.data() as Member;
                if !self.members.all.contains_key(&member) {
                    self.let_in();
                }
                self.listen(member);
                self.members.unwritten.insert(member);
            }
            self.write();
            *shared.figures.lock() = Figures { queued_bytes: self.members.queued, ..self.house.figures() };
        }
    }

    /// Lets in who has joined.
    fn let_in(&mut self) {
        let joining = std::mem::take(&mut self.members.shared.inbox.lock().joining);
        for (member, place, socket) in joining {
            self.members.add(member, socket);
            self.house.join(member, place);
        }
    }

    /// Reads what a member says.
    fn listen(&mut self, member: Member) {
        let Some(incoming) = self.members.all.get_mut(&member).and_then(|it| it.incoming.take()) else { return };
        let incoming = self.hear(member, incoming);
        if incoming.is_none() {
            self.members.gone.insert(member);
        }
        if let Some(connected) = self.members.all.get_mut(&member) {
            connected.incoming = incoming;
        }
    }

    /// Carries out what has arrived; `None`: nothing more will.
    fn hear(&mut self, member: Member, mut incoming: Incoming) -> Option<Incoming> {
        let now = self.began.elapsed().as_millis() as u64;
        for _ in 0..READS {
            let channel = Arc::clone(&self.members.all.get(&member)?.channel);
            let read = match incoming.read(channel.socket()) {
                Ok(read) => read,
                // The kernel has no memory, and the socket is as it was.
                Err(Error::Os { errno: Errno::ENOMEM | Errno::ENOBUFS, .. }) => {
                    std::thread::sleep(RETRY);
                    break;
                }
                Err(_) => return None,
            };
            while let Some(run) = incoming.next_run().ok()? {
                for payload in run.payloads {
                    self.house.said(member, Command::decode(run.kind, payload)?, now, &mut self.members);
                }
            }
            match read {
                Read::Some => {}
                Read::Last | Read::Nothing => break,
                Read::End | Read::Starved => return None,
            }
        }
        Some(incoming)
    }

    /// Writes what waits, and takes out who is gone, until neither is left.
    fn write(&mut self) {
        loop {
            while let Some(member) = self.members.gone.pop_first() {
                self.members.remove(member);
                self.house.leave(member, &mut self.members);
            }
            let Some(member) = self.members.unwritten.pop_first() else { break };
            if self.members.flush(member) {
                self.house.caught_up(member, &mut self.members);
            }
        }
        self.members.unwritten.clone_from(&self.members.refused);
    }
}

fn retry() -> EpollTimeout {
    EpollTimeout::from(RETRY.as_millis() as u16)
}

#[derive(Debug)]
struct Connected {
    channel: Arc<Channel>,
    /// None while it is being read.
    incoming: Option<Incoming>,
    /// Whether the kernel's buffer is full, and is watched.
    full: bool,
    /// Bytes that wait, as of the last time that some were written.
    queued: usize,
}

/// The sockets of the members.
struct Members {
    shared: Arc<Shared>,
    all: BTreeMap<Member, Connected>,
    /// The same of all.
    queued: usize,
    unwritten: BTreeSet<Member>,
    /// Those for whom the kernel refuses to take anything, or to say when it does again.
    refused: BTreeSet<Member>,
    gone: BTreeSet<Member>,
}

impl Members {
    fn new(shared: Arc<Shared>) -> Members {
        Members {
            shared,
            all: BTreeMap::new(),
            queued: 0,
            unwritten: BTreeSet::new(),
            refused: BTreeSet::new(),
            gone: BTreeSet::new(),
        }
    }

    fn add(&mut self, member: Member, socket: OwnedFd) {
        let incoming = Some(Incoming::of_bytes(LONGEST + ENVELOPE));
        let connected = Connected { channel: Arc::new(Channel::new(socket)), incoming, full: false, queued: 0 };
        self.all.insert(member, connected);
    }

    fn remove(&mut self, member: Member) {
        if let Some(connected) = self.all.remove(&member) {
            self.queued -= connected.queued;
            // It is watched.
            let _ = self.shared.epoll.delete(connected.channel.socket());
        }
        self.unwritten.remove(&member);
        self.refused.remove(&member);
    }

    /// Writes what waits for a member, and says whether enough of it has left that more may be told.
    fn flush(&mut self, member: Member) -> bool {
        let Some(connected) = self.all.get_mut(&member) else { return false };
        let Ok(pushed) = connected.channel.flush() else {
            self.gone.insert(member);
            return false;
        };
        self.queued = self.queued - connected.queued + pushed.queued;
        connected.queued = pushed.queued;
        let full = pushed.blocked == Some(Block::Full);
        if connected.full != full {
            let flags = if full { EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT } else { EpollFlags::EPOLLIN };
            let event = &mut EpollEvent::new(flags, member.into());
            if self.shared.epoll.modify(connected.channel.socket(), event).is_ok() {
                connected.full = full;
            }
        }
        if matches!(pushed.blocked, Some(Block::Refused(_))) || connected.full != full {
            self.refused.insert(member);
        } else {
            self.refused.remove(&member);
        }
        pushed.queued < ENOUGH / 2
    }

    fn queue(&mut self, to: Member, notice: &Notice<'_>) {
        let Some(connected) = self.all.get(&to) else { return };
        let queued = connected.channel.push(notice.kind(), None, false, |bytes| notice.encode(bytes));
        match queued {
            Ok(pushed) if pushed.queued <= TOO_MUCH => drop(self.unwritten.insert(to)),
            // It does not read what it asked for; or it is gone.
            Ok(_) | Err(_) => drop(self.gone.insert(to)),
        }
    }
}

impl Outbox for Members {
    fn offer(&mut self, to: Member, notice: &Notice<'_>) -> bool {
        let takes = self.all.get(&to).is_some_and(|connected| connected.channel.queued() < ENOUGH);
        if takes {
            self.queue(to, notice);
        }
        takes
    }

    fn send(&mut self, to: Member, notice: &Notice<'_>) {
        self.queue(to, notice);
    }
}
