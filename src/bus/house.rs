//! What the hub makes of what members say: decisions, and nothing else.

use crate::bus::bridges::Bridges;
use crate::bus::figures::Figures;
use crate::bus::locks::Locks;
use crate::bus::protocol::{Command, Id, Notice, Refusal, Value};
use crate::bus::requests::Requests;
use crate::bus::store::Store;
use crate::bus::topics::{Outbox, Topics};
use crate::bus::{Member, Place, Places, BRIDGE};

/// The most locks that a list of them names.
const LISTED: usize = 10_000;

/// The state of the hub.
#[derive(Debug)]
pub struct House {
    places: Places,
    topics: Topics,
    requests: Requests,
    locks: Locks,
    store: Store,
    bridges: Bridges,
}

impl House {
    /// An empty one, whose store keeps at most so many bytes, and in which the names of a member's topics, of those that it answers
    /// on, and of its locks have at most so many, each.
    pub fn new(most_stored: usize, longest_names: usize) -> Self {
        House {
            places: Places::new(),
            topics: Topics::new(longest_names),
            requests: Requests::new(longest_names),
            locks: Locks::new(longest_names),
            store: Store::new(most_stored),
            bridges: Bridges::new(longest_names),
        }
    }

    /// Whether nothing is kept of any member: what was stored is no member's.
    pub fn is_empty(&self) -> bool {
        let House { places, topics, requests, locks, store: _, bridges } = self;
        places.is_empty() && topics.is_empty() && requests.is_empty() && locks.is_empty() && bridges.is_empty()
    }

    /// What was counted, and what there is now. `queued_bytes` is not known here.
    pub fn figures(&self) -> Figures {
        Figures {
            members: self.places.len(),
            topics: self.topics.count(),
            posts: self.topics.posts(),
            queued_bytes: 0,
            requests: self.requests.made(),
            pending: self.requests.pending(),
            locks: self.locks.figures(),
            store: self.store.figures(),
        }
    }

    /// A member comes.
    pub fn join(&mut self, member: Member, place: Place) {
        self.places.insert(member, place);
    }

    /// A member is gone.
    pub fn leave(&mut self, member: Member, outbox: &mut impl Outbox) {
        let Some(place) = self.places.remove(&member) else { return };
        self.bridges.leave(member);
        for topic in self.topics.leave(member) {
            self.look_whether_wanted(&topic, outbox);
        }
        self.requests.leave(member, place, outbox);
        self.locks.leave(member, outbox);
    }

    /// A member for which too much has waited reads again.
    pub fn caught_up(&mut self, member: Member, outbox: &mut impl Outbox) {
        self.topics.caught_up(member, outbox);
        if self.bridges.caught_up(member, outbox) {
            self.tell_wanted(member, outbox);
        }
    }

    /// A member has said something, at `now` milliseconds.
    pub fn said(&mut self, member: Member, command: Command<'_>, now: u64, outbox: &mut impl Outbox) {
        let Some(&place) = self.places.get(&member) else { return };
        match command {
            Command::Subscribe { id, topic } => self.subscribe(member, place, id, topic, outbox),
            Command::Unsubscribe { topic } => self.unsubscribe(member, topic, outbox),
            Command::Publish { topic, data } => {
                self.topics.publish(member, place, topic, data, outbox);
                self.bridges.publish(place, topic, data, outbox);
            }
            Command::Serve { id, topic } => confirm(member, id, self.requests.serve(member, topic), outbox),
            Command::Retire { topic } => self.requests.retire(member, topic),
            Command::Ask { id, to, topic, data } => {
                let asked = self.requests.ask(member, id, to, topic, data, &self.places, outbox);
                refuse(member, id, asked, outbox);
            }
            Command::Forget { id } => self.requests.forget(member, id, outbox),
            Command::Answer { token, ok, data } => self.requests.answer(member, place, token, ok, data, outbox),
            Command::Lock { id, wish, name } => {
                let asked = self.locks.request(member, id, wish, name, outbox);
                refuse(member, id, asked, outbox);
            }
            Command::Unlock { id } => self.locks.release(member, id, outbox),
            Command::Locks { id } => {
                let rows = self.locks.list(&self.places, LISTED);
                outbox.send(member, &Notice::LockList { id, rows });
            }
            Command::Get { .. }
            | Command::Set { .. }
            | Command::Count { .. }
            | Command::Increment { .. }
            | Command::Delete { .. } => self.store_said(member, command, now, outbox),
            Command::Sync { id } => confirm(member, id, Ok(()), outbox),
            Command::Watch | Command::Relay { .. } | Command::Lost { .. } => {
                if place == BRIDGE {
                    self.bridge_said(member, command, outbox);
                }
            }
        }
    }

