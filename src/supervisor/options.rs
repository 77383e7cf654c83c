//! What a supervisor is told to do.

use super::{Count, Millis};

/// More slots than any machine serves from: what asks for more is a mistake.
pub const MOST_SLOTS: u32 = 4096;

/// The options, as the command line and the library have them. Times are milliseconds; what is `None` is off.
#[derive(Debug, Clone)]
pub struct Options {
    /// How many slots there are.
    pub workers: u32,
    /// Whether a worker has to say that it is ready.
    pub wait_ready: bool,
    /// How long a worker may take to become ready.
    pub ready_timeout: Option<Millis>,
    /// How long a worker may take to finish what it has.
    pub drain: Millis,
    /// From SIGTERM to SIGKILL.
    pub kill_timeout: Millis,
    /// How long workers go on accepting after a stop.
    pub shutdown_delay: Millis,
    /// How long a slot waits until it is filled again.
    pub backoff: Pauses,
    /// How long a worker has to be ready for the back-off to be forgotten.
    pub stable_after: Millis,
    /// How often slots may be filled again; if not said, [`Budget::of`] as many as there are.
    pub max_restarts: Option<Budget>,
    /// The exit codes of a worker after which its slot stays empty.
    pub stay_down: Vec<i32>,
    /// The bytes of memory at which a worker is replaced.
    pub max_memory: Option<u64>,
    /// The time at which a worker is replaced.
    pub max_lifetime: Option<Millis>,
    /// The connections taken at which a worker is replaced.
    pub max_connections: Option<Count>,
    /// The share, from 0 to 1, by which limits and pauses are shortened at random.
    pub jitter: f64,
    /// How long a worker may be stuck until it is replaced.
    pub stuck: Option<Millis>,
    /// How long a worker may be stuck until it is told.
    pub stuck_report: Option<Millis>,
}

/// The pauses of an exponential back-off.
#[derive(Debug, Clone, Copy)]
pub struct Pauses {
    /// The first; each further one is twice as long.
    pub first: Millis,
    /// The longest.
    pub most: Millis,
}

/// How many restarts there may be in how many milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// How many.
    pub count: u32,
    /// In any span of so many milliseconds.
    pub within: Millis,
}

impl Budget {
    /// For so many slots. The eight first pauses of a slot take half a minute together: only where all slots fail, and
    /// keep failing, is this used up.
    pub fn of(slots: u32) -> Self {
        Budget { count: 8 * slots, within: 60_000 }
    }
}

impl Options {
    /// The defaults for so many workers.
    pub fn new(workers: u32) -> Self {
        let workers = workers.clamp(1, MOST_SLOTS);
        Options {
            workers,
            wait_ready: false,
            ready_timeout: Some(60_000),
            drain: 25_000,
            kill_timeout: 5_000,
            shutdown_delay: 0,
            backoff: Pauses { first: 100, most: 30_000 },
            stable_after: 60_000,
            max_restarts: None,
            stay_down: Vec::new(),
            max_memory: None,
            max_lifetime: None,
            max_connections: None,
            jitter: 0.1,
            stuck: Some(60_000),
            stuck_report: Some(5_000),
        }
    }
}
