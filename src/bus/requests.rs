//! Who answers requests, and which of them wait for an answer.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::bus::protocol::{Absence, Id, Notice, Post, Refusal, To, Token};
use crate::bus::roster::Roster;
use crate::bus::topics::Outbox;
use crate::bus::{place_of, Member, Place, Places};

/// How many requests of a member may wait for answers.
pub const MOST_REQUESTS: usize = 16_384;

#[derive(Debug)]
struct Request {
    asker: Member,
    id: Id,
    /// Who has not answered yet.
    waiting: BTreeSet<Member>,
}

/// Those who answer, and what they were asked.
#[derive(Debug)]
pub struct Requests {
    /// Who answers on a topic; the first is the next in turn.
    servers: Roster,
    open: BTreeMap<Token, Request>,
    /// The requests of each member, by its own number of them.
    asked: HashMap<Member, BTreeMap<Id, Token>>,
    /// What each is to answer.
    due: HashMap<Member, BTreeSet<Token>>,
    last: Token,
    /// How many were made.
    made: u64,
}

impl Requests {
    /// None yet; the names on which a member answers have so many bytes at most.
    pub fn new(most_bytes: usize) -> Self {
        Requests {
            servers: Roster::new(most_bytes),
            open: BTreeMap::new(),
            asked: HashMap::new(),
            due: HashMap::new(),
            last: 0,
            made: 0,
        }
    }

    /// Whether nobody answers, and nobody waits.
    pub fn is_empty(&self) -> bool {
        self.servers.is_empty() && self.open.is_empty() && self.asked.is_empty() && self.due.is_empty()
    }

    /// How many requests were made.
    pub fn made(&self) -> u64 {
        self.made
    }

    /// How many wait for an answer.
    pub fn pending(&self) -> usize {
        self.open.len()
    }

    /// A member answers on a topic from now on.
    ///
    /// # Errors
    /// [`Refusal::TooMany`], [`Refusal::NamesTooLong`].
    pub fn serve(&mut self, member: Member, topic: &str) -> Result<(), Refusal> {
        self.servers.enter(member, topic)
    }

    /// A member answers on a topic no more; what it was asked it still may answer.
    pub fn retire(&mut self, member: Member, topic: &str) {
        self.servers.exit(member, topic);
    }

    /// Asks those whom a request is for. Nobody is asked by itself.
    ///
    /// # Errors
    /// [`Refusal::TooMany`] beyond [`MOST_REQUESTS`] that wait, or when the number is in use.
    #[allow(clippy::too_many_arguments)]
    pub fn ask(
        &mut self,
        asker: Member,
        id: Id,
        to: To,
        topic: &str,
        data: Post<'_>,
        places: &Places,
        outbox: &mut impl Outbox,
    ) -> Result<(), Refusal> {
        let asked = self.asked.entry(asker).or_default();
        if asked.len() >= MOST_REQUESTS || asked.contains_key(&id) {
            return Err(Refusal::TooMany);
        }
        self.made += 1;
        let from = place_of(places, asker);
        let whom = self.choose(asker, to, topic, places);
        let token = self.last + 1;
        let (mut waiting, mut full) = (BTreeSet::new(), Vec::new());
        for member in whom {
            if outbox.offer(member, &Notice::Asked { token, from, topic, data }) {
                waiting.insert(member);
            } else {
                full.push(member);
            }
        }
        let nobody = waiting.is_empty() && full.is_empty();
        let last_full = full.len().checked_sub(1).filter(|_| waiting.is_empty());
        for (number, member) in full.into_iter().enumerate() {
            let (from, last) = (place_of(places, member), Some(number) == last_full);
            outbox.send(asker, &Notice::Absent { id, from, why: Absence::Full, last });
        }
        if nobody {
            outbox.send(asker, &Notice::Absent { id, from, why: Absence::Nobody, last: true });
        }
        if !waiting.is_empty() {
            self.last = token;
            for member in &waiting {
                self.due.entry(*member).or_default().insert(token);
            }
            self.asked.entry(asker).or_default().insert(id, token);
            self.open.insert(token, Request { asker, id, waiting });
        }
        Ok(())
    }

