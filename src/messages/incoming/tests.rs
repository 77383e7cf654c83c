use super::*;
use crate::messages::frame::LIMIT;
use crate::messages::testing::{drain, marked};
use crate::os::alone::{alone, beside_busy_threads, limit, take_numbers, until_readable};
use nix::sys::socket::{setsockopt, sockopt, SockType};
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
fn little_is_asked_for_until_a_read_finds_as_much() {
    let (mut near, far) = UnixStream::pair().unwrap();
    let mut incoming = Incoming::new(LIMIT);
    // Not the spare one of another test.
    incoming.buffer = vec![0; 2 * FIRST_READ];
    let mut send = |length| {
        near.write_all(&Header { length, kind: Kind::Json, descriptor: false }.encode()).unwrap();
        near.write_all(&vec![b'1'; length]).unwrap();
    };
    send(1);
    assert_eq!(incoming.read(far.as_fd()).unwrap(), Read::Last);
    assert_eq!(incoming.buffer.len(), 2 * FIRST_READ);
    send(4 * FIRST_READ);
    assert_eq!(incoming.read(far.as_fd()).unwrap(), Read::Some);
    assert_eq!(incoming.buffer.len(), 2 * FIRST_READ);
    assert_eq!(incoming.read(far.as_fd()).unwrap(), Read::Last);
    assert!(incoming.buffer.len() >= READ);
}

