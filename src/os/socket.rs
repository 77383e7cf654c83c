//! Descriptors over Unix sockets: the only place where `SCM_RIGHTS` is written or read.
//!
//! Three facts of Linux shape it ([unix(7)], [cmsg(3)]). A descriptor is delivered with the first byte of
//! the message it was attached to, so a partial write must not attach it twice: [`send`] tells how many
//! bytes went, and from one byte on the descriptor is gone. A receiver whose descriptor table is full
//! *loses* what it is sent (`MSG_CTRUNC`), so [`has_room`] is asked first. And a peer may
//! attach up to 253 descriptors, so [`receive`] has room for all of them, and owns every one.
//!
//! `rustix` is used here, not `nix`, because nix answers `MSG_CTRUNC` with an error and leaves the
//! descriptors that did arrive open.
//!
//! [unix(7)]: https://man7.org/linux/man-pages/man7/unix.7.html
//! [cmsg(3)]: https://man7.org/linux/man-pages/man3/cmsg.3.html

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use nix::libc;
use nix::sys::resource::{getrlimit, Resource};
use nix::sys::socket::{socketpair, AddressFamily, SockFlag, SockType};
use parking_lot::Mutex;
use rustix::io::Errno;
use rustix::net::{
    recvmsg, sendmsg, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};

use crate::os::error::{Error, Result};

/// The most descriptors that one message can carry (`SCM_MAX_FD`).
const MOST_DESCRIPTORS: usize = 253;

/// How long the limit of descriptors is taken for granted.
const LIMIT_AGE: Duration = Duration::from_millis(100);

/// A connected pair of close-on-exec Unix sockets of the given type.
///
/// # Errors
/// [`Error::Os`] with `EMFILE` or `ENFILE` when no descriptors are left.
pub fn pair(kind: SockType) -> Result<(OwnedFd, OwnedFd)> {
    socketpair(AddressFamily::Unix, kind, None, SockFlag::SOCK_CLOEXEC).map_err(|errno| Error::os("socketpair", errno))
}

/// Sends bytes, and with the first of them at most one descriptor, without blocking.
///
/// `Ok(None)` means that the socket is full.
///
/// # Errors
/// [`Error::Os`], `EPIPE` or `ECONNRESET` when the peer is gone.
pub fn send(socket: BorrowedFd<'_>, bytes: &[u8], descriptor: Option<BorrowedFd<'_>>) -> Result<Option<usize>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let carried = descriptor.as_slice();
    if !carried.is_empty() {
        // One descriptor fits the space for one.
        assert!(ancillary.push(SendAncillaryMessage::ScmRights(carried)));
    }
    loop {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        match sendmsg(socket, &[IoSlice::new(bytes)], &mut ancillary, flags) {
            Ok(sent) => return Ok(Some(sent)),
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Ok(None),
            Err(errno) => return Err(os("sendmsg", errno)),
        }
    }
}

/// What [`receive`] took out of a socket.
#[derive(Debug)]
pub struct Received {
    /// Bytes written to the start of the buffer. 0 is the end of a stream.
    pub bytes: usize,
    /// Whether the kernel dropped descriptors, or a part of a packet, for want of room.
    pub truncated: bool,
}

/// Takes bytes and descriptors out of a socket without blocking; descriptors are close-on-exec and are
/// added to `descriptors`. `Ok(None)` means that nothing is there.
///
/// # Errors
/// [`Error::Os`].
pub fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8], descriptors: &mut Vec<OwnedFd>) -> Result<Option<Received>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let received = loop {
        match recvmsg(socket, &mut [IoSliceMut::new(buffer)], &mut ancillary, flags) {
            Ok(received) => break received,
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => return Ok(None),
            // The peer closed without reading all it was sent: for a reader, the end of the stream.
            Err(Errno::CONNRESET) => return Ok(Some(Received { bytes: 0, truncated: false })),
            Err(errno) => return Err(os("recvmsg", errno)),
        }
    };
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    let truncated = received.flags.intersects(ReturnFlags::CTRUNC | ReturnFlags::TRUNC);
    Ok(Some(Received { bytes: received.bytes, truncated }))
}

/// How many bytes wait to be read from a socket (`SIOCINQ`).
///
/// # Errors
/// [`Error::Os`].
pub fn waiting_bytes(socket: BorrowedFd<'_>) -> Result<usize> {
    rustix::io::ioctl_fionread(socket)
        .map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX))
        .map_err(|errno| os("ioctl", errno))
}

