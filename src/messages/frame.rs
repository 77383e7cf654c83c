//! The frames of the channel: what a message looks like on its way.
//!
//! ```text
//!  0        4      5        6        8
//!  ┌────────┬──────┬────────┬────────┬───────────────┐
//!  │ length │ kind │ descr. │ unused │ payload …     │
//!  └────────┴──────┴────────┴────────┴───────────────┘
//!   u32 LE    u8     0 or 1   0        `length` bytes
//! ```
//!
//! A frame that carries a descriptor says so, and the descriptor travels with the frame's first byte: so
//! descriptors and frames pair up by order, however the stream is cut.

use crate::os::error::{Error, Result};

/// Bytes before the payload.
pub const HEADER: usize = 8;

/// The largest payload by default, in bytes: V8 cannot make a longer string (`buffer.constants.MAX_STRING_LENGTH`).
pub const LIMIT: usize = 0x1fff_ffe8;

/// What a frame's payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A user's message as JSON text.
    Json = 1,
    /// A user's message as V8 wrote it (`serialization: 'advanced'`).
    Advanced = 2,
    /// The cluster's own message (online, queryServer, listening, close …), JSON text.
    Control = 3,
    /// A user's message as JSON text, and the long strings that were taken out of it: see [`parts`](crate::messages::parts).
    Parts = 4,
}

impl TryFrom<u8> for Kind {
    type Error = Error;

    fn try_from(kind: u8) -> Result<Self> {
        match kind {
            1 => Ok(Kind::Json),
            2 => Ok(Kind::Advanced),
            3 => Ok(Kind::Control),
            4 => Ok(Kind::Parts),
            _ => Err(Error::UnknownFrame { kind }),
        }
    }
}

/// What a header says of the frame that follows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Bytes of payload.
    pub length: usize,
    /// What the payload is.
    pub kind: Kind,
    /// Whether a descriptor travels with the frame.
    pub descriptor: bool,
}

impl Header {
    /// The header's bytes.
    ///
    /// # Panics
    /// If `length` does not fit 32 bits; [`LIMIT`] is below that.
    pub fn encode(self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[..4].copy_from_slice(&u32::try_from(self.length).expect("a frame is below 4 GiB").to_le_bytes());
        bytes[4] = self.kind as u8;
        bytes[5] = self.descriptor.into();
        bytes
    }

    /// Reads a header from the start of `bytes`; `None` if it is not there in full.
    ///
    /// # Errors
    /// [`Error::FrameTooLarge`] and [`Error::UnknownFrame`]: nothing after such a header can be believed.
    pub fn decode(bytes: &[u8], limit: usize) -> Result<Option<Header>> {
        let Some(&[a, b, c, d, kind, descriptor, unused, zero]) = bytes.first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let length = u32::from_le_bytes([a, b, c, d]) as usize;
        let kind = Kind::try_from(kind)?;
        if descriptor > 1 || (descriptor == 1 && kind == Kind::Parts) || unused != 0 || zero != 0 {
            return Err(Error::UnknownFrame { kind: kind as u8 });
        }
        if length > limit {
            return Err(Error::FrameTooLarge { length, limit });
        }
        Ok(Some(Header { length, kind, descriptor: descriptor == 1 }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_reads_back_as_it_was_written() {
        for kind in [Kind::Json, Kind::Advanced, Kind::Control, Kind::Parts] {
            for descriptor in [false, kind != Kind::Parts] {
                let header = Header { length: 70_000, kind, descriptor };
                assert_eq!(Header::decode(&header.encode(), LIMIT), Ok(Some(header)));
            }
        }
    }

    #[test]
    fn part_of_a_header_is_not_a_header() {
        let bytes = Header { length: 1, kind: Kind::Json, descriptor: false }.encode();
        for cut in 0..HEADER {
            assert_eq!(Header::decode(&bytes[..cut], LIMIT), Ok(None));
        }
    }

    #[test]
    fn what_no_peer_of_ours_writes_is_refused() {
        let good = Header { length: 1, kind: Kind::Json, descriptor: false }.encode();
        for (at, value) in [(4, 0), (4, 5), (4, 255), (5, 2), (6, 1), (7, 1)] {
            let mut bytes = good;
            bytes[at] = value;
            assert!(matches!(Header::decode(&bytes, LIMIT), Err(Error::UnknownFrame { .. })), "byte {at} = {value}");
        }
        let with_parts = Header { length: 1, kind: Kind::Parts, descriptor: true }.encode();
        assert_eq!(Header::decode(&with_parts, LIMIT), Err(Error::UnknownFrame { kind: Kind::Parts as u8 }));
        let huge = [0xff, 0xff, 0xff, 0xff, 1, 0, 0, 0];
        assert_eq!(Header::decode(&huge, LIMIT), Err(Error::FrameTooLarge { length: u32::MAX as usize, limit: LIMIT }));
    }
}
