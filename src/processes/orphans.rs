//! Processes that were left to this one. The first process of a container inherits those whose parents have died, and
//! when they end they stay, as zombies, until it has asked how.

use std::fs::{read_dir, read_to_string};

use nix::errno::Errno;
use nix::sys::wait::{waitpid, WaitPidFlag};
use nix::unistd::Pid;
use rustix::process::{waitid, WaitId, WaitIdOptions};

use crate::os::error::{Error, Result};

/// The children of this process that have ended and that nobody has asked for; those of its own making are among them.
///
/// # Errors
/// [`Error::Os`] where there is no `/proc`.
pub fn ended() -> Result<Vec<i32>> {
    // Of one that is not reaped the kernel goes on telling: what costs little comes first.
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    if !matches!(waitid(WaitId::All, options), Ok(Some(_))) {
        return Ok(Vec::new());
    }
    let own = Pid::this().as_raw();
    let processes = read_dir("/proc")
        .map_err(|error| Error::os("open", error.raw_os_error().map_or(Errno::ENOENT, Errno::from_raw)))?;
    let pids = processes.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    Ok(pids.filter(|pid| is_zombie_of(*pid, own)).collect())
}

/// Asks how a child has ended, so that it goes. Nothing happens to one that still runs.
pub fn reap(pid: i32) -> bool {
    pid > 0 && matches!(waitpid(Pid::from_raw(pid), Some(WaitPidFlag::WNOHANG)), Ok(status) if status.pid().is_some())
}

/// Looks at state and parent ([proc_pid_stat(5)](https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html)), which
/// come after the name, in which anything may stand.
fn is_zombie_of(pid: i32, parent: i32) -> bool {
    let Ok(stat) = read_to_string(format!("/proc/{pid}/stat")) else { return false };
    let Some((_, fields)) = stat.rsplit_once(") ") else { return false };
    let mut fields = fields.split(' ');
    fields.next() == Some("Z") && fields.next().and_then(|field| field.parse().ok()) == Some(parent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_child_that_has_ended_is_told_until_it_is_reaped_and_one_that_runs_is_not() {
        let mut runs = Command::new("sleep").arg("60").spawn().unwrap();
        let mut child = Command::new("cat").stdin(Stdio::piped()).spawn().unwrap();
        let (pid, running) = (child.id() as i32, runs.id() as i32);
        assert!(!reap(pid));
        drop(child.stdin.take());
        let id = WaitId::Pid(rustix::process::Pid::from_raw(pid).unwrap());
        waitid(id, WaitIdOptions::EXITED | WaitIdOptions::NOWAIT).unwrap();
        for _ in 0..2 {
            let ended = ended().unwrap();
            assert!(ended.contains(&pid) && !ended.contains(&running), "{ended:?}");
        }
        assert!(reap(pid));
        assert!(!ended().unwrap().contains(&pid));
        for pid in [pid, running, 0, -1, i32::MAX] {
            assert!(!reap(pid), "{pid}");
        }
        // It has been asked for.
        assert!(child.wait().is_err());
        runs.kill().unwrap();
        runs.wait().unwrap();
    }
}
