//! What a thread that sends and the flusher share, in many of the orders in which they may take turns:
//!
//! ```sh
//! RUSTFLAGS='--cfg shuttle' cargo test --target-dir target/shuttle interleavings
//! ```
//!
//! The acceptor is not here: its thread waits in the kernel for descriptors, which shuttle cannot hold up.
//! `tests/model/acceptor.rs` drives the real one.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use nix::sys::socket::{setsockopt, sockopt, SockType};
use shuttle::sync::mpsc;
use shuttle::{check_pct, check_random};

use crate::messages::channel::Channel;
use crate::messages::flusher::Flusher;
use crate::messages::frame::{Kind, LIMIT};
use crate::messages::incoming::{Incoming, Read};
use crate::messages::ring::NEAR;
use crate::messages::testing::{ring_ends, sent};
use crate::os::socket;
use crate::os::sync::thread;

/// A channel whose kernel holds little, and its other end.
fn ends() -> (Arc<Channel>, OwnedFd) {
    let (near, far) = socket::pair(SockType::Stream).unwrap();
    let channel = Channel::new(near);
    setsockopt(&channel.socket(), sockopt::SndBuf, &1).unwrap();
    (Arc::new(channel), far)
}

/// As `src/node/channel/end.rs` sends.
fn send(channel: &Arc<Channel>, flusher: &Flusher, now: bool, length: usize) {
    let pushed = channel.push(Kind::Json, None, now, |bytes| bytes.resize(bytes.len() + length, b'x')).unwrap();
    if pushed.untold {
        flusher.schedule(channel);
    }
}

fn read(incoming: &mut Incoming, far: &OwnedFd) -> usize {
    if matches!(incoming.read(far.as_fd()).unwrap(), Read::Nothing) {
        return 0;
    }
    let mut frames = 0;
    while let Some(run) = incoming.next_run().unwrap() {
        frames += run.payloads.len();
    }
    frames
}

fn in_many_orders(test: fn()) {
    check_random(test, 3000);
    check_pct(test, 3000, 3);
}

/// The sender does nothing more, as JavaScript that runs on: whatever is left over nobody would write.
#[test]
fn all_that_was_sent_leaves() {
    in_many_orders(|| {
        let (channel, far) = ends();
        let flusher = Arc::new(Flusher::new(|| Ok(())));
        let sender = thread::spawn({
            let (channel, flusher) = (Arc::clone(&channel), Arc::clone(&flusher));
            move || {
                send(&channel, &flusher, false, 1);
                send(&channel, &flusher, true, 6000);
                channel.flush().unwrap();
                send(&channel, &flusher, false, 1);
                send(&channel, &flusher, false, 1);
            }
        });
        let (mut incoming, mut frames) = (Incoming::new(LIMIT), 0);
        while frames < 4 {
            frames += read(&mut incoming, &far);
            thread::yield_now();
        }
        sender.join().unwrap();
        assert_eq!((frames, channel.queued()), (4, 0));
    });
}

#[test]
fn what_was_sent_before_the_exit_is_in_the_kernel() {
    in_many_orders(|| {
        let (channel, _far) = ends();
        let flusher = Flusher::new(|| Ok(()));
        send(&channel, &flusher, false, 1);
        thread::yield_now();
        send(&channel, &flusher, false, 1);
        flusher.flush_all();
        assert_eq!(channel.queued(), 0);
    });
}

/// Two strings fill what is near, so the third lies where the first did, once that is taken.
#[test]
fn a_string_in_a_ring_is_whole_until_it_is_taken() {
    const LENGTH: usize = NEAR / 2 - 64;
    fn test() {
        let (mut writer, mut reader) = ring_ends();
        let (marks, marked) = mpsc::channel();
        let sender = thread::spawn(move || {
            for number in 1..8 {
                if let Some(place) = writer.put(&sent(LENGTH, number)) {
                    marks.send((place, number)).unwrap();
                }
                writer.rest();
            }
        });
        while let Ok((place, number)) = marked.recv() {
            let string = reader.at(place).unwrap();
            for at in [0, 1, LENGTH / 2, LENGTH - 1] {
                // SAFETY: within the string; shuttle has one thread run at a time.
                assert_eq!(unsafe { string.start.add(at).read_volatile() }, number);
                thread::yield_now();
            }
            reader.take(1);
        }
        sender.join().unwrap();
    }
    check_random(test, 300);
    check_pct(test, 300, 3);
}
