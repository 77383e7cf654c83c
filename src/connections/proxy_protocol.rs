//! The PROXY protocol, versions 1 and 2: what a proxy says in front of a connection's bytes of the client's address
//! ([specification]).
//!
//! Who may say it is configured ([`Network`]): from those a header is the first thing that must come, once, and anything
//! else is an error; from all others it is none, and their bytes are left as they are.
//!
//! [specification]: https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::{from_utf8, FromStr};

/// The first bytes of version 2.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// The first bytes of version 1.
const PREFIX: &[u8] = b"PROXY ";

/// The longest line of version 1, with its end.
const LINE: usize = 107;

/// What version 2 begins with: the signature, a version and command, a family, a length.
const FIXED: usize = SIGNATURE.len() + 4;

/// The longest header that is taken. Version 2 may carry more with it (`TLV`s) than any proxy sends: a certificate's name,
/// a tenant.
pub const LONGEST: usize = 4096;

/// What the first bytes of a connection are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// A header.
    Header {
        /// Its bytes, which are to be taken out of the connection, and no more.
        length: usize,
        /// The client's address. `None`: the proxy speaks for itself, or cannot say.
        client: Option<SocketAddr>,
    },
    /// The header goes on.
    More,
    /// No header, or one that is wrong.
    Bad,
}

/// Looks at all that has arrived so far.
pub fn look(bytes: &[u8]) -> Seen {
    if begins(bytes, SIGNATURE) {
        binary(bytes)
    } else if begins(bytes, PREFIX) {
        line(bytes)
    } else {
        Seen::Bad
    }
}

/// Whether bytes begin with what is expected, as far as they have come.
fn begins(bytes: &[u8], expected: &[u8]) -> bool {
    let length = bytes.len().min(expected.len());
    bytes[..length] == expected[..length]
}

/// Version 1: `PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n`.
fn line(bytes: &[u8]) -> Seen {
    let bytes = &bytes[..bytes.len().min(LINE)];
    let Some(end) = bytes.windows(2).position(|pair| pair == b"\r\n") else {
        return if bytes.len() < LINE { Seen::More } else { Seen::Bad };
    };
    let client = from_utf8(&bytes[..end]).ok().and_then(|line| named_in(line.strip_prefix("PROXY ")?));
    client.map_or(Seen::Bad, |client| Seen::Header { length: end + 2, client })
}

/// The client that a line names; `Some(None)` if it says that it does not know.
fn named_in(line: &str) -> Option<Option<SocketAddr>> {
    if line == "UNKNOWN" || line.starts_with("UNKNOWN ") {
        return Some(None);
    }
    let words: Vec<_> = line.split(' ').collect();
    let &[family, source, destination, source_port, destination_port] = &words[..] else { return None };
    let (source, _) = match family {
        "TCP4" => (source.parse::<Ipv4Addr>().ok()?.into(), destination.parse::<Ipv4Addr>().ok()?.into()),
        "TCP6" => (IpAddr::V6(source.parse().ok()?), IpAddr::V6(destination.parse().ok()?)),
        _ => return None,
    };
    port(destination_port)?;
    Some(Some(SocketAddr::new(source, port(source_port)?)))
}

/// A port as version 1 writes it: no sign, no zeros before it.
fn port(word: &str) -> Option<u16> {
    let is_plain = word == "0" || word.starts_with(|first: char| matches!(first, '1'..='9'));
    word.parse().ok().filter(|_| is_plain)
}

/// Version 2: the signature, a version and command, a family, a length, addresses, and what else the length has room for.
fn binary(bytes: &[u8]) -> Seen {
    let Some(&[command, family, high, low]) = bytes.get(SIGNATURE.len()..FIXED) else { return Seen::More };
    let length = FIXED + usize::from(u16::from_be_bytes([high, low]));
    if !matches!(command, 0x20 | 0x21) || length > LONGEST {
        return Seen::Bad;
    }
    let Some(addresses) = bytes.get(FIXED..length) else { return Seen::More };
    // 0x20: the proxy looks whether we are there, on a connection of its own.
    let named = if command == 0x20 { Some(None) } else { named_by(family, addresses) };
    named.map_or(Seen::Bad, |client| Seen::Header { length, client })
}

