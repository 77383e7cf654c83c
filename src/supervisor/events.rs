//! What goes in.

use super::{Count, Millis, SlotNumber, WorkerId};

/// Something that has happened, or that somebody wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Begin: fill the slots.
    Start,
    /// A worker was started, as [`Action::Fork`](super::Action::Fork) asked.
    Forked {
        /// For that slot.
        slot: SlotNumber,
        /// Its number.
        worker: WorkerId,
    },
    /// No worker could be started.
    ForkFailed {
        /// For that slot.
        slot: SlotNumber,
        /// The error.
        why: String,
    },
    /// A worker runs.
    Online {
        /// Which.
        worker: WorkerId,
    },
    /// A worker listens.
    Listening {
        /// Which.
        worker: WorkerId,
        /// Where; the same text for the same place.
        address: String,
    },
    /// A worker says that it is ready.
    Ready {
        /// Which.
        worker: WorkerId,
    },
    /// A worker's channel is closed: it serves nothing any more.
    Disconnected {
        /// Which.
        worker: WorkerId,
    },
    /// A worker's process has ended.
    Exited {
        /// Which.
        worker: WorkerId,
        /// How.
        exit: Exit,
    },
    /// A worker takes nothing from its queue, or its loop does not turn.
    Quiet {
        /// Which.
        worker: WorkerId,
        /// For how long now; 0 if that is over.
        duration: Millis,
    },
    /// A worker uses so much memory.
    Memory {
        /// Which.
        worker: WorkerId,
        /// How much.
        bytes: u64,
    },
    /// A worker has taken so many connections since it was started.
    Connections {
        /// Which.
        worker: WorkerId,
        /// How many.
        count: Count,
    },
    /// Nothing but the time has changed.
    Time,
    /// All slots, or that of one worker, shall be filled anew.
    Reload {
        /// Only that worker's.
        worker: Option<WorkerId>,
    },
    /// There shall be so many slots.
    Scale {
        /// How many.
        count: u32,
    },
    /// All workers shall end.
    Stop {
        /// At once. A second stop is at once in any case.
        now: bool,
    },
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// Its code, if it exited.
    pub code: Option<i32>,
    /// The name of the signal that ended it.
    pub signal: Option<String>,
}

impl Exit {
    /// Whether a signal has ended it that leaves no time to finish anything: of the kernel's, as a rule.
    pub fn is_violent(&self) -> bool {
        self.signal.as_deref().is_some_and(|name| !["SIGTERM", "SIGINT"].contains(&name))
    }

    /// The code with which a shell would tell of it.
    pub fn as_code(&self) -> i32 {
        use nix::sys::signal::Signal;
        let signal = self.signal.as_ref().and_then(|name| name.parse::<Signal>().ok());
        self.code.or(signal.map(|signal| 128 + signal as i32)).unwrap_or(1)
    }
}

impl std::fmt::Display for Exit {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.code, &self.signal) {
            (_, Some(signal)) => write!(formatter, "was ended by {signal}"),
            (Some(code), None) => write!(formatter, "exited with code {code}"),
            (None, None) => write!(formatter, "ended"),
        }
    }
}
