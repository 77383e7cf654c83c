//! Which worker gets the next connection.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::connections::limit::Limit;
use crate::connections::proxy_protocol::Network;
use crate::connections::sticky::Sticky;

/// The number of a worker: its `id` in JavaScript.
pub type WorkerId = u32;

/// What a listener does with its connections.
#[derive(Debug, Clone, Default)]
pub struct Dispatch {
    /// Who gets them.
    pub policy: Policy,
    /// Who begins each with a header of the PROXY protocol.
    pub proxies: Vec<Network>,
    /// How many a worker may have.
    pub limit: Option<Limit>,
}

impl Dispatch {
    /// Whether connections are looked at before they are placed.
    pub fn looks(&self) -> bool {
        !self.proxies.is_empty() || matches!(self.policy, Policy::Sticky(_))
    }
}

/// Who gets a listener's connections.
#[derive(Debug, Clone, Default)]
pub enum Policy {
    /// The next in turn, unless it is busy and another is not.
    #[default]
    LeastBusy,
    /// The next in turn, whatever it does.
    RoundRobin,
    /// Who had the client before.
    Sticky(Sticky),
}

/// What is known of a worker that can be given a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Whether it takes what it is given: all of it, or some lately.
    pub takes: bool,
    /// How many connections lie in its queue.
    pub queued: u64,
    /// How long a connection that comes now is expected to wait until the worker's loop looks at it, going by what the
    /// loop has done in its last second.
    pub wait: Duration,
}

impl Load {
    /// Whether it takes what it is given, and is not busy.
    fn is_quick(self) -> bool {
        self.takes && self.wait <= BUSY
    }
}

/// Who is expected to look at a connection within so long is not busy.
///
/// A turn of 70 ms does not make a worker busy, and two within a second do: what compiles its code at its first
/// request has its turn all the same.
pub const BUSY: Duration = Duration::from_millis(3);

/// Nor is one that is expected to take at most so many times as long as the quickest: where all have much to do, all
/// have their turn, and nobody is given everything for a small advantage.
const ALIKE: u32 = 4;

/// Who is busy is so for this long without another look, as long as there is one who is not: so many that are busy cost no
/// more than one.
const STAYS_BUSY: Duration = Duration::from_millis(1);

/// Where something lies in the queue of the one whose turn it is, so many are looked at for one with less: of two or more
/// choices the first bring nearly all that there is to win.
const LOOKS: usize = 4;

/// Round robin over the workers of one listener, in the order in which they came.
///
/// The worker that was chosen goes to the end of the line. One that could not be chosen stays where it is, so
/// that after a pause it is the first to be asked.
#[derive(Debug, Default)]
pub struct Rotation {
    line: VecDeque<WorkerId>,
    /// How many at the head of the line are busy, and when they were looked at: they stay there while others are chosen.
    busy: Option<(usize, Instant)>,
    /// Room for places in the line, and what is known of who stands there: a choice allocates nothing.
    taking: Vec<(usize, Load)>,
}

impl Rotation {
    /// Puts a worker at the end of the line. One that is in it stays where it is.
    pub fn add(&mut self, worker: WorkerId) {
        if !self.contains(worker) {
            self.line.push_back(worker);
        }
    }

    /// Takes a worker out; `false` if it was not in.
    pub fn remove(&mut self, worker: WorkerId) -> bool {
        let length = self.line.len();
        self.busy = None;
        self.line.retain(|other| *other != worker);
        self.line.len() < length
    }

    /// Whether a worker is in the line.
    pub fn contains(&self, worker: WorkerId) -> bool {
        self.line.contains(&worker)
    }

    /// Whether nobody is in the line.
    pub fn is_empty(&self) -> bool {
        self.line.is_empty()
    }

    /// Whether there is no choice.
    pub fn has_one(&self) -> bool {
        self.line.len() == 1
    }

