//! The bus as one would write it on a sheet of paper: lists that are searched from the start.

use std::collections::{BTreeMap, BTreeSet};

use rust_cluster::bus::figures::{Figures, LockFigures, Posts, StoreFigures};
use rust_cluster::bus::protocol::{Absence, Command, Id, LockRow, Notice, Post, Refusal, To, Value, Wish};
use rust_cluster::bus::topics::Outbox;
use rust_cluster::bus::{Member, Place, BRIDGE};

use super::{Told, VALUES};

#[derive(Debug, Clone)]
struct Listener {
    member: Member,
    topic: String,
    missed: Missed,
}

/// Nothing; or so many; or nobody knows how many.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
enum Missed {
    #[default]
    Nothing,
    Some(u64),
    Unknown,
}

impl Missed {
    fn add(&mut self, count: u64) {
        *self = match (*self, count) {
            (_, 0) | (Missed::Unknown, _) => Missed::Unknown,
            (Missed::Nothing, count) => Missed::Some(count),
            (Missed::Some(before), count) => Missed::Some(before.saturating_add(count)),
        }
    }

    fn tell(&mut self, member: Member, topic: &str, told: &mut Told) {
        let count = match std::mem::take(self) {
            Missed::Nothing => return,
            Missed::Some(count) => count,
            Missed::Unknown => 0,
        };
        told.send(member, &Notice::Missed { count, topic });
    }
}

/// A bridge that watches has no topics of its own.
#[derive(Debug, Default)]
struct Bridge {
    watches: bool,
    topics: BTreeSet<String>,
    missed: BTreeMap<String, Missed>,
    /// It has missed which topics are wanted.
    astray: bool,
}

#[derive(Debug)]
struct Request {
    token: u64,
    asker: Member,
    id: Id,
    waiting: BTreeSet<Member>,
}

#[derive(Debug, Clone, PartialEq)]
struct Claim {
    name: String,
    member: Member,
    id: Id,
    shared: bool,
    held: bool,
}

#[derive(Debug)]
struct Entry {
    key: String,
    data: Option<Vec<u8>>,
    count: i64,
    end: Option<u64>,
}

#[derive(Debug)]
pub struct Naive {
    places: BTreeMap<Member, Place>,
    listeners: Vec<Listener>,
    bridges: BTreeMap<Member, Bridge>,
    behind: BTreeSet<Member>,
    servers: Vec<(Member, String)>,
    requests: Vec<Request>,
    tokens: u64,
    /// Those that are held in the order in which they were granted; then those that wait.
    claims: Vec<Claim>,
    /// By their last change.
    entries: Vec<Entry>,
    stored: usize,
    /// How long the names of each kind of a member may be together.
    longest: usize,
    posts: Posts,
    requests_made: u64,
    evicted: u64,
}

impl Naive {
    pub fn new(stored: usize, longest: usize) -> Self {
        Naive {
            places: BTreeMap::new(),
            listeners: Vec::new(),
            bridges: BTreeMap::new(),
            behind: BTreeSet::new(),
            servers: Vec::new(),
            requests: Vec::new(),
            tokens: 0,
            claims: Vec::new(),
            entries: Vec::new(),
            stored,
            longest,
            posts: Posts::default(),
            requests_made: 0,
            evicted: 0,
        }
    }

    pub fn figures(&self) -> Figures {
        let topics: BTreeSet<_> = self.listeners.iter().map(|listener| &listener.topic).collect();
        let held = self.claims.iter().filter(|claim| claim.held).count();
        Figures {
            members: self.places.len(),
            topics: topics.len(),
            posts: self.posts,
            queued_bytes: 0,
            requests: self.requests_made,
            pending: self.requests.len(),
            locks: LockFigures { held, waiting: self.claims.len() - held },
            store: StoreFigures {
                entries: self.entries.len(),
                bytes: self.entries.iter().map(size).sum(),
                evicted: self.evicted,
            },
        }
    }

    pub fn join(&mut self, member: Member, place: Place) {
        self.places.insert(member, place);
        if place == BRIDGE {
            self.bridges.insert(member, Bridge::default());
        }
    }

