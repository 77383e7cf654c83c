//! The metrics of the application: those who count them, and what they have said.
//!
//! ```text
//!   worker: its own registry ──► text ──► Sheet ◄── read, merged ── a thread that counts ──► Written ◄── who answers
//!                        ▲                                               │                       ▲
//!                        └── Bell ◄── once a second, while readers come ─┘                       └── readers
//! ```
//!
//! Who reads waits for no worker, and has none write: while readers come each is asked once in [`ROUND`], one after the
//! other, and what it has said is taken in before the next one's turn; unasked nobody is heard but by its end. So neither do
//! all write at once, nor can one be read more often than that. The first reader after a while is the exception: all are
//! asked, and what they publish within [`PATIENCE`] is in the answer. One that is not asked does nothing.
//!
//! A thread of its own takes it in and writes it, since that is work, as much as workers have to say: who asks for health
//! waits for none of it. A reader gets what was written for the one before it, and has it written anew for the next one; it
//! waits where that is older than [`FRESH`], or a worker has come or gone since.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use tokio::sync::watch;

use super::exposition::{self, Family, Format, Kind};
use super::merge::{LeftOut, Merge, Slot, WorkerId};
use super::metrics::{family, label, one};
use super::parse::Nonsense;
use crate::os::error::Result;
use crate::processes::board::{now, processor_time};
use crate::processes::sheet::{Bell, Heard, Sheet};

/// How often a worker is asked.
const ROUND: Duration = Duration::from_secs(1);

/// What is written is for readers for so long.
const FRESH: Duration = Duration::from_secs(2);

/// What is written is not written anew before so much time: of the thread's, one in so many goes into it, in these limits.
const SHARE: u32 = 20;
const REST: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(1)];

/// For how long the first reader is kept waiting for what the workers are about to say.
const PATIENCE: Duration = Duration::from_millis(5);

/// For how long a reader waits at most, who gets what there is then.
const LONGEST: Duration = Duration::from_secs(1);

/// What a worker has said longer ago is late.
const LATE: Duration = Duration::from_secs(3);

/// For how long workers are asked for one reader.
const LATELY: Duration = Duration::from_secs(180);

/// All workers that may have metrics, and what they and those before them have counted.
#[derive(Debug, Default)]
pub struct Registry {
    inbox: Mutex<Inbox>,
    /// There is something in it.
    news: Condvar,
    /// The counting thread's, while there is one.
    state: Mutex<State>,
    written: watch::Sender<Arc<Written>>,
    notices: Mutex<VecDeque<Notice>>,
    /// Nanoseconds for which the thread that counts had a processor.
    busy: AtomicU64,
}

/// What the thread that counts is told. Nobody keeps this locked.
#[derive(Debug, Default)]
struct Inbox {
    events: Vec<Event>,
    /// How many there ever were, and readers who had to wait.
    count: u64,
    /// When somebody has read last, by the format.
    read: [Option<Instant>; 2],
    /// Whether it is to be written.
    is_wanted: bool,
    ends: bool,
}

#[derive(Debug)]
enum Event {
    Came(WorkerId, Attached),
    Ended(WorkerId),
}

/// What readers get.
#[derive(Debug, Default)]
pub struct Written {
    /// All that had happened, as the inbox counts it.
    count: u64,
    at: Option<Instant>,
    /// For how long it is not written anew.
    rest: Duration,
    /// What all have counted, and what each says, by the format, where somebody reads that.
    texts: [Option<Bytes>; 2],
    /// The newest worker of each slot.
    seen: BTreeMap<Slot, Seen>,
    refused: u64,
    left_out: BTreeMap<Slot, u64>,
}

/// What is known of a worker's metrics.
#[derive(Debug, Clone, Copy)]
struct Seen {
    /// When it has said them last, or has come.
    at: u64,
    /// Whether it was neither late nor nonsense.
    is_up: bool,
}

/// What the operator is to know: once of each slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notice {
    /// Whose metrics are left out.
    pub worker: WorkerId,
    /// Which, and why.
    pub what: LeftOutOf,
}

/// What is left out of a worker's metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftOutOf {
    /// All that it said at that time.
    Text(Nonsense),
    /// What was new.
    New(LeftOut),
}

