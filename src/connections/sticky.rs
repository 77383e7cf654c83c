//! Which slot a client belongs to: what a sticky policy goes by, and who owns it.
//!
//! No table is kept. The key of a connection either carries the number of its slot, since a worker made it
//! (`generateId` of `rust-cluster/sticky`), or it is hashed, and each slot with it: the highest hash owns the key
//! (rendezvous hashing). So a slot that goes takes only its own keys with it, and one that comes takes a fair share.

use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::connections::peek::Place;

/// The place that a worker fills: a worker that replaces another has its slot.
pub type Slot = u32;

/// Between the slot and the rest of an id that carries one. socket.io's own ids do not have it.
const SEPARATOR: u8 = b'~';

/// What express-session, and others who sign their cookies, put before an id.
const SIGNED: &[u8] = b"s:";

/// The most digits of a slot in an id.
const DIGITS: usize = 5;

/// A sticky policy.
#[derive(Debug, Clone)]
pub struct Sticky {
    /// What it goes by.
    pub by: By,
    /// Whether a client waits for its owner where that takes nothing; else another worker serves it meanwhile.
    pub is_strict: bool,
}

/// What a client is told by.
#[derive(Debug, Clone)]
pub enum By {
    /// Its address.
    Address,
    /// An id in the head of its first request.
    Id(Place),
    /// An id that carries its slot; others say nothing.
    Slot(Place),
}

impl Sticky {
    /// Where in the head of a first request the client's id is, if it is there.
    pub fn place(&self) -> Option<&Place> {
        match &self.by {
            By::Address => None,
            By::Id(place) | By::Slot(place) => Some(place),
        }
    }
}

/// What a client is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Key {
    /// The slot that its id carries. Anybody may have written it: it is no more than a wish.
    Slot(Slot),
    /// The hash of its id or address.
    Hash(u64),
}

/// Makes keys. Which hashes they get is this process's secret, so that nobody can choose clients for one slot.
#[derive(Debug, Clone, Default)]
pub struct Hasher(RandomState);

impl Hasher {
    /// The key of an id that a client has: of a session, a user, an object.
    pub fn of_id(&self, id: &[u8], by: &By) -> Option<Key> {
        match (slot_in(id), by) {
            (Some(slot), _) => Some(Key::Slot(slot)),
            (None, By::Slot(_)) => None,
            (None, By::Address | By::Id(_)) => Some(Key::Hash(self.0.hash_one(id))),
        }
    }

    /// The key of an address. An IPv6 client has a network of its own, of 64 bits, and changes its address in it.
    pub fn of_address(&self, address: IpAddr) -> Key {
        Key::Hash(self.0.hash_one(network_of(address)))
    }
}

/// What the addresses of one client have in common.
fn network_of(address: IpAddr) -> Ipv6Addr {
    match address.to_canonical() {
        IpAddr::V4(address) => Ipv4Addr::to_ipv6_mapped(&address),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64),
    }
}

/// The slot that an id carries: `2~…`, also signed: `s:2~…`.
pub fn slot_in(id: &[u8]) -> Option<Slot> {
    let id = id.strip_prefix(SIGNED).unwrap_or(id);
    let digits = id.iter().take(DIGITS + 1).position(|byte| *byte == SEPARATOR)?;
    let number = &id[..digits];
    let is_number = number.iter().all(u8::is_ascii_digit) && (number == b"0" || number.first()? != &b'0');
    is_number.then(|| number.iter().fold(0, |slot, digit| slot * 10 + Slot::from(digit - b'0')))
}

/// The slot that owns a key: the one that it carries, if that is there; of a hash, the slot with which it hashes highest.
pub fn owner(key: Key, slots: impl IntoIterator<Item = Slot>) -> Option<Slot> {
    let mut slots = slots.into_iter();
    match key {
        Key::Slot(wanted) => slots.find(|slot| *slot == wanted),
        // Of two equal ones the lower: which comes first shall not matter.
        Key::Hash(hash) => slots.max_by_key(|slot| (mix(hash ^ mix(u64::from(*slot) + 1)), !slot)),
    }
}

