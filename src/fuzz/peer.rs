//! A peer that sends what it likes, and sees what becomes of its descriptors.

use std::fs::File;
use std::io::{ErrorKind, IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use rustix::io::Errno;
use rustix::net::{sendmsg, SendAncillaryBuffer, SendAncillaryMessage, SendFlags};

/// The most descriptors of one message.
pub const DESCRIPTORS: usize = 3;

/// Sends bytes with any number of descriptors; `None` if the socket is full.
pub fn send(socket: BorrowedFd<'_>, bytes: &[u8], descriptors: &[OwnedFd]) -> Option<usize> {
    let descriptors: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    assert!(descriptors.is_empty() || ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)));
    let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
    match sendmsg(socket, &[IoSlice::new(bytes)], &mut ancillary, flags) {
        Ok(sent) => Some(sent),
        Err(Errno::AGAIN) => None,
        Err(errno) => panic!("sendmsg: {errno}"),
    }
}

/// Far more than another thread of the test needs between its fork, which copies every descriptor, and its exec.
const PATIENCE: u16 = 20_000;

/// The other end of a descriptor that was given away.
#[derive(Debug)]
pub struct Watched(File);

impl Watched {
    /// A connection, and what sees its end.
    pub fn connection() -> (OwnedFd, Watched) {
        let (client, server) = UnixStream::pair().unwrap();
        (server.into(), Watched(OwnedFd::from(client).into()))
    }

    /// A descriptor that is no socket, and what sees its end.
    pub fn pipe() -> (OwnedFd, Watched) {
        let (reader, writer) = std::io::pipe().unwrap();
        (writer.into(), Watched(OwnedFd::from(reader).into()))
    }

    /// The marks of those who got the descriptor, once no copy of it is open any more.
    ///
    /// # Panics
    /// If a copy stays open.
    pub fn marks(self) -> Vec<u8> {
        let mut marks = Vec::new();
        loop {
            let mut end = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
            assert!(poll(&mut end, PollTimeout::from(PATIENCE)).unwrap() > 0, "a descriptor was leaked");
            if !end[0].revents().is_some_and(|events| events.contains(PollFlags::POLLIN)) {
                return marks;
            }
            let mut mark = [0];
            match (&self.0).read(&mut mark) {
                Ok(0) => return marks,
                Ok(_) => marks.push(mark[0]),
                // A connection whose other end was never looked at.
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return marks,
                Err(error) => panic!("{error}"),
            }
        }
    }
}

/// Writes into a descriptor who got it, and closes it.
pub fn mark(descriptor: OwnedFd, mark: u8) {
    File::from(descriptor).write_all(&[mark]).unwrap();
}
