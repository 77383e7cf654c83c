//! The workers' own metrics as one. Pure: what each worker says goes in, families come out.
//!
//! What is counted is kept: a total is the sum of all that was ever counted, and grows by what each snapshot has more
//! than the one before, of the same worker. So nothing is to be done for a worker that ends, and no total goes down: a
//! counter that is less than it was has begun anew. A gauge is what one worker says now: it is not added up, since
//! nobody here knows whether a sum, a maximum or a mean would mean anything. It is given by `slot`, and ends with its
//! worker.
//!
//! A worker may say anything. A snapshot that is nonsense is left out, whole; what may be kept for ever is bounded.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::exposition::{self, Family as Written, Format, Kind, Sample};
use super::parse::{self, Line, Nonsense};

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

/// Names and values, sorted.
type Labels = Vec<(String, String)>;

#[derive(Debug)]
struct Family {
    name: String,
    kind: Kind,
    help: String,
    groups: Vec<Group>,
    by_labels: HashMap<Labels, usize>,
}

/// What counts of a family under the same labels: a counter, or the parts of a histogram.
#[derive(Debug)]
struct Group {
    labels: Labels,
    totals: Vec<Total>,
}

#[derive(Debug)]
struct Total {
    part: Part,
    value: f64,
}

/// What a metric is of its family.
#[derive(Debug, Clone, PartialEq)]
enum Part {
    /// A counter.
    Count,
    /// What was at most so much: the number, and as it was written.
    Bucket(f64, String),
    /// `_count`
    Observations,
    /// `_sum`: the only one that may go down.
    Sum,
    /// A gauge, or a quantile.
    Gauge,
    /// When something began.
    Created,
}

#[derive(Debug)]
struct Worker {
    slot: Slot,
    /// All that it has said in its life.
    series: Vec<Series>,
    by_key: HashMap<String, usize>,
    /// Where its gauges are: the same labels may be written in another order.
    gauges: HashSet<Place>,
    /// What its last snapshot consisted of, in that order: the next one is likely to be the same.
    order: Vec<usize>,
    snapshots: u64,
}

/// One metric of one worker.
#[derive(Debug)]
struct Series {
    /// `name{labels}`, as the worker writes it, and what is said of its family above it.
    key: String,
    kind: Kind,
    place: Place,
    /// Whether any number is one of it.
    may_fall: bool,
    /// What it was, and in which snapshot.
    last: f64,
    seen: u64,
}

/// Where a metric of a worker belongs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Place {
    Total { family: usize, group: usize, total: usize },
    Gauge { family: usize, labels: Labels },
    Nowhere,
}

/// A metric that was read.
struct Read<'a> {
    key: &'a str,
    value: f64,
    /// Among those of the worker, unless it is new.
    known: Option<usize>,
    head: Head<'a>,
}

/// What was said last of a family.
#[derive(Debug, Clone, Copy, Default)]
struct Head<'a> {
    name: &'a str,
    kind: Option<Kind>,
    help: &'a str,
}

