//! What is kept of all that was counted, by family.

use std::collections::HashMap;

use super::role::Part;
use crate::telemetry::exposition::{self, push_label, Kind, Sample};

/// A histogram has no more parts.
const MOST_PARTS: usize = 1000;

#[derive(Debug)]
pub(super) struct Family {
    pub name: String,
    pub kind: Kind,
    pub help: String,
    pub groups: Vec<Group>,
    pub by_labels: HashMap<String, usize>,
}

/// What counts of a family under the same labels: a counter, or the parts of a histogram.
#[derive(Debug, Default)]
pub(super) struct Group {
    totals: Vec<Total>,
    /// Where each is, in the order in which they are written.
    sorted: Vec<u16>,
}

#[derive(Debug)]
pub(super) struct Total {
    pub part: Part,
    /// As they are written, that of a bucket among them.
    labels: String,
    pub value: f64,
}

impl Family {
    pub fn new(name: &str, kind: Kind, help: String) -> Family {
        Family { name: name.to_owned(), kind, help, groups: Vec::new(), by_labels: HashMap::new() }
    }

    pub fn total(&self, group: usize, total: usize) -> &Total {
        &self.groups[group].totals[total]
    }

    pub fn total_mut(&mut self, group: usize, total: usize) -> &mut Total {
        &mut self.groups[group].totals[total]
    }

    /// As it is to be written, with what workers say of it now.
    pub fn written<'a>(&'a self, kind: Kind, gauges: Vec<Sample<'a>>) -> exposition::Family<'a> {
        let mut samples = Vec::with_capacity(self.groups.len() + gauges.len());
        for Group { totals, sorted } in &self.groups {
            samples.extend(sorted.iter().map(|&at| totals[usize::from(at)].written()));
        }
        samples.extend(gauges);
        exposition::Family { name: &self.name, help: &self.help, kind, samples }
    }
}

impl Group {
    /// Where a part of it is.
    pub fn find(&self, part: &Part) -> Option<usize> {
        self.place_of(part).ok().map(|place| usize::from(self.sorted[place]))
    }

    /// Where it stands in the order, or would stand.
    fn place_of(&self, part: &Part) -> Result<usize, usize> {
        self.sorted.binary_search_by(|&at| self.totals[usize::from(at)].part.order(part))
    }

    /// Whether there is room for another part.
    pub fn has_room(&self) -> bool {
        self.totals.len() < MOST_PARTS
    }

    /// Another part, under the labels of the group.
    pub fn add(&mut self, part: Part, labels: &str) -> usize {
        let mut labels = labels.to_owned();
        if let Part::Bucket(_, le) = &part {
            push_label(&mut labels, "le", le);
        }
        let (Ok(place) | Err(place)) = self.place_of(&part);
        let index = self.totals.len();
        // There are `MOST_PARTS` at most.
        self.sorted.insert(place, index as u16);
        self.totals.push(Total { part, labels, value: 0.0 });
        index
    }
}

impl Total {
    /// What is counted only ever grows. A sum of any numbers stays one.
    pub fn add(&mut self, now: f64, before: f64) {
        self.value += (now - before).clamp(f64::MIN, f64::MAX);
        self.value = self.value.clamp(f64::MIN, f64::MAX);
    }

    fn written(&self) -> Sample<'_> {
        let part = match self.part {
            Part::Bucket(..) => exposition::Part::Bucket,
            Part::Observations => exposition::Part::Count,
            Part::Sum => exposition::Part::Sum,
            Part::Count | Part::Gauge | Part::Created => exposition::Part::Value,
        };
        Sample { part, labels: self.labels.as_str().into(), value: self.value }
    }
}