/// Whether the process has a place left for a descriptor that is about to arrive. Where it has none, receive
/// nothing: what waits in the queue stays there, while a received descriptor would be lost.
///
/// Asked before every read, so it must cost little: the kernel gives out the lowest number that is free, so there
/// is room as long as nobody has the last one. To make a duplicate, and to close it, takes four times as long.
pub fn has_room(like: BorrowedFd<'_>) -> bool {
    last_number().is_some_and(is_free) || duplicate(like).is_ok()
}

/// Whether no descriptor has this number.
fn is_free(number: RawFd) -> bool {
    // SAFETY: asks for the flags of a descriptor, and touches nothing.
    unsafe { libc::fcntl(number, libc::F_GETFD) == -1 }
}

/// The largest number that a descriptor may have: one below the limit (`RLIMIT_NOFILE`), which is asked for
/// again once it is [`LIMIT_AGE`] old, since anybody may change it.
fn last_number() -> Option<RawFd> {
    /// The number, and when the kernel said so.
    static KNOWN: Mutex<Option<(RawFd, Instant)>> = Mutex::new(None);
    let now = Instant::now();
    let mut known = KNOWN.lock();
    match *known {
        Some((number, asked)) if now.duration_since(asked) < LIMIT_AGE => Some(number),
        _ => {
            let (limit, _) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
            let number = RawFd::try_from(limit.checked_sub(1)?).ok()?;
            *known = Some((number, now));
            Some(number)
        }
    }
}

/// A close-on-exec duplicate of a descriptor.
///
/// # Errors
/// [`Error::Os`] with `EMFILE` when no descriptors are left.
pub fn duplicate(descriptor: impl AsFd) -> Result<OwnedFd> {
    rustix::io::fcntl_dupfd_cloexec(descriptor, 0).map_err(|errno| os("fcntl", errno))
}

fn os(syscall: &'static str, errno: Errno) -> Error {
    Error::os(syscall, nix::errno::Errno::from_raw(errno.raw_os_error()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    fn null() -> OwnedFd {
        File::open("/dev/null").unwrap().into()
    }

    #[test]
    fn bytes_and_a_descriptor_arrive_together_and_close_on_exec() {
        let (near, far) = pair(SockType::Stream).unwrap();
        assert_eq!(send(near.as_fd(), b"hello", Some(null().as_fd())).unwrap(), Some(5));
        let (mut buffer, mut descriptors) = ([0; 16], Vec::new());
        let received = receive(far.as_fd(), &mut buffer, &mut descriptors).unwrap().unwrap();
        assert_eq!((&buffer[..received.bytes], descriptors.len(), received.truncated), (&b"hello"[..], 1, false));
        assert!(rustix::io::fcntl_getfd(&descriptors[0]).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
    }

    #[test]
    fn an_empty_socket_is_none_and_a_closed_one_is_the_end() {
        let (near, far) = pair(SockType::Stream).unwrap();
        let (mut buffer, mut descriptors) = ([0; 16], Vec::new());
        assert!(receive(far.as_fd(), &mut buffer, &mut descriptors).unwrap().is_none());
        drop(near);
        assert_eq!(receive(far.as_fd(), &mut buffer, &mut descriptors).unwrap().unwrap().bytes, 0);
    }

    #[test]
    fn a_peer_that_closed_with_unread_data_is_the_end_not_an_error() {
        let (near, far) = pair(SockType::Stream).unwrap();
        send(far.as_fd(), b"unread", None).unwrap();
        drop(near);
        let (mut buffer, mut descriptors) = ([0; 16], Vec::new());
        assert_eq!(receive(far.as_fd(), &mut buffer, &mut descriptors).unwrap().unwrap().bytes, 0);
    }

    #[test]
    fn a_gone_peer_is_an_error_for_the_sender() {
        let (near, far) = pair(SockType::Stream).unwrap();
        drop(far);
        assert_eq!(send(near.as_fd(), b"x", None).unwrap_err().code(), "EPIPE");
    }

    #[test]
    fn a_full_socket_is_none() {
        let (near, _far) = pair(SockType::SeqPacket).unwrap();
        let mut packets = 0;
        while send(near.as_fd(), b"abcd", Some(null().as_fd())).unwrap().is_some() {
            packets += 1;
        }
        assert!(packets > 1);
    }
}