    pub fn leave(&mut self, member: Member, told: &mut Told) {
        let from = self.places.remove(&member).unwrap();
        self.behind.remove(&member);
        self.bridges.remove(&member);
        let mut topics: Vec<_> = self.of(member).map(|listener| listener.topic.clone()).collect();
        topics.sort_unstable();
        topics.iter().for_each(|topic| self.unsubscribe(member, topic, told));
        self.servers.retain(|(server, _)| *server != member);
        let mut own: Vec<_> = self.requests.iter().filter(|request| request.asker == member).map(|r| r.id).collect();
        own.sort_unstable();
        own.into_iter().for_each(|id| self.forget(member, id, told));
        for request in self.requests.iter_mut().filter(|request| request.waiting.contains(&member)) {
            request.waiting.remove(&member);
            let last = request.waiting.is_empty();
            told.send(request.asker, &Notice::Absent { id: request.id, from, why: Absence::Gone, last });
        }
        self.requests.retain(|request| !request.waiting.is_empty());
        self.claims.retain(|claim| claim.member != member);
        self.grant(told);
    }

    pub fn caught_up(&mut self, member: Member, told: &mut Told) {
        if self.behind.remove(&member) {
            let mut own: Vec<_> = self.listeners.iter_mut().filter(|listener| listener.member == member).collect();
            own.sort_by(|one, other| one.topic.cmp(&other.topic));
            own.into_iter().for_each(|listener| listener.missed.tell(member, &listener.topic, told));
        }
        if let Some(bridge) = self.bridges.get_mut(&member) {
            bridge.missed.iter_mut().for_each(|(topic, missed)| missed.tell(member, topic, told));
            bridge.missed.clear();
            if std::mem::take(&mut bridge.astray) {
                told.send(member, &Notice::Astray);
                self.tell_wanted(member, told);
            }
        }
    }

    fn of(&self, member: Member) -> impl Iterator<Item = &Listener> {
        self.listeners.iter().filter(move |listener| listener.member == member)
    }

    fn tell_wanted(&self, bridge: Member, told: &mut Told) {
        let topics: BTreeSet<_> = self.listeners.iter().map(|listener| &listener.topic).collect();
        topics.iter().for_each(|topic| told.send(bridge, &Notice::Wanted { topic, wanted: true }));
    }

    fn unsubscribe(&mut self, member: Member, topic: &str, told: &mut Told) {
        if let Some(bridge) = self.bridges.get_mut(&member) {
            bridge.topics.remove(topic);
        }
        if self.of(member).any(|listener| listener.topic == topic) {
            self.listeners.retain(|listener| !(listener.member == member && listener.topic == topic));
            self.tell_if_nobody_listens(topic, false, told);
        }
    }

    fn tell_if_nobody_listens(&mut self, topic: &str, wanted: bool, told: &mut Told) {
        if self.listeners.iter().any(|listener| listener.topic == topic) {
            return;
        }
        for (member, bridge) in self.bridges.iter_mut().filter(|(_, bridge)| bridge.watches) {
            if told.deaf.contains(member) {
                bridge.astray = true;
            } else {
                told.send(*member, &Notice::Wanted { topic, wanted });
            }
        }
    }

    /// All who listen to a topic, but for one, are told of so many messages.
    fn tell(&mut self, by: Member, topic: &str, notice: &Notice<'_>, messages: u64, bytes: u64, told: &mut Told) {
        let is_post = matches!(notice, Notice::Published { .. });
        for listener in self.listeners.iter_mut().filter(|it| it.topic == topic && it.member != by) {
            if self.behind.contains(&listener.member) || told.deaf.contains(&listener.member) {
                listener.missed.add(messages);
                self.behind.insert(listener.member);
                self.posts.missed += if is_post { messages } else { 0 };
            } else {
                self.posts.delivered += if is_post { messages } else { 0 };
                self.posts.delivered_bytes += bytes;
                told.send(listener.member, notice);
            }
        }
    }

