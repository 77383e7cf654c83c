//! Workers that are event loops. In a turn a loop takes what lies in its queue, as much as production takes at once, and
//! does the work of each; what comes meanwhile lies there until the next turn.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use rust_cluster::processes::board::Board;

use super::policies::Policy;
use super::random::Numbers;

/// How many connections a worker takes in a turn: `BATCH` of `src/node/intake.rs`.
const BATCH: usize = 16;

const NANOSECONDS: f64 = 1e6;

/// When connections come, and how long the work of each takes, in milliseconds.
#[derive(Debug)]
pub struct Work {
    arrivals: Vec<(f64, f64)>,
    /// The first worker computes besides, all the time, in slices of so many milliseconds; and nothing else costs time.
    slice: Option<f64>,
}

impl Work {
    /// Pareto with an exponent of 1.5 between 1 ms and 500 ms.
    pub fn pareto(workers: usize, load: f64, count: usize) -> Work {
        let mut numbers = Numbers::new(1);
        let lengths: Vec<f64> = (0..count).map(|_| numbers.next().powf(-1.0 / 1.5).min(500.0)).collect();
        let mean = lengths.iter().sum::<f64>() / count as f64;
        Work::coming(lengths, mean / load / workers as f64)
    }

    pub fn of_one_length(workers: usize, load: f64, length: f64, count: usize) -> Work {
        Work::coming(vec![length; count], length / load / workers as f64)
    }

    pub fn beside_a_busy_worker(per_second: f64, slice: f64, count: usize) -> Work {
        Work { slice: Some(slice), ..Work::coming(vec![0.2; count], 1000.0 / per_second) }
    }

    fn coming(lengths: Vec<f64>, every: f64) -> Work {
        let mut numbers = Numbers::new(2);
        // Those that compute have done so for a while.
        let mut at = 1000.0;
        let arrival = |length| {
            at += numbers.pause(every);
            (at, length)
        };
        Work { arrivals: lengths.into_iter().map(arrival).collect(), slice: None }
    }
}

/// A loop, as the policies see it.
#[derive(Debug)]
pub struct Loop {
    /// What it has not taken: when it came, and how long it takes.
    queue: VecDeque<(f64, f64)>,
    /// When it last took something, or its queue was empty.
    moved: f64,
    /// When its turn ends.
    ends: Option<f64>,
    /// How long it takes.
    busy: f64,
    /// What it has been given and has not finished.
    pub open: usize,
    /// How many of them are done when this turn ends.
    taken: usize,
    pub board: Board,
}

impl Loop {
    fn new() -> Loop {
        let (board, _) = Board::new().unwrap();
        Loop { queue: VecDeque::new(), moved: 0.0, ends: None, busy: 0.0, open: 0, taken: 0, board }
    }

    /// For how long it has taken nothing of what lies there.
    pub fn untaken(&self, now: f64) -> f64 {
        if self.queue.is_empty() {
            0.0
        } else {
            now - self.moved
        }
    }

    pub fn queued(&self) -> u64 {
        self.queue.len() as u64
    }

    pub fn is_idle(&self) -> bool {
        self.ends.is_none()
    }
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Outcome {
    /// From a connection's arrival until its work begins.
    pub waits: Vec<f64>,
    pub chosen: Vec<usize>,
    pub served: Vec<usize>,
}

#[derive(Debug)]
pub struct Loops {
    loops: Vec<Loop>,
    /// When turns end, in nanoseconds, and whose.
    ends: BinaryHeap<Reverse<(u64, usize)>>,
    /// What waits for any worker that is free, where the policy has it wait.
    central: VecDeque<(f64, f64)>,
    outcome: Outcome,
}

/// A board's time. It was made at a real one.
fn board_time(at: f64) -> u64 {
    (at * NANOSECONDS) as u64
}

impl Loops {
    pub fn new(workers: usize) -> Loops {
        let outcome = Outcome { served: vec![0; workers], ..Outcome::default() };
        let loops = (0..workers).map(|_| Loop::new()).collect();
        Loops { loops, ends: BinaryHeap::new(), central: VecDeque::new(), outcome }
    }

    pub fn run(mut self, work: &Work, policy: &mut dyn Policy) -> Outcome {
        if let Some(slice) = work.slice {
            self.begin(0, 0.0, slice);
        }
        for &(at, length) in &work.arrivals {
            self.end_turns_until(at, work.slice);
            match policy.choose(&self.loops, at, board_time(at)) {
                Some(worker) => self.give(worker, at, length),
                None => self.central.push_back((at, length)),
            }
        }
        self.end_turns_until(work.arrivals.last().map_or(0.0, |(at, _)| at + 1e7), None);
        self.outcome
    }

    fn give(&mut self, worker: usize, at: f64, length: f64) {
        self.outcome.chosen.push(worker);
        self.outcome.served[worker] += 1;
        let given = &mut self.loops[worker];
        if given.queue.is_empty() {
            given.moved = at;
        }
        given.queue.push_back((at, length));
        given.open += 1;
        if given.is_idle() {
            self.turn(worker, at, 0.0);
        }
    }

    fn end_turns_until(&mut self, until: f64, slice: Option<f64>) {
        while let Some(Reverse((end, worker))) = self.ends.peek().copied() {
            let at = end as f64 / NANOSECONDS;
            if at > until {
                return;
            }
            self.ends.pop();
            let ended = &mut self.loops[worker];
            ended.ends = None;
            ended.board.turned(end, board_time(ended.busy));
            ended.open -= std::mem::take(&mut ended.taken);
            let computes = slice.filter(|_| worker == 0).unwrap_or_default();
            if let Some((came, length)) = self.central.pop_front() {
                self.give_late(worker, at, came, length);
            } else if !self.loops[worker].queue.is_empty() || computes > 0.0 {
                self.turn(worker, at, computes);
            }
        }
    }

    /// What waited for anybody.
    fn give_late(&mut self, worker: usize, at: f64, came: f64, length: f64) {
        self.give(worker, at, length);
        if let Some(wait) = self.outcome.waits.last_mut() {
            *wait += at - came;
        }
    }

    /// The loop takes what lies there, and does it.
    fn turn(&mut self, worker: usize, at: f64, computes: f64) {
        let turning = &mut self.loops[worker];
        let mut busy = computes;
        let count = turning.queue.len().min(BATCH);
        for (came, length) in turning.queue.drain(..count) {
            self.outcome.waits.push(at + busy - came);
            busy += length;
        }
        turning.taken = count;
        turning.moved = at;
        self.begin(worker, at, busy);
    }

    fn begin(&mut self, worker: usize, at: f64, busy: f64) {
        let end = at + busy;
        (self.loops[worker].ends, self.loops[worker].busy) = (Some(end), busy);
        self.ends.push(Reverse((board_time(end), worker)));
    }
}
