//! How many processors this process may use, and what bounds them.

use std::thread::available_parallelism;

use nix::libc;
use nix::unistd::{sysconf, SysconfVar};

/// What a number of workers is derived from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Processors {
    /// As many as may be used at once: at least 1, a fraction rounded down.
    pub usable: usize,
    /// What bounds it.
    pub bound: Bound,
}

/// What bounds the number of processors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// Nothing: the machine has no more.
    Machine,
    /// The affinity of this process (`taskset`, a cpuset).
    Affinity,
    /// A quota of processor time of a control group, its own or one above it.
    Quota,
}

/// Asks the kernel. The standard library minds the affinity, and the quotas of both versions of control groups up to the
/// root; shares, which bound nothing while others are idle, it leaves alone.
pub fn processors() -> Processors {
    let allowed = allowed();
    let usable = available_parallelism().map_or(allowed, usize::from);
    let bound = if usable < allowed {
        Bound::Quota
    } else if allowed < online() {
        Bound::Affinity
    } else {
        Bound::Machine
    };
    Processors { usable, bound }
}

fn online() -> usize {
    let count = sysconf(SysconfVar::_NPROCESSORS_ONLN).ok().flatten();
    count.and_then(|count| usize::try_from(count).ok()).map_or(1, |count| count.max(1))
}

/// The processors in this process's affinity. A machine may have more than nix's set holds: this one grows.
fn allowed() -> usize {
    let mut words = vec![0u64; 16];
    loop {
        let size = size_of_val(words.as_slice());
        // SAFETY: the kernel writes at most so many bytes.
        let result = unsafe { libc::sched_getaffinity(0, size, words.as_mut_ptr().cast()) };
        match result {
            0 => return words.iter().map(|word| word.count_ones() as usize).sum::<usize>().max(1),
            _ if words.len() < 1024 => words.resize(words.len() * 2, 0),
            _ => return online(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_at_least_one_and_never_more_than_the_affinity_has() {
        let Processors { usable, bound } = processors();
        assert!((1..=allowed()).contains(&usable));
        assert_eq!(bound == Bound::Quota, usable < allowed());
        assert!(allowed() <= online());
    }
}
