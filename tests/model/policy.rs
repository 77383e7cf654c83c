//! The rotation: of those that are ready, the one that has waited longest.

use std::collections::BTreeMap;

use proptest::prelude::*;
use rust_cluster::connections::policy::{Rotation, WorkerId};

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
