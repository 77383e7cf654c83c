//! Descriptors over Unix sockets: the only place where `SCM_RIGHTS` is written or read.
//!
//! Three facts of Linux shape it ([unix(7)], [cmsg(3)]):
//!
//! - A descriptor is delivered with the first byte of the message it was attached to, so a partial write must not
//!   attach it twice: [`send`] tells how many bytes went, and from one byte on the descriptor is gone.
//! - A receiver that has no number left *loses* what it is sent (`MSG_CTRUNC`). Whether one is free cannot be known
//!   before: other threads open files, and anybody may lower the limit. So near the limit we look before we take:
//!   `MSG_PEEK` installs copies, and a copy that finds no number costs nothing. What was copied in full is then taken
//!   out of the queue; [`Received::Starved`] is the rest. To look costs as much as to take, so it is left out while
//!   [`MARGIN`] numbers are free. Should they all go before the next call, one descriptor is lost, which is said
//!   ([`Received::Lost`], [`Received::Truncated`]) and taken for nothing else.
//! - A peer may attach up to 253 descriptors, and options of a socket that is shared with it add others
//!   (`SO_PASSPIDFD`): we own every one that the kernel installs.
//!
//! libc's `recvmsg` is called here, since neither nix nor rustix owns them all: nix leaves them open on `MSG_CTRUNC`, and
//! rustix those of `SCM_PIDFD`.
//!
//! [unix(7)]: https://man7.org/linux/man-pages/man7/unix.7.html
//! [cmsg(3)]: https://man7.org/linux/man-pages/man3/cmsg.3.html

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::libc;
use nix::sys::resource::{getrlimit, Resource};
use nix::sys::socket::sockopt::PeerCredentials;
use nix::sys::socket::{getsockopt, recv, socketpair, AddressFamily, MsgFlags, SockFlag, SockType};
use rustix::net::{sendmsg, SendAncillaryBuffer, SendAncillaryMessage, SendFlags};

use crate::os::error::{Error, Result};

/// Bytes of control data that are received: some descriptors, although ours send one at a time, beside what
/// `SO_PASSCRED`, `SO_PASSSEC` and `SO_PASSPIDFD` of a socket that is shared with a hostile process may add. So there
/// is room for a descriptor always, and if none comes it is for want of a number.
const CONTROL: usize = 512;

/// A descriptor of a process, which `SO_PASSPIDFD` adds.
const SCM_PIDFD: libc::c_int = 0x04;

/// A connected pair of close-on-exec Unix sockets of the given type.
///
/// # Errors
/// [`Error::Os`] with `EMFILE` or `ENFILE` when no descriptors are left.
pub fn pair(kind: SockType) -> Result<(OwnedFd, OwnedFd)> {
    socketpair(AddressFamily::Unix, kind, None, SockFlag::SOCK_CLOEXEC).map_err(|errno| Error::os("socketpair", errno))
}

/// The user at the other end of a connected Unix socket: who connected, or who listened.
///
/// # Errors
/// [`Error::Os`].
pub fn peer_user(socket: BorrowedFd<'_>) -> Result<libc::uid_t> {
    let credentials = getsockopt(&socket, PeerCredentials).map_err(|errno| Error::os("getsockopt", errno))?;
    Ok(credentials.uid())
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
        match fault(socket).map_or_else(|| sendmsg(socket, &[IoSlice::new(bytes)], &mut ancillary, flags), Err) {
            Ok(sent) => return Ok(Some(sent)),
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => return Ok(None),
            Err(errno) => return Err(os("sendmsg", errno)),
        }
    }
}

/// What a test has put in the place of the kernel's answer.
#[cfg(not(test))]
fn fault(_: BorrowedFd<'_>) -> Option<rustix::io::Errno> {
    None
}

#[cfg(test)]
use crate::os::faults::next as fault;

/// What [`receive`] and [`receive_shared`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// So many bytes, now at the start of the buffer. 0 is the end of a stream.
    Bytes(usize),
    /// Nothing is there.
    Nothing,
    /// A descriptor is there, and the process has no number for it: nothing was taken. So many bytes were copied to
    /// the start of the buffer; the descriptor goes with one of them or, if they fill it, with one that follows.
    Starved(usize),
    /// A packet was taken, and its descriptor found no number.
    Lost,
    /// As `Bytes`, of a stream: the descriptor that goes with them found no number.
    Truncated(usize),
}

