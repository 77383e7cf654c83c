//! What members say to the bus, and what the hub makes of it.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;

use crate::bus::house::House;
use crate::bus::protocol::{Command, Notice, Post, To, Wish, LONGEST_NAME};
use crate::bus::topics::Outbox;
use crate::bus::{Member, Place, BRIDGE, PRIMARY};
use crate::messages::frame::Kind;

/// How many members take part. The last is the primary, the one before it a bridge.
const PLACES: u8 = 4;

/// Bytes that the store keeps at most.
const STORED: usize = 4096;

/// Bytes of the names that a member may be at, of each kind.
const NAMES: usize = 64;

/// Notices that wait for a member from which on what can be missed is missed.
const ENOUGH: usize = 4;

/// [`Command::decode`]: what it reads is written back as it was, but for the space before numbers of JSON. [`House`]: only members are told anything, nobody hears
/// itself, and nothing is kept of those who are gone.
///
/// The input is what is said, one after the other: a byte that says by whom and how much later, one that says how long
/// it is, and so many bytes. Of none, the member reads what waits for it. Who says nonsense is cut off, and comes anew.
pub fn bus(bytes: &[u8]) {
    let mut house = House::new(STORED, NAMES);
    let mut told = Told::default();
    let mut at_place: [Option<Member>; PLACES as usize] = [None; PLACES as usize];
    let (mut last, mut now) = (0, 0);
    let mut rest = bytes;
    while let Some((&[who, length], tail)) = rest.split_first_chunk() {
        let (said, tail) = tail.split_at(usize::from(length).min(tail.len()));
        rest = tail;
        now += u64::from(who / PLACES);
        let place = who % PLACES;
        let member = *at_place[usize::from(place)].get_or_insert_with(|| {
            last += 1;
            told.waiting.insert(last, 0);
            house.join(last, place_of(place));
            last
        });
        told.speaker = member;
        if said.is_empty() {
            told.waiting.insert(member, 0);
            house.caught_up(member, &mut told);
        } else if let Some(command) = Command::decode(kind_of(said), said) {
            look_at_encoded(&command, said);
            house.said(member, command, now, &mut told);
        } else {
            at_place[usize::from(place)] = None;
            told.waiting.remove(&member);
            house.leave(member, &mut told);
        }
    }
    for member in at_place.into_iter().flatten() {
        told.waiting.remove(&member);
        house.leave(member, &mut told);
    }
    assert!(house.is_empty(), "something is kept of those who are gone");
}

fn place_of(number: u8) -> Place {
    match PLACES - number {
        1 => PRIMARY,
        2 => BRIDGE,
        _ => number.into(),
    }
}

/// What begins with a bracket is JSON: no op is that large.
fn kind_of(said: &[u8]) -> Kind {
    if said[0] == b'[' {
        Kind::Json
    } else {
        Kind::Advanced
    }
}

fn look_at_encoded(command: &Command<'_>, said: &[u8]) {
    let encoded = encode(command);
    match kind_of(said) {
        Kind::Json => assert_eq!(Command::decode(Kind::Json, &encoded).as_ref(), Some(command)),
        _ => assert_eq!(encoded, without_needless(said)),
    }
}

/// A request that is for no place names one too, which is not kept.
fn without_needless(said: &[u8]) -> Vec<u8> {
    let mut said = said.to_vec();
    if let [6, _, _, _, _, 0 | 1, place @ ..] = &mut said[..] {
        place[..4].fill(0);
    }
    said
}

/// Who is told what.
#[derive(Default)]
struct Told {
    /// How many notices wait for each member.
    waiting: BTreeMap<Member, usize>,
    speaker: Member,
}

impl Outbox for Told {
    fn offer(&mut self, to: Member, notice: &Notice<'_>) -> bool {
        assert!(to != self.speaker, "it is told what it has said: {notice:?}");
        let takes = self.waiting.get(&to).is_some_and(|waiting| *waiting < ENOUGH);
        if takes {
            self.send(to, notice);
        }
        takes
    }

    fn send(&mut self, to: Member, notice: &Notice<'_>) {
        let waiting = self.waiting.get_mut(&to);
        *waiting.unwrap_or_else(|| panic!("member {to} is gone, and is told {notice:?}")) += 1;
        let mut bytes = Vec::new();
        notice.encode(&mut bytes);
        match notice.kind() {
            // All that arrive together are parsed as one text: each has to be one value, and say who has published it.
            Kind::Json => look_at_text(&bytes, notice),
            _ => assert!((1..=14).contains(&bytes[0]), "JavaScript knows no such notice"),
        }
        if let Notice::Published { data: Post::Value(text), .. } = notice {
            let _: IgnoredAny = serde_json::from_str(text).unwrap();
        }
    }
}

