//! The hub with real sockets: members that say nonsense, that ask and do not read, and that end.

use std::os::fd::OwnedFd;

use nix::poll::{poll, PollFd, PollFlags, PollTimeout};

use super::figures::Figures;
use super::hub::{Hub, ENOUGH, LONGEST, TOO_MUCH};
use super::protocol::{Refusal, LONGEST_NAMES};
use super::{BRIDGE, PRIMARY};
use crate::messages::channel::Channel;
use crate::messages::frame::{Kind, LIMIT};
use crate::messages::incoming::{Incoming, Read};

/// A member, as JavaScript has it.
struct Member {
    channel: Channel,
    incoming: Incoming,
}

impl Member {
    fn join(hub: &Hub, place: u32) -> Member {
        Member { channel: Channel::new(hub.join(place).unwrap()), incoming: Incoming::new(LIMIT) }
    }

    fn say(&self, parts: &[&[u8]]) {
        self.say_as(Kind::Advanced, None, parts);
    }

    /// Until all of it is in the kernel, or nobody is there who takes it.
    fn say_as(&self, kind: Kind, descriptor: Option<OwnedFd>, parts: &[&[u8]]) {
        let mut said = self.channel.push(kind, descriptor, true, |bytes| bytes.extend(parts.concat()));
        while said.is_ok_and(|pushed| pushed.queued > 0) {
            poll(&mut [PollFd::new(self.channel.socket(), PollFlags::POLLOUT)], PollTimeout::NONE).unwrap();
            said = self.channel.flush();
        }
    }

    /// Waits for the next notices; none: the end.
    fn hear(&mut self) -> Vec<Vec<u8>> {
        loop {
            let mut ready = [PollFd::new(self.channel.socket(), PollFlags::POLLIN)];
            poll(&mut ready, PollTimeout::NONE).unwrap();
            match self.incoming.read(self.channel.socket()) {
                Ok(Read::Some | Read::Last) => {}
                Ok(Read::Nothing) => continue,
                Ok(Read::End | Read::Starved) | Err(_) => return Vec::new(),
            }
            let mut notices = Vec::new();
            while let Some(run) = self.incoming.next_run().unwrap() {
                notices.extend(run.payloads.iter().map(|payload| payload.to_vec()));
            }
            if !notices.is_empty() {
                return notices;
            }
        }
    }

    /// Waits until all that it has said is done.
    fn sync(&mut self) {
        self.say(&[SYNC, &7u32.to_le_bytes()]);
        let synced = [SYNCED, &7u32.to_le_bytes()].concat();
        while self.hear().last() != Some(&synced) {}
    }
}

const SUBSCRIBE: &[u8] = &[1, 1, 0, 0, 0];
const PUBLISH: &[u8] = &[3];
const SERVE: &[u8] = &[4, 1, 0, 0, 0];
const ASK_ANY: &[u8] = &[6];
const LOCK: &[u8] = &[9];
const SET: &[u8] = &[13];
const GET: &[u8] = &[12];
const SYNC: &[u8] = &[16];
const SYNCED: &[u8] = &[11];
const WATCH: &[u8] = &[18];
const RELAY: &[u8] = &[19];
const LOST: &[u8] = &[20];
const WANTED: &[u8] = &[13];
const ID: &[u8] = &[1, 0, 0, 0];
const EXCLUSIVE: &[u8] = &[0];
const NAME: &[u8] = &[1, 0, b'a'];

