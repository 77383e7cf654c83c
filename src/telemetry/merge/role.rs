//! What a metric is of its family, going by its name, its labels and what was said above it.

use std::cmp::Ordering;

use crate::telemetry::exposition::Kind;

/// What was said last of a family.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Head<'a> {
    pub name: &'a str,
    pub kind: Option<Kind>,
    pub help: &'a str,
}

impl Head<'_> {
    pub fn kind(&self) -> Kind {
        self.kind.unwrap_or(Kind::Unknown)
    }
}

/// What a metric is of its family.
#[derive(Debug)]
pub(super) enum Part {
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

impl Part {
    /// Whether it stands before another one of its group: buckets come first, the smallest first. Two are the same part if
    /// neither does.
    pub fn order(&self, other: &Part) -> Ordering {
        let rank = |part: &Part| match part {
            // There is one 0 only.
            Part::Bucket(most, _) => (most + 0.0, 0),
            Part::Sum => (f64::INFINITY, 1),
            Part::Observations => (f64::INFINITY, 2),
            Part::Count | Part::Gauge | Part::Created => (f64::INFINITY, 3),
        };
        let ((most, kind), (other_most, other_kind)) = (rank(self), rank(other));
        most.total_cmp(&other_most).then(kind.cmp(&other_kind))
    }

    /// Whether any number is one of it.
    pub fn may_fall(&self) -> bool {
        matches!(self, Part::Sum | Part::Gauge | Part::Created)
    }
}

/// Whether counting leads to that number.
pub(super) fn is_counted(value: f64) -> bool {
    value.is_finite() && value >= 0.0
}

/// Which family a metric is of, and what it is there.
pub(super) struct Role<'a> {
    pub family: &'a str,
    pub kind: Kind,
    pub help: &'a str,
    pub part: Part,
}

/// What a metric is, going by what was said last of a family; of another one nothing was said.
pub(super) fn role_of<'a>(name: &'a str, labels: &[(&str, &str)], head: Head<'a>) -> Option<Role<'a>> {
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
