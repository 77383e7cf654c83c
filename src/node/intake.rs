//! The worker's end of the handoff, driven on Node's loop: a descriptor that arrives goes straight to
//! JavaScript, one at a time, so that whatever JavaScript has not been given is still in the queue.

use std::os::fd::{BorrowedFd, IntoRawFd};
use std::rc::Rc;

use napi::bindgen_prelude::*;
use napi_derive::napi;

use super::callback::Callback;
use super::uv::{Poll, READABLE};
use super::{own, Result};
use crate::handoff::{Intake as Core, Taken};

/// How many connections are taken before others on the loop get their turn.
const BATCH: u32 = 16;

/// The worker's end of its queue.
#[napi]
pub struct Intake {
    core: Rc<Core>,
    poll: Option<Rc<Poll>>,
}

#[napi]
impl Intake {
    /// Takes over the socket. `onconnection(listener, fd)` gets each connection, and with it the descriptor;
    /// it is called with (0, -1) when no descriptor is left to receive one with: `resume` asks again.
    #[napi(constructor)]
    pub fn new(env: Env, fd: i32, onconnection: Function<'_>) -> Result<Self> {
        // SAFETY: the descriptor was inherited for this, and JavaScript gives it away.
        let core = Rc::new(Core::new(unsafe { own(fd)? }));
        // SAFETY: we are called by JavaScript, with a function.
        let onconnection = unsafe { Callback::new(env.raw(), "RUSTCLUSTERINTAKE", onconnection.raw()) };
        let taker = Rc::clone(&core);
        let poll = Rc::new_cyclic(|own_poll: &std::rc::Weak<Poll>| {
            let own_poll = own_poll.clone();
            let ready = move |_| {
                let stop = || own_poll.upgrade().inspect(|poll| poll.stop());
                for _ in 0..BATCH {
                    match taker.take() {
                        Ok(Taken::Connection(connection)) => {
                            // A listener's number is below 2³¹; JavaScript adopts the descriptor, or closes it.
                            let listener = connection.listener.cast_signed();
                            onconnection.call(&[listener, connection.socket.into_raw_fd()]);
                            if own_poll.upgrade().is_none() {
                                return;
                            }
                        }
                        Ok(Taken::Probe) => {}
                        Ok(Taken::Nothing) => return,
                        Ok(Taken::Starved) => {
                            stop();
                            return onconnection.call(&[0, -1]);
                        }
                        // The primary is gone, which the channel tells.
                        Ok(Taken::End) | Err(_) => {
                            stop();
                            return;
                        }
                    }
                }
            };
            Poll::new(env.raw(), core.far(), ready).expect("the descriptor is a socket that nobody watches")
        });
        poll.start(READABLE);
        poll.set_reference(false);
        Ok(Intake { core, poll: Some(poll) })
    }

    /// Gives a connection back to the primary, which asks another worker. The descriptor stays open here: it
    /// is to be closed next.
    #[napi]
    pub fn give_back(&self, listener: u32, fd: i32) -> Result<()> {
        // SAFETY: JavaScript got the number from `onconnection`, and has not closed it.
        let connection = unsafe { BorrowedFd::borrow_raw(fd) };
        Ok(self.core.give_back(listener, connection)?)
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
