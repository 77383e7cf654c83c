//! Who wants what is published on a topic, and what of it those have missed who do not read.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::bus::protocol::{Notice, Refusal};
use crate::bus::{Member, Place};

/// How many topics a member may listen to.
pub const MOST_TOPICS: usize = 16_384;

/// Where notices go.
pub trait Outbox {
    /// Queues what may be missed; `false`: too much waits for the member.
    fn offer(&mut self, to: Member, notice: &Notice<'_>) -> bool;

    /// Queues what may not.
    fn send(&mut self, to: Member, notice: &Notice<'_>);
}

/// The topics that somebody listens to.
#[derive(Debug, Default)]
pub struct Topics {
    listeners: HashMap<Box<str>, Vec<Member>>,
    /// What each listens to, and how much of it was missed since it was last told.
    topics: HashMap<Member, BTreeMap<Box<str>, u64>>,
    /// Those who have missed something.
    behind: BTreeSet<Member>,
}

impl Topics {
    /// Whether nobody listens.
    pub fn is_empty(&self) -> bool {
        self.listeners.is_empty() && self.topics.is_empty() && self.behind.is_empty()
    }

    /// A member listens from now on.
    ///
    /// # Errors
    /// [`Refusal::TooMany`] beyond [`MOST_TOPICS`].
    pub fn subscribe(&mut self, member: Member, topic: &str) -> Result<(), Refusal> {
        let topics = self.topics.entry(member).or_default();
        if topics.contains_key(topic) {
            return Ok(());
        }
        if topics.len() >= MOST_TOPICS {
            return Err(Refusal::TooMany);
        }
        topics.insert(topic.into(), 0);
        self.listeners.entry(topic.into()).or_default().push(member);
        Ok(())
    }

    /// A member listens no more.
    pub fn unsubscribe(&mut self, member: Member, topic: &str) {
        if let Some(topics) = self.topics.get_mut(&member) {
            if topics.remove(topic).is_some() {
                self.forget(member, topic);
            }
        }
    }

    /// A member is gone.
    pub fn leave(&mut self, member: Member) {
        self.behind.remove(&member);
        for topic in self.topics.remove(&member).unwrap_or_default().into_keys() {
            self.forget(member, &topic);
        }
    }

    fn forget(&mut self, member: Member, topic: &str) {
        if let Some(listeners) = self.listeners.get_mut(topic) {
            listeners.retain(|listener| *listener != member);
            if listeners.is_empty() {
                self.listeners.remove(topic);
            }
        }
    }

    /// Tells all who listen, but for whoever says it. Who has missed something is told of that first.
    pub fn publish(&mut self, by: Member, from: Place, topic: &str, data: &[u8], outbox: &mut impl Outbox) {
        let Some(listeners) = self.listeners.get(topic) else { return };
        let notice = Notice::Published { from, topic, data };
        for &listener in listeners.iter().filter(|listener| **listener != by) {
            if self.behind.contains(&listener) || !outbox.offer(listener, &notice) {
                let missed = self.topics.get_mut(&listener).and_then(|topics| topics.get_mut(topic));
                missed.into_iter().for_each(|missed| *missed += 1);
                self.behind.insert(listener);
            }
        }
    }

    /// A member reads again: it is told what it has missed.
    pub fn caught_up(&mut self, member: Member, outbox: &mut impl Outbox) {
        if !self.behind.remove(&member) {
            return;
        }
        let topics = self.topics.get_mut(&member).into_iter().flatten();
        for (topic, missed) in topics.filter(|(_, missed)| **missed > 0) {
            outbox.send(member, &Notice::Missed { count: std::mem::take(missed), topic });
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
        let (mut topics, mut room) = (Topics::default(), Room::default());
        topics.subscribe(1, "a").unwrap();
        for (left, published) in [(1, 3), (0, 4), (5, 5), (0, 1)] {
            room.left = left;
            (0..published).for_each(|_| topics.publish(2, 0, "a", b"", &mut room));
            topics.caught_up(1, &mut room);
        }
        assert_eq!(room.missed, [2, 4, 1]);
    }
}
