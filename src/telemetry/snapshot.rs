//! All that is known at one time: what `/status` says, and what metrics and health are made of.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::table::{self, State, Worker};
use super::totals::Totals;
use super::Shared;
use crate::bus::figures::Figures as Bus;
use crate::connections::acceptor::{Figures, Handed, WorkerFigures};
use crate::connections::policy::WorkerId;
use crate::connections::sticky::Slot;
use crate::processes::board::{now, WAITS};

/// Queues are looked at every 25 ms: what has waited for less may have just come.
const SHORT: Duration = Duration::from_millis(50);

/// A primary whose loop has not turned for so long is stuck. It is made to turn twice a second.
pub(super) const LATE: Duration = Duration::from_secs(2);

/// One that was stuck for so long, and has no worker that serves, is not alive.
pub(super) const DEAD: Duration = Duration::from_secs(60);

/// All that is known.
#[derive(Debug, Serialize)]
pub struct Snapshot {
    /// Milliseconds since 1970.
    pub time: u64,
    /// Seconds since the thread was started.
    pub uptime: f64,
    /// Of this package.
    pub version: &'static str,
    /// Of Node.
    pub node: String,
    /// Of the primary.
    pub pid: u32,
    /// See [`Snapshot::liveness`].
    pub live: bool,
    /// See [`Snapshot::readiness`].
    pub ready: bool,
    /// Why it is not ready, and what is not as it should be though it is.
    pub reasons: Vec<String>,
    /// The primary.
    pub primary: Primary,
    /// The thread that accepts connections; without it (`SCHED_NONE`) all is 0.
    pub acceptor: Acceptor,
    /// The bus; null where nobody uses it.
    pub bus: Option<Bus>,
    /// Every slot that was ever filled.
    pub slots: Vec<SlotStatus>,
    /// How often a worker was started.
    pub starts: u64,
    /// How often one ended, by cause.
    pub exits: BTreeMap<String, u64>,
    /// How often one was found stuck.
    pub stuck_episodes: u64,
    /// The last reload, if there was any.
    pub reload: Option<Reload>,
    /// How many workers there are in each state.
    pub states: BTreeMap<&'static str, usize>,
    /// The thread that answers.
    pub telemetry: Thread,
}

/// The primary.
#[derive(Debug, Serialize)]
pub struct Primary {
    /// Whether its loop has not turned for a while.
    pub stuck: bool,
    /// Seconds that something waits for its loop, going by the last second; or has waited, if it does not turn.
    pub lag: f64,
    /// How much of the last second its loop was busy.
    pub utilization: f64,
    /// Seconds for which its threads had a processor.
    pub cpu: f64,
    /// Bytes of its memory.
    pub rss: u64,
}

/// A thread of ours.
#[derive(Debug, Serialize)]
pub struct Thread {
    /// Seconds for which it had a processor.
    pub cpu: f64,
}

/// The thread that accepts connections.
#[derive(Debug, Default, Serialize)]
pub struct Acceptor {
    /// Seconds for which it had a processor; null where the system does not say.
    pub cpu: Option<f64>,
    /// Connections accepted.
    pub accepted: u64,
    /// Put into workers' queues: again, if one was taken back or refused before.
    pub handed: u64,
    /// Taken out of queues again, of workers that died, were stuck or left.
    pub taken_back: u64,
    /// Given back by workers that had no room.
    pub refused: u64,
    /// Passed on by workers, since their next request is another's.
    pub passed_on: u64,
    /// Closed since nobody could have them.
    pub dropped: u64,
    /// Accepted, and nobody takes them for now.
    pub waiting: usize,
    /// Accepted, and their clients are to say something first.
    pub parked: usize,
    /// Where workers listen.
    pub ports: Vec<Port>,
    /// From the accept until a worker takes it.
    pub take_seconds: Histogram,
}

/// Where workers listen.
#[derive(Debug, Serialize)]
pub struct Port {
    /// As a person writes it.
    pub address: String,
    /// Connections accepted.
    pub accepted: u64,
    /// Those that nobody takes for now.
    pub waiting: usize,
}

/// Counts by size.
#[derive(Debug, Default, Serialize)]
pub struct Histogram {
    /// The largest of each, and how many there are up to it. All of them are `count`.
    pub buckets: Vec<(f64, u64)>,
    /// The sum of all.
    pub sum: f64,
    /// How many there are.
    pub count: u64,
}

