//! A process that was started: its signals, and its end.
//!
//! Its end makes a descriptor readable. That is a pidfd, which names no other process ever, where the kernel has
//! all that is done with one: since Linux 5.4, unless a sandbox (gVisor) or a container's seccomp profile forbids it.
//! Elsewhere it is an eventfd, which a thread writes that waits for this one process and does nothing else.
//!
//! Why a thread and not SIGCHLD: the signal is libuv's, which keeps what it has to tell in a pipe; as many workers
//! that end at once as a large cluster has would fill it, and the end of the last be lost. Why not the end of a pipe
//! that the child holds: its own children hold it too.

use std::cell::Cell;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;
use rustix::process::{pidfd_open, waitid, PidfdFlags, WaitId, WaitIdOptions, WaitIdStatus};

use crate::os::error::{Error, Result};
use crate::os::thread;
use crate::os::wait::Flag;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// Its exit code; 0 when a signal ended it.
    pub code: i32,
    /// The signal that ended it; 0 when it exited.
    pub signal: i32,
}

/// A child process of ours.
#[derive(Debug)]
pub struct Child {
    pid: Pid,
    end: End,
    /// Its end was told, or somebody else reaped it: the number may be another's.
    reaped: Cell<bool>,
}

/// What becomes readable when the process has ended.
#[derive(Debug)]
enum End {
    /// It stands for the process in every call.
    Pidfd(OwnedFd),
    /// It is written by a thread. Until the process is reaped, its number stands for it.
    Told(Arc<Flag>),
}

impl Child {
    /// Watches over a process that has just been started, and that nobody waits for. One whose end cannot be seen is
    /// ended at once.
    ///
    /// # Errors
    /// [`Error::Os`] with `EMFILE` or `EAGAIN` when descriptors or threads are missing.
    pub(super) fn watch(pid: Pid) -> Result<Child> {
        // Nobody has waited for the child, so the number is still its own, even if it has ended.
        let end = match pidfd(pid) {
            Some(pidfd) => End::Pidfd(pidfd),
            None => End::Told(tell_end(pid).inspect_err(|_| end(pid))?),
        };
        Ok(Child { pid, end, reaped: Cell::new(false) })
    }

    /// The process id.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    /// Readable when the process has ended.
    pub fn end(&self) -> BorrowedFd<'_> {
        match &self.end {
            End::Pidfd(pidfd) => pidfd.as_fd(),
            End::Told(eventfd) => eventfd.as_fd(),
        }
    }

    /// Sends a signal; 0 only asks whether the process is there.
    ///
    /// # Errors
    /// [`Error::Os`] with `EINVAL` for a number that is no signal, `EPERM`, and `ESRCH` when the process is gone.
    pub fn kill(&self, number: i32) -> Result<()> {
        let wanted = match number {
            0 => None,
            _ => Some(Signal::try_from(number).map_err(|errno| Error::os("kill", errno))?),
        };
        let sent = match &self.end {
            _ if self.reaped.get() => Err(Errno::ESRCH),
            End::Pidfd(pidfd) => match pidfd_send_signal(pidfd, number) {
                // Forbidden is the call perhaps, and not the signal.
                Err(Errno::ENOSYS | Errno::EPERM) => kill(self.pid, wanted),
                result => result,
            },
            End::Told(_) => kill(self.pid, wanted),
        };
        sent.map_err(|errno| Error::os("kill", errno))
    }

    /// How the process ended; `None` while it runs. The process is reaped by the call that says so.
    ///
    /// # Errors
    /// [`Error::Os`] with `ECHILD` when it has been reaped already.
    pub fn exited(&self) -> Result<Option<Exit>> {
        if self.reaped.get() {
            return Err(Error::os("waitid", Errno::ECHILD));
        }
        let id = match &self.end {
            End::Pidfd(pidfd) => WaitId::PidFd(pidfd.as_fd()),
            End::Told(_) => by_number(self.pid),
        };
        let status = wait(id, WaitIdOptions::NOHANG);
        self.reaped.set(!matches!(status, Ok(None)));
        let status = status.map_err(|errno| Error::os("waitid", errno))?;
        Ok(status.map(|status| Exit {
            code: status.exit_status().unwrap_or_default(),
            signal: status.terminating_signal().unwrap_or_default(),
        }))
    }

    /// Ends a process that cannot be watched over, and reaps it.
    pub fn abandon(&self) {
        if !self.reaped.replace(true) {
            end(self.pid);
        }
    }
}

