//! What comes out.

use nix::sys::signal::Signal;

use super::{Millis, SlotNumber, WorkerId};

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Start a worker; [`Event::Forked`](super::Event::Forked) or [`Event::ForkFailed`](super::Event::ForkFailed)
    /// answers.
    Fork {
        /// For that slot.
        slot: SlotNumber,
        /// How often the slot was filled, with this time.
        generation: u32,
    },
    /// Tell a worker to finish what it has and to take nothing new.
    Drain {
        /// Which.
        worker: WorkerId,
        /// The time that it has.
        within: Millis,
    },
    /// Send a signal.
    Signal {
        /// To whom.
        worker: WorkerId,
        /// Which.
        signal: Signal,
    },
    /// Find out where a worker is stuck.
    Diagnose {
        /// Which.
        worker: WorkerId,
    },
    /// Tell whoever wants to know.
    Report(Report),
    /// The answer to all reloads that wait for one.
    Reloaded {
        /// How many slots have a new worker.
        replaced: u32,
    },
    /// The answer to all reloads that wait for one.
    ReloadFailed(Failure),
    /// The answer to all that wait for a new number of slots.
    Scaled {
        /// How many there are.
        count: u32,
    },
    /// The answer to all that wait for a new number of slots.
    ScaleFailed(Failure),
    /// Nothing lives any more.
    End {
        /// The code to end with.
        code: i32,
    },
}

/// Why something that was wanted did not happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The slot whose worker failed.
    pub slot: Option<SlotNumber>,
    /// That worker, if it was started.
    pub worker: Option<WorkerId>,
    /// What happened, as the end of a sentence.
    pub why: String,
}

/// What a person or a log wants to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What has happened: a stable name.
    pub event: &'static str,
    /// In which slot.
    pub slot: Option<SlotNumber>,
    /// With which worker.
    pub worker: Option<WorkerId>,
    /// The rest, by name.
    pub details: Vec<(&'static str, Detail)>,
}

/// A detail of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Detail {
    /// A number.
    Number(i64),
    /// A text.
    Text(String),
    /// Yes or no.
    Truth(bool),
}

impl From<u64> for Detail {
    fn from(number: u64) -> Self {
        Detail::Number(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<u32> for Detail {
    fn from(number: u32) -> Self {
        Detail::Number(number.into())
    }
}

impl From<i32> for Detail {
    fn from(number: i32) -> Self {
        Detail::Number(number.into())
    }
}

impl From<bool> for Detail {
    fn from(truth: bool) -> Self {
        Detail::Truth(truth)
    }
}

impl From<&str> for Detail {
    fn from(text: &str) -> Self {
        Detail::Text(text.into())
    }
}

impl From<String> for Detail {
    fn from(text: String) -> Self {
        Detail::Text(text)
    }
}

impl Report {
    /// One of that name.
    pub fn new(event: &'static str) -> Self {
        Report { event, slot: None, worker: None, details: Vec::new() }
    }

    /// It is about a slot.
    pub fn slot(mut self, slot: SlotNumber) -> Self {
        self.slot = Some(slot);
        self
    }

    /// It is about a worker.
    pub fn worker(mut self, worker: WorkerId) -> Self {
        self.worker = Some(worker);
        self
    }

    /// With a detail.
    pub fn with(mut self, name: &'static str, detail: impl Into<Detail>) -> Self {
        self.details.push((name, detail.into()));
        self
    }

    /// With a detail, if there is one.
    pub fn with_some(self, name: &'static str, detail: Option<impl Into<Detail>>) -> Self {
        match detail {
            Some(detail) => self.with(name, detail),
            None => self,
        }
    }
}