    fn tell_bridges(&mut self, from: Place, topic: &str, data: Post<'_>, told: &mut Told) {
        if from == BRIDGE {
            return;
        }
        let data = match data {
            Post::Json(_) => Post::Value(VALUES[usize::from(topic == "bb")]),
            bytes => bytes,
        };
        let mut bridges: Vec<_> = self.bridges.iter_mut().collect();
        bridges.sort_by_key(|(_, bridge)| !bridge.watches);
        for (member, bridge) in bridges.into_iter().filter(|(_, it)| it.watches || it.topics.contains(topic)) {
            if !bridge.missed.is_empty() || told.deaf.contains(member) {
                bridge.missed.entry(topic.into()).or_default().add(1);
            } else {
                told.send(*member, &Notice::Published { from, topic, data });
            }
        }
    }

    pub fn said(&mut self, member: Member, command: Command<'_>, now: u64, told: &mut Told) {
        let from = self.places[&member];
        match command {
            Command::Subscribe { id, topic } => {
                if let Some(bridge) = self.bridges.get_mut(&member) {
                    if !bridge.watches && !bridge.topics.contains(topic) {
                        if bridge.topics.iter().map(|name| name.len()).sum::<usize>() + topic.len() > self.longest {
                            return told.send(member, &Notice::Refused { id, why: Refusal::NamesTooLong });
                        }
                        bridge.topics.insert(topic.into());
                    }
                } else if !self.of(member).any(|listener| listener.topic == topic) {
                    if self.of(member).map(|it| it.topic.len()).sum::<usize>() + topic.len() > self.longest {
                        return told.send(member, &Notice::Refused { id, why: Refusal::NamesTooLong });
                    }
                    self.tell_if_nobody_listens(topic, true, told);
                    self.listeners.push(Listener { member, topic: topic.into(), missed: Missed::Nothing });
                }
                told.send(member, &Notice::Synced { id });
            }
            Command::Unsubscribe { topic } => self.unsubscribe(member, topic, told),
            Command::Publish { topic, data } => {
                let bytes = data.len(topic) as u64;
                self.posts.published += 1;
                self.posts.published_bytes += bytes;
                self.tell(member, topic, &Notice::Published { from, topic, data }, 1, bytes, told);
                self.tell_bridges(from, topic, data, told);
            }
            Command::Watch => {
                let known = self.bridges.get_mut(&member).map(|it| std::mem::replace(&mut it.watches, true));
                if known == Some(false) {
                    self.bridges.get_mut(&member).unwrap().topics.clear();
                    self.tell_wanted(member, told);
                }
            }
            Command::Relay { count, topic, data } if from == BRIDGE => {
                let notice = Notice::Published { from, topic, data: Post::Bytes(data) };
                self.tell(member, topic, &notice, count.into(), data.len() as u64, told);
            }
            Command::Lost { count, topic } if from == BRIDGE => {
                self.tell(member, topic, &Notice::Missed { count, topic }, count, 0, told);
            }
            Command::Relay { .. } | Command::Lost { .. } => {}
            Command::Serve { id, topic } => {
                let server = (member, topic.to_string());
                if self.servers.contains(&server) {
                    return told.send(member, &Notice::Synced { id });
                }
                let own = self.servers.iter().filter(|(it, _)| *it == member).map(|(_, name)| name.len());
                if own.sum::<usize>() + topic.len() > self.longest {
                    return told.send(member, &Notice::Refused { id, why: Refusal::NamesTooLong });
                }
                self.servers.push(server);
                told.send(member, &Notice::Synced { id });
            }
            Command::Retire { topic } => self.servers.retain(|server| *server != (member, topic.to_string())),
            Command::Ask { id, to, topic, data } => self.ask(member, id, to, topic, data, told),
            Command::Forget { id } => self.forget(member, id, told),
            Command::Answer { token, ok, data } => {
                let due = |it: &&mut Request| it.token == token && it.waiting.contains(&member);
                if let Some(request) = self.requests.iter_mut().find(due) {
                    request.waiting.remove(&member);
                    let last = request.waiting.is_empty();
                    told.send(request.asker, &Notice::Answered { id: request.id, from, ok, last, data });
                    self.requests.retain(|request| !request.waiting.is_empty());
                }
            }
            Command::Lock { id, wish, name } => self.lock(member, id, wish, name, told),
            Command::Unlock { id } => {
                self.claims.retain(|claim| !(claim.member == member && claim.id == id));
                self.grant(told);
            }
            Command::Locks { id } => {
                let mut claims = self.claims.clone();
                claims.sort_by(|one, other| one.name.cmp(&other.name));
                let row = |claim| {
                    let Claim { name, member, shared, held, .. }: &Claim = claim;
                    LockRow { name, held: *held, shared: *shared, place: self.places[member] }
                };
                told.send(member, &Notice::LockList { id, rows: claims.iter().map(row).collect() });
            }
            Command::Get { id, .. }
            | Command::Set { id, .. }
            | Command::Count { id, .. }
            | Command::Increment { id, .. }
            | Command::Delete { id, .. } => self.store(member, id, command, now, told),
            Command::Sync { id } => told.send(member, &Notice::Synced { id }),
        }
    }

