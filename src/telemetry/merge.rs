//! The workers' own metrics as one. Pure: what each worker says goes in, families come out.
//!
//! What is counted is kept: a total is the sum of all that was ever counted, and grows by what each snapshot has more
//! than the one before, of the same worker. So nothing is to be done for a worker that ends, and no total goes down: a
//! counter that is less than it was has begun anew. A gauge is what one worker says now: it is not added up, since
//! nobody here knows whether a sum, a maximum or a mean would mean anything. It is given by `slot`, and ends with its
//! worker.
//!
//! What a worker had counted is remembered by what it is, and not by how it was written, for as long as the worker lives: a
//! counter that is away, and comes back, goes on from what it was.
//!
//! A worker may say anything. A snapshot that is nonsense is left out, whole; what may be kept for ever is bounded, for all
//! and for those of one slot: beyond it what is new is left out.

mod family;
mod role;
mod worker;

use std::collections::{BTreeMap, HashMap, HashSet};

use super::exposition::{self, Format, Kind, Sample};
use super::parse::{self, Nonsense};
use family::{Family, Group, Total};
use role::{role_of, Part, Role};
use worker::{Place, Read, Worker};

/// A worker, by its ever new number.
pub type WorkerId = u32;

/// A place that one worker at a time fills; for a moment two.
pub type Slot = u32;

/// More metrics in one snapshot are nonsense.
pub const MOST_SERIES: usize = 20_000;

/// So many bytes of names, labels and descriptions are kept of all that ever was. What is new then is left out.
const MOST_KEPT: usize = 32 << 20;

/// So many of them may be new with the workers of one slot: others are to have room, too.
const MOST_OF_SLOT: usize = 8 << 20;

/// What a series takes besides its text, about.
const OVERHEAD: usize = 128;

/// A longer description is cut off.
const LONGEST_HELP: usize = 1024;

/// These names are the cluster's own.
const RESERVED: &str = "cluster_";

/// A label of the cluster's; what a metric has under that name goes by another, as in Prometheus.
const SLOT: &str = "slot";

/// What all workers have said.
#[derive(Debug, Default)]
pub struct Merge {
    families: Vec<Family>,
    by_name: HashMap<String, usize>,
    workers: BTreeMap<WorkerId, Worker>,
    kept: usize,
    kept_of: BTreeMap<Slot, usize>,
}

/// Why there is no room for a metric that is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bound {
    /// The workers of its slot have brought so many.
    Slot,
    /// All have.
    All,
    /// Its histogram has so many parts.
    Histogram,
}

impl Bound {
    /// Why, for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Bound::Slot => "workers of its slot have had too many different ones",
            Bound::All => "all workers have had too many different ones",
            Bound::Histogram => "a histogram has too many buckets",
        }
    }
}

/// What was new in a snapshot, and left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeftOut {
    /// How many metrics.
    pub count: u64,
    /// Why, the last one.
    pub bound: Bound,
}

/// The families that workers have, as far as that is asked for: seldom.
#[derive(Default)]
struct Owned(Option<HashSet<usize>>);

impl Merge {
    /// A worker is there, and will count from nothing.
    pub fn add(&mut self, worker: WorkerId, slot: Slot) {
        self.workers.insert(worker, Worker::new(slot));
    }

    /// A worker is gone: what it has counted stays.
    pub fn remove(&mut self, worker: WorkerId) {
        self.workers.remove(&worker);
    }

    /// Takes in what a worker says, and tells what of it is left out.
    ///
    /// # Errors
    /// Where it is [`Nonsense`]: nothing has changed then.
    pub fn take(&mut self, id: WorkerId, text: &[u8]) -> Result<Option<LeftOut>, Nonsense> {
        let text = std::str::from_utf8(text).map_err(|_| Nonsense::Encoding)?;
        let Some(mut worker) = self.workers.remove(&id) else { return Ok(None) };
        let read = worker.read(text);
        let left_out = read.map(|read| self.count(&mut worker, &read));
        self.workers.insert(id, worker);
        left_out
    }

