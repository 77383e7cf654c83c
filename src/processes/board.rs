//! A worker's board: numbers that it keeps in memory of its own, and that the primary reads without asking it.
//!
//! ```text
//!   worker                                       primary
//!   its loop turns, it takes a connection  ───►  the acceptor's thread, JavaScript, whoever wants to know
//!   it samples what takes longer to learn  ◄───  how often that is to be done
//! ```
//!
//! Each worker has a page, which no other worker has a descriptor of: a broken one can write nonsense in its own, and
//! nothing else. Its size is sealed, so that reading it is safe whatever the worker does. Each number stands alone and
//! is read once; what cannot be true is bounded when it is read ([`Board::read`]).
//!
//! An idle loop does not turn, and neither does one that is stuck: the board alone does not tell them apart. What does
//! is something that waits in the worker's queue, which an idle worker takes at once.
//!
//! Behind the page is space for long strings of messages ([`Space`]), if the system grants it.

use std::num::{NonZeroU8, NonZeroUsize};
use std::os::fd::OwnedFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use nix::time::{clock_gettime, ClockId};

use crate::os::error::Result;
use crate::os::memory::{self, Mapping};
use crate::os::sync::AtomicU32;

/// What lies at the start of the page. Times are of CLOCK_MONOTONIC, in nanoseconds.
#[derive(Debug)]
#[repr(C)]
struct Numbers {
    turns: AtomicU64,
    turned: AtomicU64,
    longest_turn: AtomicU64,
    expected_wait: AtomicU64,
    taken: AtomicU64,
    open: AtomicU64,
    heap_used: AtomicU64,
    /// How many milliseconds lie between two samples; 0: none are asked for. The primary writes this one.
    sample_every: AtomicU64,
    /// Nanoseconds for which the loop was busy, all in all.
    busy: AtomicU64,
    /// How many connections had waited for each of [`WAITS`] at most, and for longer; and for how long all together.
    waits: [AtomicU64; WAITS.len() + 1],
    waited: AtomicU64,
    gauges: [Vacancies; GAUGES],
}

/// By how long they have waited connections are counted, in nanoseconds.
pub const WAITS: [u64; 16] = {
    const US: u64 = 1000;
    const MS: u64 = 1000 * US;
    [
        50 * US,
        100 * US,
        250 * US,
        500 * US,
        MS,
        5 * MS / 2,
        5 * MS,
        10 * MS,
        25 * MS,
        50 * MS,
        100 * MS,
        250 * MS,
        500 * MS,
        1000 * MS,
        2500 * MS,
        5000 * MS,
    ]
};

/// What a board has counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// How many connections the worker has taken.
    pub taken: u64,
    /// Nanoseconds for which its loop was busy.
    pub busy: u64,
    /// How many connections had waited for each of [`WAITS`] at most, and no less than the one before; and for longer.
    pub waits: [u64; WAITS.len() + 1],
    /// Nanoseconds for which they have waited, all together.
    pub waited: u64,
}

/// What a worker writes of those of its connections that share a limit.
#[derive(Debug)]
#[repr(C)]
struct Vacancies {
    /// How many of those that it was handed count no more: they have closed, or are idle now.
    free: AtomicU64,
    /// Not 0: the primary wants to know when that is one more. It writes this, and the worker takes it back.
    is_wanted: AtomicU64,
}

/// The number of a count of open connections: of all ports that share a limit.
pub type Gauge = NonZeroU8;

/// How many gauges a board has.
pub const GAUGES: usize = 64;

/// A number that another process has written, as a gauge.
pub fn gauge(number: u32) -> Option<Gauge> {
    Gauge::new(u8::try_from(number).ok()?).filter(|gauge| usize::from(gauge.get()) <= GAUGES)
}

/// What the receiver of a ring says of it, in the other half of the page.
#[derive(Debug)]
#[cfg_attr(all(test, weak_memory), derive(Default))]
#[repr(C, align(64))]
pub struct Said {
    /// Not 0: it takes strings out.
    pub open: AtomicU32,
    /// How many it has taken.
    pub taken: AtomicU32,
}

