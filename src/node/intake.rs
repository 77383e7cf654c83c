//! The worker's end of the handoff, driven on Node's loop: a descriptor that arrives goes straight to
//! JavaScript, one at a time, so that whatever JavaScript has not been given is still in the queue.

use std::os::fd::{BorrowedFd, IntoRawFd};
use std::rc::{Rc, Weak};

use napi::bindgen_prelude::*;
use napi_derive::napi;
use nix::errno::Errno;

use super::callback::Callback;
use super::uv::{Poll, READABLE};
use super::{own, Result};
use crate::connections::handoff::{Intake as Core, Taken};
use crate::os::error::Error;

/// How many connections are taken before others on the loop get their turn.
const BATCH: u32 = 16;

/// The worker's end of its queue.
#[napi]
pub struct Intake {
    taker: Rc<Taker>,
    poll: Option<Rc<Poll>>,
}

/// Takes connections out of the queue, and gives them to JavaScript.
struct Taker {
    core: Core,
    onconnection: Callback,
}

#[napi]
impl Intake {
    /// Takes over the socket. `onconnection(listener, fd)` gets each connection, and with it the descriptor;
    /// it is called with (0, -1) when no descriptor is left to receive one with: `resume` asks again.
    #[napi(constructor)]
    pub fn new(env: Env, fd: i32, onconnection: Function<'_>) -> Result<Self> {
        // SAFETY: the descriptor was inherited for this, and JavaScript gives it away.
        let core = Core::new(unsafe { own(fd)? });
        // SAFETY: we are called by JavaScript, with a function.
        let onconnection = unsafe { Callback::new(env.raw(), "RUSTCLUSTERINTAKE", onconnection.raw()) };
        let taker = Rc::new(Taker { core, onconnection });
        let taking = Rc::clone(&taker);
        let poll = Rc::new_cyclic(|own_poll: &Weak<Poll>| {
            let own_poll = own_poll.clone();
            let ready = move |_| {
                for _ in 0..BATCH {
                    let found = taking.take_one();
                    let Some(poll) = own_poll.upgrade() else { return };
                    match found {
                        Found::One => {}
                        Found::Nothing => return,
                        Found::Starved => {
                            poll.stop();
                            return taking.onconnection.call(&[0, -1]);
                        }
                        // The primary is gone, which the channel tells.
                        Found::End => return poll.stop(),
                    }
                }
            };
            Poll::new(env.raw(), taker.core.far(), ready).expect("the descriptor is a socket that nobody watches")
        });
        poll.start(READABLE);
        poll.set_reference(false);
        Ok(Intake { taker, poll: Some(poll) })
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

    /// Gives a connection back to the primary, which asks another worker. The descriptor stays open here: it
    /// is to be closed next.
    #[napi]
    pub fn give_back(&self, listener: u32, fd: i32) -> Result<()> {
        if fd < 0 {
            return Err(Error::os("sendmsg", Errno::EBADF).into());
        }
        // SAFETY: JavaScript got the number from `onconnection`, and has not closed it.
        let connection = unsafe { BorrowedFd::borrow_raw(fd) };
        Ok(self.taker.core.give_back(listener, connection)?)
    }

    /// Watches the queue again, after no descriptor was left.
    #[napi]
    pub fn resume(&self) {
        if let Some(poll) = &self.poll {
            poll.start(READABLE);
        }
    }

    /// Keeps the loop alive: a server listens.
    #[napi(js_name = "ref")]
    pub fn reference(&self) {
        if let Some(poll) = &self.poll {
            poll.set_reference(true);
        }
    }

    /// Does not keep the loop alive.
    #[napi]
    pub fn unref(&self) {
        if let Some(poll) = &self.poll {
            poll.set_reference(false);
        }
    }

    /// Takes no more connections.
    #[napi]
    pub fn close(&mut self) {
        self.poll = None;
    }
}

enum Found {
    One,
    Nothing,
    Starved,
    End,
}

impl Taker {
    fn take_one(&self) -> Found {
        match self.core.take() {
            Ok(Taken::Connection(connection)) => {
                // A listener's number is below 2³¹; JavaScript adopts the descriptor, or closes it.
                let listener = connection.listener.cast_signed();
                self.onconnection.call(&[listener, connection.socket.into_raw_fd()]);
                Found::One
            }
            Ok(Taken::Probe | Taken::Lost) => Found::One,
            Ok(Taken::Nothing) => Found::Nothing,
            Ok(Taken::Starved) => Found::Starved,
            Ok(Taken::End) | Err(_) => Found::End,
        }
    }
}
