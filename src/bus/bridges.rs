//! What bridges hear: what is published on this machine, on any topic or on some; and which topics somebody listens to.

use std::collections::{BTreeSet, HashMap};

use crate::bus::protocol::{Notice, Post, Refusal};
use crate::bus::roster::{Roster, MOST_NAMES};
use crate::bus::topics::{count, Missed, Outbox};
use crate::bus::{Member, Place, BRIDGE};

/// The bridges.
#[derive(Debug)]
pub struct Bridges {
    /// Those who hear what is published on any topic.
    watching: BTreeSet<Member>,
    /// The others, and what they listen to.
    listeners: Roster,
    /// Those who have missed something.
    missed: HashMap<Member, Missed>,
    /// Those who watch and have missed what nobody has counted, or which topics somebody listens to.
    astray: BTreeSet<Member>,
}

impl Bridges {
    /// None yet; the names of what a bridge listens to have so many bytes at most.
    pub fn new(most_bytes: usize) -> Self {
        Bridges {
            watching: BTreeSet::new(),
            listeners: Roster::new(most_bytes),
            missed: HashMap::new(),
            astray: BTreeSet::new(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        let Bridges { watching, listeners, missed, astray } = self;
        watching.is_empty() && listeners.is_empty() && missed.is_empty() && astray.is_empty()
    }

    /// A bridge hears what is published on any topic from now on; `false`: it did before.
    pub fn watch(&mut self, bridge: Member) -> bool {
        self.listeners.leave(bridge);
        self.watching.insert(bridge)
    }

    /// A bridge listens to a topic from now on.
    ///
    /// # Errors
    /// [`Refusal::TooMany`], [`Refusal::NamesTooLong`].
    pub fn subscribe(&mut self, bridge: Member, topic: &str) -> Result<(), Refusal> {
        if self.watching.contains(&bridge) {
            return Ok(());
        }
        self.listeners.enter(bridge, topic)
    }

    /// A bridge listens to a topic no more.
    pub fn unsubscribe(&mut self, bridge: Member, topic: &str) {
        self.listeners.exit(bridge, topic);
    }

    /// A bridge is gone.
    pub fn leave(&mut self, bridge: Member) {
        self.watching.remove(&bridge);
        self.listeners.leave(bridge);
        self.missed.remove(&bridge);
        self.astray.remove(&bridge);
    }

    /// Tells those who hear of the topic; but not what one of them has brought.
    pub fn publish(&mut self, from: Place, topic: &str, data: Post<'_>, outbox: &mut impl Outbox) {
        let Bridges { watching, listeners, missed, astray } = self;
        if from == BRIDGE || (watching.is_empty() && listeners.is_empty()) {
            return;
        }
        let notice = Notice::Published { from, topic, data: data.for_bridge(topic) };
        for &bridge in watching.iter().chain(listeners.at(topic)) {
            if !missed.contains_key(&bridge) && outbox.offer(bridge, &notice) {
                continue;
            }
            let missed = missed.entry(bridge).or_default();
            if missed.len() < MOST_NAMES || missed.contains_key(topic) {
                count(missed, topic, 1);
            } else {
                astray.insert(bridge);
            }
        }
    }

    /// Tells those who watch that somebody listens to a topic, or nobody does any more.
    pub fn wanted(&mut self, topic: &str, wanted: bool, outbox: &mut impl Outbox) {
        for &bridge in &self.watching {
            if !outbox.offer(bridge, &Notice::Wanted { topic, wanted }) {
                self.astray.insert(bridge);
            }
        }
    }

    /// A bridge reads again: it is told what it has missed. `true`: and is to be told all topics that somebody listens to.
    pub fn caught_up(&mut self, bridge: Member, outbox: &mut impl Outbox) -> bool {
        if self.missed.is_empty() && self.astray.is_empty() {
            return false;
        }
        for (topic, count) in self.missed.remove(&bridge).unwrap_or_default() {
            outbox.send(bridge, &Notice::Missed { count, topic: &topic });
        }
        let astray = self.astray.remove(&bridge);
        if astray {
            outbox.send(bridge, &Notice::Astray);
        }
        astray
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes nothing that may be missed.
    #[derive(Default)]
    struct Full {
        missed: usize,
        astray: usize,
    }

    impl Outbox for Full {
        fn offer(&mut self, _to: Member, _notice: &Notice<'_>) -> bool {
            false
        }

        fn send(&mut self, _to: Member, notice: &Notice<'_>) {
            match notice {
                Notice::Missed { count: 2, .. } => self.missed += 1,
                Notice::Astray => self.astray += 1,
                _ => panic!("{notice:?}"),
            }
        }
    }

    #[test]
    fn what_a_bridge_misses_is_counted_of_so_many_topics() {
        let (mut bridges, mut outbox) = (Bridges::new(usize::MAX), Full::default());
        bridges.watch(1);
        for number in (0..=MOST_NAMES).chain(0..MOST_NAMES) {
            bridges.publish(0, &number.to_string(), Post::Bytes(b""), &mut outbox);
        }
        assert!(bridges.caught_up(1, &mut outbox), "it is to be told all topics");
        assert_eq!((outbox.missed, outbox.astray), (MOST_NAMES, 1));
        assert!(bridges.missed.is_empty() && bridges.astray.is_empty());
    }
}
