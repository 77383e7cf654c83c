//! The worker's end of the handoff, driven on Node's loop: a descriptor that arrives goes straight to
//! JavaScript, one at a time, so that whatever JavaScript has not been given is still in the queue. What goes the
//! other way never waits for the primary: what that does not take now is sent when it does.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::os::fd::IntoRawFd;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use napi::bindgen_prelude::*;
use napi_derive::napi;

use super::board::Board;
use super::callback::Callback;
use super::listen::SocketName;
use super::uv::{Poll, READABLE, WRITABLE};
use super::{own, Result};
use crate::connections::handoff::{Connection, Intake as Core, Sent, Taken};
use crate::os::error::Error;
use crate::processes::board::{gauge, Board as Numbers, Gauge};

/// How many connections are taken before others on the loop get their turn.
const BATCH: u32 = 16;

/// The worker's end of its queue.
#[napi]
pub struct Intake {
    /// Before the socket that it watches, and so closed first.
    poll: Option<Rc<Poll>>,
    taker: Rc<Taker>,
}

/// Takes connections out of the queue, and gives them to JavaScript.
struct Taker {
    core: RefCell<Core>,
    board: Option<Arc<Numbers>>,
    onconnection: Callback,
    poll: RefCell<Weak<Poll>>,
    /// Whether connections are taken: not while no descriptor is left, nor when the primary is gone.
    takes: Cell<bool>,
    /// What has ended the intake, if it was not the primary's end.
    fault: RefCell<Option<Error>>,
    /// Whether a server listens.
    listens: Cell<bool>,
    /// The address that came with the connection which is being given to JavaScript.
    peer: Cell<Option<SocketAddr>>,
}

/// The primary asks for a word.
const ASKS: i32 = 1;

/// There is an address.
const HAS_PEER: i32 = 2;

/// From this bit on: the gauge on which it counts.
const GAUGE: u32 = 2;

#[napi]
impl Intake {
    /// Takes over the socket. `onconnection(listener, fd, flags)` gets each connection, and with it the descriptor;
    /// `flags` is undefined for none; 1: the primary wants to know when there is room for another; 2: `peer` is its
    /// client's address, during the call; from bit 2 on: the gauge on which it counts until `frees`. It is called with (0, -1) when something has to wait for a descriptor or for memory: `resume` tries again; with (0, -2) when a
    /// connection was lost for want of a descriptor; with (0, -3) when no more can be taken: `fault` says why.
    /// What is taken is counted on the worker's board.
    #[napi(constructor)]
    pub fn new(env: Env, fd: i32, onconnection: Function<'_>, board: Option<&Board>) -> Result<Self> {
        // SAFETY: the descriptor was inherited for this, and JavaScript gives it away.
        let core = Core::new(unsafe { own(fd)? });
        // SAFETY: we are called by JavaScript, with a function.
        let onconnection = unsafe { Callback::new(env.raw(), "RUSTCLUSTERINTAKE", onconnection.raw()) };
        let taker = Rc::new(Taker {
            core: RefCell::new(core),
            board: board.map(Board::numbers),
            onconnection,
            poll: RefCell::default(),
            takes: Cell::new(true),
            fault: RefCell::default(),
            listens: Cell::new(false),
            peer: Cell::new(None),
        });
        let ready = {
            let taker = Rc::clone(&taker);
            move |events| taker.ready(events)
        };
        let poll = Rc::new(Poll::new(env.raw(), taker.core.borrow().far(), ready)?);
        taker.poll.replace(Rc::downgrade(&poll));
        taker.watch(Sent::All);
        Ok(Intake { poll: Some(poll), taker })
    }

    /// Takes all that is in the queue, now; `false` if no descriptor is left to receive it with.
    #[napi]
    pub fn drain(&self) -> bool {
        loop {
            match self.taker.take_one() {
                Found::One => {}
                Found::Starved => return false,
                Found::Nothing | Found::End => return true,
            }
        }
    }

    /// The address of the client whose connection is being given to JavaScript, as a proxy said it.
    #[napi(getter)]
    pub fn peer(&self) -> Option<SocketName> {
        let peer = self.taker.peer.get()?;
        let family = if peer.is_ipv4() { "IPv4" } else { "IPv6" };
        Some(SocketName { address: peer.ip().to_string(), family: family.into(), port: peer.port().into() })
    }

    /// Gives a connection back to the primary, which asks another worker, and with it the descriptor. `peer` is what
    /// came with it.
    #[napi]
    pub fn give_back(&self, listener: u32, fd: i32, peer: Option<SocketName>) -> Result<()> {
        self.send_back(listener, fd, peer, false)
    }

    /// As `giveBack`, of a connection whose next request, of which nothing was read, is somebody else's.
    #[napi]
    pub fn pass_on(&self, listener: u32, fd: i32, peer: Option<SocketName>) -> Result<()> {
        self.send_back(listener, fd, peer, true)
    }

    fn send_back(&self, listener: u32, fd: i32, peer: Option<SocketName>, asks: bool) -> Result<()> {
        // SAFETY: JavaScript got the number from `onconnection`, or made it, and gives it away.
        let socket = unsafe { own(fd)? };
        let peer =
            peer.and_then(|peer| Some(SocketAddr::new(peer.address.parse().ok()?, u16::try_from(peer.port).ok()?)));
        let connection = Connection { asks, peer, ..Connection::new(listener, socket) };
        let sent = self.taker.core.borrow_mut().give_back(connection);
        self.taker.watch(sent);
        Ok(())
    }

