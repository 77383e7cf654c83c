//! Signals that come between fork and exec. A test program of its own: it is a process group, so that its signals
//! reach its children and nobody else.

use std::ffi::OsString;
use std::os::fd::{AsRawFd, IntoRawFd};
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use nix::libc;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::sys::signal::{killpg, signal, SigHandler, Signal};
use nix::unistd::{setpgid, Pid};
use rust_cluster::processes::child::{Child, Exit};
use rust_cluster::processes::fork::{Program, Stdio};

/// By default nothing happens, so that no child dies of it.
const SIGNAL: Signal = Signal::SIGWINCH;

static PARENT: AtomicI32 = AtomicI32::new(0);
static IN_CHILD: AtomicI32 = AtomicI32::new(-1);

extern "C" fn handler(_: libc::c_int) {
    // SAFETY: both are async-signal-safe, and the byte outlives the call.
    unsafe {
        if libc::getpid() != PARENT.load(Ordering::Relaxed) {
            libc::write(IN_CHILD.load(Ordering::Relaxed), b"x".as_ptr().cast(), 1);
        }
    }
}

/// Both ways of starting: the cwd is one of the words that posix_spawn does not have.
fn program(cwd: Option<OsString>) -> Program {
    Program {
        file: "/bin/true".into(),
        args: vec!["true".into()],
        env: vec![],
        cwd,
        uid: None,
        gid: None,
        parent_death_signal: None,
        stdio: vec![Stdio::Ignore, Stdio::Ignore, Stdio::Ignore],
    }
}

#[test]
fn no_handler_of_the_parent_runs_in_a_child_and_no_child_is_lost() {
    let (reader, writer) = std::io::pipe().unwrap();
    PARENT.store(Pid::this().as_raw(), Ordering::Relaxed);
    IN_CHILD.store(writer.into_raw_fd(), Ordering::Relaxed);
    setpgid(Pid::from_raw(0), Pid::from_raw(0)).unwrap();
    // SAFETY: the handler makes no calls but async-signal-safe ones.
    unsafe { signal(SIGNAL, SigHandler::Handler(handler)).unwrap() };
    let over = AtomicBool::new(false);
    let storm = || {
        while !over.load(Ordering::Relaxed) {
            killpg(Pid::this(), SIGNAL).unwrap();
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(storm);
        for cwd in (0..200).flat_map(|_| [None, Some("/".into())]) {
            let child = Child::start(program(cwd)).unwrap();
            while poll(&mut [PollFd::new(child.end(), PollFlags::POLLIN)], PollTimeout::NONE).is_err() {}
            assert_eq!(child.exited(), Ok(Some(Exit { code: 0, signal: 0 })));
        }
        over.store(true, Ordering::Relaxed);
    });
    assert_eq!(rustix::io::ioctl_fionread(&reader), Ok(0), "handlers that ran in a child, from {}", reader.as_raw_fd());
}
