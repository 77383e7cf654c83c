use super::*;
use crate::messages::frame::LIMIT;
use crate::messages::testing::{drain, marked};
use nix::sys::socket::SockType;
use std::io::Write as _;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

#[test]
fn a_stream_cut_at_every_byte_gives_the_same_frames() {
    let mut stream = Vec::new();
    for payload in ["", "a", "[1,2]"] {
        stream.extend(Header { length: payload.len(), kind: Kind::Json, descriptor: false }.encode());
        stream.extend(payload.as_bytes());
    }
    for cut in 0..=stream.len() {
        let (mut near, far) = UnixStream::pair().unwrap();
        let mut incoming = Incoming::new(LIMIT);
        let mut payloads = Vec::new();
        for part in [&stream[..cut], &stream[cut..]] {
            near.write_all(part).unwrap();
            payloads.extend(drain(&mut incoming, far.as_fd()).into_iter().flat_map(|(payloads, _)| payloads));
        }
        assert_eq!(payloads, ["", "a", "[1,2]"], "cut at {cut}");
    }
}

#[test]
fn a_descriptor_that_no_frame_announces_ends_the_stream() {
    let (near, far) = socket::pair(SockType::Stream).unwrap();
    let frame = Header { length: 0, kind: Kind::Json, descriptor: false }.encode();
    socket::send(near.as_fd(), &frame, Some(marked(1).as_fd())).unwrap();
    let mut incoming = Incoming::new(LIMIT);
    assert_eq!(incoming.read(far.as_fd()).unwrap(), Read::Some, "a descriptor ends a read");
    assert!(incoming.next_run().unwrap().unwrap().descriptor.is_none());
    assert_eq!(incoming.next_run().unwrap_err(), Error::StrayDescriptor { received: 1, announced: 0 });
}

#[test]
fn descriptors_do_not_pile_up_within_a_frame() {
    let (near, far) = socket::pair(SockType::Stream).unwrap();
    let header = Header { length: 1000, kind: Kind::Json, descriptor: true }.encode();
    let mut incoming = Incoming::new(LIMIT);
    socket::send(near.as_fd(), &header, Some(marked(1).as_fd())).unwrap();
    incoming.read(far.as_fd()).unwrap();
    assert!(incoming.next_run().unwrap().is_none(), "it is the frame's");
    socket::send(near.as_fd(), b"payload", Some(marked(2).as_fd())).unwrap();
    incoming.read(far.as_fd()).unwrap();
    assert_eq!(incoming.next_run().unwrap_err(), Error::StrayDescriptor { received: 2, announced: 1 });
}

#[test]
fn a_frame_that_announces_a_descriptor_and_brings_none_ends_the_stream() {
    let (mut near, far) = UnixStream::pair().unwrap();
    near.write_all(&Header { length: 0, kind: Kind::Json, descriptor: true }.encode()).unwrap();
    let mut incoming = Incoming::new(LIMIT);
    incoming.read(far.as_fd()).unwrap();
    assert_eq!(incoming.next_run().unwrap_err(), Error::StrayDescriptor { received: 0, announced: 1 });
}

#[test]
fn frames_before_a_broken_one_are_taken_out() {
    let (mut near, far) = UnixStream::pair().unwrap();
    let good = Header { length: 1, kind: Kind::Json, descriptor: false }.encode();
    near.write_all(&[&good, b"1".as_slice(), &good, b"2", &[0xff; HEADER]].concat()).unwrap();
    let mut incoming = Incoming::new(LIMIT);
    incoming.read(far.as_fd()).unwrap();
    assert_eq!(incoming.next_run().unwrap().unwrap().payloads, [b"1", b"2"]);
    assert_eq!(incoming.next_run().unwrap_err(), Error::UnknownFrame { kind: 0xff });
}

#[test]
fn memory_follows_what_arrived_not_what_was_claimed() {
    let (mut near, far) = UnixStream::pair().unwrap();
    near.write_all(&Header { length: LIMIT, kind: Kind::Json, descriptor: false }.encode()).unwrap();
    let mut incoming = Incoming::new(LIMIT);
    incoming.read(far.as_fd()).unwrap();
    assert!(incoming.next_run().unwrap().is_none());
    incoming.make_room();
    assert!(incoming.buffer.len() <= 2 * READ);
}

#[test]
fn an_idle_channel_holds_no_buffer() {
    let (mut near, far) = UnixStream::pair().unwrap();
    let mut incoming = Incoming::new(LIMIT);
    near.write_all(&Header { length: 0, kind: Kind::Json, descriptor: false }.encode()).unwrap();
    assert_eq!(incoming.read(far.as_fd()).unwrap(), Read::Last, "there is no more to read");
    assert!(incoming.next_run().unwrap().is_some());
    assert!(incoming.next_run().unwrap().is_none());
    assert_eq!(incoming.buffer.capacity(), 0);
    assert_eq!(incoming.read(far.as_fd()).unwrap(), Read::Nothing);
    assert_eq!(incoming.buffer.capacity(), 0);
    drop(near);
    assert_eq!(incoming.read(far.as_fd()).unwrap(), Read::End);
    assert_eq!(incoming.buffer.capacity(), 0);
}

#[test]
fn what_is_cleared_leaves_no_buffer_and_no_descriptor() {
    let (near, far) = socket::pair(SockType::Stream).unwrap();
    let unfinished = Header { length: 1000, kind: Kind::Json, descriptor: true }.encode();
    socket::send(near.as_fd(), &unfinished, Some(marked(1).as_fd())).unwrap();
    let mut incoming = Incoming::new(LIMIT);
    incoming.read(far.as_fd()).unwrap();
    assert!(incoming.next_run().unwrap().is_none());
    incoming.clear();
    assert_eq!((incoming.buffer.capacity(), incoming.descriptors.len()), (0, 0));
}
