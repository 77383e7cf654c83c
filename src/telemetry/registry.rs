//! The metrics of the application: those who count them, and what they have said.
//!
//! ```text
//!   worker: its own registry ──► text ──► Sheet ◄── read, merged ── the thread that answers
//!                        ▲                                               │
//!                        └── Bell ◄── once a second, while readers come ─┘
//! ```
//!
//! Who reads waits for no worker, and has none write: while readers come each is asked once in [`ROUND`], one after the
//! other, and what it has said is taken in before the next one's turn. So neither do all write at once, nor does a
//! reader find much that is new. The first reader after a while is the exception: all are asked, and what they publish
//! within [`PATIENCE`] is in the answer. One that is not asked does nothing.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::event::{poll, PollFd, PollFlags, Timespec};

use super::exposition::{self, Family, Format, Kind};
use super::merge::{Merge, Slot, WorkerId};
use super::metrics::{family, label, one};
use crate::os::error::Result;
use crate::processes::board::now;
use crate::processes::sheet::{Bell, Heard, Sheet};

/// How often a worker is asked.
const ROUND: Duration = Duration::from_secs(1);

/// For how long the first reader is kept waiting for what the workers are about to say.
const PATIENCE: Duration = Duration::from_millis(5);

/// What a worker has said longer ago is late.
const LATE: Duration = Duration::from_secs(3);

/// For how long workers are asked for one reader.
const LATELY: Duration = Duration::from_secs(180);

/// All workers that may have metrics, and what they and those before them have counted.
#[derive(Debug, Default)]
pub struct Registry {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    merge: Merge,
    workers: BTreeMap<WorkerId, Attached>,
    /// When somebody has read last.
    read: Option<Instant>,
    /// Who was asked last.
    turn: WorkerId,
    refused: u64,
}

/// A worker, as far as its metrics go.
#[derive(Debug)]
struct Attached {
    slot: Slot,
    sheet: Sheet,
    bell: Arc<Bell>,
    /// The number of what was taken in last; when it was said, or the worker came; and whether it was no nonsense.
    taken: u64,
    at: u64,
    made_sense: bool,
    /// Whether it has not answered yet: it is not asked again.
    owes: bool,
}

/// What a worker is given.
#[derive(Debug)]
pub struct Given {
    /// The memory of its [`Sheet`].
    pub sheet: OwnedFd,
    /// Its end of the [`Bell`].
    pub bell: OwnedFd,
}

impl Registry {
    /// A worker is there.
    ///
    /// # Errors
    /// As [`Sheet::new`] and [`Bell::new`].
    pub fn attach(&self, worker: WorkerId, slot: Slot) -> Result<Given> {
        let (sheet, memory) = Sheet::new()?;
        let (bell, theirs) = Bell::new()?;
        let mut state = self.state.lock();
        state.merge.add(worker, slot);
        let mut attached =
            Attached { slot, sheet, bell: Arc::new(bell), taken: 0, at: now(), made_sense: true, owes: false };
        // It may not live until its turn.
        if state.has_readers() {
            attached.ask();
        }
        state.workers.insert(worker, attached);
        Ok(Given { sheet: memory, bell: theirs })
    }

    /// A worker's process has ended. What it has said last counts.
    pub fn ended(&self, worker: WorkerId) {
        let mut state = self.state.lock();
        state.take(worker);
        state.workers.remove(&worker);
        state.merge.remove(worker);
    }

    /// Appends what all have counted, and what each says.
    pub fn append(&self, text: &mut String, format: Format) {
        wait_for(self.begin());
        let mut state = self.state.lock();
        let workers: Vec<WorkerId> = state.workers.keys().copied().collect();
        for worker in workers {
            state.take(worker);
        }
        exposition::append(text, &state.of_ours(), format);
        exposition::append(text, &state.merge.families(format), format);
    }

    /// A reader is there. Where there was none lately all are asked; those who are likely to answer are returned.
    fn begin(&self) -> Vec<Arc<Bell>> {
        let mut state = self.state.lock();
        let had_readers = state.has_readers();
        state.read = Some(Instant::now());
        if had_readers {
            return Vec::new();
        }
        state.workers.values_mut().filter_map(Attached::ask).collect()
    }

    /// Takes in what was answered, and asks the next worker, where there are readers. Returns how long it is until this
    /// is to be done again.
    pub fn go_on(&self) -> Duration {
        let mut state = self.state.lock();
        if !state.has_readers() {
            return ROUND;
        }
        let answered: Vec<WorkerId> =
            state.workers.iter_mut().filter_map(|(id, worker)| worker.hear().then_some(*id)).collect();
        for worker in answered {
            state.take(worker);
        }
        let turn = state.turn;
        let next = state.workers.range(turn.saturating_add(1)..).next().or_else(|| state.workers.first_key_value());
        if let Some(next) = next.map(|(id, _)| *id) {
            state.turn = next;
            state.workers.get_mut(&next).and_then(Attached::ask);
        }
        ROUND / u32::try_from(state.workers.len()).unwrap_or(u32::MAX).max(1)
    }
}

