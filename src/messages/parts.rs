//! A message in parts: its JSON text, and the long strings that were taken out of it.
//!
//! ```text
//!  ┌───────┬────────┬───┬─────────┬───┬─────────────┐
//!  │ count │ length │ … │ string  │ … │ JSON text … │
//!  └───────┴────────┴───┴─────────┴───┴─────────────┘
//!   u32 LE   u32 LE      `length` bytes
//! ```
//!
//! JSON looks at each character of a string, when it is written and when it is read; beside the text a string is
//! copied as it is. Bit 31 of a length says that the string is UTF-16, little-endian; else it is Latin-1. Bit 30 says that
//! it lies in the [ring](crate::messages::ring): in its place there are four bytes, where it begins there (u32 LE).

use std::ptr::NonNull;

use crate::messages::ring::{self, Place, Shared};
use crate::os::error::{Error, Result};

/// Bytes of a number.
const NUMBER: usize = 4;

/// Marks the length of a string of UTF-16.
const WIDE: u32 = 1 << 31;

/// Marks the length of a string in the ring.
const RING: u32 = 1 << 30;

/// So much more room than units, that what is no Latin-1 for its writer takes more bytes than units, however it is cut:
/// room for a character of four bytes, and a NUL.
pub const MORE: usize = 5;

/// A string that is to be sent.
///
/// # Safety
/// What is said to be written is.
pub unsafe trait Source {
    /// Its length in UTF-16 units.
    fn units(&self) -> usize;

    /// Writes its `units` bytes of Latin-1, if it is found to be that; else it may write whatever it likes.
    ///
    /// # Safety
    /// There is room for `length` bytes, `units` and [`MORE`]. They may be others' to see and to change.
    unsafe fn narrow(&self, room: NonNull<u8>, length: usize) -> bool;

    /// Writes its units, and perhaps a NUL.
    ///
    /// # Safety
    /// There is room for `length` units, one more than it has, as in [`narrow`](Self::narrow).
    unsafe fn wide(&self, room: NonNull<u16>, length: usize);
}

