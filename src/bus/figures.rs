//! What the hub has counted, for whoever wants to know. Nothing is told apart by name: there may be a million of them.

use serde::Serialize;

/// What was counted, and what there is now.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// Processes that take part, and bridges.
    pub members: usize,
    /// Names of channels on which somebody listens.
    pub topics: usize,
    /// What was posted, and what came of it.
    #[serde(flatten)]
    pub posts: Posts,
    /// Bytes that wait for members that do not read.
    pub queued_bytes: usize,
    /// Requests that were made.
    pub requests: u64,
    /// Those of them that wait for an answer.
    pub pending: usize,
    /// The locks.
    pub locks: LockFigures,
    /// The store.
    pub store: StoreFigures,
}

/// Messages to channels. One that several members listen to arrives, or is missed, at each of them.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Posts {
    /// Posted.
    pub published: u64,
    /// Their bytes.
    pub published_bytes: u64,
    /// Queued for a member.
    pub delivered: u64,
    /// Their bytes.
    pub delivered_bytes: u64,
    /// Not queued for a member that does not read.
    pub missed: u64,
}

/// Claims to locks.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct LockFigures {
    /// Of those that have one.
    pub held: usize,
    /// Of those that wait for one.
    pub waiting: usize,
}

/// What is kept for all.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct StoreFigures {
    /// Values and counters. Those whose time is over go when somebody uses the store again.
    pub entries: usize,
    /// What they take.
    pub bytes: usize,
    /// Those that made room for others before their time.
    pub evicted: u64,
}