impl Head<'_> {
    fn kind(&self) -> Kind {
        self.kind.unwrap_or(Kind::Unknown)
    }
}

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
        worker.order.clear();
        for metric in read {
            let index = metric.known.unwrap_or_else(|| {
                let place = self.place(worker, metric).unwrap_or(Place::Nowhere);
                let goes_up = self.total_at(&place).is_some_and(|total| !total.part.may_fall());
                worker.learn(metric, place, !goes_up)
            });
            worker.order.push(index);
        }
        let restarted = self.restarted(worker, read);
        for (&index, metric) in worker.order.iter().zip(read) {
            let series = &mut worker.series[index];
            series.seen = worker.snapshots;
            match series.place {
                Place::Total { family, group, total } => {
                    // Of a sum that is no number any more, what it was stays.
                    if metric.value.is_finite() {
                        let before = if restarted.contains(&(family, group)) { 0.0 } else { series.last };
                        self.families[family].groups[group].totals[total].value += metric.value - before;
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
            Place::Total { family, group, total } => Some(&self.families[family].groups[group].totals[total]),
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
    fn place(&mut self, worker: &Worker, metric: &Read<'_>) -> Option<Place> {
        let (name, labels) = parse::labels(metric.key).ok()?;
        let Role { family, kind, help, part } = role_of(name, &labels, metric.head)?;
        if family.starts_with(RESERVED) || part == Part::Created {
            return None;
        }
        let family = self.family(worker, family, kind, help)?;
        if part == Part::Gauge {
            let labels = owned(beside_ours(labels)?);
            let place = Place::Gauge { family, labels };
            return (!worker.gauges.contains(&place)).then_some(place);
        }
        let own = |label: &(&str, &str)| !(matches!(part, Part::Bucket(..)) && label.0 == "le");
        let labels = owned(labels.into_iter().filter(own));
        self.total(family, labels, part)
    }

    /// A family, where all who have it say that it is the same.
    fn family(&mut self, worker: &Worker, name: &str, kind: Kind, help: &str) -> Option<usize> {
        if let Some(&family) = self.by_name.get(name) {
            if self.families[family].kind == kind {
                return Some(family);
            }
            // A new release may count differently what nobody else has any more: what there was is written no more.
            if worker.has(family) || self.workers.values().any(|other| other.has(family)) {
                return None;
            }
        }
        let mut end = help.len().min(LONGEST_HELP);
        while !help.is_char_boundary(end) {
            end -= 1;
        }
        self.keep(name.len() + end)?;
        let (name, help) = (name.to_owned(), parse::unescaped(&help[..end]));
        self.by_name.insert(name.clone(), self.families.len());
        self.families.push(Family { name, kind, help, groups: Vec::new(), by_labels: HashMap::new() });
        Some(self.families.len() - 1)
    }

    fn total(&mut self, family: usize, labels: Labels, part: Part) -> Option<Place> {
        let found = self.families[family].by_labels.get(&labels).copied();
        let group = match found {
            Some(group) => group,
            None => {
                self.keep(labels.iter().map(|(name, value)| 2 * (name.len() + value.len()) + OVERHEAD).sum())?;
                let Family { groups, by_labels, .. } = &mut self.families[family];
                by_labels.insert(labels.clone(), groups.len());
                groups.push(Group { labels, totals: Vec::new() });
                groups.len() - 1
            }
        };
        let is_it = |total: &Total| match (&total.part, &part) {
            (Part::Bucket(one, _), Part::Bucket(other, _)) => one == other,
            (one, other) => one == other,
        };
        let found = self.families[family].groups[group].totals.iter().position(is_it);
        let total = match found {
            Some(total) => total,
            None => {
                self.keep(0)?;
                let totals = &mut self.families[family].groups[group].totals;
                totals.push(Total { part, value: 0.0 });
                totals.len() - 1
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
    pub fn families(&self, format: Format) -> Vec<Written> {
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
    fn gauges(&self) -> HashMap<usize, Vec<Sample>> {
        let newest: BTreeMap<Slot, &Worker> = self.workers.values().map(|worker| (worker.slot, worker)).collect();
        let mut gauges: HashMap<usize, Vec<Sample>> = HashMap::new();
        for worker in newest.into_values() {
            let slot = (SLOT.to_owned(), worker.slot.to_string());
            for series in worker.order.iter().map(|&index| &worker.series[index]) {
                if let Place::Gauge { family, labels } = &series.place {
                    let labels = labels.iter().chain([&slot]).cloned().collect();
                    let gauge = Sample { part: exposition::Part::Value, labels, value: series.last };
                    gauges.entry(*family).or_default().push(gauge);
                }
            }
        }
        gauges
    }
}

impl Family {
    fn written(&self, kind: Kind, gauges: Vec<Sample>) -> Written {
        let mut samples = Vec::new();
        for Group { labels, totals } in &self.groups {
            let mut parts: Vec<&Total> = totals.iter().collect();
            parts.sort_by(|one, other| one.part.rank().total_cmp(&other.part.rank()));
            for Total { part, value } in parts {
                let mut labels = labels.clone();
                let part = match part {
                    Part::Bucket(_, le) => {
                        labels.push(("le".to_owned(), le.clone()));
                        exposition::Part::Bucket
                    }
                    Part::Observations => exposition::Part::Count,
                    Part::Sum => exposition::Part::Sum,
                    Part::Count | Part::Gauge | Part::Created => exposition::Part::Value,
                };
                samples.push(Sample { part, labels, value: *value });
            }
        }
        samples.extend(gauges);
        Written { name: self.name.clone(), help: self.help.clone(), kind, samples }
    }
}

impl Part {
    /// Buckets come first, the smallest first.
    fn rank(&self) -> f64 {
        match self {
            Part::Bucket(most, _) => *most,
            _ => f64::INFINITY,
        }
    }

    /// Whether any number is one of it.
    fn may_fall(&self) -> bool {
        matches!(self, Part::Sum | Part::Gauge | Part::Created)
    }
}

impl Worker {
    fn new(slot: Slot) -> Worker {
        Worker {
            slot,
            series: Vec::new(),
            by_key: HashMap::new(),
            gauges: HashSet::new(),
            order: Vec::new(),
            snapshots: 0,
        }
    }

    fn has(&self, wanted: usize) -> bool {
        self.order.iter().any(|&index| match self.series[index].place {
            Place::Total { family, .. } | Place::Gauge { family, .. } => family == wanted,
            Place::Nowhere => false,
        })
    }

    /// Reads a snapshot, and changes nothing.
    fn read<'a>(&self, text: &'a str) -> Result<Vec<Read<'a>>, Nonsense> {
        let mut read: Vec<Read<'a>> = Vec::with_capacity(self.order.len());
        let mut head = Head::default();
        let mut new = HashSet::new();
        let mut seen = vec![false; self.series.len()];
        for line in parse::lines(text) {
            match line? {
                Line::Help(name, help) if name == head.name => head.help = help,
                Line::Help(name, help) => head = Head { name, kind: None, help },
                Line::Type(name, kind) if name == head.name => head.kind = Some(kind),
                Line::Type(name, kind) => head = Head { name, kind: Some(kind), help: "" },
                Line::Sample(line) => {
                    let metric = self.metric(line, read.len(), head)?;
                    let is_first = match metric.known {
                        Some(index) => !std::mem::replace(&mut seen[index], true),
                        None => new.insert(metric.key),
                    };
                    if !is_first {
                        return Err(Nonsense::Twice);
                    }
                    read.push(metric);
                    if read.len() > MOST_SERIES {
                        return Err(Nonsense::Many);
                    }
                }
            }
        }
        Ok(read)
    }

    /// One metric: most stand where they stood the last time.
    fn metric<'a>(&self, line: &'a str, place: usize, head: Head<'a>) -> Result<Read<'a>, Nonsense> {
        let expected = self.order.get(place).copied();
        if let Some((key, value)) = expected.and_then(|index| self.series[index].value_in(line)) {
            return self.checked(Read { key, value, known: expected, head });
        }
        let (key, value) = parse::sample(line)?;
        let known = self.by_key.get(key).copied();
        self.checked(Read { key, value, known, head })
    }

    fn checked<'a>(&self, mut metric: Read<'a>) -> Result<Read<'a>, Nonsense> {
        // What became of another kind is another metric.
        metric.known = metric.known.filter(|&index| self.series[index].kind == metric.head.kind());
        let can_be = match metric.known {
            Some(index) => self.series[index].may_fall || is_counted(metric.value),
            None => {
                let (name, labels) = parse::labels(metric.key)?;
                let role = role_of(name, &labels, metric.head).ok_or(Nonsense::Line)?;
                role.part.may_fall() || is_counted(metric.value)
            }
        };
        if can_be {
            Ok(metric)
        } else {
            Err(Nonsense::Value)
        }
    }

    fn learn(&mut self, metric: &Read<'_>, place: Place, may_fall: bool) -> usize {
        if matches!(place, Place::Gauge { .. }) {
            self.gauges.insert(place.clone());
        }
        let key = metric.key.to_owned();
        self.by_key.insert(key.clone(), self.series.len());
        self.series.push(Series { key, kind: metric.head.kind(), place, may_fall, last: 0.0, seen: 0 });
        self.series.len() - 1
    }

    /// Where most of what it has said it says no more, that is forgotten.
    fn forget(&mut self) {
        if self.series.len() <= 2 * self.order.len() + 1000 {
            return;
        }
        let now = self.snapshots;
        self.series.retain(|series| series.seen == now);
        let index = |(index, series): (usize, &Series)| (series.key.clone(), index);
        self.by_key = self.series.iter().enumerate().map(index).collect();
        self.order = (0..self.series.len()).collect();
        let is_gauge = |place: &&Place| matches!(place, Place::Gauge { .. });
        self.gauges = self.series.iter().map(|series| &series.place).filter(is_gauge).cloned().collect();
    }
}

impl Series {
    /// What a line says of this metric, if it is of this one.
    fn value_in<'a>(&self, line: &'a str) -> Option<(&'a str, f64)> {
        let rest = line.strip_prefix(&self.key).filter(|rest| rest.starts_with(' '))?;
        Some((&line[..self.key.len()], parse::value(rest).ok()?))
    }
}

/// Whether counting leads to that number.
fn is_counted(value: f64) -> bool {
    value.is_finite() && value >= 0.0
}

/// Which family a metric is of, and what it is there.
struct Role<'a> {
    family: &'a str,
    kind: Kind,
    help: &'a str,
    part: Part,
}

/// What a metric is, going by what was said last of a family; of another one nothing was said.
fn role_of<'a>(name: &'a str, labels: &[(&str, &str)], head: Head<'a>) -> Option<Role<'a>> {
    let label = |wanted| labels.iter().find(|(name, _)| *name == wanted).map(|&(_, value)| value);
    let role = |family, part| Some(Role { family, kind: head.kind(), help: head.help, part });
    let suffix = name.strip_prefix(head.name).filter(|_| !head.name.is_empty()).unwrap_or("?");
    match (head.kind(), suffix) {
        (Kind::Counter | Kind::Histogram | Kind::Summary, "_created") => role(head.name, Part::Created),
        // The family of OpenMetrics has the name of what is counted; that of Prometheus, the metric's.
        (Kind::Counter, "" | "_total") => role(name, Part::Count),
        (Kind::Histogram, "_bucket") => {
            let le = label("le")?;
            let most: f64 = le.parse().ok().filter(|most: &f64| !most.is_nan())?;
            role(head.name, Part::Bucket(most, le.to_owned()))
        }
        (Kind::Histogram | Kind::Summary, "_count") => role(head.name, Part::Observations),
        (Kind::Histogram | Kind::Summary, "_sum") => role(head.name, Part::Sum),
        (Kind::Summary, "") => label("quantile").and_then(|_| role(head.name, Part::Gauge)),
        (Kind::Histogram, "") => None,
        (Kind::Gauge, "" | "_info") | (Kind::Unknown, "" | "_bucket" | "_gsum" | "_gcount") => role(name, Part::Gauge),
        _ => Some(Role { family: name, kind: Kind::Unknown, help: "", part: Part::Gauge }),
    }
}

fn owned<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> Labels {
    labels.into_iter().map(|(name, value)| (name.to_owned(), parse::unescaped(value))).collect()
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