    fn bridge_said(&mut self, member: Member, command: Command<'_>, outbox: &mut impl Outbox) {
        match command {
            Command::Watch if self.bridges.watch(member) => self.tell_wanted(member, outbox),
            Command::Relay { count, topic, data } => self.topics.relay(member, topic, data, count.into(), outbox),
            Command::Lost { count, topic } => self.topics.lost(topic, count, outbox),
            _ => {}
        }
    }

    fn subscribe(&mut self, member: Member, place: Place, id: Id, topic: &str, outbox: &mut impl Outbox) {
        if place == BRIDGE {
            return confirm(member, id, self.bridges.subscribe(member, topic), outbox);
        }
        let is_new = !self.topics.has(topic);
        let done = self.topics.subscribe(member, topic);
        if is_new && done.is_ok() {
            self.bridges.wanted(topic, true, outbox);
        }
        confirm(member, id, done, outbox);
    }

    fn unsubscribe(&mut self, member: Member, topic: &str, outbox: &mut impl Outbox) {
        self.bridges.unsubscribe(member, topic);
        if self.topics.has(topic) {
            self.topics.unsubscribe(member, topic);
            self.look_whether_wanted(topic, outbox);
        }
    }

    /// Somebody listens to a topic no more.
    fn look_whether_wanted(&mut self, topic: &str, outbox: &mut impl Outbox) {
        if !self.topics.has(topic) {
            self.bridges.wanted(topic, false, outbox);
        }
    }

    /// A bridge is told all topics that somebody listens to.
    fn tell_wanted(&self, bridge: Member, outbox: &mut impl Outbox) {
        for topic in self.topics.names() {
            outbox.send(bridge, &Notice::Wanted { topic, wanted: true });
        }
    }

    fn store_said(&mut self, member: Member, command: Command<'_>, now: u64, outbox: &mut impl Outbox) {
        let store = &mut self.store;
        let (id, kept) = match command {
            Command::Get { id, key } => {
                let (value, left) = store.get(key, now);
                outbox.send(member, &Notice::Kept { id, left, value });
                return;
            }
            Command::Set { id, ttl, key, data } => (id, store.set(key, data, ttl, now).map(|()| (Value::Nothing, ttl))),
            Command::Count { id, count, ttl, key } => {
                (id, store.set_count(key, count, ttl, now).map(|()| (Value::Counter(count), ttl)))
            }
            Command::Increment { id, by, ttl, key } => {
                (id, store.increment(key, by, ttl, now).map(|(count, left)| (Value::Counter(count), left)))
            }
            Command::Delete { id, key } => (id, Ok((Value::Counter(store.delete(key, now).into()), 0))),
            _ => return,
        };
        match kept {
            Ok((value, left)) => outbox.send(member, &Notice::Kept { id, left, value }),
            Err(why) => outbox.send(member, &Notice::Refused { id, why }),
        }
    }
}

fn confirm(member: Member, id: Id, done: Result<(), Refusal>, outbox: &mut impl Outbox) {
    match done {
        Ok(()) => outbox.send(member, &Notice::Synced { id }),
        Err(why) => outbox.send(member, &Notice::Refused { id, why }),
    }
}

fn refuse(member: Member, id: Id, done: Result<(), Refusal>, outbox: &mut impl Outbox) {
    if let Err(why) = done {
        outbox.send(member, &Notice::Refused { id, why });
    }
}