/// The client that addresses name; `Some(None)` where they are of a family that no client of ours has.
fn named_by(family: u8, addresses: &[u8]) -> Option<Option<SocketAddr>> {
    let (source, port): (IpAddr, _) = match family {
        // TCP over IPv4: source, destination, source's port, destination's port.
        0x11 => (Ipv4Addr::from(*addresses.first_chunk()?).into(), addresses.get(8..12)?),
        0x21 => (Ipv6Addr::from(*addresses.first_chunk()?).into(), addresses.get(32..36)?),
        // Unspecified, datagrams, Unix.
        0x00 | 0x12 | 0x22 | 0x31 | 0x32 => return Some(None),
        _ => return None,
    };
    Some(Some(SocketAddr::new(source, u16::from_be_bytes([port[0], port[1]]))))
}

/// A network, as `10.0.0.0/8` or `2001:db8::/32`; one address, as `127.0.0.1`. An IPv4 address may be written as sockets that
/// serve both show it (`::ffff:127.0.0.1`); no wider IPv6 network has IPv4 addresses in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    /// How many bits of it count.
    length: u32,
}

impl Network {
    /// Whether an address is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        let alike = match (self.address, address.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => (ours.to_bits() ^ theirs.to_bits()).leading_zeros(),
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => (ours.to_bits() ^ theirs.to_bits()).leading_zeros(),
            _ => return false,
        };
        alike >= self.length
    }
}

/// How many bits come before the IPv4 address in one that a socket shows that serves both.
const MAPPED: u32 = 96;

