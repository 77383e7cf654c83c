//! The bus's house against a naive one: what each member is told, in its order, whatever members say, and whoever comes,
//! goes, does not read, and reads again; and what it counts.

mod naive;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use rust_cluster::bus::house::House;
use rust_cluster::bus::protocol::{Command, Id, Notice, Post, To, Wish};
use rust_cluster::bus::topics::Outbox;
use rust_cluster::bus::{Member, BRIDGE, PRIMARY};

use self::naive::Naive;
use super::config;

/// Bytes that the store keeps: four small entries.
const STORED: usize = 1100;

/// Few, so that members meet.
const NAMES: [&str; 2] = ["a", "bb"];

/// What is published and asked on each as JSON; and the value in it.
const TEXTS: [&str; 2] = [r#""a",1]"#, " \"bb\" , [\" ],\"]\t] "];
pub const VALUES: [&str; 2] = ["1", r#"[" ],"]"#];

#[derive(Debug, Clone)]
enum Step {
    Join,
    Leave(usize),
    /// A member does not read any more, or does again.
    Deaf(usize, bool),
    Say(usize, Said),
    Wait(u64),
}

/// A command, with names and ids as numbers.
#[derive(Debug, Clone)]
enum Said {
    Subscribe(usize),
    Unsubscribe(usize),
    Publish(usize, bool),
    Serve(usize),
    Retire(usize),
    Ask(Id, To, usize, bool),
    Forget(Id),
    Answer(u64, bool, bool),
    Lock(Id, Wish, usize),
    Unlock(Id),
    Locks,
    Get(usize),
    Set(usize, u64, usize),
    Count(usize, i64, u64),
    Increment(usize, i64, u64),
    Delete(usize),
    Watch,
    Relay(u32, usize),
    Lost(u64, usize),
}

/// What was sent to each, as it travels.
#[derive(Debug, Default)]
pub struct Told {
    pub notices: BTreeMap<Member, Vec<Vec<u8>>>,
    pub deaf: BTreeSet<Member>,
}

impl Outbox for Told {
    fn offer(&mut self, to: Member, notice: &Notice<'_>) -> bool {
        if self.deaf.contains(&to) {
            return false;
        }
        self.send(to, notice);
        true
    }

    fn send(&mut self, to: Member, notice: &Notice<'_>) {
        let mut bytes = Vec::new();
        notice.encode(&mut bytes);
        self.notices.entry(to).or_default().push(bytes);
    }
}

fn said() -> impl Strategy<Value = Said> {
    let name = 0..NAMES.len();
    let id = 1..5u32;
    let to = prop_oneof![Just(To::Any), Just(To::All), (0..3u32).prop_map(To::Place), Just(To::Place(PRIMARY))];
    let wish = prop_oneof![
        3 => Just(Wish::Exclusive),
        3 => Just(Wish::Shared),
        1 => Just(Wish::ExclusiveIfAvailable),
        1 => Just(Wish::SharedIfAvailable),
        1 => Just(Wish::Steal),
    ];
    let ttl = prop_oneof![Just(0u64), 1..20u64];
    prop_oneof![
        3 => name.clone().prop_map(Said::Subscribe),
        1 => name.clone().prop_map(Said::Unsubscribe),
        4 => (name.clone(), any::<bool>()).prop_map(|(name, json)| Said::Publish(name, json)),
        3 => name.clone().prop_map(Said::Serve),
        1 => name.clone().prop_map(Said::Retire),
        4 => (id.clone(), to, name.clone(), any::<bool>()).prop_map(|(id, to, name, json)| Said::Ask(id, to, name, json)),
        1 => id.clone().prop_map(Said::Forget),
        4 => (0..20u64, any::<bool>(), any::<bool>()).prop_map(|(token, ok, json)| Said::Answer(token, ok, json)),
        4 => (id.clone(), wish, name.clone()).prop_map(|(id, wish, name)| Said::Lock(id, wish, name)),
        3 => id.prop_map(Said::Unlock),
        1 => Just(Said::Locks),
        2 => name.clone().prop_map(Said::Get),
        2 => (name.clone(), ttl.clone(), 0..600usize).prop_map(|(name, ttl, length)| Said::Set(name, ttl, length)),
        1 => (name.clone(), prop_oneof![Just(5i64), Just(i64::MAX)], ttl.clone())
            .prop_map(|(name, count, ttl)| Said::Count(name, count, ttl)),
        2 => (name.clone(), prop_oneof![Just(1i64), Just(i64::MAX)], ttl)
            .prop_map(|(name, by, ttl)| Said::Increment(name, by, ttl)),
        1 => name.clone().prop_map(Said::Delete),
        2 => Just(Said::Watch),
        2 => (1..4u32, name.clone()).prop_map(|(count, name)| Said::Relay(count, name)),
        1 => (prop_oneof![0..4u64, Just(u64::MAX)], name).prop_map(|(count, name)| Said::Lost(count, name)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let who = 0..5usize;
    prop_oneof![
        2 => Just(Step::Join),
        1 => who.clone().prop_map(Step::Leave),
        2 => (who.clone(), any::<bool>()).prop_map(|(who, deaf)| Step::Deaf(who, deaf)),
        30 => (who, said()).prop_map(|(who, said)| Step::Say(who, said)),
        2 => (1..15u64).prop_map(Step::Wait),
    ]
}

fn command<'a>(said: &Said, data: &'a [u8]) -> Command<'a> {
    let id = 9;
    match *said {
        Said::Subscribe(name) => Command::Subscribe { id, topic: NAMES[name] },
        Said::Unsubscribe(name) => Command::Unsubscribe { topic: NAMES[name] },
        Said::Publish(name, false) => Command::Publish { topic: NAMES[name], data: Post::Bytes(&data[..4]) },
        Said::Publish(name, true) => Command::Publish { topic: NAMES[name], data: Post::Json(TEXTS[name]) },
        Said::Serve(name) => Command::Serve { id, topic: NAMES[name] },
        Said::Retire(name) => Command::Retire { topic: NAMES[name] },
        Said::Ask(id, to, name, json) => {
            let data = if json { Post::Json(TEXTS[name]) } else { Post::Bytes(&data[..4]) };
            Command::Ask { id, to, topic: NAMES[name], data }
        }
        Said::Forget(id) => Command::Forget { id },
        Said::Answer(token, ok, json) => {
            let data = if json { Post::Json("1]") } else { Post::Bytes(&data[..4]) };
            Command::Answer { token, ok, data }
        }
        Said::Lock(id, wish, name) => Command::Lock { id, wish, name: NAMES[name] },
        Said::Unlock(id) => Command::Unlock { id },
        Said::Locks => Command::Locks { id },
        Said::Get(name) => Command::Get { id, key: NAMES[name] },
        Said::Set(name, ttl, length) => Command::Set { id, ttl, key: NAMES[name], data: &data[..length] },
        Said::Count(name, count, ttl) => Command::Count { id, count, ttl, key: NAMES[name] },
        Said::Increment(name, by, ttl) => Command::Increment { id, by, ttl, key: NAMES[name] },
        Said::Delete(name) => Command::Delete { id, key: NAMES[name] },
        Said::Watch => Command::Watch,
        Said::Relay(count, name) => Command::Relay { count, topic: NAMES[name], data: &data[..4] },
        Said::Lost(count, name) => Command::Lost { count, topic: NAMES[name] },
    }
}

proptest! {
    #![proptest_config(config(2000))]

    #[test]
    fn each_is_told_what_it_is_to_be_told(
        // How long the names of a member may be together: mostly, as long as they are.
        longest in prop_oneof![2 => Just(100usize), 1 => 1..6usize],
        steps in prop::collection::vec(step(), 0..120),
    ) {
        let (mut house, mut naive) = (House::new(STORED, longest), Naive::new(STORED, longest));
        let (mut told, mut expected) = (Told::default(), Told::default());
        let (mut members, mut last, mut now) = (Vec::new(), 0, 0);
        let joins = [Step::Join, Step::Join, Step::Join, Step::Join];
        for (number, step) in joins.iter().chain(&steps).enumerate() {
            match step {
                Step::Join if members.len() < 5 => {
                    last += 1;
                    // Two may be in one place: a worker and its replacement, or two bridges.
                    let place = match last {
                        1 => PRIMARY,
                        _ if last % 4 == 3 => BRIDGE,
                        _ => last % 3,
                    };
                    members.push(last);
                    house.join(last, place);
                    naive.join(last, place);
                }
                Step::Leave(who) if *who < members.len() => {
                    let member = members.remove(*who);
                    house.leave(member, &mut told);
                    naive.leave(member, &mut expected);
                }
                Step::Deaf(who, deaf) if *who < members.len() => {
                    let member = members[*who];
                    for all in [&mut told, &mut expected] {
                        if *deaf { all.deaf.insert(member) } else { all.deaf.remove(&member) };
                    }
                    if !deaf {
                        house.caught_up(member, &mut told);
                        naive.caught_up(member, &mut expected);
                    }
                }
                Step::Say(who, said) if *who < members.len() => {
                    let mut data = [0; 600];
                    data[..4].copy_from_slice(&(number as u32).to_le_bytes());
                    house.said(members[*who], command(said, &data), now, &mut told);
                    naive.said(members[*who], command(said, &data), now, &mut expected);
                }
                Step::Wait(pause) => now += pause,
                _ => {}
            }
            let (now_told, expected) = (std::mem::take(&mut told.notices), std::mem::take(&mut expected.notices));
            prop_assert_eq!(now_told, expected, "after step {}: {:?}", number, step);
            prop_assert_eq!(house.figures(), naive.figures(), "after step {}: {:?}", number, step);
        }
        for member in members {
            house.leave(member, &mut told);
        }
        prop_assert!(house.is_empty(), "something is kept of those who are gone");
    }
}
