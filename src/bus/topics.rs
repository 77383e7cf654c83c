//! Who wants what is published on a topic, and what of it those have missed who do not read.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::bus::figures::Posts;
use crate::bus::protocol::{Notice, Post, Refusal};
use crate::bus::roster::Roster;
use crate::bus::{Member, Place, BRIDGE};

/// Where notices go.
pub trait Outbox {
    /// Queues what may be missed; `false`: too much waits for the member.
    fn offer(&mut self, to: Member, notice: &Notice<'_>) -> bool;

    /// Queues what may not.
    fn send(&mut self, to: Member, notice: &Notice<'_>);
}

/// How much of each topic a member has missed since it was last told; 0: nobody knows how much.
pub(super) type Missed = BTreeMap<Box<str>, u64>;

/// So many more are missed.
pub(super) fn count(missed: &mut Missed, topic: &str, messages: u64) {
    match missed.get_mut(topic) {
        Some(0) => {}
        // What is lost between machines has a number that one of them says.
        Some(count) => *count = if messages == 0 { 0 } else { count.saturating_add(messages) },
        None => _ = missed.insert(topic.into(), messages),
    }
}

/// The topics that somebody listens to.
#[derive(Debug)]
pub struct Topics {
    listeners: Roster,
    /// Those who have missed something.
    missed: HashMap<Member, Missed>,
    posts: Posts,
}

impl Topics {
    /// None yet; the names of those that a member listens to have so many bytes at most.
    pub fn new(most_bytes: usize) -> Self {
        Topics { listeners: Roster::new(most_bytes), missed: HashMap::new(), posts: Posts::default() }
    }

    /// Whether nobody listens.
    pub fn is_empty(&self) -> bool {
        self.listeners.is_empty() && self.missed.is_empty()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.listeners.names()
    }

    /// Whether somebody listens to one.
    pub fn has(&self, topic: &str) -> bool {
        !self.listeners.at(topic).is_empty()
    }

    /// Their names, in their order.
    pub fn names(&self) -> BTreeSet<&str> {
        self.listeners.all()
    }

    /// What was posted, and what came of it.
    pub fn posts(&self) -> Posts {
        self.posts
    }

    /// A member listens from now on.
    ///
    /// # Errors
    /// [`Refusal::TooMany`], [`Refusal::NamesTooLong`].
    pub fn subscribe(&mut self, member: Member, topic: &str) -> Result<(), Refusal> {
        self.listeners.enter(member, topic)
    }

    /// A member listens no more.
    pub fn unsubscribe(&mut self, member: Member, topic: &str) {
        self.listeners.exit(member, topic);
        if let Some(missed) = self.missed.get_mut(&member) {
            missed.remove(topic);
        }
    }

    /// A member is gone: to what it has listened.
    pub fn leave(&mut self, member: Member) -> BTreeSet<Box<str>> {
        self.missed.remove(&member);
        self.listeners.leave(member)
    }

    /// Tells all who listen, but for whoever says it. Who has missed something is told of that first.
    pub fn publish(&mut self, by: Member, from: Place, topic: &str, data: Post<'_>, outbox: &mut impl Outbox) {
        let bytes = data.len(topic) as u64;
        self.posts.published += 1;
        self.posts.published_bytes += bytes;
        self.tell(by, topic, &Notice::Published { from, topic, data }, 1, bytes, outbox);
    }

    /// The same, of so many messages of another machine.
    pub fn relay(&mut self, by: Member, topic: &str, data: &[u8], messages: u64, outbox: &mut impl Outbox) {
        let notice = Notice::Published { from: BRIDGE, topic, data: Post::Bytes(data) };
        self.tell(by, topic, &notice, messages, data.len() as u64, outbox);
    }

    fn tell(
        &mut self,
        by: Member,
        topic: &str,
        notice: &Notice<'_>,
        messages: u64,
        bytes: u64,
        outbox: &mut impl Outbox,
    ) {
        for &listener in self.listeners.at(topic).iter().filter(|listener| **listener != by) {
            if self.missed.contains_key(&listener) || !outbox.offer(listener, notice) {
                count(self.missed.entry(listener).or_default(), topic, messages);
                self.posts.missed += messages;
            } else {
                self.posts.delivered += messages;
                self.posts.delivered_bytes += bytes;
            }
        }
    }

    /// Tells all who listen that so many messages of other machines are lost; 0: nobody knows how many.
    pub fn lost(&mut self, topic: &str, messages: u64, outbox: &mut impl Outbox) {
        let notice = Notice::Missed { count: messages, topic };
        for &listener in self.listeners.at(topic) {
            if self.missed.contains_key(&listener) || !outbox.offer(listener, &notice) {
                count(self.missed.entry(listener).or_default(), topic, messages);
            }
        }
    }

    /// A member reads again: it is told what it has missed.
    pub fn caught_up(&mut self, member: Member, outbox: &mut impl Outbox) {
        for (topic, count) in self.missed.remove(&member).unwrap_or_default() {
            outbox.send(member, &Notice::Missed { count, topic: &topic });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes so many notices; counts what was missed.
    #[derive(Default)]
    struct Room {
        left: usize,
        missed: Vec<u64>,
    }

    impl Outbox for Room {
        fn offer(&mut self, _to: Member, _notice: &Notice<'_>) -> bool {
            let takes = self.left > 0;
            self.left -= usize::from(takes);
            takes
        }

        fn send(&mut self, _to: Member, notice: &Notice<'_>) {
            let Notice::Missed { count, .. } = notice else { panic!("{notice:?}") };
            self.missed.push(*count);
        }
    }

    #[test]
    fn each_gap_is_told_once() {
        let (mut topics, mut room) = (Topics::new(1), Room::default());
        topics.subscribe(1, "a").unwrap();
        for (left, published) in [(1, 3), (0, 4), (5, 5), (0, 1)] {
            room.left = left;
            (0..published).for_each(|_| topics.publish(2, 0, "a", Post::Bytes(b""), &mut room));
            topics.caught_up(1, &mut room);
        }
        assert_eq!(room.missed, [2, 4, 1]);
    }
}
