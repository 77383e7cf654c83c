//! The thread that writes what the event loop did not get round to.
//!
//! Messages of one turn of the loop are joined into one write (see [`channel`](crate::messages::channel)). When the
//! loop does not turn, because JavaScript runs on, the flusher writes them, [`SOON`] after they were queued.
//! Where the kernel's buffer is full it comes again, at growing intervals: the loop, if it turns, is faster.
//! It sleeps while nothing is queued.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::messages::channel::Channel;
use crate::os::sync::{Condvar, Mutex, MutexGuard};
use crate::os::thread;

/// How long a queued message is the event loop's to write. (Under shuttle there is no time.)
pub const SOON: Duration = if cfg!(shuttle) { Duration::ZERO } else { Duration::from_millis(1) };

/// The longest interval at which a full socket is tried again.
const SELDOM: Duration = Duration::from_millis(64);

/// A handle on the thread, which ends when the handle is dropped.
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
    waiting: Vec<Waiting>,
    /// When the thread will look next; `None` while it sleeps.
    next_look: Option<Instant>,
    ended: bool,
}

/// A channel with something queued.
#[derive(Debug)]
struct Waiting {
    channel: Weak<Channel>,
    due: Instant,
    interval: Duration,
}

impl Flusher {
    /// Starts the thread.
    ///
    /// # Panics
    /// If the system has no thread left to give.
    pub fn start() -> Self {
        let shared = Arc::new(Shared::default());
        let run = Arc::clone(&shared);
        thread::start("cluster-flush", move || run.run()).expect("a process can start one more thread");
        Flusher { shared }
    }

    /// Has the channel flushed soon, unless its owner does so first. To be called when
    /// [`Pushed::untold`](crate::messages::channel::Pushed) says so.
    pub fn schedule(&self, channel: &Arc<Channel>) {
        let due = Instant::now() + SOON;
        let mut state = self.shared.state.lock();
        state.waiting.push(Waiting { channel: Arc::downgrade(channel), due, interval: SOON });
        // One that looks before it is due anyway need not be woken.
        if state.next_look.is_none_or(|next| next > due) {
            self.shared.wake.notify_one();
        }
    }

    /// Writes what waits now, as far as the kernel takes it.
    pub fn flush_all(&self) {
        for waiting in &self.shared.state.lock().waiting {
            waiting.channel.upgrade().inspect(|channel| {
                channel.flush_in_time();
            });
        }
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
            state.next_look = state.waiting.iter().map(|waiting| waiting.due).min();
            match state.next_look {
                None => self.wake.wait(&mut state),
                Some(next) => drop(self.wake.wait_until(&mut state, next)),
            }
            self.flush_due(&mut state);
        }
    }

    fn flush_due(&self, state: &mut MutexGuard<'_, State>) {
        let now = Instant::now();
        // They stay on the list: a process that exits meanwhile looks there for what is left to write.
        let is_due =
            |(place, waiting): (usize, &Waiting)| (waiting.due <= now).then(|| (place, Weak::clone(&waiting.channel)));
        let due: Vec<_> = state.waiting.iter().enumerate().filter_map(is_due).collect();
        let full: Vec<_> = MutexGuard::unlocked(state, || {
            let is_full = |channel: &Weak<Channel>| channel.upgrade().is_some_and(|it| it.flush_in_time() > 0);
            due.iter().map(|(_, channel)| is_full(channel)).collect()
        });
        // Others only append, so the places hold; from the last one on, they hold while some are taken out.
        for ((place, _), full) in due.iter().zip(full).rev() {
            if full {
                let waiting = &mut state.waiting[*place];
                waiting.interval = SELDOM.min(waiting.interval * 2);
                waiting.due = now + waiting.interval;
            } else {
                state.waiting.swap_remove(*place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::frame::{Kind, LIMIT};
    use crate::messages::incoming::{Incoming, Read};
    use crate::os::socket;
    use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
    use nix::sys::socket::SockType;
    use std::os::fd::AsFd;

    #[test]
    fn a_queued_message_leaves_without_an_event_loop() {
        let (near, far) = socket::pair(SockType::Stream).unwrap();
        let channel = Arc::new(Channel::new(near));
        let flusher = Flusher::start();
        for round in 0..3 {
            assert!(channel.push(Kind::Json, None, false, |bytes| bytes.push(b'0' + round)).unwrap().untold);
            flusher.schedule(&channel);
            poll(&mut [PollFd::new(far.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE).unwrap();
            let mut incoming = Incoming::new(LIMIT);
            assert_eq!(incoming.read(far.as_fd()).unwrap(), Read::Last);
            assert_eq!(incoming.next_run().unwrap().unwrap().payloads, [[b'0' + round]]);
        }
    }

    #[test]
    fn what_the_thread_is_about_to_flush_is_found_at_exit_too() {
        let (near, _far) = socket::pair(SockType::Stream).unwrap();
        let channel = Arc::new(Channel::new(near));
        let flusher = Flusher::start();
        // While a message is written the channel is locked: the thread, when it is due, waits for that.
        let write = |_: &mut Vec<u8>| {
            flusher.schedule(&channel);
            let end = Instant::now() + 20 * SOON;
            while Instant::now() < end {
                assert_eq!(flusher.shared.state.lock().waiting.len(), 1, "flush_all would not find it");
            }
        };
        channel.push(Kind::Json, None, false, write).unwrap();
    }

    #[test]
    fn more_than_the_kernel_takes_leaves_as_the_peer_reads() {
        let (near, far) = socket::pair(SockType::Stream).unwrap();
        let channel = Arc::new(Channel::new(near));
        let flusher = Flusher::start();
        let large = vec![b'x'; 3_000_000];
        let pushed = channel.push(Kind::Json, None, true, |bytes| bytes.extend_from_slice(&large)).unwrap();
        assert!(pushed.blocked && pushed.untold);
        flusher.schedule(&channel);
        let mut incoming = Incoming::new(LIMIT);
        loop {
            incoming.read(far.as_fd()).unwrap();
            if let Some(run) = incoming.next_run().unwrap() {
                assert_eq!(run.payloads, [&large]);
                return;
            }
            poll(&mut [PollFd::new(far.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE).unwrap();
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