    fn ask(&mut self, asker: Member, id: Id, to: To, topic: &str, data: Post<'_>, told: &mut Told) {
        if self.requests.iter().any(|request| request.asker == asker && request.id == id) {
            return told.send(asker, &Notice::Refused { id, why: Refusal::TooMany });
        }
        let mut whom: Vec<_> =
            self.servers.iter().filter(|(it, name)| name == topic && *it != asker).map(|(it, _)| *it).collect();
        match to {
            To::Any => {
                whom.truncate(1);
                // It goes to the end of the line.
                if let [server] = whom[..] {
                    self.servers.retain(|entry| *entry != (server, topic.into()));
                    self.servers.push((server, topic.into()));
                }
            }
            To::All => {}
            To::Place(place) => {
                whom = whom.into_iter().filter(|it| self.places[it] == place).max().into_iter().collect()
            }
        }
        self.requests_made += 1;
        let (deaf, hearing): (Vec<_>, Vec<_>) = whom.into_iter().partition(|member| told.deaf.contains(member));
        let from = self.places[&asker];
        for member in &hearing {
            told.send(*member, &Notice::Asked { token: self.tokens + 1, from, topic, data });
        }
        for (number, member) in deaf.iter().enumerate() {
            let last = hearing.is_empty() && number + 1 == deaf.len();
            told.send(asker, &Notice::Absent { id, from: self.places[member], why: Absence::Full, last });
        }
        if !hearing.is_empty() {
            self.tokens += 1;
            self.requests.push(Request { token: self.tokens, asker, id, waiting: hearing.into_iter().collect() });
        } else if deaf.is_empty() {
            told.send(asker, &Notice::Absent { id, from, why: Absence::Nobody, last: true });
        }
    }

    fn forget(&mut self, asker: Member, id: Id, told: &mut Told) {
        if let Some(place) = self.requests.iter().position(|request| request.asker == asker && request.id == id) {
            let Request { token, waiting, .. } = self.requests.remove(place);
            waiting.into_iter().for_each(|member| told.send(member, &Notice::Forgotten { token }));
        }
    }

    fn lock(&mut self, member: Member, id: Id, wish: Wish, name: &str, told: &mut Told) {
        if self.claims.iter().any(|claim| claim.member == member && claim.id == id) {
            return told.send(member, &Notice::Refused { id, why: Refusal::TooMany });
        }
        let own = self.claims.iter().filter(|claim| claim.member == member).map(|claim| claim.name.len());
        if own.sum::<usize>() + name.len() > self.longest {
            return told.send(member, &Notice::Refused { id, why: Refusal::NamesTooLong });
        }
        let shared = matches!(wish, Wish::Shared | Wish::SharedIfAvailable);
        let claim = Claim { name: name.into(), member, id, shared, held: false };
        match wish {
            Wish::Steal => {
                for stolen in self.claims.iter().filter(|claim| claim.held && claim.name == name) {
                    told.send(stolen.member, &Notice::Stolen { id: stolen.id });
                }
                self.claims.retain(|claim| !(claim.held && claim.name == name));
                self.claims.insert(0, claim);
            }
            Wish::Exclusive | Wish::Shared => self.claims.push(claim),
            Wish::ExclusiveIfAvailable | Wish::SharedIfAvailable => {
                let mut own = self.claims.iter().filter(|claim| claim.name == name);
                if own.any(|claim| !(claim.held && claim.shared && shared)) {
                    return told.send(member, &Notice::Unavailable { id });
                }
                self.claims.push(claim);
            }
        }
        self.grant(told);
    }

