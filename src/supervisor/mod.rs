//! Which worker is started, replaced or ended, and when: decisions, and nothing else.
//!
//! Events and the time go in, actions come out. There is no clock, no socket and no process in here, so a day of
//! crashes and reloads is a test of some milliseconds, and what it drives is what runs in production.
//!
//! A *slot* is a place, and a worker is who fills it, for a while: its `holder`. By will a slot is filled anew with the
//! replacement first: a `successor` is started beside the holder, and when it is ready, it is the holder, and the old
//! one is told to leave. If it fails, the old one stays. There is one successor at a time in the whole house, whoever
//! wanted it: a stuck worker (`stuck.rs`), a reload (`reload.rs`), or a limit (`recycle.rs`), in this order.
//!
//! What fills a slot against our will, since its holder died, waits: for the slot's back-off, then for the brake.
//!
//! A worker's life is a row of phases (`worker.rs`), and each that could last has an end: booting → not ready in time;
//! draining → SIGTERM; terminating → SIGKILL. A holder is the holder until its process has ended, so its exit code
//! decides what comes next.
//!
//! Each event first changes what it is about; then [`Supervisor::turn`] does what has become possible or due. Whatever
//! comes late, twice or about nobody changes nothing.

mod actions;
mod backoff;
mod brake;
mod events;
mod fill;
mod leave;
mod options;
mod random;
mod ready;
mod recycle;
mod reload;
mod replace;
mod scale;
mod slot;
mod status;
mod stop;
mod stuck;
#[cfg(test)]
mod tests;
mod worker;

use std::collections::BTreeMap;

pub use actions::{Action, Detail, Failure, Report};
pub use events::{Event, Exit};
pub use options::{Budget, Options, Pauses, MOST_SLOTS};
pub use status::{Row, Status};

use brake::Brake;
use random::Random;
use recycle::Wish;
use reload::Reload;
use replace::Replacing;
use scale::Scaling;
use slot::{Holder, Slot, Successor, Vacancy};
use stop::Stopping;
use worker::{Phase, Worker};

/// A time, or a span of time, in milliseconds.
pub type Millis = u64;

/// How many of something that only grows.
pub type Count = u64;

/// The number of a slot, from 0.
pub type SlotNumber = u32;

/// The number of a worker: its `id` in JavaScript.
pub type WorkerId = u32;

/// Where the whole is in its life.
#[derive(Debug)]
enum State {
    New,
    /// No worker has been ready so far; a worker that ends is not started again.
    Starting {
        /// What to end with if none ever is: the code of the first that failed.
        code: Option<i32>,
    },
    Running,
    Stopping(Stopping),
    Stopped,
}

/// The decisions about a set of slots.
#[derive(Debug)]
pub struct Supervisor {
    options: Options,
    now: Millis,
    state: State,
    /// How many slots there are to be. Those after have workers that leave, if any.
    count: u32,
    slots: Vec<Slot>,
    /// All that live.
    workers: BTreeMap<WorkerId, Worker>,
    replacing: Option<Replacing>,
    reload: Option<Reload>,
    scaling: Option<Scaling>,
    /// Who is to be replaced when its turn comes.
    wishes: Vec<Wish>,
    /// The limit of memory was refused.
    memory_refused: bool,
    brake: Brake,
    random: Random,
    actions: Vec<Action>,
}

impl Supervisor {
    /// One that has not begun. The same seed and the same events give the same actions.
    pub fn new(mut options: Options, seed: u64) -> Self {
        options.workers = options.workers.clamp(1, MOST_SLOTS);
        Supervisor {
            now: 0,
            state: State::New,
            count: options.workers,
            slots: Vec::new(),
            workers: BTreeMap::new(),
            replacing: None,
            reload: None,
            scaling: None,
            wishes: Vec::new(),
            memory_refused: false,
            brake: Brake::default(),
            random: Random(seed),
            actions: Vec::new(),
            options,
        }
    }