    fn count(&mut self, worker: &mut Worker, read: &[Read<'_>]) -> Option<LeftOut> {
        worker.begin(read);
        let (mut left_out, mut owned) = (None, Owned::default());
        let mut order = Vec::with_capacity(read.len());
        for metric in read {
            let index = metric.known.unwrap_or_else(|| {
                let place = self.place(worker, metric, &mut owned).unwrap_or_else(|bound| {
                    let count = left_out.map_or(1, |LeftOut { count, .. }| count + 1);
                    left_out = Some(LeftOut { count, bound });
                    Place::Nowhere
                });
                owned.0.iter_mut().for_each(|owned| owned.extend(place.family()));
                let goes_up = self.total_at(&place).is_some_and(|total| !total.part.may_fall());
                worker.learn(metric, place, !goes_up)
            });
            order.push(index);
        }
        worker.order = order;
        let restarted = self.restarted(worker, read);
        for (&index, metric) in worker.order.iter().zip(read) {
            let series = &mut worker.series[index];
            match series.place {
                Place::Total { family, group, total } => {
                    // Of a sum that is no number any more, what it was stays.
                    if metric.value.is_finite() {
                        let before = if restarted.contains(&(family, group)) { 0.0 } else { series.last };
                        self.families[family].total_mut(group, total).add(metric.value, before);
                        series.last = metric.value;
                    }
                }
                Place::Gauge { .. } | Place::Nowhere => series.last = metric.value,
            }
        }
        worker.forget_much();
        left_out
    }

    fn total_at(&self, place: &Place) -> Option<&Total> {
        match *place {
            Place::Total { family, group, total } => Some(self.families[family].total(group, total)),
            Place::Gauge { .. } | Place::Nowhere => None,
        }
    }

    /// The counters and histograms that have begun anew within a worker: something that only goes up is less than it was, or
    /// the sum is another one though nothing came to it.
    fn restarted(&self, worker: &Worker, read: &[Read<'_>]) -> HashSet<(usize, usize)> {
        let (mut restarted, mut unchanged, mut moved) = (HashSet::new(), HashSet::new(), Vec::new());
        for (&index, metric) in worker.order.iter().zip(read) {
            let series = &worker.series[index];
            let Place::Total { family, group, .. } = series.place else { continue };
            let place = (family, group);
            match self.total_at(&series.place).map(|total| &total.part) {
                Some(Part::Sum) if metric.value != series.last => moved.push(place),
                Some(Part::Sum) => {}
                _ if metric.value < series.last => drop(restarted.insert(place)),
                Some(Part::Observations) if metric.value == series.last => drop(unchanged.insert(place)),
                _ => {}
            }
        }
        restarted.extend(moved.into_iter().filter(|place| unchanged.contains(place)));
        restarted
    }

    /// Where a metric that is new belongs; nowhere if it is ours, or others say that it is something else.
    fn place(&mut self, worker: &Worker, metric: &Read<'_>, owned: &mut Owned) -> Result<Place, Bound> {
        let Ok((name, labels)) = parse::labels(metric.key) else { return Ok(Place::Nowhere) };
        let Some(role) = role_of(name, &labels, metric.head) else { return Ok(Place::Nowhere) };
        if role.family.starts_with(RESERVED) || matches!(role.part, Part::Created) {
            return Ok(Place::Nowhere);
        }
        let Some(family) = self.family(worker, &role, owned)? else { return Ok(Place::Nowhere) };
        if matches!(role.part, Part::Gauge) {
            let Some(labels) = beside_ours(labels) else { return Ok(Place::Nowhere) };
            let labels = written(labels.into_iter().chain([(SLOT, &*worker.slot.to_string())])).into();
            return Ok(Place::Gauge { family, labels });
        }
        let own = |label: &(&str, &str)| !(matches!(role.part, Part::Bucket(..)) && label.0 == "le");
        let labels = written(labels.into_iter().filter(own));
        self.total(worker.slot, family, labels, role.part)
    }

    /// A family, where all who have it say that it is the same.
    fn family(&mut self, worker: &Worker, role: &Role<'_>, owned: &mut Owned) -> Result<Option<usize>, Bound> {
        let &Role { family: name, kind, help, .. } = role;
        if let Some(&family) = self.by_name.get(name) {
            if self.families[family].kind == kind {
                return Ok(Some(family));
            }
            // A new release may count differently what nobody else has any more: what there was is written no more.
            let all = || self.workers.values().chain([worker]).flat_map(Worker::families).collect();
            if owned.0.get_or_insert_with(all).contains(&family) {
                return Ok(None);
            }
        }
        let mut end = help.len().min(LONGEST_HELP);
        while !help.is_char_boundary(end) {
            end -= 1;
        }
        self.keep(worker.slot, name.len() + end)?;
        self.by_name.insert(name.to_owned(), self.families.len());
        self.families.push(Family::new(name, kind, parse::unescaped(&help[..end])));
        Ok(Some(self.families.len() - 1))
    }

    fn total(&mut self, slot: Slot, family: usize, labels: String, part: Part) -> Result<Place, Bound> {
        let group = match self.families[family].by_labels.get(&labels) {
            Some(&group) => group,
            None => {
                self.keep(slot, labels.len() + OVERHEAD)?;
                let Family { groups, by_labels, .. } = &mut self.families[family];
                by_labels.insert(labels.clone(), groups.len());
                groups.push(Group::default());
                groups.len() - 1
            }
        };
        let total = match self.families[family].groups[group].find(&part) {
            Some(total) => total,
            None if !self.families[family].groups[group].has_room() => return Err(Bound::Histogram),
            None => {
                self.keep(slot, labels.len())?;
                self.families[family].groups[group].add(part, &labels)
            }
        };
        Ok(Place::Total { family, group, total })
    }

    /// Room for something that is kept for ever.
    fn keep(&mut self, slot: Slot, bytes: usize) -> Result<(), Bound> {
        let of_slot = self.kept_of.entry(slot).or_default();
        let (kept, kept_of_slot) = (self.kept + bytes + OVERHEAD, *of_slot + bytes + OVERHEAD);
        if kept > MOST_KEPT {
            return Err(Bound::All);
        }
        if kept_of_slot > MOST_OF_SLOT {
            return Err(Bound::Slot);
        }
        (self.kept, *of_slot) = (kept, kept_of_slot);
        Ok(())
    }

    /// All of it, as it is to be written in a format.
    pub fn families(&self, format: Format) -> Vec<exposition::Family<'_>> {
        let mut gauges = self.gauges();
        let families = self.families.iter().enumerate().filter_map(|(index, family)| {
            let gauges = gauges.remove(&index).unwrap_or_default();
            let is_current = self.by_name.get(&family.name) == Some(&index);
            let says_something = !(family.groups.is_empty() && gauges.is_empty());
            let kind = self.kind_in(family, format).filter(|_| is_current && says_something)?;
            Some(family.written(kind, gauges))
        });
        families.collect()
    }

    /// What a family is there; nothing if its name is another's. In OpenMetrics the name of a counter is without `_total`.
    fn kind_in(&self, family: &Family, format: Format) -> Option<Kind> {
        if family.kind != Kind::Counter || format == Format::Prometheus {
            return Some(family.kind);
        }
        match family.name.strip_suffix("_total") {
            Some(base) if self.by_name.contains_key(base) => {
                let other = self.families[self.by_name[base]].kind;
                Some(if other == Kind::Counter { Kind::Counter } else { Kind::Unknown })
            }
            Some(_) => Some(Kind::Counter),
            None if self.by_name.contains_key(&format!("{}_total", family.name)) => None,
            None => Some(Kind::Counter),
        }
    }

    /// The gauges by their family: of two workers in a slot the newer one's.
    fn gauges(&self) -> HashMap<usize, Vec<Sample<'_>>> {
        let newest: BTreeMap<Slot, &Worker> = self.workers.values().map(|worker| (worker.slot, worker)).collect();
        let mut gauges: HashMap<usize, Vec<Sample<'_>>> = HashMap::new();
        for worker in newest.into_values() {
            for series in worker.order.iter().map(|&index| &worker.series[index]) {
                if let Place::Gauge { family, labels } = &series.place {
                    let labels = (&**labels).into();
                    let gauge = Sample { part: exposition::Part::Value, labels, value: series.last };
                    gauges.entry(*family).or_default().push(gauge);
                }
            }
        }
        gauges
    }
}

/// Labels as they are written. Their values are escaped already, each in the one way in which it can be.
fn written<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = String::new();
    for (name, value) in labels {
        let comma = if text.is_empty() { "" } else { "," };
        text.extend([comma, name, "=\"", value, "\""]);
    }
    text
}

/// Labels that stand beside our own; `None` if there is no room for it.
fn beside_ours<'a>(mut labels: Vec<(&'a str, &'a str)>) -> Option<Vec<(&'a str, &'a str)>> {
    let is_taken = labels.iter().any(|(name, _)| *name == "exported_slot");
    for (name, _) in &mut labels {
        if *name == SLOT {
            *name = if is_taken { return None } else { "exported_slot" };
        }
    }
    Some(labels)
}

#[cfg(test)]
#[path = "merge/tests.rs"]
mod tests;