/// The pidfd of a child, if it can be waited for: pidfd_open(2) came with Linux 5.3, waitid(2) of one with 5.4.
fn pidfd(pid: Pid) -> Option<OwnedFd> {
    // Without PIDFD_NONBLOCK, which came with Linux 5.10: nobody waits for it but in poll.
    let pidfd = pidfd_open(rustix::process::Pid::from_raw(pid.as_raw())?, PidfdFlags::empty()).ok()?;
    wait(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT).ok()?;
    Some(pidfd)
}

/// As kill(2), since Linux 5.1.
fn pidfd_send_signal(pidfd: &OwnedFd, number: i32) -> nix::Result<()> {
    let information: *const libc::siginfo_t = std::ptr::null();
    // SAFETY: the kernel reads no memory of ours: there is no information besides the number.
    let sent = unsafe { libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), number, information, 0) };
    Errno::result(sent).map(drop)
}

/// A descriptor that a thread makes readable when the child has ended.
fn tell_end(pid: Pid) -> Result<Arc<Flag>> {
    let ended = Arc::new(Flag::new()?);
    let told = Arc::clone(&ended);
    let wait = move || {
        // The end stays to be asked for by `exited`. An error, that somebody else reaped it, is told as well.
        let _ = wait(by_number(pid), WaitIdOptions::NOWAIT);
        told.raise();
    };
    thread::start("cluster-wait", wait)?;
    Ok(ended)
}

fn by_number(pid: Pid) -> WaitId<'static> {
    WaitId::Pid(rustix::process::Pid::from_raw(pid.as_raw()).expect("a child's pid is not 0"))
}

fn wait(id: WaitId<'_>, options: WaitIdOptions) -> nix::Result<Option<WaitIdStatus>> {
    loop {
        match waitid(id.clone(), WaitIdOptions::EXITED | options) {
            Err(rustix::io::Errno::INTR) => {}
            // A pidfd that does not block says EAGAIN where others say that nothing has changed.
            Err(rustix::io::Errno::AGAIN) => return Ok(None),
            result => return result.map_err(|errno| Errno::from_raw(errno.raw_os_error())),
        }
    }
}