fn look_at_text(text: &[u8], notice: &Notice<'_>) {
    let is_told = match notice {
        Notice::Published { from, topic, .. } => {
            let (by, on, _): (u32, &str, IgnoredAny) = serde_json::from_slice(text).unwrap();
            (by, on) == (*from, *topic)
        }
        Notice::Asked { token, from, topic, .. } => {
            let (number, by, on, _): (u64, u32, &str, IgnoredAny) = serde_json::from_slice(text).unwrap();
            (number, by, on) == (*token, *from, *topic)
        }
        Notice::Answered { id, from, ok, last, .. } => {
            let (number, by, good, end, _): (u32, u32, u8, u8, IgnoredAny) = serde_json::from_slice(text).unwrap();
            (number, by, good, end) == (*id, *from, u8::from(*ok), u8::from(*last))
        }
        _ => false,
    };
    assert!(is_told, "{} for {notice:?}", text.escape_ascii());
}

/// The bytes of a command, as `lib/bus/protocol.js` writes them.
fn encode(command: &Command<'_>) -> Vec<u8> {
    match *command {
        Command::Subscribe { id, topic } => [&[1], &id.to_le_bytes()[..], &name(topic)].concat(),
        Command::Unsubscribe { topic } => [&[2], &name(topic)[..]].concat(),
        Command::Publish { topic, data: Post::Bytes(data) } => [&[3], &name(topic)[..], data].concat(),
        Command::Publish { data: Post::Json(text), .. } => [b"[", text.as_bytes()].concat(),
        Command::Publish { data: Post::Value(_), .. }
        | Command::Ask { data: Post::Value(_), .. }
        | Command::Answer { data: Post::Value(_), .. } => unreachable!("no member says it so"),
        Command::Serve { id, topic } => [&[4], &id.to_le_bytes()[..], &name(topic)].concat(),
        Command::Retire { topic } => [&[5], &name(topic)[..]].concat(),
        Command::Ask { id, to, topic, data: Post::Bytes(data) } => {
            [&[6], &id.to_le_bytes()[..], &encode_to(to), &name(topic), data].concat()
        }
        Command::Ask { id, to, data: Post::Json(text), .. } => {
            let [kind, place @ ..] = encode_to(to);
            format!("[{id},{kind},{},{text}", u32::from_le_bytes(place)).into()
        }
        Command::Forget { id } => [&[7], &id.to_le_bytes()[..]].concat(),
        Command::Answer { token, ok, data: Post::Bytes(data) } => {
            [&[8], &token.to_le_bytes()[..], &[ok.into()], data].concat()
        }
        Command::Answer { token, ok, data: Post::Json(text) } => format!("[{token},{ok},{text}").into(),
        Command::Lock { id, wish, name: lock } => {
            [&[9], &id.to_le_bytes()[..], &[encode_wish(wish)], &name(lock)].concat()
        }
        Command::Unlock { id } => [&[10], &id.to_le_bytes()[..]].concat(),
        Command::Locks { id } => [&[11], &id.to_le_bytes()[..]].concat(),
        Command::Get { id, key } => [&[12], &id.to_le_bytes()[..], &name(key)].concat(),
        Command::Set { id, ttl, key, data } => {
            [&[13], &id.to_le_bytes()[..], &ttl.to_le_bytes(), &name(key), data].concat()
        }
        Command::Increment { id, by, ttl, key } => {
            [&[14], &id.to_le_bytes()[..], &by.to_le_bytes(), &ttl.to_le_bytes(), &name(key)].concat()
        }
        Command::Delete { id, key } => [&[15], &id.to_le_bytes()[..], &name(key)].concat(),
        Command::Sync { id } => [&[16], &id.to_le_bytes()[..]].concat(),
        Command::Count { id, count, ttl, key } => {
            [&[17], &id.to_le_bytes()[..], &count.to_le_bytes(), &ttl.to_le_bytes(), &name(key)].concat()
        }
        Command::Watch => vec![18],
        Command::Relay { count, topic, data } => [&[19], &count.to_le_bytes()[..], &name(topic), data].concat(),
        Command::Lost { count, topic } => [&[20], &count.to_le_bytes()[..], &name(topic)].concat(),
    }
}

fn name(name: &str) -> Vec<u8> {
    assert!(name.len() <= LONGEST_NAME);
    [&(name.len() as u16).to_le_bytes()[..], name.as_bytes()].concat()
}

fn encode_to(to: To) -> [u8; 5] {
    let (kind, place) = match to {
        To::Any => (0, 0),
        To::All => (1, 0),
        To::Place(place) => (2, place),
    };
    let mut bytes = [kind; 5];
    bytes[1..].copy_from_slice(&u32::to_le_bytes(place));
    bytes
}

fn encode_wish(wish: Wish) -> u8 {
    match wish {
        Wish::Exclusive => 0,
        Wish::Shared => 1,
        Wish::ExclusiveIfAvailable => 2,
        Wish::SharedIfAvailable => 3,
        Wish::Steal => 4,
    }
}
