//! How many connections a worker may have at once; how long others wait; what a client is told that has waited in vain.
//!
//! What counts is what was put into a worker's queue and is neither closed nor idle: a connection of HTTP/1 between two
//! requests. The primary counts what it puts there, and the worker what counts no more (see the gauges of
//! [`board`](crate::processes::board)). What is read there may be old, and then it is too little that is free: so the
//! primary never hands over one too many. One that was idle and is asked something counts again, whatever the limit says.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::connections::policy::WorkerId;
use crate::processes::board::Gauge;

/// What holds on a port.
#[derive(Debug, Clone)]
pub struct Limit {
    /// What is counted: the connections of all ports that name it.
    pub gauge: Gauge,
    /// How many a worker may have.
    pub most: u64,
    /// How long others wait in the primary; `None`: in the kernel, as long as it takes.
    pub wait: Option<Duration>,
    /// What becomes of those that have waited for so long.
    pub refusal: Refusal,
    /// For how long a worker that is new beside others may have less.
    pub slow_start: Duration,
}

/// What a client gets instead of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Its connection is reset.
    Reset,
    /// `503 Service Unavailable`, where it has asked something in HTTP/1; else it is reset.
    Unavailable,
}

impl Limit {
    /// How many a worker may have that has served for so long; `None`: for long enough.
    pub fn at(&self, age: Option<Duration>) -> u64 {
        let Some(age) = age.filter(|age| *age < self.slow_start) else { return self.most };
        let share = age.as_secs_f64() / self.slow_start.as_secs_f64();
        ((self.most as f64 * share) as u64).clamp(1, self.most)
    }

    /// What a client is told that asks in HTTP/1.
    pub fn unavailable(&self) -> String {
        let seconds = self.wait.unwrap_or_default().as_millis().div_ceil(1000).max(1);
        format!(
            "HTTP/1.1 503 Service Unavailable\r\nRetry-After: {seconds}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        )
    }
}

/// Whether a client has begun to ask in HTTP/1: with a method, and not with the preface of HTTP/2, or with TLS.
pub fn asks_in_http(start: &[u8]) -> bool {
    let method = start.iter().take_while(|byte| byte.is_ascii_uppercase() || **byte == b'-').count();
    method > 0
        && start.get(method).is_none_or(|next| *next == b' ')
        && !b"PRI ".starts_with(&start[..start.len().min(4)])
}

/// Since when the workers of a port serve, where new ones start slowly.
#[derive(Debug, Default)]
pub struct Starts(BTreeMap<WorkerId, Start>);

#[derive(Debug)]
struct Start {
    at: Instant,
    is_slow: bool,
}

impl Starts {
    /// A worker comes. It starts slowly where another one has served for as long as that takes: at the start of all
    /// there is nobody who could do the work meanwhile.
    pub fn add(&mut self, worker: WorkerId, now: Instant, slow_start: Duration) {
        let is_slow = self.0.values().any(|start| now.saturating_duration_since(start.at) >= slow_start);
        self.0.entry(worker).or_insert(Start { at: now, is_slow });
    }

    /// A worker goes.
    pub fn remove(&mut self, worker: WorkerId) {
        self.0.remove(&worker);
    }

    /// For how long one has served that starts slowly.
    pub fn age(&self, worker: WorkerId, now: Instant) -> Option<Duration> {
        let start = self.0.get(&worker).filter(|start| start.is_slow)?;
        Some(now.saturating_duration_since(start.at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(most: u64, slow_start: u64) -> Limit {
        let (wait, slow_start) = (Some(Duration::from_millis(1_001)), Duration::from_secs(slow_start));
        Limit { gauge: Gauge::MIN, most, wait, refusal: Refusal::Reset, slow_start }
    }

    #[test]
    fn a_limit_grows_with_the_age_of_a_worker() {
        let at = |most, age: f64| limit(most, 10).at(Some(Duration::from_secs_f64(age)));
        assert_eq!([0.0, 0.9, 1.0, 5.0, 9.99, 10.0, 1e9].map(|age| at(100, age)), [1, 9, 10, 50, 99, 100, 100]);
        assert_eq!([0.0, 9.99, 10.0].map(|age| at(1, age)), [1, 1, 1]);
        assert_eq!(limit(100, 10).at(None), 100);
        assert_eq!(limit(100, 0).at(Some(Duration::ZERO)), 100);
        assert_eq!(limit(u64::MAX, 10).at(Some(Duration::from_secs(9))), (u64::MAX as f64 * 0.9) as u64);
    }

    #[test]
    fn those_that_start_together_start_at_once_and_later_ones_slowly() {
        let (start, over) = (Instant::now(), Duration::from_secs(10));
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut starts = Starts::default();
        for (worker, at) in [(1, 0), (2, 3), (3, 9), (4, 10), (5, 12)] {
            starts.add(worker, after(at), over);
        }
        let ages = [1, 2, 3, 4, 5, 6].map(|worker| starts.age(worker, after(13)).map(|age| age.as_secs()));
        assert_eq!(ages, [None, None, None, Some(3), Some(1), None]);
        (1..=5).for_each(|worker| starts.remove(worker));
        starts.add(6, after(99), over);
        assert_eq!(starts.age(6, after(99)), None, "it is alone");
    }

    #[test]
    fn what_a_client_is_told_says_when_to_come_again_and_that_it_is_the_last_word() {
        let text = limit(1, 0).unavailable();
        assert!(text.starts_with("HTTP/1.1 503 ") && text.ends_with("\r\n\r\n"), "{text}");
        assert!(text.contains("\r\nRetry-After: 2\r\n") && text.contains("\r\nConnection: close\r\n"), "{text}");
        assert!(Limit { wait: None, ..limit(1, 0) }.unavailable().contains("\r\nRetry-After: 1\r\n"));
    }

    #[test]
    fn only_what_begins_as_http_is_answered_as_http() {
        for start in [&b"GET / HTTP/1.1\r\n"[..], b"M-SEARCH * HTTP/1.1", b"PROPFIND /", b"G", b"PRINT /"] {
            assert!(asks_in_http(start), "{start:?}");
        }
        for start in
            [&b""[..], b"\x16\x03\x01\x02\x00", b"PRI * HTTP/2.0\r\n", b"P", b"get /", b" GET", b"GET\r\n", b"\0"]
        {
            assert!(!asks_in_http(start), "{start:?}");
        }
    }
}