#[derive(Debug, Default)]
struct State {
    merge: Merge,
    workers: BTreeMap<WorkerId, Attached>,
    /// When the next worker is to be asked; never, without readers.
    due: Option<Instant>,
    /// Who was asked last.
    turn: WorkerId,
    /// Whether anything was taken in, or has gone, that is not written.
    has_changed: bool,
    refused: u64,
    left_out: BTreeMap<Slot, u64>,
    /// Of which slots there was a notice.
    noticed: BTreeSet<Slot>,
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
        let attached =
            Attached { slot, sheet, bell: Arc::new(bell), taken: 0, at: now(), made_sense: true, owes: false };
        self.tell(Event::Came(worker, attached));
        Ok(Given { sheet: memory, bell: theirs })
    }

    /// A worker's process has ended. What it has said last counts.
    pub fn ended(&self, worker: WorkerId) {
        self.tell(Event::Ended(worker));
    }

    fn tell(&self, event: Event) {
        let mut inbox = self.inbox.lock();
        inbox.count += 1;
        inbox.events.push(event);
        self.news.notify_one();
    }

    /// What there is for a reader of this format: at once, if it is of lately and after all that has happened.
    pub async fn read(&self, format: Format) -> Arc<Written> {
        let mut written = self.written.subscribe();
        if let Some(count) = self.begin(format, Instant::now()) {
            // Whoever is kept waiting for too long gets what there is, and it says how old that is.
            let is_new = |written: &Arc<Written>| written.count >= count;
            let _ = tokio::time::timeout(LONGEST, written.wait_for(is_new)).await;
        }
        let written = written.borrow();
        Arc::clone(&written)
    }

    /// A reader is there. If what is written is not for it, it waits for what is written after this.
    fn begin(&self, format: Format, now: Instant) -> Option<u64> {
        let mut inbox = self.inbox.lock();
        inbox.read[format as usize] = Some(now);
        let written = self.written.borrow();
        let age = written.at.map(|at| now.saturating_duration_since(at));
        let is_there = written.texts[format as usize].is_some() && written.count == inbox.count;
        let waits = !is_there || age.is_none_or(|age| age >= FRESH);
        if waits {
            inbox.count += 1;
        }
        if waits || age.is_none_or(|age| age >= written.rest) {
            inbox.is_wanted = true;
            self.news.notify_one();
        }
        waits.then_some(inbox.count)
    }

    /// The thread that counts, until it is told to end. What it has counted stays for the next one.
    pub(super) fn run(&self) {
        let mut state = self.state.lock();
        while self.wait(state.due) {
            state.go_on(self, Instant::now());
            self.busy.store(processor_time(), Ordering::Relaxed);
        }
        self.inbox.lock().ends = false;
    }

    /// Ends that thread, once.
    pub(super) fn end(&self) {
        self.inbox.lock().ends = true;
        self.news.notify_one();
    }

    /// Waits for something to do; `false`: this is the end.
    fn wait(&self, due: Option<Instant>) -> bool {
        let mut inbox = self.inbox.lock();
        let is_over = |due: Instant| due <= Instant::now();
        while !inbox.ends && !inbox.is_wanted && inbox.events.is_empty() && !due.is_some_and(is_over) {
            match due {
                Some(due) => drop(self.news.wait_until(&mut inbox, due)),
                None => self.news.wait(&mut inbox),
            }
        }
        !inbox.ends
    }

    /// What the operator is to know, and does not yet.
    pub fn next_notice(&self) -> Option<Notice> {
        self.notices.lock().pop_front()
    }

    /// Whether there is any.
    pub fn has_notices(&self) -> bool {
        !self.notices.lock().is_empty()
    }

    /// For how long the thread that counts had a processor.
    pub(super) fn processor_time(&self) -> Duration {
        Duration::from_nanos(self.busy.load(Ordering::Relaxed))
    }
}

impl Written {
    /// What all have counted, and what each says.
    pub fn text(&self, format: Format) -> Bytes {
        self.texts[format as usize].clone().unwrap_or_default()
    }

