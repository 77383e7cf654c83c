//! The bus: what the processes of a cluster say to each other, without the primary's JavaScript.
//!
//! Each process that takes part is a *member*, with a socket of its own to the *hub*, a thread of the primary ([`hub`]).
//! What a member says is a *command*, what it is told a *notice* ([`protocol`]); both travel as the frames of a
//! [`Channel`](crate::messages::channel::Channel).
//!
//! What the hub makes of a command is decided in [`house`], which knows no socket, no thread and no clock: members,
//! commands and the time go in, notices come out. It has five rooms that know nothing of each other: who listens to a
//! topic ([`topics`]), who answers on it ([`requests`]), who holds a lock ([`locks`]), what is kept for all
//! ([`store`]), and what other machines are to hear of ([`bridges`]).
//!
//! A *bridge* is a member of the primary by which machines are joined: it is told what members publish, and relays what
//! other machines do. What is relayed is for those who listen, and for no bridge.
//!
//! # What is promised
//!
//! 1. What one member publishes on a topic arrives at another in its order, at most once, and never at the member itself.
//! 2. A member that does not read costs the others nothing: what would wait for it beyond a bound is not kept, and it is
//!    told how much it has missed.
//! 3. A member's end is known at once, since the kernel closes its socket: its locks go to the next, and whoever waits for
//!    an answer of it is told that it is gone.
//! 4. Whatever a member says, it takes a bounded part of the primary's memory.

pub mod bridges;
pub mod figures;
pub mod house;
pub mod hub;
pub mod locks;
pub mod protocol;
pub mod requests;
mod roster;
pub mod store;
#[cfg(test)]
mod tests;
pub mod topics;

use std::collections::BTreeMap;

/// A member of the bus: a number that is never used again.
pub type Member = u32;

/// Where a member is: the slot that its worker fills, [`PRIMARY`] or [`BRIDGE`].
pub type Place = u32;

/// The place of the primary.
pub const PRIMARY: Place = u32::MAX;

/// The place of a bridge, by which other machines say what they say.
pub const BRIDGE: Place = u32::MAX - 1;

/// Where each member is.
pub type Places = BTreeMap<Member, Place>;

/// Where one is that is here.
fn place_of(places: &Places, member: Member) -> Place {
    places.get(&member).copied().unwrap_or(PRIMARY)
}