/// Kills a child that nobody has waited for, and waits for it.
fn end(pid: Pid) {
    let _ = kill(pid, Signal::SIGKILL);
    let _ = wait(by_number(pid), WaitIdOptions::empty());
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
    use std::process::Command;

    /// Runs a test on the kernels that there are: the first is this one.
    fn on_all_kernels(test: impl Fn() + Sync) {
        const PIDFD_OPEN: &str = r#"{ "syscall": "pidfd_open" }"#;
        const PIDFD_NONBLOCK: &str = r#"{ "syscall": "pidfd_open", "args":
            [{ "index": 1, "type": "dword", "op": { "masked_eq": 2048 }, "val": 2048 }] }"#;
        const WAITID_P_PIDFD: &str = r#"{ "syscall": "waitid", "args":
            [{ "index": 0, "type": "dword", "op": "eq", "val": 3 }] }"#;
        const PIDFD_SEND_SIGNAL: &str = r#"{ "syscall": "pidfd_send_signal" }"#;
        let kernels: [&[(&str, Errno)]; 7] = [
            &[],
            // Linux 5.4, 5.3 and 4.18.
            &[(PIDFD_NONBLOCK, Errno::EINVAL)],
            &[(WAITID_P_PIDFD, Errno::EINVAL), (PIDFD_NONBLOCK, Errno::EINVAL)],
            &[(PIDFD_OPEN, Errno::ENOSYS), (PIDFD_SEND_SIGNAL, Errno::ENOSYS), (WAITID_P_PIDFD, Errno::EINVAL)],
            // Profiles of containers.
            &[(PIDFD_OPEN, Errno::EPERM), (PIDFD_SEND_SIGNAL, Errno::EPERM)],
            &[(PIDFD_SEND_SIGNAL, Errno::EPERM)],
            &[(PIDFD_SEND_SIGNAL, Errno::ENOSYS)],
        ];
        for denied in kernels {
            let on_this = || {
                denied.iter().for_each(|(call, errno)| deny(call, *errno));
                test();
            };
            // The filter is the thread's, and of the threads that it starts.
            std::thread::scope(|scope| scope.spawn(on_this).join()).unwrap_or_else(|_| panic!("with {denied:?}"));
        }
    }

    fn deny(call: &str, errno: Errno) {
        let filter = format!(
            r#"{{ "of this thread": {{ "mismatch_action": "allow", "match_action": {{ "errno": {} }}, "filter": [{call}] }} }}"#,
            errno as i32
        );
        let architecture = std::env::consts::ARCH.try_into().unwrap();
        for filter in seccompiler::compile_from_json(filter.as_bytes(), architecture).unwrap().values() {
            seccompiler::apply_filter(filter).unwrap();
        }
    }

    #[allow(clippy::zombie_processes, reason = "a Child waits for it")]
    fn spawn(program: &str, argument: &str) -> Pid {
        Pid::from_raw(Command::new(program).arg(argument).spawn().unwrap().id().cast_signed())
    }

    fn start(program: &str, argument: &str) -> Child {
        Child::watch(spawn(program, argument)).unwrap()
    }

    fn wait_for(child: &Child) {
        poll(&mut [PollFd::new(child.end(), PollFlags::POLLIN)], PollTimeout::NONE).unwrap();
    }

    #[test]
    fn the_end_of_a_child_is_told_once_on_every_kernel() {
        on_all_kernels(|| {
            let (child, other) = (start("sleep", "60"), start("false", ""));
            wait_for(&other);
            assert_eq!(other.exited(), Ok(Some(Exit { code: 1, signal: 0 })));
            assert_eq!(child.exited(), Ok(None));
            child.kill(0).unwrap();
            child.kill(15).unwrap();
            wait_for(&child);
            assert_eq!(child.exited(), Ok(Some(Exit { code: 0, signal: 15 })));
            assert_eq!(child.exited().unwrap_err().code(), "ECHILD");
        });
    }

    #[test]
    fn a_child_that_was_reaped_is_not_signalled() {
        on_all_kernels(|| {
            let mut child = start("true", "");
            wait_for(&child);
            // It waits to be reaped: there it is.
            child.kill(0).unwrap();
            child.exited().unwrap();
            // Whoever has its number now is none of ours.
            child.pid = Pid::this();
            assert_eq!(child.kill(0).unwrap_err().code(), "ESRCH");
        });
    }

    #[test]
    fn the_end_of_a_child_that_somebody_else_reaped_is_told() {
        on_all_kernels(|| {
            let child = start("true", "");
            wait(by_number(child.pid), WaitIdOptions::empty()).unwrap();
            wait_for(&child);
            assert_eq!(child.exited().unwrap_err().code(), "ECHILD");
            assert_eq!(child.kill(0).unwrap_err().code(), "ESRCH");
        });
    }

    #[test]
    fn a_child_whose_end_cannot_be_seen_does_not_live() {
        let no_descriptor_is_left = || {
            deny(r#"{ "syscall": "pidfd_open" }"#, Errno::EMFILE);
            deny(r#"{ "syscall": "eventfd2" }"#, Errno::EMFILE);
            let pid = spawn("sleep", "60");
            assert_eq!(Child::watch(pid).unwrap_err().code(), "EMFILE");
            assert_eq!(kill(pid, None), Err(Errno::ESRCH));
        };
        std::thread::scope(|scope| scope.spawn(no_descriptor_is_left).join().unwrap());
    }
}
