//! The thread that writes what the event loop did not get round to.
//!
//! Messages of one turn of the loop are joined into one write (see [`channel`](crate::channel)). When the
//! loop does not turn, because JavaScript runs on, the flusher writes them: at the latest two [`TICK`]s after
//! they were queued. It sleeps while nothing is queued, and looks at every tick while something was.

use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::channel::Channel;

/// How often the flusher looks while messages are being queued.
pub const TICK: Duration = Duration::from_millis(1);

/// A handle on the thread, which ends when the last handle is dropped.
#[derive(Debug)]
pub struct Flusher {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// Channels with messages queued since the last tick.
    queued: Vec<Weak<Channel>>,
    ended: bool,
}

impl Flusher {
    /// Starts the thread.
    ///
    /// # Panics
    /// If the system has no thread left to give.
    pub fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let thread = Arc::clone(&shared);
        std::thread::Builder::new()
            .name("cluster-flush".into())
            .spawn(move || thread.run())
            .expect("a process can start one more thread");
        Flusher { shared }
    }

    /// Has the channel flushed soon, unless its owner does so first. Once per turn of the loop is enough.
    pub fn schedule(&self, channel: &Arc<Channel>) {
        self.shared.state.lock().queued.push(Arc::downgrade(channel));
        self.shared.wake.notify_one();
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        self.shared.state.lock().ended = true;
        self.shared.wake.notify_one();
    }
}

impl Shared {
    fn run(&self) {
        let mut state = self.state.lock();
        while !state.ended {
            if state.queued.is_empty() {
                self.wake.wait(&mut state);
                continue;
            }
            // What is queued now is the loop's to write for one tick, and ours after it.
            let due = std::mem::take(&mut state.queued);
            drop(state);
            std::thread::sleep(TICK);
            for channel in due.iter().filter_map(Weak::upgrade) {
                // A gone peer is seen, and told, by the loop that reads the channel.
                let _ = channel.flush();
            }
            state = self.state.lock();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::{Incoming, Read};
    use crate::frame::{Kind, LIMIT};
    use crate::socket;
    use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
    use nix::sys::socket::SockType;
    use std::os::fd::AsFd;

    #[test]
    fn a_queued_message_leaves_without_an_event_loop() {
        let (near, far) = socket::pair(SockType::Stream).unwrap();
        let channel = Arc::new(Channel::new(near));
        let flusher = Flusher::start();
        for round in 0..3 {
            channel.push(Kind::Json, None, false, |bytes| bytes.push(b'0' + round)).unwrap();
            flusher.schedule(&channel);
            poll(&mut [PollFd::new(far.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE).unwrap();
            let mut incoming = Incoming::new(LIMIT);
            assert_eq!(incoming.read(far.as_fd()).unwrap(), Read::Some);
            assert_eq!(incoming.next_run().unwrap().unwrap().payloads, [[b'0' + round]]);
        }
    }

    #[test]
    fn the_thread_ends_with_its_handle() {
        let flusher = Flusher::start();
        let shared = Arc::downgrade(&flusher.shared);
        drop(flusher);
        while shared.strong_count() > 0 {
            std::thread::yield_now();
        }
    }
}
