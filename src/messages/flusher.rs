//! The thread that writes what the event loop did not get round to.
//!
//! Messages of one turn of the loop are joined into one write (see [`channel`](crate::messages::channel)). When the
//! loop does not turn, because JavaScript runs on, the flusher writes them, [`SOON`] after they were queued.
//! Where the kernel takes no more it comes again, at growing intervals: the loop, if it turns, is faster.
//! It sleeps while nothing is queued. Where the system has no thread to give, who sends writes at once.
//!
//! When the process exits no loop turns any more: then [`Flusher::flush_all`] writes what is left, and waits for the
//! other processes to read it.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::messages::channel::Channel;
use crate::messages::exit;
use crate::os::error::Result;
use crate::os::sync::{Condvar, Mutex, MutexGuard};
use crate::os::thread;

/// How long a queued message is the event loop's to write. (Under shuttle there is no time.)
pub const SOON: Duration = if cfg!(shuttle) { Duration::ZERO } else { Duration::from_millis(1) };

/// The longest interval at which a channel that takes nothing is tried again.
pub const SELDOM: Duration = Duration::from_millis(64);

/// How long after the system had no thread to give it is asked again.
const NO_THREAD: Duration = Duration::from_secs(1);

/// A handle on the thread, which ends when the handle is dropped.
#[derive(Debug)]
pub struct Flusher {
    shared: Arc<Shared>,
    /// What has to succeed before there can be a thread.
    prepare: fn() -> Result<()>,
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
    thread: Thread,
    ended: bool,
}

#[derive(Debug, Default)]
enum Thread {
    #[default]
    Unneeded,
    Runs,
    /// The system had none to give. It is asked again then.
    Refused(Instant),
}

/// A channel with something queued.
#[derive(Debug)]
struct Waiting {
    channel: Weak<Channel>,
    due: Instant,
    interval: Duration,
}

impl Flusher {
    /// One whose thread starts when it is first needed, if `prepare` succeeds.
    pub fn new(prepare: fn() -> Result<()>) -> Self {
        Flusher { shared: Arc::default(), prepare }
    }

    /// Has the channel flushed soon, unless its owner does so first; at once, if there is no thread. To be called when
    /// [`Pushed::untold`](crate::messages::channel::Pushed) says so.
    pub fn schedule(&self, channel: &Arc<Channel>) {
        let now = Instant::now();
        let due = now + SOON;
        let mut state = self.shared.state.lock();
        if !self.thread_runs(&mut state, now) {
            return state.flush_at_once(channel, now);
        }
        state.waiting.push(Waiting { channel: Arc::downgrade(channel), due, interval: SOON });
        // One that looks before it is due anyway need not be woken.
        if state.next_look.is_none_or(|next| next > due) {
            self.shared.wake.notify_one();
        }
    }

    fn thread_runs(&self, state: &mut State, now: Instant) -> bool {
        match state.thread {
            Thread::Runs => return true,
            Thread::Refused(again) if now < again => return false,
            Thread::Unneeded | Thread::Refused(_) => {}
        }
        let run = Arc::clone(&self.shared);
        // Whatever is missing, messages can do without.
        let started = (self.prepare)().and_then(|()| thread::start("cluster-flush", move || run.run()));
        state.thread = if started.is_ok() { Thread::Runs } else { Thread::Refused(now + NO_THREAD) };
        started.is_ok()
    }

    /// Writes what waits now; where the kernel takes no more, as long as the other process goes on reading, and no
    /// longer than [`exit`] says.
    pub fn flush_all(&self) {
        let state = self.shared.state.lock();
        let waiting = state.waiting.iter().filter_map(|waiting| waiting.channel.upgrade()).collect();
        drop(state);
        exit::flush(waiting);
    }
}