/// Bytes that are looked at before they are taken.
const LOOK: usize = 64 * 1024;

/// How many numbers are left when nobody looks before he takes: more than others open while one call is made.
const MARGIN: RawFd = 64;

/// Tests go both ways by turns.
#[cfg(any(test, fuzzing))]
fn is_turn_to_look() -> bool {
    static TURN: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);
    TURN.fetch_xor(true, std::sync::atomic::Ordering::Relaxed)
}

#[cfg(not(any(test, fuzzing)))]
const fn is_turn_to_look() -> bool {
    false
}

/// Whether [`MARGIN`] numbers are free below the limit as it is now. The kernel gives out the lowest number, so they are
/// as long as nobody has the first and the last of them.
fn is_far_from_limit() -> bool {
    let Ok((limit, _)) = getrlimit(Resource::RLIMIT_NOFILE) else { return false };
    let limit = RawFd::try_from(limit).unwrap_or(RawFd::MAX);
    // SAFETY: asks for the flags of a descriptor, and touches nothing.
    let is_free = |number| unsafe { libc::fcntl(number, libc::F_GETFD) == -1 };
    limit > MARGIN && is_free(limit - 1) && is_free(limit - MARGIN)
}

/// Takes bytes and descriptors out of a socket without blocking; descriptors are close-on-exec and are added to
/// `descriptors`. Nobody else may read from the socket meanwhile.
///
/// # Errors
/// [`Error::Os`].
pub fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8], descriptors: &mut Vec<OwnedFd>) -> Result<Received> {
    if is_far_from_limit() && !is_turn_to_look() {
        return receive_unseen(socket, buffer, descriptors);
    }
    // What is looked at first is copied twice.
    let most = buffer.len().min(LOOK);
    let buffer = &mut buffer[..most];
    let mut copies = Vec::new();
    let Some(seen) = receive_once(socket, buffer, libc::MSG_PEEK, Some(&mut copies))? else {
        return Ok(Received::Nothing);
    };
    if seen.truncated && copies.is_empty() {
        return Ok(Received::Starved(seen.bytes));
    }
    let dropped = take(socket, &mut buffer[..seen.bytes])?;
    // A look that fills the buffer goes on to the next descriptor of a stream, though none of its bytes has room.
    if dropped || seen.bytes < buffer.len() {
        descriptors.append(&mut copies);
    }
    Ok(Received::Bytes(seen.bytes))
}

/// As [`receive`], without a look before.
fn receive_unseen(socket: BorrowedFd<'_>, buffer: &mut [u8], descriptors: &mut Vec<OwnedFd>) -> Result<Received> {
    let mut taken = Vec::new();
    let Some(received) = receive_once(socket, buffer, 0, Some(&mut taken))? else { return Ok(Received::Nothing) };
    let lost = received.truncated && taken.is_empty();
    descriptors.append(&mut taken);
    Ok(if lost { Received::Truncated(received.bytes) } else { Received::Bytes(received.bytes) })
}

/// As [`receive`], one packet of a socket from which another process takes packets too. No packet may be the same as
/// one that is sent soon after it.
///
/// # Errors
/// [`Error::Os`].
pub fn receive_shared<const LENGTH: usize>(
    socket: BorrowedFd<'_>,
    packet: &mut [u8; LENGTH],
    descriptors: &mut Vec<OwnedFd>,
) -> Result<Received> {
    receive_after(socket, packet, descriptors, || {})
}

