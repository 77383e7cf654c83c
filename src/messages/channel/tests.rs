use super::*;
use crate::messages::frame::{HEADER, LIMIT};
use crate::messages::incoming::Incoming;
use crate::messages::spare::LARGEST;
use crate::messages::testing::{drain, marked, ring_ends, sent};
use crate::os::error::Error;
use crate::os::{faults, socket};
use nix::errno::Errno;
use nix::sys::socket::SockType;

fn ends() -> (Channel, OwnedFd) {
    let (near, far) = socket::pair(SockType::Stream).unwrap();
    (Channel::new(near), far)
}

fn push(channel: &Channel, payload: &[u8], descriptor: Option<OwnedFd>, now: bool) -> Pushed {
    channel.push(Kind::Json, descriptor, now, |bytes| bytes.extend_from_slice(payload)).unwrap()
}

#[test]
fn a_message_pushed_now_is_in_the_kernel_and_later_ones_wait_for_the_flush() {
    let (channel, far) = ends();
    let mut incoming = Incoming::new(LIMIT);
    assert_eq!(push(&channel, b"1", None, true).queued, 0);
    assert_eq!(push(&channel, b"2", None, false).queued, HEADER + 1);
    assert_eq!(push(&channel, b"3", None, false).queued, 2 * (HEADER + 1));
    assert_eq!(drain(&mut incoming, far.as_fd()), [(vec!["1".into()], None)]);
    assert_eq!(channel.flush().unwrap().queued, 0);
    assert_eq!(drain(&mut incoming, far.as_fd()), [(vec!["2".into(), "3".into()], None)]);
}

#[test]
fn marks_of_much_leave_though_the_loop_has_not_turned() {
    let (channel, _far) = ends();
    let (writer, _reader) = ring_ends();
    channel.share(writer);
    let waits = |_| {
        let put = |bytes: &mut Vec<u8>, ring: Option<&mut ring::Writer>| {
            ring.unwrap().put(&sent(100_000, 1)).unwrap();
            bytes.push(1);
        };
        channel.push_with(Kind::Parts, None, false, put).unwrap().queued > 0
    };
    assert_eq!([0; 6].map(waits), [true, true, false, true, true, false]);
}

#[test]
fn the_flusher_is_told_once_until_it_has_flushed() {
    let (channel, _far) = ends();
    let untold = |now| push(&channel, b"x", None, now).untold;
    assert_eq!([untold(true), untold(false), untold(false)], [false, true, false]);
    channel.flush().unwrap();
    assert!(!untold(false), "it is still on the flusher's list");
    channel.flush_in_time(true);
    assert!(untold(false));
}

#[test]
fn descriptors_keep_their_messages_and_their_order() {
    let (channel, far) = ends();
    for number in 0..40u8 {
        push(&channel, format!("plain {number}").as_bytes(), None, false);
        push(&channel, format!("with {number}").as_bytes(), Some(marked(number)), false);
    }
    channel.flush().unwrap();
    let runs = drain(&mut Incoming::new(LIMIT), far.as_fd());
    let expected: Vec<_> =
        (0..40u8).flat_map(|n| [(vec![format!("plain {n}")], None), (vec![format!("with {n}")], Some(n))]).collect();
    assert_eq!(runs, expected);
}