    fn choose(&mut self, asker: Member, to: To, topic: &str, places: &Places) -> Vec<Member> {
        let others = self.servers.at(topic).iter().copied().filter(|server| *server != asker);
        match to {
            To::Any => self.servers.next_but(asker, topic).into_iter().collect(),
            To::All => others.collect(),
            // The newest, where a worker and its replacement share the slot for a while.
            To::Place(place) => others.filter(|server| places.get(server) == Some(&place)).max().into_iter().collect(),
        }
    }

    /// An answer. One that nobody waits for, or that somebody else owes, is dropped.
    pub fn answer(
        &mut self,
        by: Member,
        from: Place,
        token: Token,
        ok: bool,
        data: Post<'_>,
        outbox: &mut impl Outbox,
    ) {
        if let Some((asker, id, last)) = self.settle(by, token) {
            outbox.send(asker, &Notice::Answered { id, from, ok, last, data });
        }
    }

    /// Whom an answer of this member is for, and whether it is the last.
    fn settle(&mut self, by: Member, token: Token) -> Option<(Member, Id, bool)> {
        if !self.due.get_mut(&by).is_some_and(|due| due.remove(&token)) {
            return None;
        }
        let request = self.open.get_mut(&token)?;
        request.waiting.remove(&by);
        let (asker, id, last) = (request.asker, request.id, request.waiting.is_empty());
        if last {
            self.open.remove(&token);
            if let Some(asked) = self.asked.get_mut(&asker) {
                asked.remove(&id);
            }
        }
        Some((asker, id, last))
    }

    /// A member waits no more for the answers to a request of its own.
    pub fn forget(&mut self, asker: Member, id: Id, outbox: &mut impl Outbox) {
        let token = self.asked.get_mut(&asker).and_then(|asked| asked.remove(&id));
        token.into_iter().for_each(|token| self.drop_request(token, outbox));
    }

    fn drop_request(&mut self, token: Token, outbox: &mut impl Outbox) {
        for member in self.open.remove(&token).map(|request| request.waiting).unwrap_or_default() {
            if let Some(due) = self.due.get_mut(&member) {
                due.remove(&token);
            }
            outbox.send(member, &Notice::Forgotten { token });
        }
    }

    /// A member is gone, who was at this place: whoever waits for it is told.
    pub fn leave(&mut self, member: Member, from: Place, outbox: &mut impl Outbox) {
        self.servers.leave(member);
        for token in self.asked.remove(&member).unwrap_or_default().into_values() {
            self.drop_request(token, outbox);
        }
        for token in self.due.get(&member).cloned().unwrap_or_default() {
            if let Some((asker, id, last)) = self.settle(member, token) {
                outbox.send(asker, &Notice::Absent { id, from, why: Absence::Gone, last });
            }
        }
        self.due.remove(&member);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes all.
    struct Room;

    impl Outbox for Room {
        fn offer(&mut self, _to: Member, _notice: &Notice<'_>) -> bool {
            true
        }

        fn send(&mut self, _to: Member, _notice: &Notice<'_>) {}
    }

    #[test]
    fn nothing_is_kept_of_a_request_that_is_answered_or_given_up() {
        let places = Places::from([(1, 0), (2, 1)]);
        let mut requests = Requests::new(1);
        requests.serve(2, "a").unwrap();
        for (id, token) in [(1, 1), (2, 2)] {
            requests.ask(1, id, To::Any, "a", Post::Bytes(b""), &places, &mut Room).unwrap();
            assert_eq!(requests.due[&2], BTreeSet::from([token]));
            if id == 1 {
                requests.answer(2, 1, token, true, Post::Bytes(b""), &mut Room);
            } else {
                requests.forget(1, id, &mut Room);
            }
            assert!(requests.due[&2].is_empty() && requests.asked[&1].is_empty() && requests.open.is_empty());
        }
    }
}
