//! What is left to a process that is the first of its container, as JavaScript sees it.

use napi_derive::napi;

use super::Result;
use crate::processes::orphans;

/// The children that have ended and that nobody has asked for, by their process ids.
#[napi]
pub fn ended_children() -> Result<Vec<i32>> {
    Ok(orphans::ended()?)
}

/// Asks how a child has ended, so that it goes; `false` if it has not ended, or is no child.
#[napi]
pub fn reap_child(pid: i32) -> bool {
    orphans::reap(pid)
}
