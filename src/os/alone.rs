//! For tests that change, or mind, what the whole process has.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::resource::{getrlimit, setrlimit, Resource};

use crate::os::socket::duplicate;

/// Runs the rest of a test, which is a closure of it, in a process of its own.
pub fn alone<F: FnOnce()>(test: F) {
    /// Set in that process.
    const ALONE: &str = "RUST_CLUSTER_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return test();
    }
    let name = std::any::type_name::<F>();
    let name = name.split_once("::").unwrap().1.strip_suffix("::{{closure}}").unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    let done = command.args([name, "--exact", "--nocapture"]).env(ALONE, "1").output().unwrap();
    let output = String::from_utf8_lossy(&done.stdout);
    assert!(output.contains("1 passed"), "{output}{}", String::from_utf8_lossy(&done.stderr));
}

/// Has the process have `limit` numbers for descriptors.
pub fn limit(limit: usize) {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, limit as u64, hard).unwrap();
}

/// Takes all numbers for descriptors but `free`.
pub fn take_numbers(free: usize) -> Vec<OwnedFd> {
    let null = File::open("/dev/null").unwrap();
    let mut taken: Vec<_> = std::iter::from_fn(|| duplicate(&null).ok()).collect();
    taken.push(null.into());
    taken.sort_by_key(AsRawFd::as_raw_fd);
    taken.truncate(taken.len() - free);
    taken
}

/// Runs `test` while other threads open and close files all the time, as a busy thread pool does.
pub fn beside_busy_threads(threads: usize, test: impl FnOnce()) {
    let (started, done) = (std::sync::Barrier::new(threads + 1), AtomicBool::new(false));
    let busy = || {
        started.wait();
        while !done.load(Ordering::Relaxed) {
            drop(File::open("/dev/null"));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(busy);
        }
        started.wait();
        // Also where it panics the threads are to end.
        let tested = std::panic::catch_unwind(std::panic::AssertUnwindSafe(test));
        done.store(true, Ordering::Relaxed);
        tested.unwrap();
    });
}

/// Waits until a socket has something to tell. Its end may be some time off: what another thread of the tests forks has
/// a copy of the other end until it executes a program.
pub fn until_readable(socket: &impl AsFd) {
    use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
    poll(&mut [PollFd::new(socket.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE).unwrap();
}
