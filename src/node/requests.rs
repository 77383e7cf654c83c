//! A worker's look at requests before they are read, on Node's loop.

use std::cell::RefCell;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;

use napi::bindgen_prelude::*;
use napi_derive::napi;
use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags, EpollTimeout};

use super::callback::Callback;
use super::dispatch::Sticky;
use super::uv::{Poll, READABLE};
use super::Result;
use crate::connections::requests::Requests as Core;
use crate::os::wait;

/// How many connections are told of before others on the loop get their turn.
const BATCH: usize = 64;

/// Whose the requests on a listener's connections are. While a connection is watched here, libuv does not read from it.
#[napi]
pub struct Requests {
    /// Before the epoll that it watches, and so closed first.
    poll: Poll,
    epoll: Rc<Epoll>,
    core: RefCell<Core>,
}

#[napi]
impl Requests {
    /// `onrequest(number, isReset)` is called once for each connection that is watched, when something has come on it or
    /// it has ended. One that was reset is not to be looked at: to look takes the error from who reads.
    #[napi(constructor)]
    pub fn new(env: Env, slot: u32, sticky: Sticky, onrequest: Function<'_>) -> Result<Self> {
        let epoll = Rc::new(wait::epoll()?);
        // SAFETY: we are called by JavaScript, with a function.
        let onrequest = unsafe { Callback::new(env.raw(), "RUSTCLUSTERREQUESTS", onrequest.raw()) };
        let ready = {
            let epoll = Rc::clone(&epoll);
            move |_| {
                let mut events = [EpollEvent::empty(); BATCH];
                // What cannot be had now is reported again.
                let count = epoll.wait(&mut events, EpollTimeout::ZERO).unwrap_or_default();
                for event in &events[..count] {
                    let is_reset = event.events().contains(EpollFlags::EPOLLERR);
                    onrequest.call(&[event.data() as i32, is_reset.into()]);
                }
            }
        };
        let poll = Poll::new(env.raw(), epoll.0.as_fd(), ready)?;
        poll.start(READABLE);
        poll.set_reference(false);
        Ok(Requests { poll, epoll, core: RefCell::new(Core::new(slot, sticky.try_into()?)) })
    }

    /// The hash of the id that the next request on a connection has, 0 where it has none.
    #[napi]
    pub fn hash(&self, fd: i32) -> f64 {
        let hash = borrowed(fd).and_then(|socket| self.core.borrow_mut().hash(socket));
        // It has 53 bits.
        hash.map_or(0.0, |hash| hash as f64)
    }

    /// Whether the next request on a connection is to be read here. `led`: the hash of an id whose request was led here
    /// just now, or 0.
    #[napi]
    pub fn is_ours(&self, fd: i32, led: f64) -> bool {
        let Some(socket) = borrowed(fd) else { return true };
        self.core.borrow_mut().is_ours(socket, (led != 0.0).then_some(led as u64))
    }

    /// Watches a connection, under a number below 2^31, until something has come; `false` if that cannot be.
    #[napi]
    pub fn watch(&self, fd: i32, number: u32) -> bool {
        let Some(socket) = borrowed(fd) else { return false };
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLONESHOT;
        let mut event = EpollEvent::new(flags, number.into());
        match self.epoll.modify(socket, &mut event) {
            Err(Errno::ENOENT) => self.epoll.add(socket, event).is_ok(),
            changed => changed.is_ok(),
        }
    }

    /// Watches a connection no more.
    #[napi]
    pub fn forget(&self, fd: i32) {
        // One that is not watched needs nothing done.
        let _ = borrowed(fd).map(|socket| self.epoll.delete(socket));
    }

    /// Whether the loop is kept alive.
    #[napi]
    pub fn set_reference(&self, keep: bool) {
        self.poll.set_reference(keep);
    }
}

/// A descriptor of JavaScript's, -1 for none.
fn borrowed<'a>(fd: i32) -> Option<BorrowedFd<'a>> {
    // SAFETY: not -1; of a closed one the kernel says EBADF.
    (fd >= 0).then(|| unsafe { BorrowedFd::borrow_raw(fd) })
}