#[test]
fn whoever_says_nonsense_is_cut_off_alone() {
    let hub = Hub::start(1 << 20).unwrap();
    let (mut listener, speaker) = (Member::join(&hub, 0), Member::join(&hub, PRIMARY));
    listener.say(&[SUBSCRIBE, NAME]);
    listener.sync();
    let long = [SUBSCRIBE, &1025u16.to_le_bytes(), &[b'x'; 1025][..]].concat();
    let nonsense: &[&[u8]] = &[
        &[],
        &[0],
        &[17],
        &[18, 0],
        &[21],
        &[255],
        &[1],
        SUBSCRIBE,
        &[1, 1, 0, 0, 0, 1],
        &[1, 1, 0, 0, 0, 9, 0, b'a'],
        &[1, 1, 0, 0, 0, 1, 0, 0xff],
        &[1, 1, 0, 0, 0, 1, 0, b'a', b'b'],
        &[6, 1, 0, 0, 0, 3, 0, 0, 0, 0, 1, 0, b'a'],
        &[8, 1, 0, 0, 0, 0, 0, 0, 0, 2],
        &[9, 1, 0, 0, 0, 5, 1, 0, b'a'],
        &long,
    ];
    for said in nonsense {
        let mut member = Member::join(&hub, 1);
        member.say(&[said]);
        assert!(member.hear().is_empty(), "{said:?} is listened to");
    }
    for kind in [Kind::Json, Kind::Control] {
        let mut member = Member::join(&hub, 1);
        member.say_as(kind, None, &[SUBSCRIBE, NAME]);
        assert!(member.hear().is_empty(), "a frame of {kind:?} is listened to");
    }
    let long = format!("[\"{}\",1]", "x".repeat(1025));
    let long_question = format!("[1,0,0,\"{}\",1]", "x".repeat(1025));
    let no_json: &[&[u8]] = &[
        b"",
        b"[]",
        b"1",
        b"{\"a\":1}",
        b"[\"a\"]",
        b"[\"a\",]",
        b"[\"a\",1,2]",
        b"[\"a\",1",
        b"[\"a\",1]]",
        b"[\"a\",1],[0,\"a\",2]",
        b"[\"a\",[1]",
        b"[\"a\",\"x]",
        b"[\"a\",NaN]",
        b"[\"a\",01]",
        b"[\"a\",'x']",
        b"[\"a\",\"\n\"]",
        b"[\"a\",\"\xff\"]",
        b"[1,1]",
        b"[1,0,0,\"a\"]",
        b"[1,0,0,\"a\",1,2]",
        b"[1,3,0,\"a\",1]",
        b"[-1,0,0,\"a\",1]",
        b"[1,0,4294967296,\"a\",1]",
        b"[1,0,0,a,1]",
        b"[1,0,0,\"\\n\",1]",
        b"[1,0,0,\"a\",1],[0,\"a\",2]",
        b"[1,true]",
        b"[1,true,1,2]",
        b"[1,tru,1]",
        b"[-1,true,1]",
        b"[1.0,true,1]",
        b"[1,true,x]",
        b"[1,true,1],[0,\"a\",2]",
        b"1,true,1",
        long.as_bytes(),
        long_question.as_bytes(),
    ];
    for said in no_json {
        let mut member = Member::join(&hub, 1);
        member.say_as(Kind::Json, None, &[said]);
        assert!(member.hear().is_empty(), "{} is listened to", said.escape_ascii());
    }
    let mut member = Member::join(&hub, 1);
    member.say_as(Kind::Advanced, Some(std::io::pipe().unwrap().0.into()), &[SUBSCRIBE, NAME]);
    assert!(member.hear().is_empty(), "a descriptor is taken");
    speaker.say(&[PUBLISH, NAME, b"still here"]);
    let heard = [&[1], &PRIMARY.to_le_bytes()[..], NAME, b"still here"].concat();
    assert_eq!(listener.hear(), [heard]);
    speaker.say_as(Kind::Json, None, &[b"[\"a\", {\"still\":\"\\ud800\"}]"]);
    assert_eq!(listener.hear(), [b"[4294967295,\"a\", {\"still\":\"\\ud800\"}]"]);
}

#[test]
fn what_is_asked_and_answered_as_json_is_told_as_it_is() {
    let hub = Hub::start(1 << 20).unwrap();
    let (mut asker, mut server) = (Member::join(&hub, 3), Member::join(&hub, 4));
    server.say(&[SERVE, NAME]);
    server.sync();
    asker.say_as(Kind::Json, None, &[b"[7,0,0,\"a\",{\"x\":[1,2]}]"]);
    assert_eq!(server.hear(), [b"[1,3,\"a\",{\"x\":[1,2]}]"]);
    // One that it was not asked, and the one that it was.
    server.say_as(Kind::Json, None, &[b"[2,true,\"no\"]"]);
    server.say_as(Kind::Json, None, &[b"[1,false,\"[1,true\"]"]);
    assert_eq!(asker.hear(), [b"[7,4,0,1,\"[1,true\"]"]);
    asker.say_as(Kind::Json, None, &[b"[8,2,4,\"a\",null]"]);
    assert_eq!(server.hear(), [b"[2,3,\"a\",null]"]);
    server.say(&[&[8], &2u64.to_le_bytes(), &[1], b"bytes"]);
    assert_eq!(asker.hear(), [[&[5, 8, 0, 0, 0, 4, 0, 0, 0, 1, 1][..], b"bytes"].concat()]);
}