    /// The workers, first the one whose turn it is.
    pub fn iter(&self) -> impl Iterator<Item = WorkerId> + '_ {
        self.line.iter().copied()
    }

    /// The first worker that `ready` accepts; it goes to the end of the line.
    pub fn next(&mut self, ready: impl FnMut(&WorkerId) -> bool) -> Option<WorkerId> {
        let position = self.line.iter().position(ready)?;
        self.busy = None;
        self.choose(position)
    }

    /// The first worker in the line that is not busy; of those that do not take what they are given the first, if there
    /// are no others. `load` says what is known of one, and nothing of one that can be given no connection.
    ///
    /// At rest that is the first in the line, and no other is looked at. What is known may be old, so nobody is *the*
    /// least busy: whoever is busy gets nothing, and the rest have their turn, first those in whose queue nothing lies.
    pub fn next_least_busy(
        &mut self,
        now: Instant,
        mut load: impl FnMut(WorkerId) -> Option<Load>,
    ) -> Option<WorkerId> {
        if let Some(id) = self.next_behind_busy(now, &mut load) {
            return Some(id);
        }
        let Rotation { line, taking, .. } = self;
        let mut takes_nothing = None;
        taking.clear();
        for (position, worker) in line.iter().enumerate() {
            match load(*worker) {
                Some(quick) if taking.is_empty() && quick.is_quick() => {
                    return self.choose_behind(position, quick, load)
                }
                Some(load) if load.takes => {
                    taking.push((position, load));
                    if load.wait * ALIKE <= BUSY {
                        // Whoever comes after it makes no difference.
                        break;
                    }
                }
                Some(_) => takes_nothing = takes_nothing.or(Some(position)),
                None => {}
            }
        }
        let Some(quickest) = taking.iter().map(|(_, load)| load.wait).min() else { return self.choose(takes_nothing?) };
        let enough = BUSY.max(quickest * ALIKE);
        let place = taking.iter().position(|(_, load)| load.wait <= enough)?;
        let (position, chosen) = taking[place];
        if place > 0 && place == position && chosen.wait * ALIKE <= BUSY {
            self.busy = Some((place, now));
        }
        self.choose_behind(position, chosen, load)
    }

    /// The first worker behind those that were found to be busy just now, if it is far from that.
    fn next_behind_busy(&mut self, now: Instant, mut load: impl FnMut(WorkerId) -> Option<Load>) -> Option<WorkerId> {
        let (position, seen) = self.busy.take()?;
        let worker = *self.line.get(position).filter(|_| now.duration_since(seen) < STAYS_BUSY)?;
        let quick = load(worker).filter(|load| load.takes && load.wait * ALIKE <= BUSY)?;
        self.busy = Some((position, seen));
        self.choose_behind(position, quick, load)
    }

    /// The worker at this place, or one of the next that is not busy and has less in its queue, if it is not busy itself.
    fn choose_behind(
        &mut self,
        position: usize,
        load: Load,
        mut of: impl FnMut(WorkerId) -> Option<Load>,
    ) -> Option<WorkerId> {
        let (mut place, mut least) = (position, load.queued);
        for (other, worker) in self.line.iter().enumerate().skip(position + 1).take(LOOKS - 1) {
            if least == 0 || !load.is_quick() {
                break;
            }
            if let Some(load) = of(*worker).filter(|load| load.is_quick() && load.queued < least) {
                (place, least) = (other, load.queued);
            }
        }
        self.choose(place)
    }

    /// The worker at this place in the line goes to its end.
    fn choose(&mut self, position: usize) -> Option<WorkerId> {
        let worker = self.line.remove(position)?;
        self.line.push_back(worker);
        Some(worker)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rotation(workers: impl IntoIterator<Item = WorkerId>) -> Rotation {
        let mut rotation = Rotation::default();
        workers.into_iter().for_each(|worker| rotation.add(worker));
        rotation
    }

    #[test]
    fn every_worker_in_turn() {
        let mut rotation = rotation(1..=3);
        let chosen: Vec<_> = (0..7).map(|_| rotation.next(|_| true).unwrap()).collect();
        assert_eq!(chosen, [1, 2, 3, 1, 2, 3, 1]);
    }

    #[test]
    fn one_that_is_not_ready_is_passed_over_and_comes_first_when_it_is() {
        let mut rotation = rotation(1..=3);
        assert_eq!(rotation.next(|worker| *worker != 1), Some(2));
        assert_eq!(rotation.next(|worker| *worker != 1), Some(3));
        assert_eq!(rotation.next(|_| true), Some(1));
    }

    #[test]
    fn nobody_ready_changes_nothing() {
        let mut rotation = rotation(1..=2);
        assert_eq!(rotation.next(|_| false), None);
        assert_eq!(rotation.iter().collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn a_worker_is_in_the_line_once() {
        let mut rotation = rotation([1, 2, 1]);
        assert_eq!(rotation.iter().collect::<Vec<_>>(), [1, 2]);
        assert!(rotation.remove(1));
        assert!(!rotation.remove(1));
        assert!(!rotation.is_empty());
    }
    fn milliseconds(wait: u64) -> Option<Load> {
        Some(Load { takes: true, queued: 0, wait: Duration::from_millis(wait) })
    }

    #[test]
    fn at_rest_the_least_busy_is_the_next_and_nobody_else_is_looked_at() {
        let mut rotation = rotation(1..=3);
        let mut looked_at = 0;
        let mut next = || {
            rotation.next_least_busy(Instant::now(), |_| {
                looked_at += 1;
                milliseconds(3)
            })
        };
        let chosen: Vec<_> = (0..7).map(|_| next().unwrap()).collect();
        assert_eq!((chosen, looked_at), (vec![1, 2, 3, 1, 2, 3, 1], 7));
    }

    #[test]
    fn a_busy_worker_comes_after_those_that_are_not_and_keeps_its_turn() {
        let mut rotation = rotation(1..=3);
        let busy = |worker| if worker == 1 { milliseconds(21) } else { milliseconds(1) };
        let chosen: Vec<_> = (0..4).map(|_| rotation.next_least_busy(Instant::now(), busy).unwrap()).collect();
        assert_eq!(chosen, [2, 3, 2, 3]);
        assert_eq!(rotation.next_least_busy(Instant::now(), |_| milliseconds(0)), Some(1));
    }

    #[test]
    fn who_has_something_in_its_queue_comes_after_one_of_the_next_who_has_less() {
        let mut rotation = rotation(1..=6);
        let mut now = Instant::now();
        let mut next = |queued: [u64; 6], busy: &[WorkerId]| {
            // Whoever was busy is looked at again.
            now += STAYS_BUSY;
            let load = |worker: WorkerId| {
                let wait = if busy.contains(&worker) { BUSY * 9 } else { Duration::ZERO };
                Some(Load { takes: true, queued: queued[worker as usize - 1], wait })
            };
            rotation.next_least_busy(now, load).unwrap()
        };
        assert_eq!(next([2, 0, 0, 0, 0, 0], &[]), 2);
        // The line is 1, 3, 4, 5, 6, 2: whoever is the fifth in it is not looked at.
        assert_eq!(next([2, 2, 3, 1, 1, 0], &[]), 4);
        assert_eq!(next([1, 0, 1, 1, 1, 1], &[]), 1);
        // 3, 5, 6, 2, 4, 1: who is busy is not chosen, however empty its queue is.
        assert_eq!(next([0, 2, 0, 3, 0, 1], &[3]), 5);
        assert_eq!(next([0, 2, 0, 3, 0, 1], &[3, 1]), 6);
    }

    #[test]
    fn where_all_are_busy_all_have_their_turn() {
        let mut rotation = rotation(1..=3);
        let busy = |worker| milliseconds([0, 20, 6, 24][worker as usize]);
        let chosen: Vec<_> = (0..6).map(|_| rotation.next_least_busy(Instant::now(), busy).unwrap()).collect();
        assert_eq!(chosen, [1, 2, 3, 1, 2, 3]);
    }

    #[test]
    fn who_does_not_take_comes_last() {
        let mut rotation = rotation(1..=3);
        let stuck = Some(Load { takes: false, queued: 1, wait: Duration::ZERO });
        assert_eq!(
            rotation.next_least_busy(Instant::now(), |worker| if worker == 3 { milliseconds(900) } else { stuck }),
            Some(3)
        );
        assert_eq!(rotation.next_least_busy(Instant::now(), |worker| if worker == 1 { None } else { stuck }), Some(2));
        assert_eq!(rotation.next_least_busy(Instant::now(), |_| None), None);
    }

    #[test]
    fn who_is_busy_is_not_looked_at_again_for_a_moment_while_another_is_free() {
        let mut rotation = rotation(1..=64);
        let now = Instant::now();
        let mut next = |after: u64, free: &[WorkerId]| {
            let mut looks = 0;
            let chosen = rotation.next_least_busy(now + Duration::from_micros(after), |worker| {
                looks += 1;
                if free.contains(&worker) {
                    milliseconds(0)
                } else {
                    milliseconds(30)
                }
            });
            (chosen.unwrap(), looks)
        };
        assert_eq!([next(0, &[64]), next(0, &[64]), next(999, &[64])], [(64, 64), (64, 1), (64, 1)]);
        // One that is free again is found a moment later, at once where no other is free.
        assert_eq!([next(999, &[1, 64]), next(1000, &[1, 64])], [(64, 1), (1, 1)]);
        assert_eq!([next(1000, &[64]), next(1000, &[3])], [(64, 63), (3, 3)]);
    }
}
