//! Every system call of the core fails, each in every way that its manual page knows, the first time, the second, and
//! so on. Nothing panics, nothing stays open, no child is left, and what comes of it is what was asked for, or, unless it
//! can be had in another way or later, an error that names the errno.
//!
//! One test: what it counts, descriptors and children, is the process's.

mod fault;
mod ways;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::errno::Errno;
use nix::libc::{self, c_long};
use nix::sys::wait::{waitpid, WaitPidFlag};
use rust_cluster::os::error::{Error, Result};

use fault::{Fault, Watch};
use ways::{Outside, WAYS};

/// The system calls, and what can come of each.
const CALLS: &[(&str, c_long, &[Errno])] = &[
    ("accept4", libc::SYS_accept4, ACCEPT),
    ("bind", libc::SYS_bind, &[Errno::EACCES, Errno::EADDRINUSE, Errno::EADDRNOTAVAIL, Errno::EINVAL, Errno::ENOMEM]),
    ("clone", libc::SYS_clone, &[Errno::EAGAIN, Errno::ENOMEM, Errno::EPERM]),
    ("clone3", libc::SYS_clone3, &[Errno::EAGAIN, Errno::ENOMEM, Errno::ENOSYS]),
    ("connect", libc::SYS_connect, &[Errno::EAGAIN, Errno::ECONNREFUSED, Errno::EACCES, Errno::ENOENT]),
    ("epoll_create1", libc::SYS_epoll_create1, &[Errno::EMFILE, Errno::ENFILE, Errno::ENOMEM]),
    ("epoll_ctl", libc::SYS_epoll_ctl, &[Errno::ENOMEM, Errno::ENOSPC]),
    ("epoll_wait", EPOLL_WAIT, &[Errno::EINTR]),
    ("eventfd2", libc::SYS_eventfd2, &[Errno::EMFILE, Errno::ENFILE, Errno::ENOMEM, Errno::ENODEV]),
    ("fcntl", libc::SYS_fcntl, &[Errno::EMFILE, Errno::EINVAL]),
    ("ftruncate", libc::SYS_ftruncate, &[Errno::EFBIG, Errno::ENOMEM]),
    ("getsockname", libc::SYS_getsockname, &[Errno::ENOBUFS]),
    ("getsockopt", libc::SYS_getsockopt, &[Errno::ENOTSOCK, Errno::ENOPROTOOPT]),
    ("ioctl", libc::SYS_ioctl, &[Errno::ENOTTY, Errno::EINVAL]),
    ("listen", libc::SYS_listen, &[Errno::EADDRINUSE, Errno::EOPNOTSUPP]),
    ("madvise", libc::SYS_madvise, MADVISE),
    (
        "memfd_create",
        libc::SYS_memfd_create,
        &[Errno::EMFILE, Errno::ENFILE, Errno::ENOMEM, Errno::ENOSYS, Errno::EPERM],
    ),
    ("openat", libc::SYS_openat, &[Errno::EACCES, Errno::EMFILE, Errno::ENFILE, Errno::ENOENT, Errno::ENOMEM]),
    ("pidfd_open", libc::SYS_pidfd_open, PIDFD_OPEN),
    ("pidfd_send_signal", libc::SYS_pidfd_send_signal, &[Errno::ENOSYS, Errno::EPERM]),
    ("poll", POLL, &[Errno::EINTR, Errno::EINVAL, Errno::ENOMEM]),
    ("prlimit64", libc::SYS_prlimit64, &[Errno::EPERM, Errno::ENOSYS]),
    ("read", libc::SYS_read, &[Errno::EAGAIN, Errno::EINTR]),
    ("recvmsg", libc::SYS_recvmsg, &[Errno::EAGAIN, Errno::ECONNRESET, Errno::EINTR, Errno::ENOMEM]),
    ("sendmsg", libc::SYS_sendmsg, SEND),
    ("setsockopt", libc::SYS_setsockopt, &[Errno::ENOPROTOOPT, Errno::ENOMEM, Errno::EPERM]),
    ("socket", libc::SYS_socket, &[Errno::EACCES, Errno::EAFNOSUPPORT, Errno::EMFILE, Errno::ENFILE, Errno::ENOBUFS]),
    ("socketpair", libc::SYS_socketpair, &[Errno::EMFILE, Errno::ENFILE, Errno::ENOBUFS, Errno::ENOMEM]),
    ("waitid", libc::SYS_waitid, &[Errno::EINTR]),
    ("write", libc::SYS_write, &[Errno::EAGAIN, Errno::EINTR]),
];

/// Those that a child makes before it executes its program.
const CALLS_OF_A_CHILD: &[(&str, c_long, &[Errno])] = &[
    ("chdir", libc::SYS_chdir, &[Errno::EACCES, Errno::ELOOP, Errno::ENOENT, Errno::ENOMEM, Errno::ENOTDIR]),
    ("execve", libc::SYS_execve, EXEC),
    ("prctl", libc::SYS_prctl, &[Errno::EINVAL]),
    ("setgid", libc::SYS_setgid, &[Errno::EPERM, Errno::EINVAL]),
    ("setuid", libc::SYS_setuid, &[Errno::EAGAIN, Errno::EPERM]),
];

#[cfg(target_arch = "x86_64")]
const EPOLL_WAIT: c_long = libc::SYS_epoll_wait;
#[cfg(not(target_arch = "x86_64"))]
const EPOLL_WAIT: c_long = libc::SYS_epoll_pwait;

