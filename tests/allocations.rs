//! What a message costs in allocations, at both ends of a channel, and the choice of a connection's worker: a guard that no
//! noise of a machine reaches. A test program of its own, since the allocator and the spare buffers are the process's.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::sys::socket::SockType;
use rust_cluster::connections::policy::{Load, Rotation, BUSY};
use rust_cluster::messages::channel::Channel;
use rust_cluster::messages::frame::{Kind, LIMIT};
use rust_cluster::messages::incoming::{Incoming, Read};
use rust_cluster::os::socket;

#[global_allocator]
static COUNTED: Counted = Counted;

thread_local! {
    /// Allocations of this thread, and their bytes: those of others, as the harness is one, are not the test's.
    static MADE: Cell<(usize, usize)> = const { Cell::new((0, 0)) };
}

struct Counted;

fn count(bytes: usize) {
    let (calls, all) = MADE.get();
    MADE.set((calls + 1, all + bytes));
}

// SAFETY: every call is the system allocator's, as it came.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promise is the one that is asked for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// Sends messages as one turn of a loop does, and takes them out at the other end: allocations, and their bytes.
fn cost(messages: usize, size: usize) -> (usize, usize) {
    let (near, far) = socket::pair(SockType::Stream).unwrap();
    let (channel, mut incoming) = (Channel::new(near), Incoming::new(LIMIT));
    let payload = vec![b'x'; size];
    let mut turn = || {
        for number in 0..messages {
            channel.push(Kind::Json, None, number == 0, |bytes| bytes.extend_from_slice(&payload)).unwrap();
        }
        let mut arrived = 0;
        while arrived < messages {
            channel.flush().unwrap();
            while incoming.read(far.as_fd()).unwrap() == Read::Some {}
            while let Some(run) = incoming.next_run().unwrap() {
                assert!(run.payloads.iter().all(|found| *found == payload));
                arrived += run.payloads.len();
            }
        }
    };
    turn();
    made_by(turn)
}

/// Allocations, and their bytes.
fn made_by(act: impl FnOnce()) -> (usize, usize) {
    let before = MADE.get();
    act();
    let after = MADE.get();
    (after.0 - before.0, after.1 - before.1)
}

#[test]
fn messages_cost_few_allocations() {
    let (calls, bytes) = cost(1000, 64);
    assert!(calls < 100 && bytes < 200_000, "{calls} allocations of {bytes} bytes for 1,000 small messages");
    let (calls, bytes) = cost(1, 1_000_000);
    assert!(calls < 10 && bytes < 10_000, "{calls} allocations of {bytes} bytes for a message of 1 MB");
}

#[test]
fn the_choice_of_a_worker_costs_none_however_busy_they_are() {
    let mut rotation = Rotation::default();
    (1..=8).for_each(|worker| rotation.add(worker));
    let mut choose = |wait: Duration| {
        for _ in 0..100 {
            let load = |worker| Some(Load { takes: worker > 1, queued: u64::from(worker), wait: wait * worker });
            assert!(rotation.next_least_busy(Instant::now(), load).is_some());
        }
    };
    choose(BUSY);
    assert_eq!([Duration::ZERO, BUSY / 3, BUSY * 2].map(|wait| made_by(|| choose(wait))), [(0, 0); 3]);
}