#[test]
fn a_descriptor_is_attached_once_however_short_the_writes_are() {
    let (channel, far) = ends();
    nix::sys::socket::setsockopt(&channel.socket, nix::sys::socket::sockopt::SndBuf, &1).unwrap();
    let large = "x".repeat(300_000);
    for number in 0..3 {
        push(&channel, large.as_bytes(), Some(marked(number)), true);
    }
    assert!(channel.queued() > 0, "the write was cut short");
    let mut incoming = Incoming::new(LIMIT);
    let mut runs = drain(&mut incoming, far.as_fd());
    while channel.flush().unwrap().queued > 0 {
        runs.extend(drain(&mut incoming, far.as_fd()));
    }
    runs.extend(drain(&mut incoming, far.as_fd()));
    assert_eq!(runs.iter().map(|(_, mark)| mark.unwrap()).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(runs.iter().all(|(payloads, _)| payloads == std::slice::from_ref(&large)));
}

#[test]
fn an_idle_channel_holds_no_buffer() {
    let (channel, _far) = ends();
    push(&channel, b"1", None, false);
    channel.flush().unwrap();
    assert_eq!(channel.outgoing.lock().memory(), 0);
}

#[test]
fn a_queue_that_is_never_empty_keeps_only_what_waits() {
    const MANY: usize = 8_000_000;
    const FEW: usize = 400_000;
    let (channel, far) = ends();
    push(&channel, &[b'x'; MANY], None, true);
    let mut incoming = Incoming::new(LIMIT);
    let mut leave = |waiting: usize| {
        while channel.queued() > waiting {
            drain(&mut incoming, far.as_fd());
            channel.flush().unwrap();
        }
        assert!(channel.queued() > 0, "the queue never is empty");
        channel.outgoing.lock().memory()
    };
    for _ in 0..500 {
        push(&channel, &[b'x'; 100_000], None, true);
        assert!(leave(MANY) <= 2 * MANY + 2 * LARGEST, "of 50 MB");
    }
    assert!(leave(FEW) <= 3 * LARGEST, "it shrinks with what waits");
}

#[test]
fn a_message_that_no_peer_would_take_is_not_queued() {
    let (channel, far) = ends();
    let (writer, _reader) = ring_ends();
    channel.share(writer);
    push(&channel, b"before", None, false);
    let too_long = channel.push_with(Kind::Parts, None, true, |bytes, ring| {
        assert!(ring.unwrap().put(&sent(300_000, 1)).is_some());
        bytes.resize(bytes.len() + LIMIT + 1, 0);
    });
    assert_eq!(too_long, Err(Error::MessageTooLarge { length: LIMIT + 1, limit: LIMIT }));
    channel.rest();
    assert!(channel.rest(), "nobody will take its strings");
    push(&channel, b"after", None, true);
    let messages = drain(&mut Incoming::new(LIMIT), far.as_fd());
    assert_eq!(messages, [(vec!["before".into(), "after".into()], None)]);
}

#[test]
fn a_gone_peer_drops_what_waited() {
    let (channel, far) = ends();
    push(&channel, b"waits", Some(marked(1)), false);
    drop(far);
    assert_eq!(channel.flush().unwrap_err().code(), "EPIPE");
    assert_eq!(channel.queued(), 0);
}

#[test]
fn what_the_kernel_refuses_waits_and_leaves_in_its_order() {
    let passing = [Errno::ETOOMANYREFS, Errno::ENOBUFS, Errno::ENOMEM, Errno::EPERM, Errno::EIO, Errno::EBADF];
    for errno in passing {
        let (channel, far) = ends();
        push(&channel, b"1", None, true);
        faults::inject(channel.socket(), &[errno; 2]);
        let refused = Some(Block::Refused(errno));
        assert_eq!(push(&channel, b"2", Some(marked(2)), true).blocked, refused);
        assert_eq!(push(&channel, b"3", None, true).blocked, refused, "it is not tried at each message");
        assert_eq!(channel.flush().unwrap().blocked, refused);
        assert_eq!(channel.queued(), 2 * (HEADER + 1));
        assert_eq!(channel.flush().unwrap(), Pushed::default(), "{errno}");
        let one = |text: &str| vec![String::from(text)];
        let arrived = [(one("1"), None), (one("2"), Some(2)), (one("3"), None)];
        assert_eq!(drain(&mut Incoming::new(LIMIT), far.as_fd()), arrived);
    }
}

#[test]
fn an_interrupted_write_goes_on_and_a_full_socket_is_waited_for() {
    let (channel, far) = ends();
    faults::inject(channel.socket(), &[Errno::EINTR, Errno::EINTR, Errno::EAGAIN]);
    assert_eq!(push(&channel, b"1", None, true).blocked, Some(Block::Full));
    channel.flush().unwrap();
    assert_eq!(drain(&mut Incoming::new(LIMIT), far.as_fd()), [(vec!["1".into()], None)]);
}

#[test]
fn only_a_gone_peer_is_the_end() {
    for errno in [Errno::EPIPE, Errno::ECONNRESET, Errno::ENOTCONN] {
        let (channel, _far) = ends();
        push(&channel, b"waits", Some(marked(1)), false);
        faults::inject(channel.socket(), &[errno]);
        assert_eq!(channel.flush(), Err(Error::os("sendmsg", errno)));
        assert_eq!(channel.queued(), 0);
    }
}