/// Space behind the board for one direction of the channel: see `src/messages/ring.rs`.
#[derive(Debug)]
#[cfg_attr(all(test, weak_memory), derive(Clone))]
pub struct Space {
    memory: Arc<Mapping>,
    /// 0: to the primary, 1: to the worker.
    number: usize,
    /// loom's numbers lie nowhere else.
    #[cfg(all(test, weak_memory))]
    said: Arc<Said>,
}

impl Space {
    /// Its bytes.
    pub const SIZE: usize = 4 * 1024 * 1024;

    /// What its receiver says.
    #[cfg(all(test, weak_memory))]
    pub fn said(&self) -> &Said {
        &self.said
    }

    /// What its receiver says.
    #[cfg(not(all(test, weak_memory)))]
    pub fn said(&self) -> &Said {
        let place = PAGE / 2 + self.number * size_of::<Said>();
        // SAFETY: within the page, aligned as it is. All is atomic, and every value of it is one.
        unsafe { self.memory.start().byte_add(place).cast().as_ref() }
    }

    /// Where strings lie.
    pub fn strings(&self) -> NonNull<u8> {
        // SAFETY: within the memory, or there would be no space.
        unsafe { self.memory.start().byte_add(self.start()).cast() }
    }

    /// Has memory for a part of it.
    ///
    /// # Errors
    /// As [`Mapping::populate`].
    pub fn populate(&self, from: usize, to: usize) -> Result<()> {
        self.memory.populate(self.start() + from..self.start() + to)
    }

    /// Gives the memory of its first bytes back, where that can be done.
    pub fn release(&self, length: usize) {
        let _ = self.memory.release(self.start()..self.start() + length);
    }

    fn start(&self) -> usize {
        PAGE + self.number * Self::SIZE
    }
}

/// One worker's board, as either side has it.
#[derive(Debug)]
pub struct Board {
    memory: Arc<Mapping>,
    /// When this side made or opened it.
    since: u64,
}

/// What a board says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// How often the worker's loop has turned. While it is 0 the worker starts.
    pub turns: u64,
    /// How long ago it last turned: an idle one, and one that is stuck, a long time ago.
    pub turned: Duration,
    /// The longest turn so far, without what it waited for events.
    pub longest_turn: Duration,
    /// See [`Board::expected_wait`].
    pub expected_wait: Duration,
    /// How many connections it has taken.
    pub taken: u64,
    /// How many connections its servers had open when it last looked; 0 where nobody asked for samples.
    pub open: u64,
    /// Bytes of JavaScript's heap in use when it last looked; 0 where nobody asked for samples.
    pub heap_used: u64,
}

/// Bytes of the board itself.
const PAGE: usize = 4096;

const _: () = assert!(size_of::<Numbers>() <= PAGE / 2, "the other half is the receivers'");

/// The largest integer that is one in JavaScript, too.
const MOST: u64 = (1 << 53) - 1;

/// Nobody waits for longer.
const LONGEST: Duration = Duration::from_secs(3600);

/// What is longer ago, in nanoseconds, counts little for what a worker is expected to do next.
const MEMORY: f64 = 1e9;

/// Of a longer turn so much counts: a single one is no habit. That it has not ended yet is told by the queue.
const COUNTS: f64 = 1e8;

/// The time, as boards have it.
pub fn now() -> u64 {
    // There is such a clock in every kernel.
    clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |time| nanoseconds(time.into()))
}

/// A time of this process, as boards have it.
fn at(time: Instant) -> u64 {
    static BOTH: OnceLock<(Instant, u64)> = OnceLock::new();
    let &(one, other) = BOTH.get_or_init(|| (Instant::now(), now()));
    other.saturating_add(nanoseconds(time.saturating_duration_since(one)))
}

/// How long this thread had a processor, all in all.
pub fn processor_time() -> u64 {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(0, |time| nanoseconds(time.into()))
}

/// A count that a worker may have written.
fn count(number: &AtomicU64) -> u64 {
    number.load(Ordering::Relaxed).min(MOST)
}