    /// Tells the primary that there is room again for connections of a listener.
    #[napi]
    pub fn has_room(&self, listener: u32) {
        let sent = self.taker.core.borrow_mut().has_room(listener);
        self.taker.watch(sent);
    }

    /// A connection that counted on a gauge does so no more: it has closed, was given back, or is idle. The primary is
    /// told if it waits for that.
    #[napi]
    pub fn frees(&self, number: u32) {
        self.taker.frees(gauge(number));
    }

    /// A connection that was idle counts again.
    #[napi]
    pub fn occupies(&self, number: u32) {
        if let Some((board, gauge)) = self.taker.board.as_ref().zip(gauge(number)) {
            board.occupies(gauge);
        }
    }

    /// Tries again what had to wait.
    #[napi]
    pub fn resume(&self) {
        self.taker.takes.set(true);
        self.taker.flush();
    }

    /// Why no more connections can be taken, though the primary is there.
    #[napi(getter)]
    pub fn fault(&self) -> Option<Fault> {
        let fault = self.taker.fault.borrow();
        fault.as_ref().map(|error| Fault { code: error.code(), message: error.to_string() })
    }

    /// Keeps the loop alive: a server listens.
    #[napi(js_name = "ref")]
    pub fn reference(&self) {
        self.taker.listens.set(true);
        self.taker.flush();
    }

    /// Does not keep the loop alive.
    #[napi]
    pub fn unref(&self) {
        self.taker.listens.set(false);
        self.taker.flush();
    }

    /// Takes no more connections.
    #[napi]
    pub fn close(&mut self) {
        self.poll = None;
    }
}

/// What has ended the intake.
#[napi(object, object_from_js = false)]
pub struct Fault {
    /// The code of the error.
    pub code: String,
    /// What happened.
    pub message: String,
}

enum Found {
    One,
    Nothing,
    Starved,
    End,
}

impl Taker {
    /// The loop found something to do.
    fn ready(&self, events: i32) {
        if events & WRITABLE != 0 {
            self.flush();
        }
        if events & READABLE == 0 || !self.takes.get() {
            return;
        }
        for _ in 0..BATCH {
            match self.take_one() {
                Found::One => {}
                Found::Nothing => return,
                Found::Starved => {
                    self.takes.set(false);
                    self.flush();
                    return self.wait();
                }
                // The primary is gone, which the channel tells.
                Found::End => {
                    self.takes.set(false);
                    return self.flush();
                }
            }
            // JavaScript may have closed the intake.
            if self.poll.borrow().strong_count() == 0 {
                return;
            }
        }
    }

    fn take_one(&self) -> Found {
        let taken = self.core.borrow().take();
        match taken {
            Ok(Taken::Connection(connection)) => {
                if let Some(board) = &self.board {
                    board.took(connection.since);
                }
                // A listener's number is below 2³¹; JavaScript adopts the descriptor, or closes it.
                let (listener, fd) = (connection.listener.cast_signed(), connection.socket.into_raw_fd());
                self.peer.set(connection.peer);
                let asks = if connection.asks { ASKS } else { 0 };
                let peer = if connection.peer.is_some() { HAS_PEER } else { 0 };
                match asks | peer | connection.gauge.map_or(0, |gauge| i32::from(gauge.get()) << GAUGE) {
                    0 => self.onconnection.call(&[listener, fd]),
                    flags => self.onconnection.call(&[listener, fd, flags]),
                }
                Found::One
            }
            Ok(Taken::Probe | Taken::Room(_) | Taken::Fewer) => Found::One,
            Ok(Taken::Lost(gauge)) => {
                self.frees(gauge);
                self.onconnection.call(&[0, -2]);
                Found::One
            }
            Ok(Taken::Nothing) => Found::Nothing,
            Ok(Taken::Starved) => Found::Starved,
            Ok(Taken::End) => Found::End,
            Err(error) => {
                if self.fault.replace(Some(error)).is_none() {
                    self.onconnection.call(&[0, -3]);
                }
                Found::End
            }
        }
    }

    /// Notes that fewer count on a gauge, and tells the primary where it waits for that.
    fn frees(&self, gauge: Option<Gauge>) {
        let Some((board, gauge)) = self.board.as_ref().zip(gauge) else { return };
        if board.frees(gauge) {
            let sent = self.core.borrow_mut().has_fewer(gauge);
            self.watch(sent);
        }
    }

    /// Has JavaScript wait for a descriptor, or for memory.
    fn wait(&self) {
        self.onconnection.call(&[0, -1]);
    }

    /// Sends what is for the primary.
    fn flush(&self) {
        let sent = self.core.borrow_mut().flush();
        self.watch(sent);
    }

    /// Watches for what can be done next. What was not sent yet keeps the loop alive, as a server does.
    fn watch(&self, sent: Sent) {
        let Some(poll) = self.poll.borrow().upgrade() else { return };
        let reading = if self.takes.get() { READABLE } else { 0 };
        let writing = if sent == Sent::Full { WRITABLE } else { 0 };
        match reading | writing {
            0 => poll.stop(),
            events => poll.start(events),
        }
        poll.set_reference(self.listens.get() || sent != Sent::All);
        if sent == Sent::Later {
            self.wait();
        }
    }
}