/// [`receive_shared`]; `meanwhile`, others may do anything.
fn receive_after<const LENGTH: usize>(
    socket: BorrowedFd<'_>,
    packet: &mut [u8; LENGTH],
    descriptors: &mut Vec<OwnedFd>,
    meanwhile: impl FnOnce(),
) -> Result<Received> {
    if is_far_from_limit() && !is_turn_to_look() {
        let received = receive_unseen(socket, packet, descriptors)?;
        return Ok(if matches!(received, Received::Truncated(_)) { Received::Lost } else { received });
    }
    let (mut copy, mut copies) = ([0; LENGTH], Vec::new());
    let Some(seen) = receive_once(socket, &mut copy, libc::MSG_PEEK, Some(&mut copies))? else {
        return Ok(Received::Nothing);
    };
    if seen.truncated && copies.is_empty() {
        return Ok(Received::Starved(seen.bytes));
    }
    meanwhile();
    let mut taken = Vec::new();
    // The other one may have been quicker.
    let Some(received) = receive_once(socket, packet, 0, Some(&mut taken))? else { return Ok(Received::Nothing) };
    if received.truncated && taken.is_empty() {
        // The copy took the last number. It is good if it is one of this packet.
        if packet[..received.bytes] != copy[..seen.bytes] {
            return Ok(Received::Lost);
        }
        taken = copies;
    }
    descriptors.append(&mut taken);
    Ok(Received::Bytes(received.bytes))
}

/// Has `MSG_PEEK` look at what comes first, which another owner of the socket may have changed (`SO_PEEK_OFF`).
///
/// # Errors
/// [`Error::Os`].
pub fn look_from_the_start(socket: BorrowedFd<'_>) -> Result<()> {
    let offset: libc::c_int = -1;
    let length = size_of_val(&offset) as libc::socklen_t;
    // SAFETY: the value is a number of the length that is said.
    let failed = unsafe {
        let value = (&raw const offset).cast();
        libc::setsockopt(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_PEEK_OFF, value, length)
    };
    match failed {
        0 => Ok(()),
        _ => Err(Error::os("setsockopt", Errno::last())),
    }
}

