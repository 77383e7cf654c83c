//! What a worker says of its own metrics: the text format of Prometheus (0.0.4), and OpenMetrics. Pure: text goes in,
//! words come out.
//!
//! What comes out borrows from the text. What is not understood is an error, since text that is wrong in one place may
//! be cut off there. Timestamps, exemplars and `_created` are passed over: they are no sums.

use super::exposition::Kind;

/// Why text is no metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nonsense {
    /// It is no UTF-8.
    Encoding,
    /// A line is none of the format, or too long.
    Line,
    /// A series stands there twice.
    Twice,
    /// There are too many lines.
    Many,
    /// A counter, or a part of a histogram, that no counting leads to.
    Value,
}

impl Nonsense {
    /// What is wrong, for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Nonsense::Encoding => "they are no UTF-8",
            Nonsense::Line => "a line is none of Prometheus' format or of OpenMetrics, or too long",
            Nonsense::Twice => "a series stands there twice",
            Nonsense::Many => "they have too many lines, or series",
            Nonsense::Value => "a counter is no number, or less than 0",
        }
    }
}

/// A longer line is nonsense.
pub const LONGEST_LINE: usize = 8192;

/// A metric with more labels is nonsense.
pub const MOST_LABELS: usize = 64;

/// A text with more lines is nonsense.
pub const MOST_LINES: usize = 100_000;

/// A line of the text, if it says something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line<'a> {
    /// What a metric means, as it is escaped.
    Help(&'a str, &'a str),
    /// What a family is.
    Type(&'a str, Kind),
    /// `name{labels} value`, not looked at yet: see [`sample`].
    Sample(&'a str),
}

/// The lines of a text.
///
/// # Errors
/// [`Nonsense::Line`] for one that is too long, or a comment of the format that is not as it should be.
pub fn lines(text: &str) -> impl Iterator<Item = Result<Line<'_>, Nonsense>> {
    text.split('\n').filter_map(|line| line_of(line.strip_suffix('\r').unwrap_or(line)).transpose())
}

fn line_of(line: &str) -> Result<Option<Line<'_>>, Nonsense> {
    if line.len() > LONGEST_LINE {
        return Err(Nonsense::Line);
    }
    let line = line.trim_start_matches(is_blank);
    let Some(comment) = line.strip_prefix('#') else {
        return Ok((!line.is_empty()).then_some(Line::Sample(line)));
    };
    let (word, rest) = word(comment);
    match word {
        "HELP" => {
            let (name, help) = word_of(rest)?;
            Ok(Some(Line::Help(name, help)))
        }
        "TYPE" => {
            let (name, kind) = word_of(rest)?;
            Ok(Some(Line::Type(name, kind_of(kind.trim_matches(is_blank))?)))
        }
        _ => Ok(None),
    }
}

const fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t')
}

/// The first word, and what comes behind it.
fn word(text: &str) -> (&str, &str) {
    let text = text.trim_start_matches(is_blank);
    text.split_once(is_blank).unwrap_or((text, ""))
}

fn word_of(text: &str) -> Result<(&str, &str), Nonsense> {
    let (name, rest) = word(text);
    if is_name(name) {
        Ok((name, rest.trim_start_matches(is_blank)))
    } else {
        Err(Nonsense::Line)
    }
}

fn kind_of(word: &str) -> Result<Kind, Nonsense> {
    Ok(match word {
        "counter" => Kind::Counter,
        "gauge" | "info" | "stateset" => Kind::Gauge,
        "untyped" | "unknown" | "gaugehistogram" => Kind::Unknown,
        "histogram" => Kind::Histogram,
        "summary" => Kind::Summary,
        _ => return Err(Nonsense::Line),
    })
}

/// The name and the value, which is escaped as it was.
pub type Label<'a> = (&'a str, &'a str);

/// Whether a metric may have this name.
pub fn is_name(name: &str) -> bool {
    let goes_on = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':');
    name.bytes().all(goes_on) && name.bytes().next().is_some_and(|first| !first.is_ascii_digit())
}