    /// Goes by other options from now on; only the number of slots stays, which is [`Event::Scale`]'s.
    pub fn configure(&mut self, options: Options) {
        self.options = options;
    }

    /// Takes what has happened by `now`; what is to be done, in this order. A time before the last one counts as that.
    pub fn handle(&mut self, now: Millis, event: Event) -> Vec<Action> {
        self.now = self.now.max(now);
        match event {
            Event::Start => self.start(),
            Event::Forked { slot, worker } => self.forked(slot, worker),
            Event::ForkFailed { slot, why } => self.fork_failed(slot, why),
            Event::Online { worker } => self.online(worker),
            Event::Listening { worker, address } => self.listening(worker, address),
            Event::Ready { worker } => self.said_ready(worker),
            Event::Disconnected { worker } => self.disconnected(worker),
            Event::Exited { worker, exit } => self.exited(worker, &exit),
            Event::Quiet { worker, duration } => self.quiet(worker, duration),
            Event::Memory { worker, bytes } => self.memory(worker, bytes),
            Event::Connections { worker, count } => self.connections(worker, count),
            Event::Time => {}
            Event::Reload { worker } => self.ask_reload(worker),
            Event::Scale { count } => self.scale(count),
            Event::Stop { now } => self.stop(now),
        }
        self.turn();
        std::mem::take(&mut self.actions)
    }

    /// Does what has become possible or due.
    fn turn(&mut self) {
        self.look_who_is_ready();
        self.expire();
        self.age();
        self.fill();
        self.settle_reload();
        self.replace_next();
        self.settle_scaling();
        self.give_up_or_end();
    }

    /// When [`Event::Time`] is wanted next.
    pub fn deadline(&self) -> Option<Millis> {
        let phases = self.workers.values().filter_map(|worker| worker.phase.until());
        let running = matches!(self.state, State::Running);
        let empty = self.slots.iter().filter(|slot| running && slot.successor.is_none());
        let slots = empty.filter_map(|slot| match slot.holder {
            Holder::Nobody(Vacancy::Waiting(at) | Vacancy::Braked(at)) => Some(at),
            _ => None,
        });
        phases.chain(slots).chain(self.next_wish()).chain(self.end_of_delay()).min()
    }

    /// Whether workers are started and replaced.
    fn is_running(&self) -> bool {
        matches!(self.state, State::Starting { .. } | State::Running)
    }

    /// Whether there is to be a worker in a slot.
    fn is_wanted(&self, slot: SlotNumber) -> bool {
        slot < self.count && self.is_running()
    }

    fn slot(&mut self, slot: SlotNumber) -> Option<&mut Slot> {
        self.slots.get_mut(slot as usize)
    }

    /// The worker that fills a slot.
    fn holder(&self, slot: SlotNumber) -> Option<(WorkerId, &Worker)> {
        match self.slots.get(slot as usize)?.holder {
            Holder::Worker(id) => Some((id, self.workers.get(&id)?)),
            _ => None,
        }
    }

    fn holds(&self, id: WorkerId) -> bool {
        self.workers.get(&id).is_some_and(|worker| self.holder(worker.slot).is_some_and(|(holder, _)| holder == id))
    }

    fn succeeds(&self, id: WorkerId) -> bool {
        let slot = self.workers.get(&id).and_then(|worker| self.slots.get(worker.slot as usize));
        slot.is_some_and(|slot| slot.successor == Some(Successor::Worker(id)))
    }

    fn set_phase(&mut self, id: WorkerId, phase: Phase) {
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.phase = phase;
            worker.since = self.now;
        }
    }

    fn act(&mut self, action: Action) {
        self.actions.push(action);
    }

    fn report(&mut self, report: Report) {
        self.actions.push(Action::Report(report));
    }

    /// A report about a worker and its slot.
    fn about(&self, event: &'static str, id: WorkerId) -> Report {
        let report = Report::new(event).worker(id);
        match self.workers.get(&id) {
            Some(worker) => report.slot(worker.slot),
            None => report,
        }
    }
}
