//! Metrics as text: what Prometheus reads, in its own format and in OpenMetrics.
//!
//! The crates that write it own the numbers that they write. Ours lie on boards, or came as text from a worker, and are
//! gathered anew for each reader; and both formats are wanted.

use std::borrow::Cow;
use std::fmt::Write;

/// What a family's numbers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only goes up.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by size.
    Histogram,
    /// Quantiles.
    Summary,
    /// Nobody has said.
    Unknown,
}

/// What a sample is to its family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The number itself, or a quantile.
    Value,
    /// How many were no larger than its label `le`.
    Bucket,
    /// The sum of all.
    Sum,
    /// How many there were.
    Count,
}

/// One number.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample<'a> {
    /// What it is to its family.
    pub part: Part,
    /// Its labels, `le` and `quantile` among them, as [`push_label`] writes them. They are written once, and read by many.
    pub labels: Cow<'a, str>,
    /// The number.
    pub value: f64,
}

/// Numbers of one name.
#[derive(Debug, Clone, PartialEq)]
pub struct Family<'a> {
    /// As Prometheus' own format has it: that of a counter with `_total`.
    pub name: &'a str,
    /// What it is, for people.
    pub help: &'a str,
    /// What kind of numbers.
    pub kind: Kind,
    /// The numbers.
    pub samples: Vec<Sample<'a>>,
}

/// How metrics are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' text format, 0.0.4.
    Prometheus,
    /// OpenMetrics, 1.0.0.
    OpenMetrics,
}

impl Format {
    /// The value of `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Appends families in their order.
pub fn append(text: &mut String, families: &[Family<'_>], format: Format) {
    for family in families {
        write_family(text, family, format);
    }
}

/// Appends what ends the text.
pub fn finish(text: &mut String, format: Format) {
    if format == Format::OpenMetrics {
        text.push_str("# EOF\n");
    }
}

fn write_family(text: &mut String, family: &Family<'_>, format: Format) {
    let &Family { name, help, kind, ref samples } = family;
    // In OpenMetrics a counter's family is named without what its samples end in.
    let is_open_counter = format == Format::OpenMetrics && kind == Kind::Counter;
    let name = if is_open_counter { name.strip_suffix("_total").unwrap_or(name) } else { name };
    let kind = match (kind, format) {
        (Kind::Counter, _) => "counter",
        (Kind::Gauge, _) => "gauge",
        (Kind::Histogram, _) => "histogram",
        (Kind::Summary, _) => "summary",
        (Kind::Unknown, Format::Prometheus) => "untyped",
        (Kind::Unknown, Format::OpenMetrics) => "unknown",
    };
    if !help.is_empty() {
        text.extend(["# HELP ", name, " "]);
        escape(text, help, format == Format::OpenMetrics);
        text.push('\n');
    }
    text.extend(["# TYPE ", name, " ", kind, "\n"]);
    for Sample { part, labels, value } in samples {
        let suffix = match part {
            Part::Value if is_open_counter => "_total",
            Part::Value => "",
            Part::Bucket => "_bucket",
            Part::Sum => "_sum",
            Part::Count => "_count",
        };
        text.extend([name, suffix]);
        if !labels.is_empty() {
            text.extend(["{", labels, "}"]);
        }
        text.push(' ');
        write_number(text, *value);
        text.push('\n');
    }
}

/// Appends a label to others.
pub fn push_label(labels: &mut String, name: &str, value: &str) {
    if !labels.is_empty() {
        labels.push(',');
    }
    labels.extend([name, "=\""]);
    escape(labels, value, true);
    labels.push('"');
}

fn write_number(text: &mut String, value: f64) {
    if value.is_nan() {
        text.push_str("NaN");
    } else if value.is_infinite() {
        text.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
    } else {
        // A string takes all that is written to it. Without an exponent some numbers have three hundred digits.
        let size = value.abs();
        let _ = if size != 0.0 && !(1e-7..1e21).contains(&size) {
            write!(text, "{value:e}")
        } else {
            write!(text, "{value}")
        };
    }
}

fn escape(text: &mut String, value: &str, quotes: bool) {
    for character in value.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '\n' => text.push_str("\\n"),
            '"' if quotes => text.push_str("\\\""),
            other => text.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn families() -> Vec<Family<'static>> {
        let sample = |part, labels: &[(&str, &str)], value| {
            let mut text = String::new();
            labels.iter().for_each(|(name, value)| push_label(&mut text, name, value));
            Sample { part, labels: text.into(), value }
        };
        vec![
            Family {
                name: "requests_total",
                help: "All \"of\" them\\\nby path",
                kind: Kind::Counter,
                samples: vec![sample(Part::Value, &[("path", "a\"\\\n"), ("slot", "0")], 3.0)],
            },
            Family {
                name: "wait_seconds",
                help: "",
                kind: Kind::Histogram,
                samples: vec![
                    sample(Part::Bucket, &[("le", "0.005")], 1.0),
                    sample(Part::Bucket, &[("le", "+Inf")], 2.0),
                    sample(Part::Sum, &[], 0.25),
                    sample(Part::Count, &[], 2.0),
                ],
            },
            Family {
                name: "odd",
                help: "Odd",
                kind: Kind::Unknown,
                samples: [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.5, -0.0, 1e20, 1e21, f64::MAX, 5e-324]
                    .map(|value| sample(Part::Value, &[], value))
                    .into(),
            },
        ]
    }

    fn write(families: &[Family<'_>], format: Format) -> String {
        let mut text = String::new();
        append(&mut text, families, format);
        finish(&mut text, format);
        text
    }

    #[test]
    fn in_prometheus_own_format() {
        let expected = r#"# HELP requests_total All "of" them\\\nby path
# TYPE requests_total counter
requests_total{path="a\"\\\n",slot="0"} 3
# TYPE wait_seconds histogram
wait_seconds_bucket{le="0.005"} 1
wait_seconds_bucket{le="+Inf"} 2
wait_seconds_sum 0.25
wait_seconds_count 2
# HELP odd Odd
# TYPE odd untyped
odd NaN
odd +Inf
odd -Inf
odd -1.5
odd -0
odd 100000000000000000000
odd 1e21
odd 1.7976931348623157e308
odd 5e-324
"#;
        assert_eq!(write(&families(), Format::Prometheus), expected);
    }

    #[test]
    fn in_openmetrics_a_counters_family_has_no_suffix_and_the_end_is_marked() {
        let text = write(&families(), Format::OpenMetrics);
        assert!(
            text.starts_with(
                "# HELP requests All \\\"of\\\" them\\\\\\nby path\n# TYPE requests counter\nrequests_total{"
            ),
            "{text}"
        );
        assert!(text.contains("# TYPE odd unknown\n"));
        assert!(text.ends_with("odd 5e-324\n# EOF\n"));
    }
}
