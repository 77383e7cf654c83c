//! Who chooses. All but one know only what an acceptor can know; the optimum has what comes wait for whoever is free first.

use std::time::{Duration, Instant};

use rust_cluster::connections::policy::{Load, Rotation, WorkerId};

use super::loops::Loop;
use super::random::Numbers;

/// As long as `SLOW` of `src/connections/acceptor/worker.rs`, in milliseconds.
const SLOW: f64 = 10.0;

pub trait Policy {
    /// Who gets what comes at `now`; `None`: who is free next. `time` is the same, as boards have it.
    fn choose(&mut self, loops: &[Loop], now: f64, time: u64) -> Option<usize>;
}

/// The rotation and its rule, as production has them.
/// The rotation, and when its time began.
pub struct LeastBusy(Rotation, Instant);

impl LeastBusy {
    pub fn new(workers: usize) -> LeastBusy {
        LeastBusy(rotation(workers), Instant::now())
    }
}

impl Policy for LeastBusy {
    fn choose(&mut self, loops: &[Loop], now: f64, time: u64) -> Option<usize> {
        let load = |worker: WorkerId| {
            let known = &loops[worker as usize];
            let wait: Duration = known.board.expected_wait(time);
            Some(Load { takes: known.untaken(now) < SLOW, queued: known.queued(), wait })
        };
        let now = self.1 + Duration::from_nanos(time);
        self.0.next_least_busy(now, load).map(|worker| worker as usize)
    }
}

pub struct RoundRobin(Rotation);

impl RoundRobin {
    pub fn new(workers: usize) -> RoundRobin {
        RoundRobin(rotation(workers))
    }
}

impl Policy for RoundRobin {
    fn choose(&mut self, _: &[Loop], _: f64, _: u64) -> Option<usize> {
        self.0.next(|_| true).map(|worker| worker as usize)
    }
}

fn rotation(workers: usize) -> Rotation {
    let mut rotation = Rotation::default();
    (0..workers as WorkerId).for_each(|worker| rotation.add(worker));
    rotation
}

pub struct Random(Numbers);

impl Random {
    pub fn new() -> Random {
        Random(Numbers::new(3))
    }
}

impl Policy for Random {
    fn choose(&mut self, loops: &[Loop], _: f64, _: u64) -> Option<usize> {
        Some(self.0.below(loops.len()))
    }
}

/// Who has fewest open: known at once, and exactly.
pub struct LeastConnections;

impl Policy for LeastConnections {
    fn choose(&mut self, loops: &[Loop], _: f64, _: u64) -> Option<usize> {
        (0..loops.len()).min_by_key(|worker| loops[*worker].open)
    }
}

/// Of two that chance picks the one that has fewer open.
pub struct PowerOfTwo(Numbers);

impl PowerOfTwo {
    pub fn new() -> PowerOfTwo {
        PowerOfTwo(Numbers::new(4))
    }
}

impl Policy for PowerOfTwo {
    fn choose(&mut self, loops: &[Loop], _: f64, _: u64) -> Option<usize> {
        let two = [0; 2].map(|_| self.0.below(loops.len()));
        two.into_iter().min_by_key(|worker| loops[*worker].open)
    }
}

/// One queue, from which whoever is free takes what came first.
pub struct Optimum;

impl Policy for Optimum {
    fn choose(&mut self, loops: &[Loop], _: f64, _: u64) -> Option<usize> {
        loops.iter().position(Loop::is_idle)
    }
}
