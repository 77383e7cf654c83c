//! Errors for tests, in the place of the kernel's: those that it has only when it is short of something.

use std::collections::VecDeque;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};

use parking_lot::Mutex;
use rustix::io::Errno;

static NEXT: Mutex<VecDeque<(RawFd, Errno)>> = Mutex::new(VecDeque::new());

/// Has the next calls with this descriptor fail, one after the other.
pub fn inject(descriptor: BorrowedFd<'_>, errors: &[nix::errno::Errno]) {
    let errors = errors.iter().map(|errno| (descriptor.as_raw_fd(), Errno::from_raw_os_error(*errno as i32)));
    NEXT.lock().extend(errors);
}

/// Has calls with this descriptor be the kernel's again.
pub fn clear(descriptor: BorrowedFd<'_>) {
    NEXT.lock().retain(|(number, _)| *number != descriptor.as_raw_fd());
}

/// What the call that is about to be made is to fail with.
pub fn next(descriptor: BorrowedFd<'_>) -> Option<Errno> {
    let mut next = NEXT.lock();
    let place = next.iter().position(|(number, _)| *number == descriptor.as_raw_fd())?;
    next.remove(place).map(|(_, errno)| errno)
}
