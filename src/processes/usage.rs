//! What a process uses, as the kernel says.

use std::sync::OnceLock;

use nix::unistd::{sysconf, SysconfVar};

/// A process, of which the kernel is asked by its number.
#[derive(Debug)]
pub struct Process {
    pid: i32,
    /// When it was started: another one that has its number later was not.
    started: OnceLock<u64>,
}

/// What it uses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Usage {
    /// Seconds for which it had a processor.
    pub cpu: f64,
    /// Bytes of memory that are resident.
    pub resident: u64,
}

impl Process {
    /// The one that has this number now.
    pub fn new(pid: i32) -> Process {
        Process { pid, started: OnceLock::new() }
    }

    /// Its number.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// What it uses now; `None` if it has ended, or nobody says.
    pub fn usage(&self) -> Option<Usage> {
        let (started, usage) = parse(&std::fs::read(format!("/proc/{}/stat", self.pid)).ok()?)?;
        (*self.started.get_or_init(|| started) == started).then_some(usage)
    }
}

/// proc_pid_stat(5): its name, in brackets, may have anything in it.
fn parse(stat: &[u8]) -> Option<(u64, Usage)> {
    let end = stat.iter().rposition(|byte| *byte == b')')?;
    let fields: Vec<&str> = std::str::from_utf8(&stat[end + 1..]).ok()?.split_ascii_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    let per_second = sysconf(SysconfVar::CLK_TCK).ok()?? as f64;
    let page = sysconf(SysconfVar::PAGE_SIZE).ok()?? as u64;
    let usage = Usage { cpu: (field(14)? + field(15)?) as f64 / per_second, resident: field(24)?.saturating_mul(page) };
    Some((field(22)?, usage))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_something_and_another_one_of_its_number_is_not_taken_for_it() {
        let own = Process::new(std::process::id() as i32);
        let usage = own.usage().unwrap();
        assert!(usage.resident > 100_000, "{usage:?}");
        let other = Process { pid: own.pid, started: OnceLock::from(1) };
        assert_eq!(other.usage(), None);
    }

    #[test]
    fn a_name_may_have_anything_in_it() {
        let stat = b"7 (a) b) (c) S 1 7 7 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 1 0 99 1000 3 18446744073709551615";
        let (started, usage) = parse(stat).unwrap();
        assert_eq!((started, usage.cpu), (99, 3.0));
        for broken in [&b""[..], b"7", b"7 (a", b"7 (a) S 1"] {
            assert_eq!(parse(broken), None);
        }
    }
}
