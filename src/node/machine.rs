//! What the supervisor asks of the machine.

use std::os::fd::BorrowedFd;

use napi_derive::napi;
use nix::errno::Errno;

use super::Result;
use crate::os::error::Error;
use crate::os::socket;
use crate::processes::processors::{self, Bound};

/// How many processors this process may use.
#[napi(object)]
pub struct Processors {
    /// At least 1.
    pub count: u32,
    /// What bounds it: "machine", "affinity", "quota".
    pub bound: String,
}

/// Asks anew at each call.
#[napi]
pub fn processors() -> Processors {
    let found = processors::processors();
    let bound = match found.bound {
        Bound::Machine => "machine",
        Bound::Affinity => "affinity",
        Bound::Quota => "quota",
    };
    Processors { count: u32::try_from(found.usable).unwrap_or(u32::MAX), bound: bound.into() }
}

/// The user at the other end of a connected Unix socket.
#[napi]
pub fn peer_user(descriptor: i32) -> Result<u32> {
    if descriptor < 0 {
        return Err(Error::os("getsockopt", Errno::EBADF).into());
    }
    // SAFETY: not -1, and only asked: of a closed one the kernel says EBADF.
    let borrowed = unsafe { BorrowedFd::borrow_raw(descriptor) };
    Ok(socket::peer_user(borrowed)?)
}