    /// Of each lock, by their names: the first that waits has it, if it may; and so on.
    fn grant(&mut self, told: &mut Told) {
        while let Some(place) = self.next_to_be_granted() {
            let claim = Claim { held: true, ..self.claims.remove(place) };
            told.send(claim.member, &Notice::Granted { id: claim.id });
            let held = self.claims.iter().filter(|claim| claim.held).count();
            self.claims.sort_by_key(|claim| !claim.held);
            self.claims.insert(held, claim);
        }
    }

    fn next_to_be_granted(&self) -> Option<usize> {
        let may_be = |claim: &Claim| {
            let own = |it: &&Claim| it.name == claim.name;
            let first = self.claims.iter().filter(own).find(|it| !it.held) == Some(claim);
            first && self.claims.iter().filter(own).filter(|it| it.held).all(|it| it.shared && claim.shared)
        };
        let all = self.claims.iter().enumerate().filter(|(_, claim)| may_be(claim));
        all.min_by_key(|(_, claim)| &claim.name).map(|(place, _)| place)
    }

    fn store(&mut self, member: Member, id: Id, command: Command<'_>, now: u64, told: &mut Told) {
        self.entries.retain(|entry| entry.end.is_none_or(|end| end > now));
        let (Command::Get { key, .. }
        | Command::Set { key, .. }
        | Command::Count { key, .. }
        | Command::Increment { key, .. }
        | Command::Delete { key, .. }) = command
        else {
            return;
        };
        let place = self.entries.iter().position(|entry| entry.key == key);
        let lives = |ttl: u64| (ttl > 0).then_some(now + ttl);
        let left = |end: Option<u64>| end.map_or(0, |end| end - now);
        let new = match command {
            Command::Get { .. } => {
                let entry = place.map(|place| &self.entries[place]);
                let value = entry.map_or(Value::Nothing, |it| match &it.data {
                    Some(data) => Value::Data(data),
                    None => Value::Counter(it.count),
                });
                return told.send(member, &Notice::Kept { id, left: entry.map_or(0, |it| left(it.end)), value });
            }
            Command::Delete { .. } => {
                place.map(|place| self.entries.remove(place));
                let value = Value::Counter(place.is_some().into());
                return told.send(member, &Notice::Kept { id, left: 0, value });
            }
            Command::Set { ttl, data, .. } => {
                Ok(Entry { key: key.into(), data: Some(data.into()), count: 0, end: lives(ttl) })
            }
            Command::Count { count, ttl, .. } => Ok(Entry { key: key.into(), data: None, count, end: lives(ttl) }),
            Command::Increment { by, ttl, .. } => match place.map(|place| &self.entries[place]) {
                None => Ok(Entry { key: key.into(), data: None, count: by, end: lives(ttl) }),
                Some(Entry { data: Some(_), .. }) => Err(Refusal::NoCounter),
                Some(Entry { count, end, .. }) => match count.checked_add(by) {
                    Some(count) => Ok(Entry { key: key.into(), data: None, count, end: *end }),
                    None => Err(Refusal::Overflow),
                },
            },
            _ => return,
        };
        let entry = match new {
            Ok(entry) if size(&entry) <= self.stored => entry,
            Ok(_) => return told.send(member, &Notice::Refused { id, why: Refusal::TooLarge }),
            Err(why) => return told.send(member, &Notice::Refused { id, why }),
        };
        let value = if entry.data.is_some() { Value::Nothing } else { Value::Counter(entry.count) };
        told.send(member, &Notice::Kept { id, left: left(entry.end), value });
        place.map(|place| self.entries.remove(place));
        while self.entries.iter().map(size).sum::<usize>() + size(&entry) > self.stored {
            self.entries.remove(0);
            self.evicted += 1;
        }
        self.entries.push(entry);
    }
}

fn size(entry: &Entry) -> usize {
    256 + 2 * entry.key.len() + entry.data.as_ref().map_or(0, Vec::len)
}