#[cfg(target_arch = "x86_64")]
const POLL: c_long = libc::SYS_poll;
#[cfg(not(target_arch = "x86_64"))]
const POLL: c_long = libc::SYS_ppoll;

const ACCEPT: &[Errno] = &[
    Errno::EAGAIN,
    Errno::ECONNABORTED,
    Errno::EHOSTUNREACH,
    Errno::EINTR,
    Errno::EMFILE,
    Errno::ENETDOWN,
    Errno::ENFILE,
    Errno::ENOBUFS,
    Errno::ENOMEM,
    Errno::EPERM,
    Errno::EPROTO,
    Errno::ETIMEDOUT,
];

const SEND: &[Errno] = &[
    Errno::EACCES,
    Errno::EAGAIN,
    Errno::ECONNRESET,
    Errno::EINTR,
    Errno::ENOBUFS,
    Errno::ENOMEM,
    Errno::EPERM,
    Errno::EPIPE,
    Errno::ETOOMANYREFS,
];

const PIDFD_OPEN: &[Errno] =
    &[Errno::EINVAL, Errno::EMFILE, Errno::ENFILE, Errno::ENODEV, Errno::ENOMEM, Errno::ENOSYS, Errno::EPERM];

const MADVISE: &[Errno] = &[Errno::EAGAIN, Errno::EFAULT, Errno::EINVAL, Errno::ENOMEM, Errno::EPERM];

const EXEC: &[Errno] = &[
    Errno::E2BIG,
    Errno::EACCES,
    Errno::EAGAIN,
    Errno::EIO,
    Errno::ELOOP,
    Errno::EMFILE,
    Errno::ENFILE,
    Errno::ENOENT,
    Errno::ENOMEM,
    Errno::ETXTBSY,
];

/// Panics of any thread.
static PANICS: AtomicUsize = AtomicUsize::new(0);

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// What one way came to while one call failed; `None` if that call was not made.
fn run(way: fn(&Outside) -> Result<()>, fault: Fault) -> Option<std::thread::Result<Result<()>>> {
    let (watch, answers) = Watch::new(fault);
    let outside = Outside::start();
    let result = std::thread::scope(|scope| {
        scope
            .spawn(|| {
                watch.install();
                way(&outside)
            })
            .join()
    });
    answers.join().unwrap();
    watch.failed().then_some(result)
}

/// Calls whose failure nobody is told of: what was begun goes on, now or when it is tried again.
const OVERCOME: &[c_long] = &[
    libc::SYS_accept4,
    EPOLL_WAIT,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_send_signal,
    POLL,
    libc::SYS_read,
    libc::SYS_sendmsg,
    libc::SYS_waitid,
    libc::SYS_write,
];

/// What is wrong with what came of it.
fn complaint(fault: Fault, result: std::thread::Result<Result<()>>) -> Option<String> {
    let is_end = matches!(fault.errno, Errno::ECONNRESET | Errno::EPIPE);
    match result {
        Err(_) => Some("panicked".into()),
        // The peer is said to be gone, or what came to be no socket.
        Ok(Err(_)) if is_end || fault.errno == Errno::ENOTSOCK => None,
        Ok(Err(error)) if fault.errno == Errno::EINTR || OVERCOME.contains(&fault.call) => {
            Some(format!("{error}, which is to be overcome"))
        }
        Ok(Err(Error::Os { errno, .. })) if errno == fault.errno => None,
        // A socket that does not say what it is is none to listen on.
        Ok(Err(Error::Os { syscall: "listen", errno: Errno::EINVAL }))
            if matches!(fault.call, libc::SYS_getsockname | libc::SYS_getsockopt) =>
        {
            None
        }
        // pthread_create(3) has one word for both.
        Ok(Err(Error::Os { syscall: "pthread_create", errno: Errno::EAGAIN })) if fault.errno == Errno::ENOMEM => None,
        Ok(Err(error)) => Some(error.to_string()),
        Ok(Ok(())) => None,
    }
}

#[test]
fn every_call_may_fail() {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |information| {
        PANICS.fetch_add(1, Ordering::Relaxed);
        default(information);
    }));
    let mut complaints = Vec::new();
    let mut met = BTreeSet::new();
    for (name, way) in WAYS {
        let before = descriptors();
        let calls = CALLS.iter().map(|call| (call, false)).chain(CALLS_OF_A_CHILD.iter().map(|call| (call, true)));
        for (&(call_name, call, errnos), in_child) in calls {
            'errnos: for &errno in errnos {
                for after in 0.. {
                    let fault = Fault { call, after, errno, in_child };
                    let panics = PANICS.load(Ordering::Relaxed);
                    let Some(result) = run(*way, fault) else { continue 'errnos };
                    met.insert(call_name);
                    let mut wrong = complaint(fault, result);
                    if wrong.is_none() && PANICS.load(Ordering::Relaxed) > panics {
                        wrong = Some("a thread panicked".into());
                    }
                    if descriptors() != before {
                        wrong = Some(format!("{} descriptors, before {before}; {wrong:?}", descriptors()));
                    }
                    if waitpid(None, Some(WaitPidFlag::WNOHANG)) != Err(Errno::ECHILD) {
                        wrong = Some(format!("a child is left; {wrong:?}"));
                    }
                    complaints
                        .extend(wrong.map(|wrong| format!("{name}: {call_name} #{after} says {errno:?}: {wrong}")));
                }
            }
        }
    }
    let all = CALLS.iter().chain(CALLS_OF_A_CHILD).map(|call| call.0);
    assert_eq!(all.filter(|name| !met.contains(name)).collect::<Vec<_>>(), [] as [&str; 0], "calls that were not met");
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}