impl State {
    /// Writes what waits in a channel, in the thread's place. What the kernel does not take is found here at the exit.
    fn flush_at_once(&mut self, channel: &Arc<Channel>, now: Instant) {
        let channel_itself = Arc::downgrade(channel);
        self.waiting.retain(|waiting| !waiting.channel.ptr_eq(&channel_itself));
        if channel.flush_in_time(false).queued > 0 {
            self.waiting.push(Waiting { channel: channel_itself, due: now, interval: SOON });
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
            let is_full =
                |channel: &Weak<Channel>| channel.upgrade().is_some_and(|it| it.flush_in_time(true).queued > 0);
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
    use crate::os::error::Error;
    use crate::os::{faults, socket};
    use nix::errno::Errno;
    use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
    use nix::sys::socket::SockType;
    use std::os::fd::AsFd;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn a_queued_message_leaves_without_an_event_loop() {
        let (near, far) = socket::pair(SockType::Stream).unwrap();
        let channel = Arc::new(Channel::new(near));
        let flusher = Flusher::new(|| Ok(()));
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
        let flusher = Flusher::new(|| Ok(()));
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
        let flusher = Flusher::new(|| Ok(()));
        let large = vec![b'x'; 3_000_000];
        let pushed = channel.push(Kind::Json, None, true, |bytes| bytes.extend_from_slice(&large)).unwrap();
        assert!(pushed.blocked.is_some() && pushed.untold);
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
    fn what_the_kernel_refuses_is_tried_again() {
        let (near, far) = socket::pair(SockType::Stream).unwrap();
        let channel = Arc::new(Channel::new(near));
        let flusher = Flusher::new(|| Ok(()));
        faults::inject(channel.socket(), &[Errno::ETOOMANYREFS; 4]);
        channel.push(Kind::Json, None, true, |bytes| bytes.push(b'1')).unwrap();
        flusher.schedule(&channel);
        poll(&mut [PollFd::new(far.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE).unwrap();
        assert_eq!(faults::next(channel.socket()), None, "all of them were met");
    }

    /// Says that the system has no thread, and counts how often it is asked.
    fn no_thread() -> Result<()> {
        ASKED.fetch_add(1, Ordering::Relaxed);
        Err(Error::os("pthread_create", Errno::EAGAIN))
    }

    static ASKED: AtomicUsize = AtomicUsize::new(0);

    #[test]
    fn without_a_thread_messages_leave_at_once() {
        let (near, far) = socket::pair(SockType::Stream).unwrap();
        let channel = Arc::new(Channel::new(near));
        let send = |flusher: &Flusher| {
            let pushed = channel.push(Kind::Json, None, false, |bytes| bytes.push(b'x')).unwrap();
            assert!(pushed.untold, "it has to be told each time");
            flusher.schedule(&channel);
        };
        let mut flusher = Flusher::new(no_thread);
        for _ in 0..3 {
            send(&flusher);
            assert_eq!(channel.queued(), 0);
        }
        assert_eq!(ASKED.load(Ordering::Relaxed), 1, "not at each message");
        faults::inject(channel.socket(), &[Errno::EAGAIN; 3]);
        for _ in 0..3 {
            send(&flusher);
        }
        assert_eq!(flusher.shared.state.lock().waiting.len(), 1, "for the exit, which finds it once");
        // Now there is one.
        flusher.prepare = || Ok(());
        flusher.shared.state.lock().thread = Thread::Refused(Instant::now());
        send(&flusher);
        let (mut incoming, mut frames) = (Incoming::new(LIMIT), 0);
        while frames < 7 {
            poll(&mut [PollFd::new(far.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE).unwrap();
            incoming.read(far.as_fd()).unwrap();
            while let Some(run) = incoming.next_run().unwrap() {
                frames += run.payloads.len();
            }
        }
        assert!(matches!(flusher.shared.state.lock().thread, Thread::Runs));
    }

    #[test]
    fn the_thread_ends_with_its_handle() {
        let (near, _far) = socket::pair(SockType::Stream).unwrap();
        let flusher = Flusher::new(|| Ok(()));
        flusher.schedule(&Arc::new(Channel::new(near)));
        let shared = Arc::downgrade(&flusher.shared);
        drop(flusher);
        while shared.strong_count() > 0 {
            std::thread::yield_now();
        }
    }
}