impl FromStr for Network {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (address, length) = text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
        let address: IpAddr = address.parse().map_err(drop)?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let length = length.map_or(Some(most), |length| port(length).map(u32::from)).filter(|length| *length <= most);
        let length = length.ok_or(())?;
        Ok(match address.to_canonical() {
            four @ IpAddr::V4(_) if address.is_ipv6() && length >= MAPPED => {
                Network { address: four, length: length - MAPPED }
            }
            _ => Network { address, length },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ppp::v2;
    use proptest::prelude::*;

    fn client(text: &str) -> Option<SocketAddr> {
        Some(text.parse().unwrap())
    }

    fn version_2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        [SIGNATURE, &[command, family], &(rest.len() as u16).to_be_bytes(), rest].concat()
    }

    #[test]
    fn version_1_says_who_the_client_is() {
        for (line, expected) in [
            ("PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n", Some(client("192.0.2.1:56324"))),
            ("PROXY TCP6 2001:db8::1 ::1 1 65535\r\n", Some(client("[2001:db8::1]:1"))),
            ("PROXY UNKNOWN\r\n", Some(None)),
            ("PROXY UNKNOWN ffff::1 ::1 1 2\r\n", Some(None)),
            ("PROXY TCP4 2001:db8::1 ::1 1 2\r\n", None),
            ("PROXY TCP4 192.0.2.1 198.51.100.1 056324 443\r\n", None),
            ("PROXY TCP4 192.0.2.1 198.51.100.1 +1 443\r\n", None),
            ("PROXY TCP4 192.0.2.1 198.51.100.1 65536 443\r\n", None),
            ("PROXY TCP4 192.0.2.1 198.51.100.1 1\r\n", None),
            ("PROXY TCP4 192.0.2.1  198.51.100.1 1 2\r\n", None),
            ("PROXY TCP4 192.0.2.1 198.51.100.1 1 2 3\r\n", None),
            ("PROXY UDP4 192.0.2.1 198.51.100.1 1 2\r\n", None),
            ("PROXY UNKNOWNX\r\n", None),
            ("PROXY \r\n", None),
            ("PROXY TCP4 192.0.2.1 198.51.100.1 1 2\n\r\n", None),
        ] {
            let seen = look(line.as_bytes());
            let length = line.len();
            assert_eq!(seen, expected.map_or(Seen::Bad, |client| Seen::Header { length, client }), "{line}");
        }
    }

    #[test]
    fn version_2_says_who_the_client_is() {
        let four = [192, 0, 2, 1, 198, 51, 100, 1, 0xdc, 0x04, 1, 0xbb];
        let six = [[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]; 2].concat();
        let six = [&six[..], &[0, 1, 0, 2], b"and more"].concat();
        for (command, family, rest, expected) in [
            (0x21, 0x11, &four[..], Some(client("192.0.2.1:56324"))),
            (0x21, 0x21, &six, Some(client("[2001:db8::1]:1"))),
            (0x20, 0x11, &four, Some(None)),
            (0x20, 0xff, b"whatever it is", Some(None)),
            (0x21, 0x00, b"", Some(None)),
            (0x21, 0x31, &[0; 216], Some(None)),
            (0x21, 0x11, &four[..11], None),
            (0x21, 0x21, &six[..35], None),
            (0x21, 0x41, &four, None),
            (0x22, 0x11, &four, None),
            (0x11, 0x11, &four, None),
        ] {
            let header = version_2(command, family, rest);
            let length = header.len();
            let expected = expected.map_or(Seen::Bad, |client| Seen::Header { length, client });
            assert_eq!(look(&header), expected, "{command:x} {family:x}");
            assert_eq!(look(&[&header[..], b"GET /"].concat()), expected);
        }
        assert_eq!(look(&version_2(0x21, 0x11, &[0; LONGEST])), Seen::Bad);
    }

    #[test]
    fn it_is_anchored() {
        for bytes in
            [&b"GET / HTTP/1.1\r\n"[..], b" PROXY UNKNOWN\r\n", b"\r\nPROXY UNKNOWN\r\n", b"\x16\x03", b"proxy"]
        {
            assert_eq!(look(bytes), Seen::Bad);
        }
        assert_eq!(look(b""), Seen::More);
    }

    #[test]
    fn a_line_without_an_end_is_bad_in_the_end() {
        let line = [PREFIX, b"UNKNOWN ", &[b'a'; LINE]].concat();
        assert_eq!(look(&line[..LINE - 1]), Seen::More);
        assert_eq!(look(&line), Seen::Bad);
        let mut longest = line[..LINE - 2].to_vec();
        longest.extend(b"\r\n");
        assert_eq!(look(&longest), Seen::Header { length: LINE, client: None });
    }

    #[test]
    fn networks() {
        let contains =
            |network: &str, address: &str| network.parse::<Network>().unwrap().contains(address.parse().unwrap());
        assert!(contains("10.0.0.0/8", "10.255.0.1") && !contains("10.0.0.0/8", "11.0.0.1"));
        assert!(contains("10.1.2.3/8", "10.0.0.1"), "bits of the host do not matter");
        assert!(contains("127.0.0.1", "::ffff:127.0.0.1") && !contains("127.0.0.1", "127.0.0.2"));
        assert!(contains("::ffff:127.0.0.1", "127.0.0.1") && !contains("::ffff:127.0.0.1", "127.0.0.2"));
        assert!(contains("::ffff:10.0.0.0/104", "10.1.2.3") && !contains("::ffff:10.0.0.0/104", "11.0.0.1"));
        assert!(contains("2001:db8::/32", "2001:db8:ffff::") && !contains("2001:db8::/32", "2001:db9::"));
        assert!(contains("0.0.0.0/0", "1.2.3.4") && !contains("0.0.0.0/0", "2001:db8::1"));
        assert!(contains("::/0", "2001:db8::1") && !contains("::/0", "1.2.3.4") && !contains("::/0", "::ffff:1.2.3.4"));
        for bad in ["", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/08", "10.0.0.0/-1", "::/129", "10/8", "a", "::1/1/1"] {
            assert_eq!(bad.parse::<Network>(), Err(()), "{bad}");
        }
    }

    proptest! {
        /// What another library writes is read, however it arrives, and no byte more.
        #[test]
        fn what_others_write_is_read(source: SocketAddr, port: u16, extra in prop::collection::vec(any::<u8>(), 0..40)) {
            let destination = SocketAddr::new(source.ip(), port);
            let binary = v2::Builder::with_addresses(
                v2::Version::Two | v2::Command::Proxy,
                v2::Protocol::Stream,
                (source, destination),
            );
            let text = ppp::v1::Addresses::from((source, destination)).to_string();
            let source = SocketAddr::new(source.ip(), source.port());
            for header in [binary.build().unwrap(), text.into_bytes()] {
                for length in 0..header.len() {
                    prop_assert_eq!(look(&header[..length]), Seen::More);
                }
                let expected = Seen::Header { length: header.len(), client: Some(source) };
                prop_assert_eq!(look(&[&header[..], &extra].concat()), expected);
            }
        }
    }
}