/// `name{labels}`, and the value behind it.
///
/// # Errors
/// [`Nonsense::Line`].
pub fn sample(line: &str) -> Result<(&str, f64), Nonsense> {
    let end = key_length(line).ok_or(Nonsense::Line)?;
    Ok((&line[..end], value(&line[end..])?))
}

/// How long `name{labels}` is at the start of a line. A brace within quotes ends no labels.
fn key_length(line: &str) -> Option<usize> {
    let bytes = line.as_bytes();
    let end = bytes.iter().position(|byte| matches!(byte, b'{' | b' ' | b'\t'))?;
    let open = end + bytes[end..].iter().position(|byte| !matches!(byte, b' ' | b'\t'))?;
    if bytes[open] != b'{' {
        return Some(end);
    }
    let (mut quoted, mut escaped) = (false, false);
    for (place, byte) in bytes.iter().enumerate().skip(open) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'}' if !quoted => return Some(place + 1),
            _ => {}
        }
    }
    None
}

/// What stands behind `name{labels}`: a value; a timestamp and an exemplar, which are passed over.
///
/// # Errors
/// [`Nonsense::Line`].
pub fn value(text: &str) -> Result<f64, Nonsense> {
    let (value, rest) = word(text);
    let (timestamp, exemplar) = word(rest);
    let is_time = timestamp.is_empty() || timestamp == "#" || timestamp.parse::<f64>().is_ok();
    let exemplar = exemplar.trim_start_matches(is_blank);
    if !is_time || !(timestamp == "#" || exemplar.is_empty() || exemplar.starts_with('#')) {
        return Err(Nonsense::Line);
    }
    // Rust's numbers are more than those of the format: "infinity" is harmless.
    value.parse().map_err(|_| Nonsense::Line)
}

/// The name and the labels, sorted by their names, of `name{labels}`; values are escaped as they were.
///
/// # Errors
/// [`Nonsense::Line`] where it is not like that, or a label stands there twice.
pub fn labels(key: &str) -> Result<(&str, Vec<Label<'_>>), Nonsense> {
    let (name, mut rest) = key.split_once('{').map_or((key, ""), |(name, rest)| (name, rest));
    let name = name.trim_end_matches(is_blank);
    if !is_name(name) {
        return Err(Nonsense::Line);
    }
    let mut labels = Vec::new();
    if key.len() > name.len() {
        rest = rest.strip_suffix('}').ok_or(Nonsense::Line)?.trim_start_matches(is_blank);
        while !rest.is_empty() {
            let (label, after) = label(rest).ok_or(Nonsense::Line)?;
            labels.push(label);
            rest = after;
        }
    }
    labels.sort_unstable();
    let twice = labels.windows(2).any(|pair| pair[0].0 == pair[1].0);
    if twice || labels.len() > MOST_LABELS {
        return Err(Nonsense::Line);
    }
    Ok((name, labels))
}

/// One `name="value"`, and what comes behind it and its comma.
fn label(text: &str) -> Option<(Label<'_>, &str)> {
    let (name, rest) = text.split_once('=')?;
    let name = name.trim_end_matches(is_blank);
    let quoted = rest.trim_start_matches(is_blank).strip_prefix('"')?;
    let mut escaped = false;
    let end = quoted.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    })?;
    let (value, rest) = (&quoted[..end], quoted[end + 1..].trim_start_matches(is_blank));
    let rest = match rest.strip_prefix(',') {
        Some(rest) => rest.trim_start_matches(is_blank),
        None if rest.is_empty() => rest,
        None => return None,
    };
    (is_name(name) && !name.contains(':') && is_escaped(value)).then_some(((name, value), rest))
}

/// Whether all backslashes are those of the format: then no two values are written the same.
fn is_escaped(value: &str) -> bool {
    let mut bytes = value.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'\\' && !matches!(bytes.next(), Some(b'\\' | b'"' | b'n')) {
            return false;
        }
    }
    true
}