impl Attached {
    /// Asks it, unless it has not answered the last time, or is gone.
    fn ask(&mut self) -> Option<Arc<Bell>> {
        self.hear();
        if self.owes {
            return None;
        }
        self.owes = true;
        self.bell.ring();
        Some(Arc::clone(&self.bell))
    }

    /// Whether it has answered. One that is gone never will.
    fn hear(&mut self) -> bool {
        let has_answered = self.owes && self.bell.hear() == Heard::Ring;
        self.owes &= !has_answered;
        has_answered
    }
}

/// Waits until all have answered, or are gone; not for long. What they have answered is left for the next time.
fn wait_for(mut bells: Vec<Arc<Bell>>) {
    let deadline = Instant::now() + PATIENCE;
    while !bells.is_empty() {
        let left = Timespec::try_from(deadline.saturating_duration_since(Instant::now())).unwrap_or_default();
        let mut looked: Vec<_> = bells.iter().map(|bell| PollFd::new(&**bell, PollFlags::IN)).collect();
        // After an interrupted wait comes the next one, with what is left of the time.
        let found = poll(&mut looked, Some(&left));
        let answered: Vec<bool> = looked.iter().map(|look| !look.revents().is_empty()).collect();
        if found == Ok(0) || left == Timespec::default() {
            return;
        }
        if found.is_ok() {
            let mut answered = answered.into_iter();
            bells.retain(|_| !answered.next().unwrap_or_default());
        }
    }
}

impl State {
    fn has_readers(&self) -> bool {
        self.read.is_some_and(|read| read.elapsed() < LATELY)
    }

    /// Takes in what a worker has published since.
    fn take(&mut self, id: WorkerId) {
        let Some(worker) = self.workers.get_mut(&id).filter(|worker| worker.sheet.published() != worker.taken) else {
            return;
        };
        let Some(published) = worker.sheet.read() else { return };
        worker.taken = published.number;
        worker.at = published.at;
        worker.made_sense = self.merge.take(id, &published.text).is_ok();
        self.refused += u64::from(!worker.made_sense);
    }