/// A slot, its newest worker, and what all that have filled it have come to.
#[derive(Debug, Default, Serialize)]
pub struct SlotStatus {
    /// Its number.
    pub slot: Slot,
    /// The newest worker in it.
    pub worker: Option<WorkerId>,
    /// That one's process.
    pub pid: Option<i32>,
    /// How often the slot was filled.
    pub generation: u64,
    /// "starting", "ready", "draining", "stuck" or "empty".
    pub state: &'static str,
    /// Since when, in milliseconds since 1970.
    pub since: u64,
    /// Connections open.
    pub open: u64,
    /// Connections handed to its workers, taken out again, refused by them, and passed on: their next request is another's.
    pub handed: u64,
    /// See `handed`.
    pub taken_back: u64,
    /// See `handed`.
    pub refused: u64,
    /// See `handed`.
    pub passed_on: u64,
    /// Connections taken.
    pub taken: u64,
    /// What waits in its queues.
    pub queued: usize,
    /// Seconds that something waits for its loop, going by the last second; or has waited, if it takes nothing.
    pub lag: f64,
    /// The longest turn of its loop, in seconds.
    pub longest_turn: f64,
    /// How much of the last second its loop was busy.
    pub utilization: f64,
    /// Seconds for which its loops were busy.
    pub busy: f64,
    /// Bytes of JavaScript's heap.
    pub heap: u64,
    /// Bytes of memory.
    pub rss: u64,
    /// Seconds for which its processes had a processor.
    pub cpu: f64,
    /// How often it was found stuck.
    pub stuck_episodes: u64,
    /// Over its channels.
    pub messages: Messages,
}

/// Messages, as the primary sees them.
#[derive(Debug, Default, Serialize)]
pub struct Messages {
    /// To the workers.
    pub sent: u64,
    /// From the workers.
    pub received: u64,
    /// To the workers.
    pub bytes_sent: u64,
    /// From the workers.
    pub bytes_received: u64,
    /// What the system does not take, since the worker does not read.
    pub queued_bytes: u64,
}

/// How far a reload has come.
#[derive(Debug, Serialize)]
pub struct Reload {
    /// "running" or "idle".
    pub state: &'static str,
    /// How many slots are filled anew.
    pub done: u32,
    /// How many there are.
    pub of: u32,
}

/// What `/livez` says.
#[derive(Debug, Serialize)]
pub struct Liveness<'a> {
    live: bool,
    primary: &'a Primary,
    serving: usize,
}

/// What `/readyz` says.
#[derive(Debug, Serialize)]
pub struct Readiness<'a> {
    ready: bool,
    reasons: &'a [String],
    workers: &'a BTreeMap<&'static str, usize>,
}

impl Snapshot {
    /// Whether it lives, and how that is known. The primary may be busy for long while its workers serve: to end it
    /// would end them. One that is stuck and has nobody who serves does nothing any more.
    pub fn liveness(&self) -> (bool, Liveness<'_>) {
        (self.live, Liveness { live: self.live, primary: &self.primary, serving: self.count("ready") })
    }

    /// Whether it is to get requests, and why not.
    pub fn readiness(&self) -> (bool, Readiness<'_>) {
        (self.ready, Readiness { ready: self.ready, reasons: &self.reasons, workers: &self.states })
    }

    fn count(&self, state: &str) -> usize {
        self.states.get(state).copied().unwrap_or_default()
    }

    /// Looks at everything.
    pub(super) fn take(shared: &Shared) -> Snapshot {
        let acceptor = shared.acceptor();
        let figures = acceptor.as_ref().map(|acceptor| acceptor.figures()).unwrap_or_default();
        let mut table = shared.table.lock();
        for worker in table.workers.values_mut() {
            worker.look();
            if worker.usage.is_none() {
                worker.look_at_process();
            }
        }
        let workers = table.workers.iter().map(|(id, worker)| (*id, Seen::new(*id, worker, &figures))).collect();
        let slots: Vec<_> = table.slots.keys().map(|slot| slot_status(*slot, &table, &workers, &figures)).collect();
        let mut states = BTreeMap::from(["starting", "ready", "draining", "stuck"].map(|state| (state, 0)));
        for seen in workers.values() {
            *states.entry(seen.state).or_default() += 1;
        }
        let mut snapshot = Snapshot {
            time: table::wall_clock(),
            uptime: shared.started.elapsed().as_secs_f64(),
            version: env!("CARGO_PKG_VERSION"),
            node: shared.options.node.clone(),
            pid: std::process::id(),
            live: true,
            ready: false,
            reasons: Vec::new(),
            primary: shared.primary(),
            acceptor: acceptor_status(
                &figures,
                acceptor.as_ref().and_then(|acceptor| acceptor.processor_time()),
                &table,
            ),
            bus: shared.bus(),
            starts: table.starts,
            exits: table.exits.clone(),
            stuck_episodes: slots.iter().map(|slot| slot.stuck_episodes).sum(),
            reload: table.reload.map(|reload| Reload {
                state: if reload.is_running { "running" } else { "idle" },
                done: reload.done,
                of: reload.of,
            }),
            slots,
            states,
            telemetry: Thread { cpu: shared.processor_time() },
        };
        snapshot.judge(table.is_stopping);
        snapshot
    }

    /// Whether it is alive, whether it is ready, and why not.
    fn judge(&mut self, is_stopping: bool) {
        let serving = self.count("ready");
        self.live = serving > 0 || self.primary.lag < DEAD.as_secs_f64();
        self.ready = serving > 0 && !is_stopping;
        if is_stopping {
            self.reasons.push("stopping".into());
        }
        if self.slots.is_empty() {
            self.reasons.push("no worker was started yet".into());
        }
        for slot in self.slots.iter().filter(|slot| slot.state != "ready") {
            self.reasons.push(format!("slot {}: {}", slot.slot, slot.state));
        }
        if self.primary.stuck {
            self.reasons.push(format!("the primary's loop has not turned for {:.0} s", self.primary.lag));
        }
    }
}