/// Takes bytes out of a socket without blocking, where no descriptor may come with them.
///
/// # Errors
/// [`Error::Os`]; [`Error::StrayDescriptor`]: one came, and is closed.
pub fn receive_bytes(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<Received> {
    match receive_once(socket, buffer, 0, None)? {
        None => Ok(Received::Nothing),
        Some(Message { truncated: true, .. }) => Err(Error::StrayDescriptor { received: 1, announced: 0 }),
        Some(Message { bytes, .. }) => Ok(Received::Bytes(bytes)),
    }
}

/// Takes what was seen. The kernel drops its descriptors, of which we have copies, since it finds no room for them;
/// whether there were any is returned.
fn take(socket: BorrowedFd<'_>, seen: &mut [u8]) -> Result<bool> {
    loop {
        match recvmsg(socket, seen, 0, None) {
            Ok(taken) if taken.bytes == seen.len() => return Ok(taken.truncated),
            // Nobody of ours sends what moves others' bytes (MSG_OOB).
            Ok(_) => return Err(Error::os("recvmsg", Errno::EPROTO)),
            // That the peer has gone is told once, and before what it sent.
            Err(Errno::ECONNRESET) => {}
            Err(errno) => return Err(Error::os("recvmsg", errno)),
        }
    }
}

/// One recvmsg(2); `None` means that nothing is there.
fn receive_once(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    flags: libc::c_int,
    descriptors: Option<&mut Vec<OwnedFd>>,
) -> Result<Option<Message>> {
    match recvmsg(socket, buffer, flags, descriptors) {
        Ok(message) => Ok(Some(message)),
        Err(Errno::EAGAIN) => Ok(None),
        // The peer closed without reading all it was sent: for a reader, the end of the stream.
        Err(Errno::ECONNRESET) => Ok(Some(Message { bytes: 0, truncated: false })),
        Err(errno) => Err(Error::os("recvmsg", errno)),
    }
}

/// What one recvmsg(2) brought.
struct Message {
    bytes: usize,
    /// Whether control data, which may be descriptors, was dropped.
    truncated: bool,
}

/// Control data, aligned for its headers.
#[repr(align(8))]
struct Control([u8; CONTROL]);

/// recvmsg(2), which does not block. Without a place for `descriptors`, it drops them.
fn recvmsg(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    flags: libc::c_int,
    descriptors: Option<&mut Vec<OwnedFd>>,
) -> std::result::Result<Message, Errno> {
    let mut control = Control([0; CONTROL]);
    let mut slice = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: plain numbers and pointers, which may be 0.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &mut slice;
    header.msg_iovlen = 1;
    if descriptors.is_some() {
        header.msg_control = control.0.as_mut_ptr().cast();
        header.msg_controllen = CONTROL as _;
    }
    let flags = flags | libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
    loop {
        // SAFETY: the header points to a slice and to control data of the lengths that it says, which outlive the call.
        let received = unsafe { libc::recvmsg(socket.as_raw_fd(), &mut header, flags) };
        match (usize::try_from(received), Errno::last()) {
            (Ok(bytes), _) => {
                if let Some(descriptors) = descriptors {
                    // SAFETY: filled in by the kernel, just now.
                    unsafe { own_descriptors(&header, descriptors) };
                }
                return Ok(Message { bytes, truncated: header.msg_flags & libc::MSG_CTRUNC != 0 });
            }
            (Err(_), Errno::EINTR) => {}
            (Err(_), errno) => return Err(errno),
        }
    }
}

/// Takes over the descriptors that a message has brought. Those that nobody asked for are closed.
///
/// # Safety
/// The kernel has filled the header in, and nobody has taken its descriptors over.
unsafe fn own_descriptors(header: &libc::msghdr, descriptors: &mut Vec<OwnedFd>) {
    // SAFETY: the header is valid, and with it the row of headers of control data, and their lengths.
    unsafe {
        let mut control = libc::CMSG_FIRSTHDR(header);
        while let Some(&libc::cmsghdr { cmsg_len, cmsg_level, cmsg_type, .. }) = control.as_ref() {
            let length: usize = cmsg_len as _;
            let length = length - libc::CMSG_LEN(0) as usize;
            let data = libc::CMSG_DATA(control).cast::<RawFd>();
            let numbers = (0..length / size_of::<RawFd>()).map(|index| data.add(index).read_unaligned());
            match (cmsg_level, cmsg_type) {
                (libc::SOL_SOCKET, libc::SCM_RIGHTS) => descriptors.extend(numbers.map(|fd| OwnedFd::from_raw_fd(fd))),
                // Where none could be made, an errno stands in its place.
                (libc::SOL_SOCKET, SCM_PIDFD) => {
                    numbers.filter(|number| *number >= 0).for_each(|fd| drop(OwnedFd::from_raw_fd(fd)));
                }
                _ => {}
            }
            control = libc::CMSG_NXTHDR(header, control);
        }
    }
}

/// Looks at what has arrived, from its start, without taking it and without waiting; 0: it has ended.
///
/// # Errors
/// What the kernel says: `EAGAIN`, nothing has arrived; else it was reset, or is no socket.
pub fn peek(socket: impl AsFd, buffer: &mut [u8]) -> nix::Result<usize> {
    loop {
        match recv(socket.as_fd().as_raw_fd(), buffer, MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT) {
            Err(Errno::EINTR) => {}
            seen => return seen,
        }
    }
}

/// How much of what was sent the other process has not read yet (`SIOCOUTQ`), in bytes of the kernel's memory.
///
/// # Errors
/// [`Error::Os`].
pub fn unread_bytes(socket: BorrowedFd<'_>) -> Result<usize> {
    let mut bytes: libc::c_int = 0;
    // SAFETY: the kernel writes a number there.
    let failed = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut bytes) };
    match failed {
        0 => Ok(usize::try_from(bytes).unwrap_or_default()),
        _ => Err(Error::os("ioctl", Errno::last())),
    }
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

/// A close-on-exec duplicate of a descriptor.
///
/// # Errors
/// [`Error::Os`] with `EMFILE` when no descriptors are left.
pub fn duplicate(descriptor: impl AsFd) -> Result<OwnedFd> {
    rustix::io::fcntl_dupfd_cloexec(descriptor, 0).map_err(|errno| os("fcntl", errno))
}

