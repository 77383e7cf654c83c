//! A worker's own metrics.

use std::collections::{BTreeMap, HashSet};

use crate::telemetry::exposition::{append, Format};
use crate::telemetry::merge::Merge;
use crate::telemetry::parse::{self, Line};

/// [`Merge`]: of two workers that say the same, and then go, what comes out is text of either format, in which nothing
/// stands twice; nothing that is counted goes down; and what is refused changes nothing.
pub fn metrics(bytes: &[u8]) {
    let mut merge = Merge::default();
    merge.add(1, 0);
    let refused = merge.take(1, bytes).is_err();
    let first = counted(&merge);
    assert!(!refused || first.is_empty());
    merge.take(1, bytes).ok();
    assert_eq!(counted(&merge), first, "nothing was counted meanwhile");
    merge.add(2, 1);
    assert_eq!(merge.take(2, bytes).is_err(), refused, "it is read as the first time");
    let both = counted(&merge);
    assert!(first.iter().all(|(series, value)| both.get(series).is_some_and(|both| both >= value)));
    // Refused behind a family that is right.
    merge.take(1, b"# TYPE a counter\na{\xff").unwrap_err();
    merge.remove(1);
    merge.remove(2);
    assert_eq!(counted(&merge), both, "what was counted stays");
}

/// What is counted, by the name and the labels, as text that was written and read.
fn counted(merge: &Merge) -> BTreeMap<String, f64> {
    for format in [Format::OpenMetrics, Format::Prometheus] {
        let (mut names, families) = (HashSet::new(), merge.families(format));
        assert!(families.iter().all(|family| names.insert(family.name)), "a family stands there twice");
    }
    let mut counted = BTreeMap::new();
    for family in merge.families(Format::Prometheus) {
        let mut text = String::new();
        append(&mut text, std::slice::from_ref(&family), Format::Prometheus);
        let mut series = HashSet::new();
        for line in parse::lines(&text) {
            let Line::Sample(line) = line.unwrap() else { continue };
            let (key, value) = parse::sample(line).unwrap();
            let (name, labels) = parse::labels(key).unwrap();
            assert!(series.insert(key), "{key} stands there twice");
            let is_of_one = labels.iter().any(|(name, _)| *name == "slot");
            if !is_of_one && !name.ends_with("_sum") {
                counted.insert(key.to_owned(), value);
            }
        }
    }
    counted
}
