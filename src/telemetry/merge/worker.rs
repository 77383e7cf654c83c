//! What one worker has said, and how its next snapshot is read: most lines are those of the last one with another number.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::role::{is_counted, role_of, Head};
use super::{Slot, MOST_SERIES};
use crate::telemetry::exposition::Kind;
use crate::telemetry::parse::{self, Line, Nonsense};

/// So many metrics, and bytes of their keys, are remembered beside twice those of now.
const FEW: usize = 1000;
const FEW_BYTES: usize = 1 << 20;

#[derive(Debug)]
pub(super) struct Worker {
    pub slot: Slot,
    /// What it has said, not only the last time.
    pub series: Vec<Series>,
    pub by_key: HashMap<Arc<str>, usize>,
    /// Which of them is where: the same labels may be written in another order.
    by_place: HashMap<Place, usize>,
    /// What those were that count, and of which nothing else is remembered. They may come back, and go on from there.
    away: HashMap<Place, f64>,
    /// Bytes of keys.
    bytes: usize,
    /// What its last snapshot consisted of, in that order: the next one is likely to be the same.
    pub order: Vec<usize>,
    snapshots: u64,
}

/// One metric of one worker.
#[derive(Debug)]
pub(super) struct Series {
    /// `name{labels}`, as the worker writes it, and what is said of its family above it.
    key: Arc<str>,
    kind: Kind,
    pub place: Place,
    /// Whether any number is one of it.
    may_fall: bool,
    /// What it was, and in which snapshot.
    pub last: f64,
    seen: u64,
}

/// Where a metric of a worker belongs. Labels are those that are written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Place {
    Total { family: usize, group: usize, total: usize },
    Gauge { family: usize, labels: Arc<str> },
    Nowhere,
}

impl Place {
    pub fn family(&self) -> Option<usize> {
        match *self {
            Place::Total { family, .. } | Place::Gauge { family, .. } => Some(family),
            Place::Nowhere => None,
        }
    }
}

/// A metric that was read.
pub(super) struct Read<'a> {
    pub key: &'a str,
    pub value: f64,
    /// Among those of the worker, unless it is new.
    pub known: Option<usize>,
    pub head: Head<'a>,
}

impl Worker {
    pub fn new(slot: Slot) -> Worker {
        Worker {
            slot,
            series: Vec::new(),
            by_key: HashMap::new(),
            by_place: HashMap::new(),
            away: HashMap::new(),
            bytes: 0,
            order: Vec::new(),
            snapshots: 0,
        }
    }

    /// The families that its last snapshot is of.
    pub fn families(&self) -> impl Iterator<Item = usize> + '_ {
        self.order.iter().filter_map(|&index| self.series[index].place.family())
    }

    /// Reads a snapshot, and changes nothing.
    pub fn read<'a>(&self, text: &'a str) -> Result<Vec<Read<'a>>, Nonsense> {
        let mut read: Vec<Read<'a>> = Vec::with_capacity(self.order.len());
        let mut head = Head::default();
        let mut new = HashSet::new();
        let mut seen = vec![false; self.series.len()];
        if text.bytes().filter(|&byte| byte == b'\n').count() > parse::MOST_LINES {
            return Err(Nonsense::Many);
        }
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

    /// Another snapshot: what is known of it is there.
    pub fn begin(&mut self, read: &[Read<'_>]) {
        self.snapshots += 1;
        self.order = read.iter().filter_map(|metric| metric.known).collect();
        for &index in &self.order {
            self.series[index].seen = self.snapshots;
        }
    }

    pub fn learn(&mut self, metric: &Read<'_>, place: Place, may_fall: bool) -> usize {
        let (place, last) = self.take_over(place);
        let (key, index): (Arc<str>, usize) = (metric.key.into(), self.series.len());
        self.bytes += key.len();
        self.by_key.insert(Arc::clone(&key), index);
        if place != Place::Nowhere {
            self.by_place.insert(place.clone(), index);
        }
        self.series.push(Series { key, kind: metric.head.kind(), place, may_fall, last, seen: self.snapshots });
        index
    }

    /// A place, and what was said of it last: by whatever key, and however long ago, so that nothing counts twice. It is
    /// nowhere if there is a metric of the same snapshot already.
    fn take_over(&mut self, place: Place) -> (Place, f64) {
        let Some(&holder) = self.by_place.get(&place) else {
            let last = self.away.remove(&place).unwrap_or_default();
            return (place, last);
        };
        let series = &mut self.series[holder];
        if series.seen == self.snapshots {
            return (Place::Nowhere, 0.0);
        }
        series.place = Place::Nowhere;
        // By that key it is to be learned anew.
        if self.by_key.get(&series.key) == Some(&holder) {
            self.by_key.remove(&series.key);
        }
        (place, series.last)
    }

    /// Where it has said much that it says no more, that is forgotten.
    pub fn forget_much(&mut self) {
        let bytes: usize = self.order.iter().map(|&index| self.series[index].key.len()).sum();
        if self.series.len() > 2 * self.order.len() + FEW || self.bytes > 2 * bytes + FEW_BYTES {
            self.forget();
        }
    }

    /// Forgets what it says no more, but for how far that had counted.
    pub fn forget(&mut self) {
        let now = self.snapshots;
        for series in self.series.iter().filter(|series| series.seen != now) {
            if let Place::Total { .. } = series.place {
                self.away.insert(series.place.clone(), series.last);
            }
        }
        self.series.retain(|series| series.seen == now);
        self.order = (0..self.series.len()).collect();
        self.bytes = self.series.iter().map(|series| series.key.len()).sum();
        let series = || self.series.iter().enumerate();
        self.by_key = series().map(|(index, series)| (Arc::clone(&series.key), index)).collect();
        let is_somewhere = |(_, series): &(usize, &Series)| series.place != Place::Nowhere;
        self.by_place = series().filter(is_somewhere).map(|(index, series)| (series.place.clone(), index)).collect();
    }
}

impl Series {
    /// What a line says of this metric, if it is of this one.
    fn value_in<'a>(&self, line: &'a str) -> Option<(&'a str, f64)> {
        let rest = line.strip_prefix(&*self.key).filter(|rest| rest.starts_with(' '))?;
        Some((&line[..self.key.len()], parse::value(rest).ok()?))
    }
}