/// Spreads the bits of a number over all of it (the last step of SplitMix64).
fn mix(number: u64) -> u64 {
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    #[test]
    fn an_id_says_its_slot() {
        for (id, slot) in [
            ("0~abc", Some(0)),
            ("12~", Some(12)),
            ("99999~x", Some(99_999)),
            ("s:3~abc.signature", Some(3)),
            ("", None),
            ("~abc", None),
            ("abc", None),
            ("3", None),
            ("03~abc", None),
            ("100000~abc", None),
            ("-1~abc", None),
            ("3 ~abc", None),
            ("s:s:3~abc", None),
            ("xs:3~abc", None),
        ] {
            assert_eq!(slot_in(id.as_bytes()), slot, "{id}");
        }
    }

    #[test]
    fn a_slot_that_is_not_there_is_nobodys() {
        assert_eq!(owner(Key::Slot(4), [0, 1, 2, 3]), None);
        assert_eq!(owner(Key::Slot(3), [0, 1, 2, 3]), Some(3));
        assert_eq!(owner(Key::Hash(7), []), None);
    }

    #[test]
    fn a_client_keeps_its_key_when_its_address_changes_within_its_network() {
        let hasher = Hasher::default();
        let key = |address: &str| hasher.of_address(address.parse().unwrap());
        assert_eq!(key("2001:db8:1:2:3:4:5:6"), key("2001:db8:1:2:ffff::1"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
    }

    #[test]
    fn slots_get_equal_shares() {
        let hasher = Hasher::default();
        let mut shares = BTreeMap::<_, u32>::new();
        for client in 0..40_000_u32 {
            let key = hasher.of_address(Ipv4Addr::from_bits(0x0a00_0000 + client).into());
            *shares.entry(owner(key, 0..4)).or_default() += 1;
        }
        // Six standard deviations.
        assert!(shares.values().all(|share| (9_480..10_520).contains(share)), "{shares:?}");
    }

    proptest! {
        /// A naive model: of all slots in their order, the first with the highest number.
        #[test]
        fn the_owner_is_the_models(hash: u64, slots in prop::collection::btree_set(0_u32..64, 0..12)) {
            let mut best: Option<(u64, Slot)> = None;
            for slot in &slots {
                let height = mix(hash ^ mix(u64::from(*slot) + 1));
                if best.is_none_or(|(highest, _)| height > highest) {
                    best = Some((height, *slot));
                }
            }
            prop_assert_eq!(owner(Key::Hash(hash), slots.iter().copied()), best.map(|(_, slot)| slot));
            prop_assert_eq!(owner(Key::Hash(hash), slots.iter().rev().copied()), best.map(|(_, slot)| slot));
        }

        #[test]
        fn a_slot_that_goes_moves_its_own_keys_only(
            hashes in prop::collection::vec(any::<u64>(), 400),
            slots in prop::collection::btree_set(0_u32..64, 2..12),
            place: prop::sample::Index,
        ) {
            let gone = *place.get(&slots.iter().copied().collect::<Vec<_>>());
            let left: BTreeSet<_> = slots.iter().copied().filter(|slot| *slot != gone).collect();
            let mut moved = 0;
            for hash in &hashes {
                let before = owner(Key::Hash(*hash), slots.iter().copied()).unwrap();
                let after = owner(Key::Hash(*hash), left.iter().copied()).unwrap();
                prop_assert!(before == after || before == gone);
                moved += usize::from(before != after);
            }
            // About 400 / n, and far from all.
            prop_assert!(moved < 400 / slots.len() + 110);
        }

        #[test]
        fn what_an_id_carries_is_what_was_put_into_it(slot in 0_u32..100_000, rest in "[A-Za-z0-9_-]{0,24}") {
            let id = format!("{slot}~{rest}");
            prop_assert_eq!(slot_in(id.as_bytes()), Some(slot));
        }
    }
}