fn os(syscall: &'static str, errno: rustix::io::Errno) -> Error {
    Error::os(syscall, Errno::from_raw(errno.raw_os_error()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::alone::{alone, beside_busy_threads, limit, take_numbers, until_readable};
    use std::fs::File;
    use std::io::{Read, Write};

    fn null() -> OwnedFd {
        File::open("/dev/null").unwrap().into()
    }

    /// A descriptor that can be told from others: a pipe with text in it.
    fn marked(text: &str) -> OwnedFd {
        let (reader, mut writer) = std::io::pipe().unwrap();
        writer.write_all(text.as_bytes()).unwrap();
        reader.into()
    }

    fn mark(descriptor: OwnedFd) -> String {
        let mut text = String::new();
        File::from(descriptor).read_to_string(&mut text).unwrap();
        text
    }

    fn send_marked(socket: &OwnedFd, text: &str) {
        assert_eq!(send(socket.as_fd(), text.as_bytes(), Some(marked(text).as_fd())).unwrap(), Some(text.len()));
    }

    /// What one receive of `received` found: its bytes, and the marks of its descriptors.
    fn found(
        received: impl FnOnce(&mut [u8; 64], &mut Vec<OwnedFd>) -> Result<Received>,
    ) -> (Received, String, String) {
        let (mut buffer, mut descriptors) = ([0; 64], Vec::new());
        let received = received(&mut buffer, &mut descriptors).unwrap();
        let bytes = if let Received::Bytes(bytes) = received { bytes } else { 0 };
        let text = String::from_utf8(buffer[..bytes].to_vec()).unwrap();
        (received, text, descriptors.into_iter().map(mark).collect())
    }

    /// What is received, and the marks of its descriptors; `None` while nothing is, for want of a number.
    fn next(socket: &OwnedFd) -> Option<(String, String)> {
        let (received, text, marks) = found(|buffer, descriptors| receive(socket.as_fd(), buffer, descriptors));
        (!matches!(received, Received::Starved(_))).then_some((text, marks))
    }

    fn next_shared(socket: &OwnedFd) -> Option<(String, String)> {
        let (received, text, marks) = found(|buffer, descriptors| receive_shared(socket.as_fd(), buffer, descriptors));
        assert_ne!(received, Received::Lost);
        (!matches!(received, Received::Starved(_))).then_some((text, marks))
    }

    fn both(text: &str, marks: &str) -> Option<(String, String)> {
        Some((text.into(), marks.into()))
    }

    #[test]
    fn bytes_and_a_descriptor_arrive_together_and_close_on_exec() {
        let (near, far) = pair(SockType::Stream).unwrap();
        assert_eq!(send(near.as_fd(), b"hello", Some(null().as_fd())).unwrap(), Some(5));
        let (mut buffer, mut descriptors) = ([0; 16], Vec::new());
        assert_eq!(receive(far.as_fd(), &mut buffer, &mut descriptors).unwrap(), Received::Bytes(5));
        assert_eq!((&buffer[..5], descriptors.len()), (&b"hello"[..], 1));
        assert!(rustix::io::fcntl_getfd(&descriptors[0]).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
    }

    #[test]
    fn an_empty_socket_is_nothing_and_a_closed_one_is_the_end() {
        let (near, far) = pair(SockType::Stream).unwrap();
        let receive = || found(|buffer, descriptors| receive(far.as_fd(), buffer, descriptors)).0;
        assert_eq!(receive(), Received::Nothing);
        drop(near);
        until_readable(&far);
        assert_eq!(receive(), Received::Bytes(0));
    }

    #[test]
    fn a_peer_that_closed_with_unread_data_is_the_end_not_an_error() {
        let (near, far) = pair(SockType::Stream).unwrap();
        send(far.as_fd(), b"unread", None).unwrap();
        drop(near);
        assert_eq!(next(&far), both("", ""));
    }

    #[test]
    fn what_a_peer_sent_before_it_closed_is_received_although_it_left_something_unread() {
        for kind in [SockType::Stream, SockType::SeqPacket] {
            let (near, far) = pair(kind).unwrap();
            send_marked(&near, "sent");
            send(far.as_fd(), b"unread", None).unwrap();
            let (mut buffer, mut copies) = ([0; 16], Vec::new());
            assert_eq!(recvmsg(far.as_fd(), &mut buffer, libc::MSG_PEEK, Some(&mut copies)).unwrap().bytes, 4);
            // What a socket tells once, between the look and the taking.
            drop(near);
            take(far.as_fd(), &mut buffer[..4]).unwrap();
            assert_eq!(next(&far), both("", ""), "{kind:?}");
        }
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

    #[test]
    fn a_stream_is_received_up_to_a_descriptor_and_no_byte_or_descriptor_twice() {
        let (near, far) = pair(SockType::Stream).unwrap();
        let plain = |text: &str| assert!(send(near.as_fd(), text.as_bytes(), None).unwrap().is_some());
        plain("a");
        plain("b");
        send_marked(&near, "C");
        send_marked(&near, "D");
        plain("e");
        send_marked(&near, &"F".repeat(100));
        plain("g");
        assert_eq!(next(&far), both("abC", "C"));
        assert_eq!(next(&far), both("D", "D"));
        // The buffer ends within the last one's bytes: its descriptor goes with the first of them.
        assert_eq!(next(&far), both(&format!("e{}", "F".repeat(63)), &"F".repeat(100)));
        assert_eq!(next(&far), both(&format!("{}g", "F".repeat(37)), ""));
        // It ends before the next one, which the kernel looks at all the same.
        plain(&"h".repeat(32));
        plain(&"i".repeat(32));
        send_marked(&near, "J");
        plain("k");
        assert_eq!(next(&far), both(&format!("{}{}", "h".repeat(32), "i".repeat(32)), ""));
        assert_eq!(next(&far), both("J", "J"));
        assert_eq!(next(&far), both("k", ""));
        assert_eq!(found(|buffer, descriptors| receive(far.as_fd(), buffer, descriptors)).0, Received::Nothing);
    }

    #[test]
    fn what_finds_no_number_waits_with_all_that_comes_with_it() {
        alone(|| {
            limit(64);
            for kind in [SockType::Stream, SockType::SeqPacket] {
                let (near, far) = pair(kind).unwrap();
                send_marked(&near, "one");
                send_marked(&near, "two");
                let mut taken = take_numbers(0);
                assert_eq!((next(&far), next_shared(&far)), (None, None), "{kind:?}: no number");
                assert_eq!(waiting_bytes(far.as_fd()).unwrap(), 6);
                taken.pop();
                assert_eq!(next_shared(&far), both("one", "one"), "{kind:?}: one number");
                taken.pop();
                assert_eq!(next(&far), both("two", "two"), "{kind:?}: two numbers");
            }
        });
    }

    #[test]
    fn a_lowered_limit_is_minded_at_once() {
        alone(|| {
            for kind in [SockType::Stream, SockType::SeqPacket] {
                let (near, far) = pair(kind).unwrap();
                send_marked(&near, "one");
                send_marked(&near, "two");
                limit(3);
                assert_eq!((next(&far), next_shared(&far)), (None, None), "{kind:?}");
                limit(64);
                assert_eq!((next(&far), next_shared(&far)), (both("one", "one"), both("two", "two")), "{kind:?}");
            }
        });
    }

    #[test]
    fn what_needs_no_number_is_received_without_one() {
        alone(|| {
            limit(64);
            let (near, far) = pair(SockType::Stream).unwrap();
            send(near.as_fd(), b"text", None).unwrap();
            let _taken = take_numbers(0);
            assert_eq!(next(&far), both("text", ""));
        });
    }

    #[test]
    fn beside_threads_that_take_the_last_numbers_nothing_is_lost() {
        alone(|| {
            limit(64);
            for (kind, threads) in [(SockType::Stream, 1), (SockType::SeqPacket, 1), (SockType::SeqPacket, 2)] {
                let (near, far) = pair(kind).unwrap();
                let texts: Vec<_> = (0..60).map(|number| number.to_string()).collect();
                for text in &texts {
                    send_marked(&near, text);
                }
                let _taken = take_numbers(threads);
                beside_busy_threads(threads, || {
                    for text in texts {
                        let mut receive = [next, next_shared].into_iter().cycle().filter_map(|receive| receive(&far));
                        assert_eq!(receive.next(), both(&text, &text), "{kind:?}");
                    }
                });
            }
        });
    }

    #[test]
    fn of_two_who_receive_each_packet_is_one_s_alone() {
        alone(|| {
            limit(64);
            let (near, far) = pair(SockType::SeqPacket).unwrap();
            let shared = |meanwhile: &dyn Fn()| {
                found(|buffer, descriptors| receive_after(far.as_fd(), buffer, descriptors, meanwhile))
            };
            let quicker = |text: &'static str| {
                let far = &far;
                move || assert_eq!(next_shared(far), both(text, text))
            };
            send_marked(&near, "one");
            assert_eq!(shared(&quicker("one")).0, Received::Nothing);
            for text in ["two", "three", "four", "five"] {
                send_marked(&near, text);
            }
            assert_eq!(shared(&quicker("two")), (Received::Bytes(5), "three".into(), "three".into()));

            let mut taken = take_numbers(2);
            let starved = || {
                quicker("four")();
                std::mem::forget(null());
            };
            assert_eq!(shared(&starved).0, Received::Lost, "five had no number, and the copy is of four");
            taken.pop();
            send_marked(&near, "six");
            assert_eq!(shared(&|| {}), (Received::Bytes(3), "six".into(), "six".into()));
        });
    }

    #[test]
    fn both_ends_know_the_others_user() {
        let (near, far) = pair(SockType::Stream).unwrap();
        let own = nix::unistd::geteuid().as_raw();
        assert_eq!((peer_user(near.as_fd()), peer_user(far.as_fd())), (Ok(own), Ok(own)));
        assert_eq!(peer_user(null().as_fd()).unwrap_err().code(), "ENOTSOCK");
    }

    #[test]
    fn a_peer_that_sends_more_descriptors_than_one_leaves_none_open() {
        alone(|| {
            let (near, far) = pair(SockType::SeqPacket).unwrap();
            let many: Vec<_> = (0..250).map(|_| null()).collect();
            let many: Vec<_> = many.iter().map(AsFd::as_fd).collect();
            let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(250))];
            let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
            let before = open();
            for receive in [next, next_shared] {
                let mut ancillary = SendAncillaryBuffer::new(&mut space);
                assert!(ancillary.push(SendAncillaryMessage::ScmRights(&many)));
                sendmsg(&near, &[IoSlice::new(b"many")], &mut ancillary, SendFlags::empty()).unwrap();
                let (text, _) = receive(&far).unwrap();
                assert_eq!((text.as_str(), open()), ("many", before));
            }
        });
    }

    #[test]
    fn options_of_a_shared_socket_leave_no_descriptor_open_where_the_kernel_has_them() {
        const SO_PASSPIDFD: libc::c_int = 76;
        alone(|| {
            let (near, far) = pair(SockType::SeqPacket).unwrap();
            for option in [libc::SO_PASSCRED, libc::SO_PASSSEC, SO_PASSPIDFD] {
                let on: libc::c_int = 1;
                // SAFETY: the value is a number of the length that is said.
                unsafe {
                    let (fd, length) = (far.as_raw_fd(), size_of_val(&on) as libc::socklen_t);
                    libc::setsockopt(fd, libc::SOL_SOCKET, option, (&raw const on).cast(), length);
                }
            }
            let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
            let before = open();
            for receive in [next, next_shared] {
                send_marked(&near, "packet");
                assert_eq!((receive(&far), open()), (both("packet", "packet"), before));
            }
        });
    }

    #[test]
    fn without_a_look_a_descriptor_that_finds_no_number_is_told_as_lost() {
        alone(|| {
            let (near, far) = pair(SockType::Stream).unwrap();
            send(near.as_fd(), b"hello", Some(null().as_fd())).unwrap();
            send(near.as_fd(), b"after", None).unwrap();
            limit(200);
            assert!(is_far_from_limit());
            let taken = take_numbers(0);
            assert!(!is_far_from_limit());
            let (mut buffer, mut descriptors) = ([0; 16], Vec::new());
            let received = receive_unseen(far.as_fd(), &mut buffer, &mut descriptors).unwrap();
            drop(taken);
            assert_eq!((received, descriptors.len()), (Received::Truncated(5), 0));
            let received = receive_unseen(far.as_fd(), &mut buffer, &mut descriptors).unwrap();
            assert_eq!((received, descriptors.len()), (Received::Bytes(5), 0));
        });
    }
}