/// What is seen of a worker now.
struct Seen {
    state: &'static str,
    queued: usize,
    lag: f64,
    longest_turn: f64,
    open: u64,
    heap: u64,
    rss: u64,
}

impl Seen {
    fn new(id: WorkerId, worker: &Worker, figures: &Figures) -> Seen {
        let accepted = figures.workers.get(&id);
        let reading = worker.board.as_ref().map(|board| board.read(now()));
        let quiet = accepted.map_or(Duration::ZERO, |figures| figures.quiet);
        let wait = reading.map_or(Duration::ZERO, |reading| reading.expected_wait);
        let lag = if quiet > SHORT { wait.max(quiet) } else { wait };
        Seen {
            state: state_of(worker.state, accepted),
            queued: accepted.map_or(0, |figures| figures.queued),
            lag: lag.as_secs_f64(),
            longest_turn: reading.map_or(0.0, |reading| reading.longest_turn.as_secs_f64()),
            open: reading.map_or(0, |reading| reading.open),
            heap: reading.map_or(0, |reading| reading.heap_used),
            rss: worker.usage.map_or(0, |usage| usage.resident),
        }
    }
}

fn state_of(state: State, figures: Option<&WorkerFigures>) -> &'static str {
    match state {
        State::Starting => "starting",
        State::Draining => "draining",
        State::Ready if figures.is_some_and(|figures| figures.is_stuck) => "stuck",
        State::Ready => "ready",
    }
}

fn slot_status(slot: Slot, table: &table::Table, seen: &BTreeMap<WorkerId, Seen>, figures: &Figures) -> SlotStatus {
    let past = &table.slots[&slot];
    let mut totals = past.totals.clone();
    let Handed { handed, taken_back, refused, passed_on, stuck } =
        figures.slots.get(&slot).copied().unwrap_or_default();
    let mut status = SlotStatus {
        slot,
        generation: past.generation,
        state: "empty",
        since: past.since,
        handed,
        taken_back,
        refused,
        passed_on,
        stuck_episodes: stuck,
        ..SlotStatus::default()
    };
    // The newest comes last.
    for (id, worker) in table.workers.iter().filter(|(_, worker)| worker.slot == slot) {
        let Some(Seen { state, queued, lag, longest_turn, open, heap, rss }) = seen.get(id) else { continue };
        totals.add(&worker.totals);
        status.open += open;
        status.queued += queued;
        status.messages.queued_bytes += worker.traffic.as_ref().map_or(0, |traffic| traffic.queued() as u64);
        (status.heap, status.rss) = (status.heap + heap, status.rss + rss);
        (status.worker, status.pid) = (Some(*id), worker.process.as_ref().map(|process| process.pid()));
        (status.state, status.since) = (state, worker.since);
        (status.lag, status.longest_turn, status.utilization) = (*lag, *longest_turn, worker.utilization);
    }
    let Totals { taken, busy, sent, received, cpu, .. } = totals;
    (status.taken, status.busy, status.cpu) = (taken, seconds(busy), cpu);
    (status.messages.sent, status.messages.bytes_sent) = (sent.messages, sent.bytes);
    (status.messages.received, status.messages.bytes_received) = (received.messages, received.bytes);
    status
}

fn acceptor_status(figures: &Figures, cpu: Option<f64>, table: &table::Table) -> Acceptor {
    let mut acceptor = Acceptor { cpu, parked: figures.parked, dropped: figures.dropped, ..Acceptor::default() };
    for (address, listener) in &figures.listeners {
        acceptor.accepted += listener.accepted;
        acceptor.waiting += listener.waiting;
        let (accepted, waiting) = (listener.accepted, listener.waiting);
        acceptor.ports.push(Port { address: address.clone(), accepted, waiting });
    }
    for slot in figures.slots.values() {
        acceptor.handed += slot.handed;
        acceptor.taken_back += slot.taken_back;
        acceptor.refused += slot.refused;
        acceptor.passed_on += slot.passed_on;
    }
    let mut totals = Totals::default();
    table.slots.values().for_each(|past| totals.add(&past.totals));
    table.workers.values().for_each(|worker| totals.add(&worker.totals));
    acceptor.take_seconds = histogram(&totals);
    acceptor
}

fn histogram(totals: &Totals) -> Histogram {
    let mut count = 0_u64;
    let mut buckets = Vec::with_capacity(WAITS.len());
    for (most, waits) in WAITS.iter().zip(totals.waits) {
        count = count.saturating_add(waits);
        buckets.push((seconds(*most), count));
    }
    count = count.saturating_add(totals.waits[WAITS.len()]);
    Histogram { buckets, sum: seconds(totals.waited), count }
}

fn seconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e9
}
