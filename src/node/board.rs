//! A worker's board: kept by the worker's loop, read by the primary.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use napi::bindgen_prelude::*;
use napi_derive::napi;

use super::callback::Callback;
use super::channel::Channel;
use super::uv::{Timer, Turns};
use super::{own, Result};
use crate::processes::board::{now, processor_time, Board as Numbers, Reading};

/// A turn that is shorter is taken for what the clock says. Of a longer one only what the thread had a processor for
/// counts: where many wait for one, each would seem busy.
const SHORT: u64 = 1_000_000;

/// The worker's own board.
#[napi]
pub struct Board {
    numbers: Arc<Numbers>,
    /// Runs as long as the environment.
    _turns: Turns,
}

#[napi]
impl Board {
    /// Takes over the memory, and notes each turn of the loop in it. `sample` is called, when the primary wants to know,
    /// to tell what it finds with `sampled`.
    #[napi(constructor)]
    pub fn new(env: Env, fd: i32, sample: Function<'_>) -> Result<Self> {
        // SAFETY: the descriptor was inherited for this, and JavaScript gives it away.
        let numbers = Arc::new(Numbers::open(&unsafe { own(fd)? })?);
        // SAFETY: we are called by JavaScript, with a function.
        let sample = unsafe { Callback::new(env.raw(), "RUSTCLUSTERBOARD", sample.raw()) };
        // It has the loop turn, and with that its end is told.
        let is_due = Rc::new(Cell::new(false));
        let to_come = Rc::clone(&is_due);
        let due = Timer::new(env.raw(), move || to_come.set(false))?;
        due.set_reference(false);
        let (mut clock, mut sampler) = (Clock::new(), Sampler { sample, due, is_due, last: 0 });
        let board = Arc::clone(&numbers);
        let turns = Turns::new(env.raw(), move |idle| {
            let (now, busy) = clock.turned(idle);
            board.turned(now, busy);
            if let Some(every) = board.sample_every() {
                sampler.turned(now, every);
            }
        })?;
        Ok(Board { numbers, _turns: turns })
    }

    /// Has long strings of the channel's messages take the space behind the board.
    #[napi]
    pub fn share(&self, channel: &Channel) {
        if let Some((to_primary, to_worker)) = self.numbers.spaces() {
            channel.share(to_primary, to_worker);
        }
    }

    /// What a sample has found: open connections, and bytes of the heap.
    #[napi]
    pub fn sampled(&self, open: f64, heap_used: f64) {
        // What is too large or no number for an integer is bounded by the language.
        self.numbers.sampled(open as u64, heap_used as u64);
    }
}

impl Board {
    pub(super) fn numbers(&self) -> Arc<Numbers> {
        Arc::clone(&self.numbers)
    }
}

/// What tells how long a turn was busy.
pub(super) struct Clock {
    turned: u64,
    idle: u64,
    processor: u64,
}

impl Clock {
    pub fn new() -> Clock {
        Clock { turned: now(), idle: 0, processor: processor_time() }
    }

    /// When the turn ended, and for how long it was busy.
    pub fn turned(&mut self, idle: u64) -> (u64, u64) {
        let now = now();
        let mut busy = now.saturating_sub(self.turned).saturating_sub(idle.saturating_sub(self.idle));
        if busy > SHORT {
            let processor = processor_time();
            busy = busy.min(processor.saturating_sub(self.processor));
            self.processor = processor;
        }
        (self.turned, self.idle) = (now, idle);
        (now, busy)
    }
}

/// Has JavaScript sample at the end of a turn: soon after one in which something may have changed, and not too often.
struct Sampler {
    sample: Callback,
    due: Timer,
    /// Whether it is to come.
    is_due: Rc<Cell<bool>>,
    /// When it last did.
    last: u64,
}

impl Sampler {
    fn turned(&mut self, now: u64, every: Duration) {
        let left = every.saturating_sub(Duration::from_nanos(now.saturating_sub(self.last)));
        if left.is_zero() {
            self.last = now;
            self.sample.call_in_scope(&[]);
        } else if !self.is_due.replace(true) {
            self.due.start(u64::try_from(left.as_millis()).unwrap_or(u64::MAX).saturating_add(1));
        }
    }
}

/// What the primary reads: see `src/processes/board.rs`.
#[napi(object, object_from_js = false)]
pub struct BoardReading {
    /// How often the loop has turned; 0: the worker starts.
    pub turns: f64,
    /// How many milliseconds ago it last turned: an idle one, a long time ago.
    pub turned: f64,
    /// The longest turn, in milliseconds, without what it waited for events.
    pub longest_turn: f64,
    /// How many milliseconds something that comes now waits until the loop looks at it, going by its last second.
    pub expected_wait: f64,
    /// Connections taken.
    pub taken: f64,
    /// Connections open, when it was last sampled.
    pub open: f64,
    /// Bytes of JavaScript's heap, when it was last sampled.
    pub heap_used: f64,
}

impl From<Reading> for BoardReading {
    fn from(reading: Reading) -> Self {
        let milliseconds = |duration: Duration| duration.as_secs_f64() * 1e3;
        BoardReading {
            turns: reading.turns as f64,
            turned: milliseconds(reading.turned),
            longest_turn: milliseconds(reading.longest_turn),
            expected_wait: milliseconds(reading.expected_wait),
            taken: reading.taken as f64,
            open: reading.open as f64,
            heap_used: reading.heap_used as f64,
        }
    }
}
