//! The rotation: of those that are ready, the one that has waited longest.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use rust_cluster::connections::policy::{Load, Rotation, WorkerId, BUSY};

use super::config;

#[derive(Debug, Clone)]
enum Step {
    Add(WorkerId),
    Remove(WorkerId),
    /// The workers that are ready, a bit each.
    Next(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..8u32).prop_map(Step::Add),
        (0..8u32).prop_map(Step::Remove),
        any::<u8>().prop_map(Step::Next),
        Just(Step::Next(0xff)),
    ]
}

proptest! {
    #![proptest_config(config(2000))]

    #[test]
    fn the_one_that_has_waited_longest_is_next(steps in prop::collection::vec(step(), 0..60)) {
        let mut rotation = Rotation::default();
        // Since when each worker has waited.
        let mut waiting = BTreeMap::new();
        for (now, step) in steps.into_iter().enumerate() {
            match step {
                Step::Add(worker) => {
                    rotation.add(worker);
                    waiting.entry(worker).or_insert(now);
                }
                Step::Remove(worker) => prop_assert_eq!(rotation.remove(worker), waiting.remove(&worker).is_some()),
                Step::Next(ready) => {
                    let ready = |worker: &WorkerId| ready & 1 << worker != 0;
                    let expected = waiting.keys().copied().filter(ready).min_by_key(|worker| waiting[worker]);
                    prop_assert_eq!(rotation.next(ready), expected);
                    expected.inspect(|worker| _ = waiting.insert(*worker, now));
                }
            }
            let mut line: Vec<_> = waiting.keys().copied().collect();
            line.sort_by_key(|worker| waiting[worker]);
            prop_assert_eq!(rotation.iter().collect::<Vec<_>>(), line);
            prop_assert_eq!(rotation.is_empty(), waiting.is_empty());
        }
    }
}

fn load() -> impl Strategy<Value = Option<Load>> {
    let wait = prop_oneof![Just(0u64), 0..5000u64, 2900..3100u64, 0..100_000u64].prop_map(Duration::from_micros);
    let queued = prop_oneof![Just(0u64), 0..4u64];
    let load = (prop::bool::weighted(0.8), queued, wait).prop_map(|(takes, queued, wait)| Load { takes, queued, wait });
    prop::option::weighted(0.8, load)
}

/// How far back a worker stands: with those that are not busy, those that are, or those that do not take.
fn rank(load: &Load, quickest: Duration) -> u8 {
    match load {
        Load { takes: false, .. } => 2,
        Load { wait, .. } => u8::from(*wait > BUSY && *wait > quickest * 4),
    }
}

proptest! {
    #![proptest_config(config(2000))]

    #[test]
    fn of_the_least_busy_the_one_that_has_waited_longest_is_next(
        rounds in prop::collection::vec(prop::collection::vec(load(), 6), 1..30),
    ) {
        let mut rotation = Rotation::default();
        (0..6).for_each(|worker| rotation.add(worker));
        let start = Instant::now();
        for (round, loads) in (0..).zip(rounds) {
            // Whoever was busy in the last one is looked at again.
            let now = start + Duration::from_millis(round);
            let line: Vec<_> = rotation.iter().collect();
            let known: Vec<_> = line.iter().filter_map(|id| Some((*id, loads[*id as usize]?))).collect();
            let taking = known.iter().filter(|(_, load)| load.takes);
            let quickest = taking.map(|(_, load)| load.wait).min().unwrap_or_default();
            let first = known.iter().min_by_key(|(_, load)| rank(load, quickest));
            // Of those who are not busy, it and the next three in the line, whoever has least in its queue.
            let behind = line.iter().skip_while(|id| first.is_some_and(|(first, _)| first != *id)).take(4);
            let quick = behind.filter_map(|id| Some((*id, loads[*id as usize]?)));
            let quick = quick.filter(|(_, load)| load.takes && load.wait <= BUSY);
            let is_quick = first.is_some_and(|(_, load)| load.takes && load.wait <= BUSY);
            let emptiest = quick.min_by_key(|(_, load)| load.queued).filter(|_| is_quick);
            let expected = emptiest.or(first.copied()).map(|(id, _)| id);
            prop_assert_eq!(rotation.next_least_busy(now, |id| loads[id as usize]), expected);
            let rest: Vec<_> = line.into_iter().filter(|id| Some(*id) != expected).chain(expected).collect();
            prop_assert_eq!(rotation.iter().collect::<Vec<_>>(), rest, "the others stay where they are");
        }
    }
}
