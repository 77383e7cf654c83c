//! What a message costs in allocations, at both ends of a channel: a guard that no noise of a machine reaches. A
//! test program of its own, since the allocator and the spare buffers are the process's.

use std::alloc::{GlobalAlloc, Layout, System};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::sys::socket::SockType;
use rust_cluster::messages::channel::Channel;
use rust_cluster::messages::frame::{Kind, LIMIT};
use rust_cluster::messages::incoming::{Incoming, Read};
use rust_cluster::os::socket;

#[global_allocator]
static COUNTED: Counted = Counted;

static CALLS: AtomicUsize = AtomicUsize::new(0);
static BYTES: AtomicUsize = AtomicUsize::new(0);

struct Counted;

fn count(bytes: usize) {
    CALLS.fetch_add(1, Ordering::Relaxed);
    BYTES.fetch_add(bytes, Ordering::Relaxed);
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
    let before = (CALLS.load(Ordering::Relaxed), BYTES.load(Ordering::Relaxed));
    turn();
    (CALLS.load(Ordering::Relaxed) - before.0, BYTES.load(Ordering::Relaxed) - before.1)
}

#[test]
fn messages_cost_few_allocations() {
    let (calls, bytes) = cost(1000, 64);
    assert!(calls < 100 && bytes < 200_000, "{calls} allocations of {bytes} bytes for 1,000 small messages");
    let (calls, bytes) = cost(1, 1_000_000);
    assert!(calls < 10 && bytes < 10_000, "{calls} allocations of {bytes} bytes for a message of 1 MB");
}
