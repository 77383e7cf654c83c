//! The metrics of the application: those who count them, and what they have said.
//!
//! ```text
//!   worker: its own registry ──► text ──► Sheet ◄── read, merged ── the thread that answers
//!                        ▲                                               │
//!                        └─────────────── Bell ◄─── a reader is there ───┘
//! ```
//!
//! Who reads is not kept waiting: what a worker publishes within [`PATIENCE`] is in it, of others what they have said
//! last. One that is not asked does nothing.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::event::{poll, PollFd, PollFlags, Timespec};

use super::exposition::{Family, Format, Kind, Part, Sample};
use super::merge::{Merge, Slot, WorkerId};
use crate::os::error::Result;
use crate::processes::board::now;
use crate::processes::sheet::{Bell, Heard, Sheet};

/// For how long a reader is kept waiting for what the workers are about to say.
const PATIENCE: Duration = Duration::from_millis(5);

/// What a worker has said longer ago is late: one that was asked lately says it once a second.
const LATE: Duration = Duration::from_secs(3);

/// One that comes when somebody has asked within this time is asked at once.
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
    /// When somebody asked last.
    asked: Option<Instant>,
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
    /// Whether it has not answered yet: it is not waited for again.
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
        if state.asked.is_some_and(|asked| asked.elapsed() < LATELY) {
            bell.ring();
        }
        let bell = Arc::new(bell);
        state.merge.add(worker, slot);
        let attached = Attached { slot, sheet, bell, taken: 0, at: now(), made_sense: true, owes: false };
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

    /// What all have counted, and what each says.
    pub fn families(&self, format: Format) -> Vec<Family> {
        wait_for(self.ask());
        let mut state = self.state.lock();
        let workers: Vec<WorkerId> = state.workers.keys().copied().collect();
        for worker in workers {
            state.take(worker);
        }
        let mut families = state.of_ours();
        families.append(&mut state.merge.families(format));
        families
    }

    /// Asks all, and returns those who are likely to answer.
    fn ask(&self) -> Vec<Arc<Bell>> {
        let mut state = self.state.lock();
        state.asked = Some(Instant::now());
        let mut asked = Vec::new();
        for worker in state.workers.values_mut() {
            let heard = worker.bell.hear();
            worker.owes &= heard == Heard::Nothing;
            if !worker.owes && heard != Heard::End {
                asked.push(Arc::clone(&worker.bell));
                worker.owes = true;
                worker.bell.ring();
            }
        }
        asked
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

    fn of_ours(&self) -> Vec<Family> {
        let now = now();
        // Of two in a slot, the newer one.
        let by_slot: BTreeMap<Slot, &Attached> = self.workers.values().map(|worker| (worker.slot, worker)).collect();
        let age = |worker: &Attached| Duration::from_nanos(now.saturating_sub(worker.at));
        let each = |value: &dyn Fn(&Attached) -> f64| {
            let sample = |(slot, worker): (&Slot, &&Attached)| {
                let labels = vec![("slot".to_owned(), slot.to_string())];
                Sample { part: Part::Value, labels, value: value(worker) }
            };
            by_slot.iter().map(sample).collect()
        };
        let is_up = |worker: &Attached| worker.taken > 0 && worker.made_sense && age(worker) < LATE;
        let refused = Sample { part: Part::Value, labels: Vec::new(), value: self.refused as f64 };
        vec![
            family(
                "cluster_worker_metrics_up",
                "Whether the worker's own metrics are those of now",
                Kind::Gauge,
                each(&|worker| f64::from(u8::from(is_up(worker)))),
            ),
            family(
                "cluster_worker_metrics_age_seconds",
                "How long ago the worker has said its own metrics",
                Kind::Gauge,
                each(&|worker| age(worker).as_secs_f64()),
            ),
            family(
                "cluster_worker_metrics_refused_total",
                "Metrics of workers that were left out, since they are no text of Prometheus or OpenMetrics",
                Kind::Counter,
                vec![refused],
            ),
        ]
    }
}

fn family(name: &str, help: &str, kind: Kind, samples: Vec<Sample>) -> Family {
    Family { name: name.into(), help: help.into(), kind, samples }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::exposition::append;

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
        append(&mut text, &registry.families(Format::Prometheus), Format::Prometheus);
        text
    }

    fn has(text: &str, line: &str) -> bool {
        text.lines().any(|other| other == line)
    }

    #[test]
    fn a_worker_is_asked_and_what_it_says_meanwhile_is_in_it() {
        let registry = Registry::default();
        let worker = Worker::new(&registry, 1, 0);
        assert_eq!(worker.bell.hear(), Heard::Nothing, "nobody has asked");
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
    fn one_that_does_not_answer_is_late_and_is_waited_for_once() {
        let registry = Registry::default();
        let _worker = Worker::new(&registry, 1, 2);
        let text = scraped(&registry);
        assert!(has(&text, "cluster_worker_metrics_up{slot=\"2\"} 0"), "{text}");
        assert!(text.contains("cluster_worker_metrics_age_seconds{slot=\"2\"} "), "{text}");
        assert_eq!(registry.ask().len(), 0);
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