/// Nobody else writes it.
fn add(number: &AtomicU64, more: u64) {
    number.store(number.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// How long something that comes at any moment waits until the loop looks at it, on average: half of each turn that
/// it falls into, and nothing while the loop is idle. It is renewed at each turn, `elapsed` after the one before, of
/// which the loop was busy for `busy`; what was before counts ever less.
fn next_wait(before: f64, elapsed: u64, busy: u64) -> f64 {
    let busy = (busy as f64).min(COUNTS);
    later(before, elapsed) + busy * busy / 2.0 / MEMORY.max(elapsed as f64)
}

/// What is left of it when nothing has come to it.
fn later(before: f64, elapsed: u64) -> f64 {
    before * (-(elapsed as f64) / MEMORY).exp()
}

impl Board {
    const SIZE: NonZeroUsize = NonZeroUsize::new(PAGE).unwrap();

    /// With space for both rings of the channel. What is not used takes no memory.
    const SIZE_WITH_RINGS: NonZeroUsize = NonZeroUsize::new(PAGE + 2 * Space::SIZE).unwrap();

    /// A new board, and the descriptor for its worker.
    ///
    /// # Errors
    /// As [`memory::shared`].
    pub fn new() -> Result<(Board, OwnedFd)> {
        Self::with_rings(memory::is_overcommitted())
    }

    /// As [`new`](Self::new); with space for rings if it may be `shared` with a worker that does what it likes with its pages.
    fn with_rings(shared: bool) -> Result<(Board, OwnedFd)> {
        let with_rings = shared.then(|| Self::of(Self::SIZE_WITH_RINGS).ok()).flatten();
        with_rings.map_or_else(|| Self::of(Self::SIZE), Ok)
    }

    fn of(size: NonZeroUsize) -> Result<(Board, OwnedFd)> {
        let memory = memory::shared(c"rust-cluster-board", size)?;
        let mapping = Arc::new(Mapping::new(&memory, size)?);
        Ok((Board { memory: mapping, since: now() }, memory))
    }

    /// The board that lies in this memory.
    ///
    /// # Errors
    /// As [`Mapping::new`].
    pub fn open(memory: &OwnedFd) -> Result<Board> {
        let map = |size| Mapping::new(memory, size);
        // What has another size is another version's: it may have space for rings, but who knows where.
        let mapping = match memory::size(memory)? == Self::SIZE_WITH_RINGS.get() {
            true => map(Self::SIZE_WITH_RINGS).or_else(|_| map(Self::SIZE))?,
            false => map(Self::SIZE)?,
        };
        Ok(Board { memory: Arc::new(mapping), since: now() })
    }

    /// The space for strings to the primary, and that for strings to the worker, if there is any.
    pub fn spaces(&self) -> Option<(Space, Space)> {
        let space = |number| Space {
            memory: Arc::clone(&self.memory),
            number,
            #[cfg(all(test, weak_memory))]
            said: Arc::default(),
        };
        (self.memory.size() >= Self::SIZE_WITH_RINGS.get()).then(|| (space(0), space(1)))
    }

    fn numbers(&self) -> &Numbers {
        let start: NonNull<Numbers> = self.memory.start().cast();
        // SAFETY: a page is large enough, and aligned. All is atomic, and every value of it is one.
        unsafe { start.as_ref() }
    }

    // The worker writes.

    /// The loop has turned, at `now`; of the time since it turned before it was busy for `busy`.
    pub fn turned(&self, now: u64, busy: u64) {
        let numbers = self.numbers();
        let before = numbers.turned.load(Ordering::Relaxed);
        let (turns, longest) = (numbers.turns.load(Ordering::Relaxed), numbers.longest_turn.load(Ordering::Relaxed));
        if before > 0 {
            let wait = f64::from_bits(numbers.expected_wait.load(Ordering::Relaxed));
            let wait = next_wait(wait, now.saturating_sub(before), busy);
            numbers.expected_wait.store(wait.to_bits(), Ordering::Relaxed);
        }
        add(&numbers.busy, busy);
        numbers.turned.store(now, Ordering::Relaxed);
        numbers.turns.store(turns.wrapping_add(1), Ordering::Relaxed);
        if busy > longest {
            numbers.longest_turn.store(busy, Ordering::Relaxed);
        }
    }

    /// A connection was taken; it has waited since then, if somebody wants to know (0: nobody does).
    pub fn took(&self, since: u64) {
        let numbers = self.numbers();
        add(&numbers.taken, 1);
        if since > 0 {
            let waited = now().saturating_sub(since);
            add(&numbers.waits[WAITS.partition_point(|most| *most < waited)], 1);
            add(&numbers.waited, waited);
        }
    }

    /// How many connections are open, and how much of the heap is in use.
    pub fn sampled(&self, open: u64, heap_used: u64) {
        self.numbers().open.store(open, Ordering::Relaxed);
        self.numbers().heap_used.store(heap_used, Ordering::Relaxed);
    }

    /// How long to wait between two samples, if any are asked for.
    pub fn sample_every(&self) -> Option<Duration> {
        match self.numbers().sample_every.load(Ordering::Relaxed) {
            0 => None,
            milliseconds => Some(Duration::from_millis(milliseconds)),
        }
    }

    fn vacancies(&self, gauge: Gauge) -> &Vacancies {
        // Gauges are numbered from 1 on. There is none beyond the last one (see `gauge`).
        &self.numbers().gauges[usize::from(gauge.get() - 1) % GAUGES]
    }

    /// A connection that counted does so no more; whether the primary wants to know.
    ///
    /// The primary says so before it reads, and this is read after it was written: one of the two sees the other.
    pub fn frees(&self, gauge: Gauge) -> bool {
        let Vacancies { free, is_wanted } = self.vacancies(gauge);
        // Nobody else writes it.
        free.store(free.load(Ordering::Relaxed).wrapping_add(1), Ordering::SeqCst);
        is_wanted.load(Ordering::SeqCst) != 0 && is_wanted.swap(0, Ordering::SeqCst) != 0
    }

    /// A connection that was idle counts again.
    pub fn occupies(&self, gauge: Gauge) {
        let Vacancies { free, .. } = self.vacancies(gauge);
        free.store(free.load(Ordering::Relaxed).wrapping_sub(1), Ordering::SeqCst);
    }

    // The primary reads.

    /// How many count of those that were handed over: all of them at most, whatever the worker has written.
    pub fn occupied(&self, gauge: Gauge, handed: u64) -> u64 {
        handed.saturating_sub(self.vacancies(gauge).free.load(Ordering::SeqCst))
    }

    /// Has the worker say when a connection counts no more. It is to be read once more afterwards: what happened before
    /// is not said.
    pub fn want(&self, gauge: Gauge) {
        self.vacancies(gauge).is_wanted.store(1, Ordering::SeqCst);
    }

    /// Has the worker sample, so often at most, as long as its loop turns.
    pub fn sample(&self, every: Duration) {
        let milliseconds = u64::try_from(every.as_millis()).unwrap_or(u64::MAX).max(1);
        self.numbers().sample_every.store(milliseconds, Ordering::Relaxed);
    }

    /// All that stands there at `now`. A worker may have written anything: what comes out can at least be.
    pub fn read(&self, now: u64) -> Reading {
        let numbers = self.numbers();
        let life = now.saturating_sub(self.since);
        let turned = match numbers.turned.load(Ordering::Relaxed) {
            0 => life,
            turned => now.saturating_sub(turned).min(life),
        };
        Reading {
            turns: count(&numbers.turns),
            turned: Duration::from_nanos(turned),
            longest_turn: Duration::from_nanos(numbers.longest_turn.load(Ordering::Relaxed).min(life)),
            expected_wait: self.expected_wait(now),
            taken: count(&numbers.taken),
            open: count(&numbers.open),
            heap_used: count(&numbers.heap_used),
        }
    }

    /// How many connections the worker has taken, as it says.
    pub fn taken(&self) -> u64 {
        count(&self.numbers().taken)
    }

    /// What it has counted. As in [`read`](Self::read): what comes out can at least be.
    pub fn counts(&self) -> Counts {
        let Numbers { taken, busy, waits, waited, .. } = self.numbers();
        let [taken, busy, waited] = [taken, busy, waited].map(count);
        Counts { taken, busy, waited, waits: std::array::from_fn(|at| count(&waits[at])) }
    }

    /// How long something that comes now waits until the worker's loop looks at it, going by its last second.
    pub fn expected_wait(&self, now: u64) -> Duration {
        let numbers = self.numbers();
        let written = f64::from_bits(numbers.expected_wait.load(Ordering::Relaxed));
        let wait = later(written, now.saturating_sub(numbers.turned.load(Ordering::Relaxed)));
        // What is no number, and what is negative, is nothing.
        Duration::from_nanos(wait as u64).min(LONGEST)
    }

    /// As [`expected_wait`](Self::expected_wait), where it may be longer than `much`; else it is nothing.
    pub fn expected_wait_above(&self, much: Duration, now: Instant) -> Duration {
        let written = f64::from_bits(self.numbers().expected_wait.load(Ordering::Relaxed));
        if written > much.as_nanos() as f64 {
            self.expected_wait(at(now))
        } else {
            Duration::ZERO
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// The primary's side, and the worker's.
    fn both() -> (Board, Board) {
        let (primary, memory) = Board::new().unwrap();
        let worker = Board::open(&memory).unwrap();
        (primary, worker)
    }

    #[test]
    fn what_the_worker_writes_the_primary_reads() {
        let (primary, worker) = both();
        let start = now();
        assert_eq!(primary.read(start).turns, 0);
        worker.turned(start + MS, 0);
        worker.turned(start + 9 * MS, 7 * MS);
        worker.turned(start + 10 * MS, MS / 2);
        worker.took(0);
        worker.took(0);
        worker.sampled(5, 1 << 20);
        let reading = primary.read(start + 13 * MS);
        assert_eq!((reading.turns, reading.taken, reading.open, reading.heap_used), (3, 2, 5, 1 << 20));
        assert_eq!(reading.turned, Duration::from_millis(3));
        assert_eq!(reading.longest_turn, Duration::from_millis(7));
    }

    #[test]
    fn how_long_connections_have_waited_is_counted_by_the_limits() {
        let (primary, worker) = both();
        worker.took(0);
        assert_eq!(primary.counts().waits.iter().sum::<u64>(), 0);
        worker.took(now() - 20 * MS);
        worker.took(now() - 9_000 * MS);
        // From a time that is to come.
        worker.took(now() + 9_000 * MS);
        let Counts { taken, waits, waited, .. } = primary.counts();
        assert_eq!(taken, 4);
        assert_eq!((waits[0], waits[WAITS.len()], waits.iter().sum::<u64>()), (1, 1, 3));
        assert!(waited >= 9_020 * MS, "{waited}");
    }

    #[test]
    fn samples_are_taken_as_often_as_the_primary_asks() {
        let (primary, worker) = both();
        assert_eq!(worker.sample_every(), None);
        primary.sample(Duration::from_micros(1));
        assert_eq!(worker.sample_every(), Some(Duration::from_millis(1)));
        primary.sample(Duration::from_secs(1));
        assert_eq!(worker.sample_every(), Some(Duration::from_secs(1)));
    }

    /// How long one waits for a worker whose turns take `busy` of every `period`, after a while.
    fn wait_of(busy: u64, period: u64) -> f64 {
        let (primary, worker) = both();
        let mut at = now();
        for _ in 0..20_000 * MS / period {
            at += period;
            worker.turned(at, busy);
        }
        primary.expected_wait(at).as_secs_f64() * 1e3
    }

    #[test]
    fn the_expected_wait_is_half_of_the_turns_that_one_comes_into() {
        // All of the time in slices of 60 ms: 30. Half of the time: 15. Much to do, and short turns: next to nothing.
        for (busy, period, expected) in [(60, 60, 30.0), (60, 120, 15.0), (1, 1, 0.5)] {
            let wait = wait_of(busy * MS, period * MS);
            assert!((wait / expected - 1.0_f64).abs() < 0.15, "{busy} of {period}: {wait}");
        }
        assert!(wait_of(MS / 20, MS / 10) < 0.02);
    }

    #[test]
    fn one_long_turn_is_no_habit_and_a_habit_is_forgotten() {
        let (primary, worker) = both();
        let mut at = now();
        worker.turned(at, 0);
        at += 60 * MS;
        worker.turned(at, 60 * MS);
        let once = primary.expected_wait(at);
        assert!(once < Duration::from_millis(2), "{once:?}");
        let much_later = at + 3_600_000 * MS;
        worker.turned(much_later, 3_000_000 * MS);
        let once = primary.expected_wait(much_later);
        assert!(once < Duration::from_millis(5), "{once:?}");
        for _ in 0..100 {
            at += 60 * MS;
            worker.turned(at, 60 * MS);
        }
        let habit = primary.expected_wait(at);
        assert!(habit > Duration::from_millis(25), "{habit:?}");
        // Whether it turns, with nothing to do, or not at all.
        assert!(primary.expected_wait(at + 30_000 * MS) < Duration::from_millis(1));
        for _ in 0..1000 {
            at += 10 * MS;
            worker.turned(at, 0);
        }
        assert!(primary.expected_wait(at) < Duration::from_millis(1));
    }

    #[test]
    fn whatever_a_worker_writes_what_is_read_can_be() {
        let (primary, worker) = both();
        let Numbers {
            turns,
            turned,
            longest_turn,
            expected_wait,
            taken,
            open,
            heap_used,
            sample_every,
            busy,
            waits: [first, .., last],
            waited,
            gauges: [Vacancies { free, is_wanted }, ..],
        } = worker.numbers();
        let gauge = Gauge::MIN;
        let values = [0, 1, MOST + 1, u64::MAX - 1, u64::MAX, now(), now() * 2]
            .into_iter()
            .chain([f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.0, f64::MAX, f64::MIN_POSITIVE].map(f64::to_bits));
        for value in values {
            let counts = [taken, busy, first, last, waited];
            let others = [turns, turned, longest_turn, expected_wait, open, heap_used, sample_every, free, is_wanted];
            for number in counts.into_iter().chain(others) {
                number.store(value, Ordering::Relaxed);
            }
            assert!(primary.occupied(gauge, 0) == 0 && primary.occupied(gauge, 7) <= 7, "{value}");
            for at in [0, primary.since, now(), u64::MAX] {
                let life = Duration::from_nanos(at.saturating_sub(primary.since));
                let reading = primary.read(at);
                assert!(reading.turned <= life && reading.longest_turn <= life, "{value}: {reading:?}");
                assert!(reading.expected_wait <= LONGEST, "{value}: {reading:?}");
                let Counts { taken, busy, waits, waited } = primary.counts();
                for count in [taken, busy, waited].into_iter().chain(waits) {
                    assert!(count <= MOST, "{value}: {count}");
                }
                for count in [reading.turns, reading.taken, reading.open, reading.heap_used] {
                    assert!(count <= MOST, "{value}: {reading:?}");
                }
            }
            // Nor does a worker that has written it stumble over it.
            worker.turned(now(), MS);
            worker.took(now());
            worker.occupies(gauge);
            worker.frees(gauge);
        }
    }

    #[test]
    fn a_worker_says_what_is_free_and_that_it_is_where_somebody_waits() {
        let (primary, worker) = both();
        let [one, last] = [1, GAUGES as u32].map(|number| gauge(number).unwrap());
        assert_eq!((gauge(0), gauge(GAUGES as u32 + 1), gauge(257)), (None, None, None));
        assert!(!worker.frees(one));
        assert_eq!((primary.occupied(one, 3), primary.occupied(last, 3)), (2, 3));
        primary.want(one);
        assert!(!worker.frees(last));
        worker.occupies(one);
        assert_eq!(primary.occupied(one, 3), 3);
        assert!(worker.frees(one));
        assert!(!worker.frees(one), "it has said so");
        assert_eq!((primary.occupied(one, 3), primary.occupied(last, 3)), (1, 2));
    }

    #[test]
    fn where_no_memory_is_promised_that_is_not_there_are_no_rings() {
        for (shared, there) in [(true, true), (false, false)] {
            let (primary, memory) = Board::with_rings(shared).unwrap();
            let worker = Board::open(&memory).unwrap();
            assert_eq!((primary.spaces().is_some(), worker.spaces().is_some()), (there, there));
        }
    }

    #[test]
    fn of_another_version_s_memory_only_the_board_is_used() {
        for size in [PAGE + Space::SIZE, PAGE + 2 * Space::SIZE + PAGE] {
            let memory = memory::shared(c"test", NonZeroUsize::new(size).unwrap()).unwrap();
            let board = Board::open(&memory).unwrap();
            assert!(board.spaces().is_none(), "{size}");
            board.turned(now(), MS);
            assert_eq!(board.read(now()).turns, 1);
        }
    }
}