    /// What is known of it.
    pub fn families(&self) -> [Family<'static>; 4] {
        let is_late = self.at.is_none_or(|at| at.elapsed() >= LATE);
        let each = |value: &dyn Fn(&Seen) -> f64| -> Vec<_> {
            self.seen.iter().map(|(slot, seen)| (label("slot", slot), value(seen))).collect()
        };
        [
            family(
                "cluster_worker_metrics_up",
                Kind::Gauge,
                "Whether the worker's own metrics are those of now",
                each(&|seen| f64::from(u8::from(seen.is_up && !is_late))),
            ),
            family(
                "cluster_worker_metrics_age_seconds",
                Kind::Gauge,
                "How long ago the worker has said its own metrics",
                each(&|seen| since(seen.at).as_secs_f64()),
            ),
            one(
                "cluster_worker_metrics_refused_total",
                Kind::Counter,
                "Metrics of workers that were left out, since they are no text of Prometheus or OpenMetrics",
                self.refused as f64,
            ),
            family(
                "cluster_worker_metrics_dropped_total",
                Kind::Counter,
                "Metrics of the slot's workers that were left out when they were new, since there are too many",
                self.left_out.iter().map(|(slot, count)| (label("slot", slot), *count as f64)),
            ),
        ]
    }
}

impl State {
    /// Takes in what was said, asks who is to be asked, and writes what is awaited.
    fn go_on(&mut self, registry: &Registry, now: Instant) {
        let (events, count, read, is_wanted) = {
            let mut inbox = registry.inbox.lock();
            (std::mem::take(&mut inbox.events), inbox.count, inbox.read, std::mem::take(&mut inbox.is_wanted))
        };
        let has_read =
            |lately: Duration| read.map(|read| read.is_some_and(|read| now.saturating_duration_since(read) < lately));
        let has_readers = has_read(LATELY).contains(&true);
        for event in events {
            self.learn(event, has_readers, registry);
        }
        if !has_readers {
            self.due = None;
        } else if self.due.is_none() {
            wait_for(self.workers.values_mut().filter_map(Attached::ask).collect());
            self.hear(registry);
            self.due = Some(now + self.pause());
        } else {
            self.hear(registry);
            self.ask_next(now);
        }
        // Who found it old while it was written has it.
        let is_due = {
            let written = registry.written.borrow();
            written.count < count || written.at.is_none_or(|at| now.saturating_duration_since(at) >= written.rest)
        };
        if is_wanted && is_due {
            self.write(registry, count, has_read(FRESH), now);
        }
    }

    fn learn(&mut self, event: Event, has_readers: bool, registry: &Registry) {
        self.has_changed = true;
        match event {
            Event::Came(id, mut worker) => {
                self.merge.add(id, worker.slot);
                self.left_out.entry(worker.slot).or_default();
                // It may not live until its turn.
                if has_readers {
                    worker.ask();
                }
                self.workers.insert(id, worker);
            }
            Event::Ended(id) => {
                self.take(id, registry);
                self.workers.remove(&id);
                self.merge.remove(id);
            }
        }
    }

    /// Takes in what was answered.
    fn hear(&mut self, registry: &Registry) {
        let answered: Vec<WorkerId> =
            self.workers.iter_mut().filter_map(|(id, worker)| worker.hear().then_some(*id)).collect();
        for worker in answered {
            self.take(worker, registry);
        }
    }

    /// Asks the next worker, if that is due.
    fn ask_next(&mut self, now: Instant) {
        if self.due.is_none_or(|due| due > now) {
            return;
        }
        let after = self.turn.saturating_add(1);
        let next = self.workers.range(after..).next().or_else(|| self.workers.first_key_value());
        if let Some(next) = next.map(|(id, _)| *id) {
            self.turn = next;
            self.workers.get_mut(&next).and_then(Attached::ask);
        }
        self.due = Some(now + self.pause());
    }

    fn pause(&self) -> Duration {
        ROUND / u32::try_from(self.workers.len()).unwrap_or(u32::MAX).max(1)
    }

    /// Takes in what a worker has published since.
    fn take(&mut self, id: WorkerId, registry: &Registry) {
        let Some(worker) = self.workers.get_mut(&id).filter(|worker| worker.sheet.published() != worker.taken) else {
            return;
        };
        let Some(published) = worker.sheet.read() else { return };
        worker.taken = published.number;
        worker.at = published.at;
        let taken = self.merge.take(id, &published.text);
        worker.made_sense = taken.is_ok();
        self.has_changed = true;
        let slot = worker.slot;
        let what = match taken {
            Ok(None) => return,
            Ok(Some(left_out)) => {
                *self.left_out.entry(slot).or_default() += left_out.count;
                LeftOutOf::New(left_out)
            }
            Err(nonsense) => {
                self.refused += 1;
                LeftOutOf::Text(nonsense)
            }
        };
        if self.noticed.insert(slot) {
            registry.notices.lock().push_back(Notice { worker: id, what });
        }
    }

