//! What a proxy says of its client.

use std::net::SocketAddr;

use crate::connections::proxy_protocol::{look, Seen};

/// [`look`]: how a header arrives does not matter, nor what comes after it; it is no longer than what has arrived; and a
/// client that is named is written as it was read.
pub fn proxy_protocol(bytes: &[u8]) {
    let whole = look(bytes);
    for end in 0..bytes.len() {
        let seen = look(&bytes[..end]);
        if seen != Seen::More {
            assert_eq!(seen, whole, "what comes later changes what was seen");
            break;
        }
    }
    let Seen::Header { length, client } = whole else { return };
    assert!(length <= bytes.len());
    let Some(client) = client else { return };
    let header = &bytes[..length];
    match (header.starts_with(b"PROXY "), client) {
        (true, _) => {
            let words: Vec<_> = header.split(|byte| *byte == b' ').collect();
            assert_eq!(words[4], client.port().to_string().as_bytes());
            let address = std::str::from_utf8(words[2]).unwrap();
            assert_eq!(address.parse(), Ok(client.ip()));
        }
        (false, SocketAddr::V4(client)) => {
            assert_eq!(header[16..20], client.ip().octets());
            assert_eq!(header[24..26], client.port().to_be_bytes());
        }
        (false, SocketAddr::V6(client)) => {
            assert_eq!(header[16..32], client.ip().octets());
            assert_eq!(header[48..50], client.port().to_be_bytes());
        }
    }
}