    fn of_ours(&self) -> [Family<'static>; 3] {
        let now = now();
        // Of two in a slot, the newer one.
        let by_slot: BTreeMap<Slot, &Attached> = self.workers.values().map(|worker| (worker.slot, worker)).collect();
        let age = |worker: &Attached| Duration::from_nanos(now.saturating_sub(worker.at));
        let each = |value: &dyn Fn(&Attached) -> f64| -> Vec<_> {
            by_slot.iter().map(|(slot, worker)| (label("slot", slot), value(worker))).collect()
        };
        let is_up = |worker: &Attached| worker.taken > 0 && worker.made_sense && age(worker) < LATE;
        [
            family(
                "cluster_worker_metrics_up",
                Kind::Gauge,
                "Whether the worker's own metrics are those of now",
                each(&|worker| f64::from(u8::from(is_up(worker)))),
            ),
            family(
                "cluster_worker_metrics_age_seconds",
                Kind::Gauge,
                "How long ago the worker has said its own metrics",
                each(&|worker| age(worker).as_secs_f64()),
            ),
            one(
                "cluster_worker_metrics_refused_total",
                Kind::Counter,
                "Metrics of workers that were left out, since they are no text of Prometheus or OpenMetrics",
                self.refused as f64,
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Worker {
        sheet: Sheet,
        bell: Bell,
    }

    impl Worker {
        fn new(registry: &Registry, id: WorkerId, slot: Slot) -> Worker {
            let Given { sheet, bell } = registry.attach(id, slot).unwrap();
            Worker { sheet: Sheet::open(&sheet).unwrap(), bell: Bell::open(bell) }
        }

        fn publish(&self, text: &str) {
            assert!(self.sheet.publish(text.as_bytes()));
            self.bell.ring();
        }
    }

    fn scraped(registry: &Registry) -> String {
        let mut text = String::new();
        registry.append(&mut text, Format::Prometheus);
        text
    }

    fn has(text: &str, line: &str) -> bool {
        text.lines().any(|other| other == line)
    }

    #[test]
    fn the_first_reader_asks_all_and_what_they_say_meanwhile_is_in_the_answer() {
        let registry = Registry::default();
        let worker = Worker::new(&registry, 1, 0);
        assert_eq!(worker.bell.hear(), Heard::Nothing, "nobody has asked");
        assert_eq!((registry.go_on(), worker.bell.hear()), (ROUND, Heard::Nothing), "nobody reads");
        let text = std::thread::scope(|scope| {
            let scrape = scope.spawn(|| scraped(&registry));
            while worker.bell.hear() != Heard::Ring {
                std::thread::yield_now();
            }
            worker.publish("# TYPE a counter\na 1\n");
            scrape.join().unwrap()
        });
        // On a busy machine it may have come too late, and is in the next one.
        let text = if has(&text, "a 1") { text } else { scraped(&registry) };
        assert!(has(&text, "a 1") && has(&text, "cluster_worker_metrics_up{slot=\"0\"} 1"), "{text}");
    }

    #[test]
    fn who_reads_again_asks_nobody_and_waits_for_nobody() {
        let registry = Registry::default();
        let workers: Vec<_> = (0..3).map(|number| Worker::new(&registry, number, number)).collect();
        assert_eq!(registry.begin().len(), 3);
        for worker in &workers {
            assert_eq!(worker.bell.hear(), Heard::Ring);
            worker.publish("a 1\n");
        }
        for _ in 0..10 {
            assert_eq!(registry.begin().len(), 0);
            assert!(has(&scraped(&registry), "a{slot=\"2\"} 1"));
        }
        assert!(workers.iter().all(|worker| worker.bell.hear() == Heard::Nothing));
    }

    #[test]
    fn while_somebody_reads_each_is_asked_once_a_round_and_one_at_a_time() {
        let registry = Registry::default();
        let workers: Vec<_> = (0..3).map(|number| Worker::new(&registry, 7 * number, number)).collect();
        let rung = || -> Vec<usize> { (0..3).filter(|&number| workers[number].bell.hear() == Heard::Ring).collect() };
        registry.begin();
        assert_eq!(rung(), [0, 1, 2]);
        workers.iter().for_each(|worker| worker.publish("a 1\n"));
        let mut order = Vec::new();
        for _ in 0..6 {
            assert_eq!(registry.go_on(), ROUND / 3);
            let [one] = rung()[..] else { panic!("not one") };
            workers[one].publish("a 2\n");
            order.push(one);
        }
        assert_eq!(order[..3], order[3..]);
        order.truncate(3);
        order.sort_unstable();
        assert_eq!(order, [0, 1, 2]);
        // What was said is taken in without a reader.
        registry.go_on();
        assert!(registry.state.lock().workers.values().all(|worker| worker.taken == 3));
    }

    #[test]
    fn one_that_does_not_answer_is_late_and_is_asked_once() {
        let registry = Registry::default();
        let worker = Worker::new(&registry, 1, 2);
        let text = scraped(&registry);
        assert!(has(&text, "cluster_worker_metrics_up{slot=\"2\"} 0"), "{text}");
        assert!(text.contains("cluster_worker_metrics_age_seconds{slot=\"2\"} "), "{text}");
        assert_eq!(worker.bell.hear(), Heard::Ring);
        registry.go_on();
        assert_eq!(worker.bell.hear(), Heard::Nothing);
        // Also by one who reads after a while.
        registry.state.lock().read = None;
        assert_eq!(registry.begin().len(), 0);
        worker.publish("a 1\n");
        registry.go_on();
        assert_eq!(worker.bell.hear(), Heard::Ring);
    }

    #[test]
    fn a_killed_one_has_said_what_it_has_said() {
        let registry = Registry::default();
        let worker = Worker::new(&registry, 1, 0);
        worker.publish("# TYPE a counter\na 7\n# TYPE g gauge\ng 1\n");
        drop(worker);
        registry.ended(1);
        let text = scraped(&registry);
        assert!(has(&text, "a 7") && !text.contains("g{") && !text.contains("_up{"), "{text}");
        let next = Worker::new(&registry, 2, 0);
        assert_eq!(next.bell.hear(), Heard::Ring, "somebody asks, and it may not live until the next time");
        next.publish("# TYPE a counter\na 1\n");
        assert!(has(&scraped(&registry), "a 8"));
    }

    #[test]
    fn nonsense_is_told_and_what_was_before_stays() {
        let registry = Registry::default();
        let worker = Worker::new(&registry, 1, 0);
        worker.publish("# TYPE a counter\na 7\n");
        scraped(&registry);
        worker.publish("# TYPE a counter\na seven\n");
        let text = scraped(&registry);
        for line in ["a 7", "cluster_worker_metrics_up{slot=\"0\"} 0", "cluster_worker_metrics_refused_total 1"] {
            assert!(has(&text, line), "{line}: {text}");
        }
    }
}
