//! The outgoing queue of a channel, and what the other end makes of it: the frames that were pushed, in their order,
//! with their descriptors, however short the writes are.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};

use nix::sys::socket::{setsockopt, sockopt, SockType};
use proptest::prelude::*;
use rust_cluster::messages::channel::{Channel, Pushed};
use rust_cluster::messages::frame::{Kind, HEADER, LIMIT};
use rust_cluster::messages::incoming::{Incoming, Read};
use rust_cluster::os::socket;

use super::config;

#[derive(Debug, Clone)]
enum Step {
    Push {
        kind: Kind,
        length: usize,
        descriptor: bool,
        now: bool,
    },
    Flush,
    /// The other end reads, so many times.
    Read(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![Just(Kind::Json), Just(Kind::Advanced), Just(Kind::Control)];
    let length = prop_oneof![8 => 0..100usize, 2 => 100..10_000usize, 1 => 60_000..70_000usize, 1 => 0..400_000usize];
    prop_oneof![
        6 => (kind, length, prop::bool::weighted(0.3), any::<bool>())
            .prop_map(|(kind, length, descriptor, now)| Step::Push { kind, length, descriptor, now }),
        1 => Just(Step::Flush),
        2 => (1..4usize).prop_map(Step::Read),
    ]
}

/// A frame: kind, payload, the number in its descriptor.
type Frame = (Kind, Vec<u8>, Option<u16>);

/// A pipe with a number in it.
fn numbered(number: u16) -> OwnedFd {
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(&number.to_le_bytes()).unwrap();
    reader.into()
}

fn number(descriptor: OwnedFd) -> u16 {
    let mut bytes = [0; 2];
    File::from(descriptor).read_exact(&mut bytes).unwrap();
    u16::from_le_bytes(bytes)
}

/// Reads once; `false` when nothing is there.
fn read(incoming: &mut Incoming, far: &OwnedFd, found: &mut Vec<Frame>) -> bool {
    if matches!(incoming.read(far.as_fd()).unwrap(), Read::Nothing | Read::End) {
        return false;
    }
    while let Some(run) = incoming.next_run().unwrap() {
        let mut descriptor = run.descriptor.map(number);
        found.extend(run.payloads.iter().map(|payload| (run.kind, payload.to_vec(), descriptor.take())));
    }
    true
}

proptest! {
    #![proptest_config(config(100))]

    #[test]
    fn what_is_pushed_arrives(
        steps in prop::collection::vec(step(), 0..60),
        room in prop_oneof![Just(1usize), Just(20_000), Just(200_000)],
    ) {
        let (near, far) = socket::pair(SockType::Stream).unwrap();
        let channel = Channel::new(near);
        setsockopt(&channel.socket(), sockopt::SndBuf, &room).unwrap();
        let mut incoming = Incoming::new(LIMIT);
        let (mut pushed, mut found, mut bytes, mut told) = (Vec::new(), Vec::new(), 0, false);
        for (place, step) in (0..).zip(steps) {
            let became = match step {
                Step::Push { kind, length, descriptor, now } => {
                    let payload = vec![place as u8; length];
                    let carried = descriptor.then(|| numbered(place));
                    let became = channel.push(kind, carried, now, |bytes| bytes.extend_from_slice(&payload)).unwrap();
                    bytes += HEADER + length;
                    pushed.push((kind, payload, descriptor.then_some(place)));
                    prop_assert!(!now || became.queued == 0 || became.blocked.is_some(), "what is to go now waits for the kernel only");
                    became
                }
                Step::Flush => channel.flush().unwrap(),
                Step::Read(times) => {
                    for _ in 0..times {
                        read(&mut incoming, &far, &mut found);
                    }
                    continue;
                }
            };
            let Pushed { queued, blocked, untold, .. } = became;
            prop_assert_eq!(queued, channel.queued());
            prop_assert_eq!(channel.end(), bytes as u64);
            prop_assert_eq!(channel.written() + queued as u64, bytes as u64);
            prop_assert!(blocked.is_none() || queued > 0);
            prop_assert_eq!(untold, queued > 0 && !told);
            told |= queued > 0;
            prop_assert!(pushed.starts_with(&found));
        }
        while channel.flush().unwrap().queued > 0 {
            read(&mut incoming, &far, &mut found);
        }
        while read(&mut incoming, &far, &mut found) {}
        prop_assert_eq!(found.len(), pushed.len());
        prop_assert!(found == pushed);
    }
}
