//! The workers' own metrics as one. Pure: what each worker says goes in, families come out.
//!
//! What is counted is kept: a total is the sum of all that was ever counted, and grows by what each snapshot has more
//! than the one before, of the same worker. So nothing is to be done for a worker that ends, and no total goes down: a
//! counter that is less than it was has begun anew. A gauge is what one worker says now: it is not added up, since
//! nobody here knows whether a sum, a maximum or a mean would mean anything. It is given by `slot`, and ends with its
//! worker.
//!
//! A worker may say anything. A snapshot that is nonsense is left out, whole; what may be kept for ever is bounded.

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

    /// Takes in what a worker says.
    ///
    /// # Errors
    /// Where it is [`Nonsense`]: nothing has changed then.
    pub fn take(&mut self, id: WorkerId, text: &[u8]) -> Result<(), Nonsense> {
        let text = std::str::from_utf8(text).map_err(|_| Nonsense::Encoding)?;
        let Some(mut worker) = self.workers.remove(&id) else { return Ok(()) };
        let read = worker.read(text);
        if let Ok(read) = &read {
            self.count(&mut worker, read);
        }
        self.workers.insert(id, worker);
        read.map(|_| ())
    }

    fn count(&mut self, worker: &mut Worker, read: &[Read<'_>]) {
        worker.snapshots += 1;
        worker.order = read.iter().filter_map(|metric| metric.known).collect();
        let mut owned = Owned::default();
        let mut order = Vec::with_capacity(read.len());
        for metric in read {
            let index = metric.known.unwrap_or_else(|| {
                let place = self.place(worker, metric, &mut owned).unwrap_or(Place::Nowhere);
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
            series.seen = worker.snapshots;
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
        worker.forget();
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

    /// Where a metric that is new belongs; nowhere if there is no room, or others say that it is something else.
    fn place(&mut self, worker: &Worker, metric: &Read<'_>, owned: &mut Owned) -> Option<Place> {
        let (name, labels) = parse::labels(metric.key).ok()?;
        let Role { family, kind, help, part } = role_of(name, &labels, metric.head)?;
        if family.starts_with(RESERVED) || part == Part::Created {
            return None;
        }
        let family = self.family(worker, family, kind, help, owned)?;
        if part == Part::Gauge {
            let labels = written(beside_ours(labels)?.into_iter().chain([(SLOT, &*worker.slot.to_string())]));
            let place = Place::Gauge { family, labels };
            return (!worker.gauges.contains(&place)).then_some(place);
        }
        let own = |label: &(&str, &str)| !(matches!(part, Part::Bucket(..)) && label.0 == "le");
        let labels = written(labels.into_iter().filter(own));
        self.total(family, labels, part)
    }

    /// A family, where all who have it say that it is the same.
    fn family(&mut self, worker: &Worker, name: &str, kind: Kind, help: &str, owned: &mut Owned) -> Option<usize> {
        if let Some(&family) = self.by_name.get(name) {
            if self.families[family].kind == kind {
                return Some(family);
            }
            // A new release may count differently what nobody else has any more: what there was is written no more.
            let all = || self.workers.values().chain([worker]).flat_map(Worker::families).collect();
            if owned.0.get_or_insert_with(all).contains(&family) {
                return None;
            }
        }
        let mut end = help.len().min(LONGEST_HELP);
        while !help.is_char_boundary(end) {
            end -= 1;
        }
        self.keep(name.len() + end)?;
        self.by_name.insert(name.to_owned(), self.families.len());
        self.families.push(Family::new(name, kind, parse::unescaped(&help[..end])));
        Some(self.families.len() - 1)
    }

    fn total(&mut self, family: usize, labels: String, part: Part) -> Option<Place> {
        let group = match self.families[family].by_labels.get(&labels) {
            Some(&group) => group,
            None => {
                self.keep(labels.len() + OVERHEAD)?;
                let Family { groups, by_labels, .. } = &mut self.families[family];
                by_labels.insert(labels.clone(), groups.len());
                groups.push(Group::default());
                groups.len() - 1
            }
        };
        let total = match self.families[family].groups[group].find(&part) {
            Some(total) => total,
            None if !self.families[family].groups[group].has_room() => return None,
            None => {
                self.keep(labels.len())?;
                self.families[family].groups[group].add(part, &labels)
            }
        };
        Some(Place::Total { family, group, total })
    }

    /// Room for something that is kept for ever.
    fn keep(&mut self, bytes: usize) -> Option<()> {
        let kept = self.kept + bytes + OVERHEAD;
        (kept <= MOST_KEPT).then(|| self.kept = kept)
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
                    let labels = labels.as_str().into();
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