    /// Writes it for readers of these formats.
    fn write(&mut self, registry: &Registry, count: u64, formats: [bool; 2], now: Instant) {
        let begun = processor_time();
        let before = registry.written.borrow().clone();
        let text = |format: Format| {
            let is_as_before = !self.has_changed && before.texts[format as usize].is_some();
            let text = || if is_as_before { before.text(format) } else { self.text(format) };
            formats[format as usize].then(text)
        };
        let texts = [text(Format::Prometheus), text(Format::OpenMetrics)];
        // Of two in a slot, the newer one.
        let seen = |worker: &Attached| {
            let is_up = worker.taken > 0 && worker.made_sense && since(worker.at) < LATE;
            (worker.slot, Seen { at: worker.at, is_up })
        };
        let took = Duration::from_nanos(processor_time().saturating_sub(begun));
        registry.written.send_replace(Arc::new(Written {
            count,
            at: Some(now),
            rest: (SHARE * took).clamp(REST[0], REST[1]),
            texts,
            seen: self.workers.values().map(seen).collect(),
            refused: self.refused,
            left_out: self.left_out.clone(),
        }));
        self.has_changed = false;
    }

    fn text(&self, format: Format) -> Bytes {
        let mut text = String::new();
        exposition::append(&mut text, &self.merge.families(format), format);
        text.into()
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

/// How long ago that was, as boards have the time.
fn since(at: u64) -> Duration {
    Duration::from_nanos(now().saturating_sub(at))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::merge::Bound;

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

    /// The thread that counts has its turn.
    fn go_on(registry: &Registry, now: Instant) {
        registry.state.lock().go_on(registry, now);
    }

    fn text_of(written: &Written, format: Format) -> String {
        let mut text = String::new();
        exposition::append(&mut text, &written.families(), format);
        text.push_str(std::str::from_utf8(&written.text(format)).unwrap());
        text
    }

    /// What a reader of that moment has written.
    fn scraped_at(registry: &Registry, now: Instant) -> String {
        registry.begin(Format::Prometheus, now);
        go_on(registry, now);
        let written = registry.written.borrow();
        text_of(&written, Format::Prometheus)
    }

    fn scraped(registry: &Registry) -> String {
        scraped_at(registry, Instant::now() + FRESH)
    }

    fn has(text: &str, line: &str) -> bool {
        text.lines().any(|other| other == line)
    }

    #[test]
    fn the_first_reader_asks_all_and_what_they_say_meanwhile_is_in_the_answer() {
        let registry = Registry::default();
        let worker = Worker::new(&registry, 1, 0);
        go_on(&registry, Instant::now());
        assert_eq!(worker.bell.hear(), Heard::Nothing, "nobody reads");
        assert_eq!(registry.state.lock().due, None, "and nothing is done");
        let text = std::thread::scope(|scope| {
            let scrape = scope.spawn(|| scraped(&registry));
            while worker.bell.hear() != Heard::Ring {
                std::thread::yield_now();
            }
            worker.publish("# TYPE a counter\na 1\n");
            scrape.join().unwrap()
        });
        // On a busy machine it may have come too late, and is in the next one.
        let text = if has(&text, "a 1") { text } else { scraped_at(&registry, Instant::now() + 2 * FRESH) };
        assert!(has(&text, "a 1") && has(&text, "cluster_worker_metrics_up{slot=\"0\"} 1"), "{text}");
    }

    #[test]
    fn who_reads_again_asks_nobody_and_waits_for_nobody() {
        let (registry, start) = (Registry::default(), Instant::now());
        let workers: Vec<_> = (0..3).map(|number| Worker::new(&registry, number, number)).collect();
        scraped_at(&registry, start);
        for worker in &workers {
            assert_eq!(worker.bell.hear(), Heard::Ring);
            worker.publish("a 1\n");
        }
        for number in 0..10 {
            // Before it is the next worker's turn.
            let now = start + REST[0] + Duration::from_millis(number);
            assert_eq!(registry.begin(Format::Prometheus, now), None);
            go_on(&registry, now);
        }
        let written = Arc::clone(&registry.written.borrow());
        assert!(has(&text_of(&written, Format::Prometheus), "a{slot=\"2\"} 1"));
        assert_eq!(written.at, Some(start + REST[0]), "once for all of them");
        assert!(workers.iter().all(|worker| worker.bell.hear() == Heard::Nothing));
    }

    #[test]
    fn a_reader_gets_what_was_written_for_the_one_before_and_nothing_old() {
        let (registry, start) = (Registry::default(), Instant::now());
        let worker = Worker::new(&registry, 1, 0);
        worker.publish("# TYPE a counter\na 1\n");
        let waits = |now| {
            let waits = registry.begin(Format::Prometheus, now);
            go_on(&registry, now);
            waits.is_some()
        };
        assert!(waits(start), "there was nothing");
        assert!(!waits(start + REST[0]));
        assert!(!waits(start + REST[0] + FRESH / 2));
        assert!(waits(start + REST[0] + FRESH / 2 + FRESH), "it is old");
        assert!(registry.begin(Format::OpenMetrics, start + 3 * FRESH).is_some(), "nobody has read that");
        go_on(&registry, start + 3 * FRESH);
        assert!(waits(start + 3 * FRESH), "nobody has read the other one lately");
        assert!(!waits(start + 3 * FRESH));
        registry.ended(1);
        assert!(waits(start + 3 * FRESH), "something has happened");
        assert!(registry.written.borrow().seen.is_empty());
    }

    #[test]
    fn while_somebody_reads_each_is_asked_once_a_round_and_one_at_a_time() {
        let (registry, start) = (Registry::default(), Instant::now());
        let workers: Vec<_> = (0..3).map(|number| Worker::new(&registry, 7 * number, number)).collect();
        let rung = || -> Vec<usize> { (0..3).filter(|&number| workers[number].bell.hear() == Heard::Ring).collect() };
        scraped_at(&registry, start);
        assert_eq!(rung(), [0, 1, 2]);
        workers.iter().for_each(|worker| worker.publish("a 1\n"));
        let mut order = Vec::new();
        for number in 1..=6 {
            go_on(&registry, start + number * (ROUND / 3));
            let [one] = rung()[..] else { panic!("not one") };
            workers[one].publish("a 2\n");
            order.push(one);
            // Whoever else has something to do meanwhile.
            go_on(&registry, start + number * (ROUND / 3) + Duration::from_millis(1));
            assert!(rung().is_empty());
        }
        assert_eq!(order[..3], order[3..]);
        order.truncate(3);
        order.sort_unstable();
        assert_eq!(order, [0, 1, 2]);
        // What was said is taken in without a reader.
        assert!(registry.state.lock().workers.values().all(|worker| worker.taken == 3));
        go_on(&registry, start + LATELY);
        assert_eq!((registry.state.lock().due, rung()), (None, vec![]), "nobody reads any more");
    }

    #[test]
    fn of_those_who_say_more_than_they_are_asked_for_no_more_is_read() {
        const ROUNDS: u32 = 3;
        let (registry, start) = (Registry::default(), Instant::now());
        let workers: Vec<_> = (0..3).map(|number| Worker::new(&registry, number, number)).collect();
        let (hostile, good) = workers.split_at(2);
        let mut taken: BTreeMap<WorkerId, BTreeSet<u64>> = BTreeMap::new();
        let mut number = 0;
        let mut now = start;
        while now < start + ROUNDS * ROUND {
            number += 1;
            hostile.iter().for_each(|worker| worker.publish(&format!("# TYPE h counter\nh{{n=\"{number}\"}} 1\n")));
            if good[0].bell.hear() == Heard::Ring {
                good[0].publish(&format!("# TYPE g counter\ng {number}\n"));
            }
            registry.begin(Format::Prometheus, now);
            go_on(&registry, now);
            for (id, worker) in &registry.state.lock().workers {
                taken.entry(*id).or_default().insert(worker.taken);
            }
            now += ROUND / 100;
        }
        // The first reader asks, and then one is asked once in a round; and before there was nothing.
        assert!(taken.values().all(|taken| taken.len() <= ROUNDS as usize + 2), "{taken:?}");
        assert!(taken.values().all(|taken| taken.len() >= ROUNDS as usize), "{taken:?}");
        let text = scraped_at(&registry, now + FRESH);
        assert!(text.lines().any(|line| line.starts_with("g ")), "{text}");
    }

    #[test]
    fn one_that_does_not_answer_is_late_and_is_asked_once() {
        let (registry, start) = (Registry::default(), Instant::now());
        let worker = Worker::new(&registry, 1, 2);
        let text = scraped_at(&registry, start);
        assert!(has(&text, "cluster_worker_metrics_up{slot=\"2\"} 0"), "{text}");
        assert!(text.contains("cluster_worker_metrics_age_seconds{slot=\"2\"} "), "{text}");
        assert_eq!(worker.bell.hear(), Heard::Ring);
        go_on(&registry, start + ROUND);
        assert_eq!(worker.bell.hear(), Heard::Nothing);
        // Also by one who reads after a while.
        go_on(&registry, start + 2 * LATELY);
        scraped_at(&registry, start + 2 * LATELY);
        assert_eq!(worker.bell.hear(), Heard::Nothing);
        worker.publish("a 1\n");
        go_on(&registry, start + 2 * LATELY + ROUND);
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
        go_on(&registry, Instant::now());
        assert_eq!(next.bell.hear(), Heard::Ring, "somebody asks, and it may not live until the next time");
        next.publish("# TYPE a counter\na 1\n");
        assert!(has(&scraped_at(&registry, Instant::now() + 2 * FRESH), "a 8"));
    }

    #[test]
    fn what_is_left_out_is_counted_and_told_once_of_a_slot() {
        let (registry, mut now) = (Registry::default(), Instant::now());
        let worker = Worker::new(&registry, 1, 0);
        let mut says = |text: &str| {
            worker.publish(text);
            now += FRESH;
            scraped_at(&registry, now)
        };
        says("");
        says("# TYPE a counter\na 7\n");
        assert_eq!(registry.next_notice(), None);
        let text = says("# TYPE a counter\na seven\n");
        for line in ["a 7", "cluster_worker_metrics_up{slot=\"0\"} 0", "cluster_worker_metrics_refused_total 1"] {
            assert!(has(&text, line), "{line}: {text}");
        }
        let notice = Notice { worker: 1, what: LeftOutOf::Text(Nonsense::Line) };
        assert_eq!(registry.next_notice(), Some(notice));
        let buckets: String = (0..1001).map(|le| format!("t_bucket{{le=\"{le}\"}} 1\n")).collect();
        let text = says(&format!("# TYPE t histogram\n{buckets}"));
        assert!(has(&text, "cluster_worker_metrics_dropped_total{slot=\"0\"} 1"), "{text}");
        assert_eq!(registry.next_notice(), None, "it is known");
        let other = Worker::new(&registry, 2, 1);
        other.publish(&format!("# TYPE t histogram\n{buckets}"));
        registry.ended(2);
        let text = says("");
        assert!(has(&text, "cluster_worker_metrics_dropped_total{slot=\"1\"} 1"), "{text}");
        let what = LeftOutOf::New(LeftOut { count: 1, bound: Bound::Histogram });
        assert_eq!(registry.next_notice(), Some(Notice { worker: 2, what }));
    }

    #[test]
    fn readers_get_what_the_thread_writes_and_after_its_end_what_there_is() {
        let registry = Registry::default();
        let worker = Worker::new(&registry, 1, 0);
        worker.publish("# TYPE a counter\na 7\n");
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let read = || text_of(&runtime.block_on(registry.read(Format::Prometheus)), Format::Prometheus);
        let with_a_thread = |body: &dyn Fn()| {
            std::thread::scope(|scope| {
                let thread = scope.spawn(|| registry.run());
                body();
                registry.end();
                thread.join().unwrap();
            });
        };
        with_a_thread(&|| {
            registry.ended(1);
            while !has(&read(), "a 7") {}
        });
        let second = Worker::new(&registry, 2, 0);
        assert!(has(&read(), "a 7"), "nobody writes it anew");
        second.publish("# TYPE a counter\na 1\n");
        registry.ended(2);
        with_a_thread(&|| while !has(&read(), "a 8") {});
    }
}