#[test]
fn the_names_of_one_member_are_bounded() {
    let hub = Hub::start(1 << 20).unwrap();
    let (mut greedy, mut other) = (Member::join(&hub, 0), Member::join(&hub, 1));
    let name = |number: usize| [&1024u16.to_le_bytes()[..], format!("{number:01024}").as_bytes()].concat();
    let most = LONGEST_NAMES / 1024;
    for begin in [&[1][..], &[4], &[9]] {
        let wish = if begin == [9] { EXCLUSIVE } else { &[] };
        for number in 0..=most {
            greedy.say(&[begin, &(number as u32).to_le_bytes(), wish, &name(number)]);
        }
        // The locks are granted, the rest is confirmed; the last is refused.
        let mut heard = Vec::new();
        while heard.len() <= most {
            heard.extend(greedy.hear());
        }
        let good = if begin == [9] { 6 } else { 11 };
        assert!(heard[..most].iter().all(|notice| notice[0] == good));
        let refused = [&[12][..], &(most as u32).to_le_bytes(), &[Refusal::NamesTooLong as u8]].concat();
        assert_eq!(heard[most..], [refused]);
    }
    // Of each kind one less is room for another.
    greedy.say(&[&[2], &name(0)]);
    greedy.say(&[&[5], &name(0)]);
    greedy.say(&[&[10], &0u32.to_le_bytes()]);
    for (begin, good) in [(&[1][..], 11), (&[4], 11), (&[9], 6)] {
        let wish = if begin == [9] { EXCLUSIVE } else { &[] };
        greedy.say(&[begin, &5000u32.to_le_bytes(), wish, &name(5000)]);
        assert_eq!(greedy.hear(), [[&[good][..], &5000u32.to_le_bytes()].concat()]);
    }
    // Others have their own.
    other.say(&[&[1, 1, 0, 0, 0], &name(1)]);
    other.sync();
}

#[test]
fn one_that_asks_and_does_not_read_is_cut_off() {
    let hub = Hub::start(8 << 20).unwrap();
    let mut deaf = Member::join(&hub, 0);
    let value = vec![0; 4 << 20];
    deaf.say(&[SET, ID, &[0; 8], NAME, &value]);
    // Each answer has four megabytes.
    for _ in 0..2 * TOO_MUCH / value.len() {
        deaf.say(&[GET, ID, NAME]);
    }
    let mut other = Member::join(&hub, 1);
    other.sync();
    let mut read = 0;
    loop {
        let notices = deaf.hear();
        if notices.is_empty() {
            break;
        }
        read += notices.iter().map(Vec::len).sum::<usize>();
    }
    assert!(read < 2 * TOO_MUCH, "{read} bytes were kept for it");
    other.say(&[GET, ID, NAME]);
    assert_eq!(other.hear()[0][..5], [10, 1, 0, 0, 0], "what it has stored is no longer there");
}

/// What the hub has counted, once it is so: it notes that at the end of a turn.
fn counted(hub: &Hub, is_so: impl Fn(&Figures) -> bool) -> Figures {
    loop {
        let figures = *hub.figures().lock();
        if is_so(&figures) {
            return figures;
        }
        std::thread::yield_now();
    }
}

