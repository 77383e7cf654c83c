//! Whether there is room for a descriptor. A test program of its own: limit and numbers are the process's.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::sys::resource::{getrlimit, setrlimit, Resource};
use rust_cluster::os::socket::{duplicate, has_room};

fn set_limit(limit: usize) {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, limit as u64, hard).unwrap();
}

#[test]
fn there_is_room_while_a_number_below_the_limit_is_free() {
    const LIMIT: usize = 64;
    set_limit(LIMIT);
    let null = File::open("/dev/null").unwrap();
    let room = || has_room(null.as_fd());
    let mut taken: Vec<OwnedFd> = std::iter::from_fn(|| duplicate(&null).ok()).collect();
    assert!(!room(), "all are taken");

    let last = taken.pop().unwrap();
    assert_eq!(last.as_raw_fd() as usize, LIMIT - 1);
    drop(last);
    assert!(room(), "the last one is free");

    let last = duplicate(&null).unwrap();
    taken.remove(0);
    assert!(room(), "another one is free");

    drop(last);
    let lowest_free = duplicate(&null).unwrap();
    set_limit(lowest_free.as_raw_fd() as usize + 1);
    // The new limit is not known at once.
    while room() {
        std::thread::yield_now();
    }
}
