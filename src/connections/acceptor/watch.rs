//! What epoll watches for the acceptor.

use std::os::fd::BorrowedFd;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags, EpollTimeout};

use super::parked::ParkedId;
use crate::connections::handoff::ListenerId;
use crate::connections::policy::WorkerId;
use crate::os::error::{Error, Result};
use crate::os::wait;

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    Wake,
    Listener(ListenerId),
    Worker(WorkerId),
    Parked(ParkedId),
}

impl From<Token> for u64 {
    fn from(token: Token) -> u64 {
        match token {
            Token::Wake => 0,
            Token::Listener(listener) => 1 << 32 | u64::from(listener),
            Token::Worker(worker) => 2 << 32 | u64::from(worker),
            Token::Parked(parked) => 3 << 32 | u64::from(parked),
        }
    }
}

impl From<u64> for Token {
    fn from(token: u64) -> Token {
        match (token >> 32, token as u32) {
            (1, listener) => Token::Listener(listener),
            (2, worker) => Token::Worker(worker),
            (3, parked) => Token::Parked(parked),
            _ => Token::Wake,
        }
    }
}

/// The descriptors that the thread waits for.
#[derive(Debug)]
pub(super) struct Watched(Epoll);

impl Watched {
    pub fn new() -> Result<Self> {
        Ok(Watched(wait::epoll()?))
    }

    pub fn wait(&self, events: &mut [EpollEvent], timeout: EpollTimeout) -> std::result::Result<usize, Errno> {
        self.0.wait(events, timeout)
    }

    /// Begins to watch.
    ///
    /// # Errors
    /// [`Error::Os`], `ENOMEM` or `ENOSPC` (the user's limit of what may be watched).
    pub fn add(&self, socket: BorrowedFd<'_>, token: Token, flags: EpollFlags) -> Result<()> {
        self.0.add(socket, EpollEvent::new(flags, token.into())).map_err(|errno| Error::os("epoll_ctl", errno))
    }

    /// Watches for other events than before.
    pub fn change(&self, socket: BorrowedFd<'_>, token: Token, flags: EpollFlags) {
        // The socket is watched already, so nothing has to be allocated for it.
        let _ = self.0.modify(socket, &mut EpollEvent::new(flags, token.into()));
    }

    pub fn remove(&self, socket: BorrowedFd<'_>) {
        // One that is not watched needs nothing done.
        let _ = self.0.delete(socket);
    }
}
