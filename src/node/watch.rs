//! A channel's socket on Node's loop: when it is read, and when what waits is tried again.

use std::cell::{Cell, OnceCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;

use napi::sys;

use super::uv::{Poll, Timer, READABLE, WRITABLE};
use crate::messages::channel::{Block, Channel};
use crate::messages::flusher::SELDOM;
use crate::os::error::Result;

/// After how many vain tries a refusal is told: two thirds of a second.
const TELL: u32 = 16;

/// The socket as the loop sees it.
pub struct Watch {
    poll: Poll,
    /// Tries again what the kernel has refused.
    retry: Timer,
    /// How often that was in vain.
    tries: Cell<u32>,
    /// Whether JavaScript wants the channel to keep the loop alive.
    keep: Cell<bool>,
    /// Whether what arrives is to be read.
    reading: Cell<bool>,
    /// Why the kernel takes no more for now, if it does not.
    blocked: Cell<Option<Block>>,
}

/// What the loop calls.
struct Events {
    channel: Arc<Channel>,
    /// Set once it is made.
    watch: OnceCell<Weak<Watch>>,
    readable: Box<dyn Fn()>,
    written: Box<dyn Fn(i32)>,
}

impl Events {
    fn happened(&self, events: i32) {
        let watch = self.watch.get().and_then(Weak::upgrade);
        if events & WRITABLE != 0 {
            // A gone peer is told by the read that finds the end.
            let blocked = self.channel.flush().unwrap_or_default().blocked;
            (self.written)(watch.map_or(0, |watch| watch.tried(blocked)));
        }
        if events & READABLE != 0 {
            (self.readable)();
        }
    }
}

impl Watch {
    /// Watches a channel. `readable` is called when something has arrived; `written` when the loop has tried again to
    /// write what waited, with 0, or once in a row of refusals with the `errno` of them.
    ///
    /// # Errors
    /// [`Error::Os`](crate::os::error::Error::Os).
    pub fn new(
        env: sys::napi_env,
        channel: Arc<Channel>,
        readable: impl Fn() + 'static,
        written: impl Fn(i32) + 'static,
    ) -> Result<Rc<Watch>> {
        let (readable, written) = (Box::new(readable), Box::new(written));
        let events = Rc::new(Events { channel, watch: OnceCell::new(), readable, written });
        let (ready, again) = (Rc::clone(&events), Rc::clone(&events));
        let poll = Poll::new(env, events.channel.socket(), move |what| ready.happened(what))?;
        let retry = Timer::new(env, move || again.happened(WRITABLE))?;
        let watch = Rc::new(Watch {
            poll,
            retry,
            tries: Cell::new(0),
            keep: Cell::new(true),
            reading: Cell::new(true),
            blocked: Cell::new(None),
        });
        watch.apply();
        // It is empty.
        let _ = events.watch.set(Rc::downgrade(&watch));
        Ok(watch)
    }

    /// Whether the channel keeps the loop alive.
    pub fn keeps(&self) -> bool {
        self.keep.get()
    }

    /// Whether it is to. What is watched stays as it is: to begin anew would cost libuv two system calls.
    pub fn keep(&self, keep: bool) {
        self.keep.set(keep);
        self.refer();
    }

    /// Whether what arrives is to be read.
    pub fn read(&self, reading: bool) {
        self.set(&self.reading, reading);
    }

    /// The kernel takes no more. That it does again is told by the loop alone: callbacks wait for it to say so.
    pub fn block(&self, block: Block) {
        self.set(&self.blocked, Some(block));
    }

    /// The loop has tried again: the errno that is to be told, or 0.
    fn tried(&self, blocked: Option<Block>) -> i32 {
        self.blocked.set(blocked);
        let refused = match blocked {
            Some(Block::Refused(errno)) => errno as i32,
            None | Some(Block::Full) => 0,
        };
        self.tries.set(if refused == 0 { 0 } else { self.tries.get() + 1 });
        self.apply();
        if self.tries.get() == TELL {
            refused
        } else {
            0
        }
    }

    fn set<T: PartialEq + Copy>(&self, state: &Cell<T>, value: T) {
        if state.replace(value) != value {
            self.apply();
        }
    }

    /// While something is left to be written the loop stays alive, as it does for a write of libuv's.
    fn refer(&self) {
        self.poll.set_reference(self.keep.get() || self.is_full());
    }

    fn is_full(&self) -> bool {
        self.blocked.get() == Some(Block::Full)
    }

    fn apply(&self) {
        let events = if self.reading.get() { READABLE } else { 0 } | if self.is_full() { WRITABLE } else { 0 };
        if events == 0 {
            self.poll.stop();
        } else {
            self.poll.start(events);
        }
        self.refer();
        if let Some(Block::Refused(_)) = self.blocked.get() {
            let pause = 1_u64.checked_shl(self.tries.get()).unwrap_or(u64::MAX);
            self.retry.start(pause.min(SELDOM.as_millis() as u64));
        } else {
            self.retry.stop();
        }
    }
}