#[test]
fn what_waits_for_one_that_does_not_read_is_counted_and_what_it_misses() {
    let hub = Hub::start(1 << 20).unwrap();
    let (mut deaf, speaker) = (Member::join(&hub, 0), Member::join(&hub, PRIMARY));
    deaf.say(&[SUBSCRIBE, NAME]);
    deaf.sync();
    let data = vec![0; 4 << 20];
    for _ in 0..8 {
        speaker.say(&[PUBLISH, NAME, &data]);
    }
    let Figures { posts, queued_bytes, .. } = counted(&hub, |figures| figures.posts.published == 8);
    assert!(queued_bytes > ENOUGH / 2, "{queued_bytes}");
    assert_eq!((posts.delivered + posts.missed, posts.delivered_bytes), (8, posts.delivered << 22));
    assert!(posts.missed > 0);
    while deaf.hear().last().map(|notice| notice[0]) != Some(2) {}
    counted(&hub, |figures| figures.queued_bytes == 0);
    drop(deaf);
    let figures = counted(&hub, |figures| figures.members == 1);
    assert_eq!((figures.topics, figures.posts), (0, posts));
}

#[test]
fn what_a_member_holds_and_owes_is_settled_when_it_ends() {
    let hub = Hub::start(1 << 20).unwrap();
    let (mut one, mut other) = (Member::join(&hub, 3), Member::join(&hub, 4));
    one.say(&[LOCK, ID, EXCLUSIVE, NAME]);
    one.say(&[SERVE, NAME]);
    one.sync();
    other.say(&[LOCK, ID, EXCLUSIVE, NAME]);
    other.say(&[ASK_ANY, &2u32.to_le_bytes(), &[0; 5], NAME, b"?"]);
    assert_eq!(one.hear()[0][0], 3, "it is asked");
    drop(one);
    let mut heard = Vec::new();
    while heard.len() < 2 {
        heard.extend(other.hear());
    }
    // By slot 3, gone, and the last.
    assert!(heard.contains(&vec![5, 2, 0, 0, 0, 3, 0, 0, 0, 3, 1]), "{heard:?}");
    assert!(heard.contains(&vec![6, 1, 0, 0, 0]), "{heard:?}");
}

#[test]
fn nobody_but_a_bridge_is_heard_as_one() {
    let hub = Hub::start(1 << 20).unwrap();
    let [mut listener, mut worker] = [0, 1].map(|place| Member::join(&hub, place));
    let mut bridge = Member::join(&hub, BRIDGE);
    listener.say(&[SUBSCRIBE, NAME]);
    listener.sync();
    bridge.say(&[WATCH]);
    assert_eq!(bridge.hear(), [[WANTED, &[1], NAME].concat()]);
    for member in [&mut worker, &mut bridge] {
        member.say(&[WATCH]);
        member.say(&[LOST, &[9; 8], NAME]);
        member.say(&[RELAY, &[1, 0, 0, 0], NAME, b"from afar"]);
        member.sync();
    }
    listener.say_as(Kind::Json, None, &[b"[\"a\",{\"mine\":1}]"]);
    assert_eq!(bridge.hear(), [[&[1], &[0; 4][..], NAME, b"\x01{\"mine\":1}"].concat()]);
    let relayed = [&[1], &BRIDGE.to_le_bytes()[..], NAME, b"from afar"].concat();
    let mut heard = Vec::new();
    while heard.len() < 2 {
        heard.extend(listener.hear());
    }
    assert_eq!(heard, [[&[2], &[9; 8][..], NAME].concat(), relayed]);
    drop(listener);
    assert_eq!(bridge.hear(), [[WANTED, &[0], NAME].concat()]);
}

/// The bytes of the longest message that a bridge brings, with a name that is as long, are none too many.
#[test]
fn a_bridge_brings_what_is_as_long_as_it_may_be() {
    let hub = Hub::start(1 << 20).unwrap();
    let (mut listener, bridge) = (Member::join(&hub, 0), Member::join(&hub, BRIDGE));
    let name = [&1024u16.to_le_bytes(), &[b'x'; 1024][..]].concat();
    listener.say(&[SUBSCRIBE, &name]);
    listener.sync();
    let data = vec![7; LONGEST + 512];
    bridge.say(&[RELAY, &[1, 0, 0, 0], &name, &data]);
    let heard = listener.hear();
    assert_eq!((heard.len(), heard[0].len()), (1, 1 + 4 + 2 + 1024 + data.len()));
}

#[test]
fn the_hub_ends_with_its_handle() {
    let hub = Hub::start(1 << 20).unwrap();
    let mut member = Member::join(&hub, 0);
    member.sync();
    drop(hub);
    assert!(member.hear().is_empty());
}
