//! What each decoder of a peer's bytes holds, whatever the bytes are.
//!
//! A function for each, which `fuzz/` calls with what the fuzzer finds, and `cargo test` with the corpus and with
//! random bytes ([`replay`]). It panics where the decoder differs from a naive model of it, keeps or loses a
//! descriptor, or takes memory for what has not arrived.

pub mod bus;
pub mod channel;
pub mod handoff;
mod memory;
pub mod metrics;
pub mod peek;
mod peer;
pub mod proxy_protocol;
#[cfg(test)]
mod replay;
pub mod ring;

use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::ptr::NonNull;

use crate::connections::listen;
use crate::messages::frame::{Header, HEADER};
use crate::messages::parts::{self, Source, Text};

/// [`Header::decode`]: what it reads is written back as it was.
pub fn header(bytes: &[u8]) {
    const LIMIT: usize = 0xff_ffff;
    match Header::decode(bytes, LIMIT) {
        Ok(None) => assert!(bytes.len() < HEADER),
        Ok(Some(header)) => {
            assert!(header.length <= LIMIT);
            assert_eq!(header.encode(), bytes[..HEADER]);
        }
        Err(_) => {
            let known = matches!(bytes[4..HEADER], [1..=4, 0 | 1, 0, 0]);
            assert!(!known || bytes[3] != 0, "a header within the limit is refused");
        }
    }
}

/// A string as it was read, to be sent again.
#[derive(Debug)]
pub struct Read<'a>(pub Text<'a>);

// SAFETY: it writes what it says.
unsafe impl Source for Read<'_> {
    fn units(&self) -> usize {
        match self.0 {
            Text::Latin1(content) => content.len(),
            Text::Utf16(content) => content.len() / 2,
            Text::Shared(_) => unreachable!("without a ring"),
        }
    }

    unsafe fn narrow(&self, room: NonNull<u8>, _: usize) -> bool {
        let Text::Latin1(content) = self.0 else { return false };
        // SAFETY: there is room for all of it.
        unsafe { room.copy_from_nonoverlapping(NonNull::from(content).cast(), content.len()) };
        true
    }

    unsafe fn wide(&self, room: NonNull<u16>, _: usize) {
        let Text::Utf16(content) = self.0 else { return };
        // SAFETY: as above; bytes lie anywhere.
        unsafe { room.cast().copy_from_nonoverlapping(NonNull::from(content).cast::<u8>(), content.len()) };
    }
}

/// [`parts::read`]: what it reads is written back as it was, and it refuses only what does not add up.
pub fn parts(bytes: &[u8]) {
    ring::marks(bytes);
    let number = |index: usize| {
        let bytes = bytes.get(index.checked_mul(4)?..)?.first_chunk()?;
        Some(u32::from_le_bytes(*bytes) as usize)
    };
    let Ok((strings, json)) = parts::read(bytes, None) else {
        let lengths: Option<Vec<_>> = number(0).and_then(|count| (1..=count).map(number).collect());
        let adds_up = lengths.is_some_and(|lengths| {
            let content: usize = lengths.iter().map(|length| length & 0x7fff_ffff).sum();
            let even = lengths.iter().all(|length| length >> 31 == 0 || length % 2 == 0);
            even && 4 * (1 + lengths.len()) + content <= bytes.len()
        });
        assert!(!adds_up, "good parts are refused");
        return;
    };
    let mut written = Vec::new();
    let mut writer = parts::Writer::new(&mut written, None, strings.len() as u32);
    for string in strings {
        assert!(!matches!(string, Text::Utf16(content) if content.len() % 2 != 0), "half a unit");
        writer.string(&Read(string));
    }
    writer.json(|bytes| bytes.extend_from_slice(json));
    assert_eq!(written, bytes);
}

/// The host that a worker asks to listen on, as text: it is read as the standard library reads an address. A zone
/// names an interface, or nothing.
pub fn host(bytes: &[u8]) {
    let Ok(host) = std::str::from_utf8(bytes) else { return };
    let parsed = listen::parse(host, 80);
    let Some((before, zone)) = host.split_once('%') else {
        match host.parse::<IpAddr>() {
            Ok(address) => assert_eq!(parsed, Ok(SocketAddr::new(address, 80))),
            Err(_) => assert_eq!(parsed.unwrap_err().code(), "EINVAL"),
        }
        return;
    };
    match before.parse::<Ipv6Addr>() {
        Err(_) => assert_eq!(parsed.unwrap_err().code(), "EINVAL"),
        Ok(address) => {
            let zone = nix::net::if_::if_nametoindex(zone).unwrap_or_default();
            assert_eq!(parsed, Ok(SocketAddrV6::new(address, 80, 0, zone).into()));
        }
    }
}
