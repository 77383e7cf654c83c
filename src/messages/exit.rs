//! What is left to be written when the process exits.
//!
//! A channel holds some hundred kilobytes that were sent and not read. Who exits behind more waits for the other
//! process to read, as long as it does: none that is stopped or stuck holds up an exit for long, and none that is slow
//! takes time from the others.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{poll, PollFd, PollFlags};

use crate::messages::channel::{Block, Channel, Pushed};
use crate::os::socket;

/// How long the other process may read nothing.
pub const PATIENCE: Duration = Duration::from_secs(1);

/// How long it may take in all.
pub const LONGEST: Duration = Duration::from_secs(5);

/// How often we look whether it reads, in milliseconds: the kernel tells only when most has been read.
const LOOK: u8 = 20;

/// A channel with something left to be written.
struct Leaving {
    channel: Arc<Channel>,
    /// What was left, to be written and to be read, when we last looked.
    left: (usize, usize),
    /// When that changed.
    moved: Instant,
    /// Whether the socket says when it takes more.
    is_full: bool,
}

impl Leaving {
    fn new(channel: Arc<Channel>) -> Self {
        Leaving { channel, left: (usize::MAX, usize::MAX), moved: Instant::now(), is_full: false }
    }

    /// Writes what the kernel takes; `false` if that was all, or it is in vain.
    fn goes_on(&mut self) -> bool {
        let Pushed { queued, blocked, .. } = self.channel.flush_in_time(true);
        self.is_full = blocked == Some(Block::Full);
        let left = (queued, socket::unread_bytes(self.channel.socket()).unwrap_or_default());
        if std::mem::replace(&mut self.left, left) != left {
            self.moved = Instant::now();
        }
        queued > 0 && self.moved.elapsed() < PATIENCE
    }
}

/// Writes what waits in these channels, as long as somebody reads it.
pub fn flush(channels: Vec<Arc<Channel>>) {
    let end = Instant::now() + LONGEST;
    let mut leaving: Vec<_> = channels.into_iter().map(Leaving::new).collect();
    loop {
        leaving.retain_mut(Leaving::goes_on);
        if leaving.is_empty() || Instant::now() >= end {
            return;
        }
        wait(&leaving);
    }
}

/// Waits until the kernel takes something, or it is time to look.
fn wait(leaving: &[Leaving]) {
    let full = leaving.iter().filter(|it| it.is_full);
    let mut sockets: Vec<_> = full.map(|it| PollFd::new(it.channel.socket(), PollFlags::POLLOUT)).collect();
    if poll(&mut sockets, LOOK).is_err() {
        thread::sleep(Duration::from_millis(LOOK.into()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::frame::{Kind, HEADER, LIMIT};
    use crate::messages::incoming::{Incoming, Read};
    use crate::os::faults;
    use nix::errno::Errno;
    use nix::sys::socket::SockType;
    use std::os::fd::{AsFd, OwnedFd};

    /// More than a socket holds.
    const LARGE: usize = 3_000_000;

    /// A channel in which so many bytes wait, and its other end.
    fn waiting(length: usize) -> (Arc<Channel>, OwnedFd) {
        let (near, far) = socket::pair(SockType::Stream).unwrap();
        let channel = Channel::new(near);
        channel.push(Kind::Json, None, false, |bytes| bytes.resize(bytes.len() + length, b'x')).unwrap();
        (Arc::new(channel), far)
    }

    /// Reads all, until the other end is closed: bytes.
    fn read_all(far: &OwnedFd, pause: Duration) -> usize {
        let (mut incoming, mut bytes) = (Incoming::new(LIMIT), 0);
        loop {
            match incoming.read(far.as_fd()).unwrap() {
                Read::End => return bytes,
                Read::Nothing => thread::yield_now(),
                _ => thread::sleep(pause),
            }
            while let Some(run) = incoming.next_run().unwrap() {
                bytes += run.payloads.iter().map(|payload| payload.len()).sum::<usize>();
            }
        }
    }

    #[test]
    fn one_that_does_not_read_takes_nothing_from_one_that_is_slow() {
        let ((stuck, _unread), (slow, far)) = (waiting(LARGE), waiting(LARGE));
        let reader = thread::spawn(move || read_all(&far, Duration::from_millis(5)));
        flush(vec![Arc::clone(&stuck), Arc::clone(&slow)]);
        assert_eq!(slow.queued(), 0);
        assert!((1..LARGE).contains(&stuck.queued()), "what the kernel takes, and nothing more");
        drop(slow);
        assert_eq!(reader.join().unwrap(), LARGE);
    }

    #[test]
    fn a_peer_that_goes_is_not_waited_for() {
        let ((gone, far), (other, _far)) = (waiting(LARGE), waiting(1));
        drop(far);
        flush(vec![Arc::clone(&gone), Arc::clone(&other)]);
        assert_eq!((gone.queued(), other.queued()), (0, 0));
    }

    #[test]
    fn what_the_kernel_refuses_is_tried_again() {
        let (channel, _far) = waiting(1);
        faults::inject(channel.socket(), &[Errno::ETOOMANYREFS; 3]);
        flush(vec![Arc::clone(&channel)]);
        assert_eq!((channel.queued(), channel.written()), (0, HEADER as u64 + 1));
    }
}
