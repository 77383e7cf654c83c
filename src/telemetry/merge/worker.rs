//! What one worker has said, and how its next snapshot is read: most lines are those of the last one with another number.

use std::collections::{HashMap, HashSet};

use super::role::{is_counted, role_of, Head};
use super::{Slot, MOST_SERIES};
use crate::telemetry::exposition::Kind;
use crate::telemetry::parse::{self, Line, Nonsense};

#[derive(Debug)]
pub(super) struct Worker {
    pub slot: Slot,
    /// All that it has said in its life.
    pub series: Vec<Series>,
    pub by_key: HashMap<String, usize>,
    /// Where its gauges are: the same labels may be written in another order.
    pub gauges: HashSet<Place>,
    /// What its last snapshot consisted of, in that order: the next one is likely to be the same.
    pub order: Vec<usize>,
    pub snapshots: u64,
}

/// One metric of one worker.
#[derive(Debug)]
pub(super) struct Series {
    /// `name{labels}`, as the worker writes it, and what is said of its family above it.
    key: String,
    kind: Kind,
    pub place: Place,
    /// Whether any number is one of it.
    may_fall: bool,
    /// What it was, and in which snapshot.
    pub last: f64,
    pub seen: u64,
}

/// Where a metric of a worker belongs. Labels are those that are written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Place {
    Total { family: usize, group: usize, total: usize },
    Gauge { family: usize, labels: String },
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
            gauges: HashSet::new(),
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

    pub fn learn(&mut self, metric: &Read<'_>, place: Place, may_fall: bool) -> usize {
        if matches!(place, Place::Gauge { .. }) {
            self.gauges.insert(place.clone());
        }
        let key = metric.key.to_owned();
        self.by_key.insert(key.clone(), self.series.len());
        self.series.push(Series { key, kind: metric.head.kind(), place, may_fall, last: 0.0, seen: 0 });
        self.series.len() - 1
    }

    /// Where most of what it has said it says no more, that is forgotten.
    pub fn forget(&mut self) {
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
