//! Who is at which names: looked up from either side.

use std::collections::{BTreeSet, HashMap};

use crate::bus::protocol::Refusal;
use crate::bus::Member;

/// At how many names a member may be.
pub const MOST_NAMES: usize = 16_384;

/// Members and names.
#[derive(Debug)]
pub(super) struct Roster {
    /// In the order in which they came.
    members: HashMap<Box<str>, Vec<Member>>,
    names: HashMap<Member, Names>,
    most_bytes: usize,
}

/// The names that a member is at.
#[derive(Debug, Default)]
struct Names {
    all: BTreeSet<Box<str>>,
    bytes: usize,
}

impl Roster {
    /// An empty one, in which the names of a member have so many bytes at most.
    pub fn new(most_bytes: usize) -> Self {
        Roster { members: HashMap::new(), names: HashMap::new(), most_bytes }
    }

    pub fn is_empty(&self) -> bool {
        self.members.is_empty() && self.names.is_empty()
    }

    /// A member comes to a name, if it is not there.
    ///
    /// # Errors
    /// [`Refusal::TooMany`] beyond [`MOST_NAMES`], [`Refusal::NamesTooLong`] beyond the bytes.
    pub fn enter(&mut self, member: Member, name: &str) -> Result<(), Refusal> {
        let names = self.names.entry(member).or_default();
        if names.all.contains(name) {
            return Ok(());
        }
        if names.all.len() >= MOST_NAMES {
            return Err(Refusal::TooMany);
        }
        if names.bytes + name.len() > self.most_bytes {
            return Err(Refusal::NamesTooLong);
        }
        names.all.insert(name.into());
        names.bytes += name.len();
        self.members.entry(name.into()).or_default().push(member);
        Ok(())
    }

    /// A member goes from a name, if it is there.
    pub fn exit(&mut self, member: Member, name: &str) {
        if let Some(names) = self.names.get_mut(&member).filter(|names| names.all.contains(name)) {
            names.all.remove(name);
            names.bytes -= name.len();
            self.forget(member, name);
        }
    }

    /// A member goes from all, which are returned.
    pub fn leave(&mut self, member: Member) -> BTreeSet<Box<str>> {
        let names = self.names.remove(&member).unwrap_or_default().all;
        for name in &names {
            self.forget(member, name);
        }
        names
    }

    fn forget(&mut self, member: Member, name: &str) {
        if let Some(members) = self.members.get_mut(name) {
            members.retain(|other| *other != member);
            if members.is_empty() {
                self.members.remove(name);
            }
        }
    }

    /// The names at which somebody is, in their order.
    pub fn all(&self) -> BTreeSet<&str> {
        self.members.keys().map(AsRef::as_ref).collect()
    }

    /// How many names somebody is at.
    pub fn names(&self) -> usize {
        self.members.len()
    }

    /// Who is at a name.
    pub fn at(&self, name: &str) -> &[Member] {
        self.members.get(name).map_or(&[], Vec::as_slice)
    }

    /// The first at a name but for one, who goes to the end of the line.
    pub fn next_but(&mut self, one: Member, name: &str) -> Option<Member> {
        let members = self.members.get_mut(name)?;
        let place = members.iter().position(|member| *member != one)?;
        let next = members.remove(place);
        members.push(next);
        Some(next)
    }
}
