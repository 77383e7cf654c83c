//! What a thread waits with: a set of descriptors, and a flag that another thread raises.

use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::epoll::{Epoll, EpollCreateFlags};
use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::os::error::{Error, Result};

/// An empty set of descriptors, close-on-exec.
///
/// # Errors
/// [`Error::Os`]: `EMFILE`, `ENFILE`, `ENOMEM`.
pub fn epoll() -> Result<Epoll> {
    Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(|errno| Error::os("epoll_create1", errno))
}

/// A descriptor that is readable while it is raised, close-on-exec.
#[derive(Debug)]
pub struct Flag(EventFd);

impl Flag {
    /// One that is not raised.
    ///
    /// # Errors
    /// [`Error::Os`]: `EMFILE`, `ENFILE`, `ENOMEM`.
    pub fn new() -> Result<Flag> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
        EventFd::from_value_and_flags(0, flags).map(Flag).map_err(|errno| Error::os("eventfd", errno))
    }

    /// Raises it.
    pub fn raise(&self) {
        // A counter that is full is readable as well.
        let _ = self.0.write(1);
    }

    /// Lowers it, if it is raised.
    pub fn lower(&self) {
        // Nothing to read is no error.
        let _ = self.0.read();
    }
}

impl AsFd for Flag {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