#[test]
fn of_long_strings_few_messages_are_taken_out_at_once_and_others_apart() {
    let (mut near, far) = UnixStream::pair().unwrap();
    let kinds = [&[Kind::Json; 2][..], &[Kind::Parts; 2 * MOST_PARTS + 1], &[Kind::Json; 2 * MOST_PARTS]].concat();
    for (number, &kind) in (0..).zip(&kinds) {
        near.write_all(&Header { length: 1, kind, descriptor: false }.encode()).unwrap();
        near.write_all(&[number]).unwrap();
    }
    let mut incoming = Incoming::new(LIMIT);
    assert_eq!(incoming.read(far.as_fd()).unwrap(), Read::Last);
    let (mut runs, mut found) = (Vec::new(), Vec::new());
    while let Some(run) = incoming.next_run().unwrap() {
        runs.push((run.kind, run.payloads.len()));
        found.extend(run.payloads.concat());
    }
    let parts = [MOST_PARTS, MOST_PARTS, 1].map(|length| (Kind::Parts, length));
    assert_eq!(runs, [&[(Kind::Json, 2)][..], &parts, &[(Kind::Json, 2 * MOST_PARTS)]].concat());
    assert!(found.into_iter().eq(0..kinds.len() as u8), "in their order");
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

fn send_frame(near: &OwnedFd, payload: &str, descriptor: Option<u8>) {
    send_frame_with(near, payload, descriptor.map(marked).as_ref());
}

fn send_frame_with(near: &OwnedFd, payload: &str, descriptor: Option<&OwnedFd>) {
    let header = Header { length: payload.len(), kind: Kind::Json, descriptor: descriptor.is_some() }.encode();
    let frame = [&header[..], payload.as_bytes()].concat();
    assert_eq!(socket::send(near.as_fd(), &frame, descriptor.map(AsFd::as_fd)).unwrap(), Some(frame.len()));
}

#[test]
fn without_a_number_left_what_comes_before_a_descriptor_is_read_and_the_rest_when_there_is_one() {
    alone(|| {
        limit(64);
        let (near, far) = socket::pair(SockType::Stream).unwrap();
        for (payload, descriptor) in [("a", None), ("b", None), ("C", Some(3)), ("d", None)] {
            send_frame(&near, payload, descriptor);
        }
        let mut incoming = Incoming::new(LIMIT);
        let mut taken = take_numbers(0);
        assert_eq!(drain(&mut incoming, far.as_fd()), [(vec!["a".into(), "b".into()], None)]);
        assert_eq!(incoming.read(far.as_fd()).unwrap(), Read::Starved);
        assert_eq!(incoming.buffer.capacity(), 0, "nothing is held while it waits");
        taken.pop();
        assert_eq!(drain(&mut incoming, far.as_fd()), [(vec!["C".into()], Some(3)), (vec!["d".into()], None)]);
    });
}

#[test]
fn without_a_number_left_a_frame_that_has_begun_is_read_to_its_end() {
    alone(|| {
        limit(64);
        let (near, far) = socket::pair(SockType::Stream).unwrap();
        let header = Header { length: 4, kind: Kind::Json, descriptor: true }.encode();
        socket::send(near.as_fd(), &header[..3], Some(marked(1).as_fd())).unwrap();
        let mut incoming = Incoming::new(LIMIT);
        assert_eq!(incoming.read(far.as_fd()).unwrap(), Read::Some);
        socket::send(near.as_fd(), &[&header[3..], b"rest"].concat(), None).unwrap();
        // The same look finds the next one's.
        send_frame(&near, "next", Some(2));
        let _taken = take_numbers(0);
        assert_eq!(incoming.read(far.as_fd()).unwrap(), Read::Some);
        assert!(incoming.next_run().unwrap().is_some_and(|run| run.descriptor.is_some()));
        assert!(incoming.next_run().unwrap().is_none());
    });
}

#[test]
fn a_descriptor_that_no_frame_announces_ends_the_stream_also_without_a_number_for_it() {
    alone(|| {
        limit(64);
        let (near, far) = socket::pair(SockType::Stream).unwrap();
        let frame = Header { length: 0, kind: Kind::Json, descriptor: false }.encode();
        socket::send(near.as_fd(), &frame, Some(marked(1).as_fd())).unwrap();
        let _taken = take_numbers(0);
        let stray = Error::StrayDescriptor { received: 1, announced: 0 };
        assert_eq!(Incoming::new(LIMIT).read(far.as_fd()), Err(stray));
    });
}

#[test]
fn a_descriptor_within_a_large_frame_ends_the_stream() {
    let (near, far) = socket::pair(SockType::Stream).unwrap();
    let header = Header { length: 20 * READ, kind: Kind::Json, descriptor: false }.encode();
    socket::send(near.as_fd(), &header, None).unwrap();
    let mut incoming = Incoming::new(LIMIT);
    assert_eq!(incoming.read(far.as_fd()), Ok(Read::Last));
    socket::send(near.as_fd(), b"x", Some(marked(1).as_fd())).unwrap();
    assert_eq!(incoming.read(far.as_fd()), Err(Error::StrayDescriptor { received: 1, announced: 0 }));
}

#[test]
fn beside_threads_that_take_the_last_numbers_each_frame_has_its_descriptor() {
    alone(|| {
        limit(64);
        let (near, far) = socket::pair(SockType::Stream).unwrap();
        // Frames of all lengths, so that a look ends before, in and behind one that brings a descriptor.
        let frames: Vec<_> = (0..40).map(|number| ("x".repeat(1600 * number), number as u8)).collect();
        let descriptors: Vec<_> = (0..40).map(|number| (number % 2 == 1).then(|| marked(number))).collect();
        let _taken = take_numbers(1);
        beside_busy_threads(1, || {
            let mut incoming = Incoming::new(LIMIT);
            for pair in frames.chunks(2) {
                for (payload, number) in pair {
                    send_frame_with(&near, payload, descriptors[usize::from(*number)].as_ref());
                }
                let mut found = Vec::new();
                while found.len() < 2 {
                    for (payloads, mark) in drain(&mut incoming, far.as_fd()) {
                        found.extend(payloads.into_iter().map(|payload| (payload, mark)));
                    }
                }
                let [(plain, _), (marked, mark)] = pair else { unreachable!() };
                assert_eq!(found, [(plain.clone(), None), (marked.clone(), Some(*mark))]);
            }
        });
    });
}

#[test]
fn a_frame_of_many_reads_arrives_whole_with_what_follows_it() {
    let (near, far) = UnixStream::pair().unwrap();
    let far: OwnedFd = far.into();
    let lengths = [0, READ - HEADER, READ, READ + 1, 3 * READ, 20 * READ + 5, 3];
    let writer = std::thread::spawn(move || {
        for length in lengths {
            let header = Header { length, kind: Kind::Json, descriptor: false }.encode();
            (&near).write_all(&[&header[..], &vec![b'x'; length]].concat()).unwrap();
        }
    });
    let (mut incoming, mut found) = (Incoming::new(LIMIT), Vec::new());
    while found.len() < lengths.len() {
        until_readable(&far);
        let payloads = drain(&mut incoming, far.as_fd()).into_iter().flat_map(|(payloads, _)| payloads);
        found.extend(payloads.map(|payload| payload.len()));
    }
    writer.join().unwrap();
    assert_eq!(found, lengths);
}

#[test]
fn the_rest_of_a_large_frame_is_read_up_to_a_descriptor_and_not_over_it() {
    let (near, far) = socket::pair(SockType::Stream).unwrap();
    setsockopt(&near, sockopt::SndBuf, &(4 * READ)).unwrap();
    // When its rest is a little more than one read, there is room for two.
    let large = "x".repeat(3 * READ + 1);
    send_frame(&near, &large, None);
    send_frame(&near, "next", Some(7));
    let found = drain(&mut Incoming::new(LIMIT), far.as_fd());
    assert_eq!(found, [(vec![large], None), (vec!["next".into()], Some(7))]);
}

#[test]
fn a_descriptor_that_found_no_number_is_lost_and_no_fault_of_the_peer() {
    let (near, far) = socket::pair(SockType::Stream).unwrap();
    let frame = |descriptor| Header { length: 0, kind: Kind::Json, descriptor }.encode();
    socket::send(near.as_fd(), &frame(false), None).unwrap();
    socket::send(near.as_fd(), &frame(true), Some(marked(1).as_fd())).unwrap();
    socket::send(near.as_fd(), &frame(false), None).unwrap();
    let mut incoming = Incoming::new(LIMIT);
    let mut found = Vec::new();
    while incoming.read(far.as_fd()).unwrap() != Read::Nothing {
        // As if the kernel had dropped it.
        incoming.descriptors.iter_mut().for_each(|descriptor| drop(descriptor.take()));
        while let Some(run) = incoming.next_run().unwrap() {
            found.push((run.payloads.len(), run.descriptor.is_some(), run.lost));
        }
    }
    assert_eq!(found, [(1, false, false), (1, false, true), (1, false, false)]);
}