/// What was escaped, as it is.
pub fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (character, characters.clone().next()) {
            ('\\', Some(escaped @ ('\\' | '"' | 'n'))) => {
                characters.next();
                out.push(if escaped == 'n' { '\n' } else { escaped });
            }
            _ => out.push(character),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_prom_client_writes_is_read() {
        let text = "# HELP a_total Some \\\\ help\n# TYPE a_total counter\na_total{b=\"x \\\"}\\n{\",c=\"\"} 3\n\n\
                    # anything\nd 1.5 1700000000000\n";
        let read: Result<Vec<_>, _> = lines(text).collect();
        assert_eq!(
            read.unwrap(),
            [
                Line::Help("a_total", "Some \\\\ help"),
                Line::Type("a_total", Kind::Counter),
                Line::Sample("a_total{b=\"x \\\"}\\n{\",c=\"\"} 3"),
                Line::Sample("d 1.5 1700000000000"),
            ]
        );
        let (key, value) = sample("a_total{b=\"x \\\"}\\n{\",c=\"\"} 3").unwrap();
        assert_eq!(value, 3.0);
        assert_eq!(labels(key).unwrap(), ("a_total", vec![("b", "x \\\"}\\n{"), ("c", "")]));
        assert_eq!(sample("d 1.5 1700000000000"), Ok(("d", 1.5)));
    }

    #[test]
    fn what_openmetrics_has_besides_is_passed_over() {
        assert_eq!(sample("a_bucket{le=\"1\"} 4 # {id=\"x\"} 0.5 1.7"), Ok(("a_bucket{le=\"1\"}", 4.0)));
        assert_eq!(sample("a_total 4 1.5 # {id=\"x\"} 0.5"), Ok(("a_total", 4.0)));
        assert_eq!(lines("# EOF\n# UNIT a seconds\n").count(), 0);
        assert_eq!(sample("a +Inf"), Ok(("a", f64::INFINITY)));
        assert!(sample("a NaN").unwrap().1.is_nan());
    }

    #[test]
    fn blanks_and_commas_may_stand_where_they_do_no_harm() {
        assert_eq!(sample("a {b = \"1\" , } \t 2"), Ok(("a {b = \"1\" , }", 2.0)));
        assert_eq!(labels("a {b = \"1\" , }").unwrap(), ("a", vec![("b", "1")]));
        assert_eq!(labels("a{}").unwrap(), ("a", vec![]));
        assert_eq!(labels("a{z=\"1\",b=\"2\"}").unwrap(), ("a", vec![("b", "2"), ("z", "1")]));
    }

    #[test]
    fn nonsense_is_refused() {
        for line in ["a", "a ", "a x", "a 1 x", "a 1 2 3", "a{b=\"1\" 2", "a{b=\"\\\"} 2", "{} 1 2 3"] {
            assert_eq!(sample(line), Err(Nonsense::Line), "{line}");
        }
        for key in
            ["{a=\"1\"}", "1a", "a{b}", "a{b=1}", "a{b=\"1\"c=\"2\"}", "a{b=\"1\",b=\"2\"}", "a{b=\"\\x\"}", "a{,}"]
        {
            assert_eq!(labels(key), Err(Nonsense::Line), "{key}");
        }
        let long = format!("a{{b=\"{}\"}} 1", "x".repeat(LONGEST_LINE));
        for text in ["# TYPE", "# TYPE a", "# TYPE a thing", "# HELP", "# HELP 1a x", &long] {
            assert_eq!(lines(text).next(), Some(Err(Nonsense::Line)), "{text}");
        }
    }

    #[test]
    fn what_was_escaped_is_as_it_was() {
        assert_eq!(unescaped(r#"a\\n\n\"b\x\"#), "a\\n\n\"b\\x\\");
    }
}