/// A string of JavaScript's, as it travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Text<'a> {
    /// A byte for each character up to U+00FF.
    Latin1(&'a [u8]),
    /// Units of two bytes, little-endian.
    Utf16(&'a [u8]),
    /// In the ring.
    Shared(Shared<'a>),
}

/// Writes the parts of a message one after the other: first all strings, then the JSON text.
#[derive(Debug)]
pub struct Writer<'a> {
    bytes: &'a mut Vec<u8>,
    ring: Option<&'a mut ring::Writer>,
    /// Where the length of the next string belongs.
    place: usize,
}

impl<'a> Writer<'a> {
    /// Begins a message with `count` strings, which go into the ring if they can.
    pub fn new(bytes: &'a mut Vec<u8>, ring: Option<&'a mut ring::Writer>, count: u32) -> Self {
        bytes.extend_from_slice(&count.to_le_bytes());
        let place = bytes.len();
        bytes.resize(place + NUMBER * count as usize, 0);
        Writer { bytes, ring, place }
    }

    /// Adds a string.
    ///
    /// # Panics
    /// If the string has 2 GiB or more, or is one more than the message was said to have.
    pub fn string(&mut self, string: &impl Source) {
        if let Some(Place { start, length, wide }) = self.ring.as_mut().and_then(|ring| ring.put(string)) {
            self.bytes.extend_from_slice(&start.to_le_bytes());
            return self.note(length | RING | if wide { WIDE } else { 0 });
        }
        let start = self.bytes.len();
        let wide = append(self.bytes, string);
        let length = u32::try_from(self.bytes.len() - start).ok().filter(|length| length & WIDE == 0);
        self.note(length.expect("a string of V8's is below 2 GiB") | if wide { WIDE } else { 0 });
    }

    fn note(&mut self, length: u32) {
        self.bytes[self.place..self.place + NUMBER].copy_from_slice(&length.to_le_bytes());
        self.place += NUMBER;
    }

    /// Adds the JSON text that `write` appends.
    pub fn json(self, write: impl FnOnce(&mut Vec<u8>)) {
        write(self.bytes);
    }
}

/// Appends a string; whether as UTF-16.
fn append(bytes: &mut Vec<u8>, string: &impl Source) -> bool {
    let (start, units) = (bytes.len(), string.units());
    bytes.reserve(units + MORE);
    let room = NonNull::from(bytes.spare_capacity_mut()).cast();
    // SAFETY: there is room for so many bytes; `units` of them are written if it says so.
    unsafe {
        if string.narrow(room, units + MORE) {
            bytes.set_len(start + units);
            return false;
        }
    }
    let mut wide = vec![0_u16; units + 1];
    // SAFETY: room for its units and a NUL.
    unsafe { string.wide(NonNull::from(&mut wide[..]).cast(), wide.len()) };
    bytes.extend(wide[..units].iter().flat_map(|unit| unit.to_le_bytes()));
    true
}

/// Reads the parts of a message: its strings, and the JSON text.
///
/// # Errors
/// [`Error::BadParts`] when the lengths do not add up, or a string lies where the ring has none, or no room;
/// [`Error::FrameTooLarge`] when all of it together is longer than a message may be.
pub fn read<'a>(payload: &'a [u8], ring: Option<&'a ring::Reader>) -> Result<(Vec<Text<'a>>, &'a [u8])> {
    let bad = || Error::BadParts { length: payload.len() };
    let (count, rest) = number(payload).ok_or_else(bad)?;
    let table = (count as usize).checked_mul(NUMBER).ok_or_else(bad)?;
    let (mut lengths, mut rest) = rest.split_at_checked(table).ok_or_else(bad)?;
    let mut strings = Vec::new();
    let mut shared = 0;
    while let Some((length, more)) = number(lengths) {
        if length & RING != 0 {
            let (start, after) = number(rest).ok_or_else(bad)?;
            let place = Place { start, length: length & !(WIDE | RING), wide: length & WIDE != 0 };
            let ring = ring.ok_or_else(bad)?;
            let bytes = place.length as usize;
            ring.admit(bytes, shared, payload.len())?;
            shared += bytes;
            strings.push(Text::Shared(ring.at(place).ok_or_else(bad)?));
            (lengths, rest) = (more, after);
            continue;
        }
        let (string, after) = rest.split_at_checked((length & !WIDE) as usize).ok_or_else(bad)?;
        strings.push(match length & WIDE {
            0 => Text::Latin1(string),
            _ if string.len() % 2 == 0 => Text::Utf16(string),
            _ => return Err(bad()),
        });
        (lengths, rest) = (more, after);
    }
    Ok((strings, rest))
}

fn number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<NUMBER>()?;
    Some((u32::from_le_bytes(*number), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::Read;

    fn written(strings: &[Text<'_>], json: &[u8]) -> Vec<u8> {
        let mut bytes = b"before".to_vec();
        let mut writer = Writer::new(&mut bytes, None, strings.len() as u32);
        strings.iter().for_each(|string| writer.string(&Read(*string)));
        writer.json(|bytes| bytes.extend_from_slice(json));
        bytes.split_off(b"before".len())
    }

    #[test]
    fn parts_are_read_as_they_were_written() {
        let strings = [Text::Latin1(b"abc"), Text::Utf16(b"x\0y\0"), Text::Latin1(b"")];
        for count in 0..=strings.len() {
            let bytes = written(&strings[..count], b"[1,[]]");
            assert_eq!(read(&bytes, None), Ok((strings[..count].to_vec(), &b"[1,[]]"[..])));
        }
    }

    #[test]
    fn lengths_that_do_not_add_up_are_refused() {
        let good = written(&[Text::Utf16(b"x\0y\0")], b"");
        for cut in 0..good.len() {
            assert_eq!(read(&good[..cut], None), Err(Error::BadParts { length: cut }));
        }
        let mut odd = good;
        odd[NUMBER] -= 1;
        assert_eq!(read(&odd, None), Err(Error::BadParts { length: odd.len() }));
        assert_eq!(read(&[0xff; 64], None), Err(Error::BadParts { length: 64 }));
    }
}
