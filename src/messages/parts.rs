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
//! copied as it is. Bit 31 of a length says that the string is UTF-16, little-endian; else it is Latin-1.

use crate::os::error::{Error, Result};

/// Bytes of a number.
const NUMBER: usize = 4;

/// Marks the length of a string of UTF-16.
const WIDE: u32 = 1 << 31;

/// A string of JavaScript's, as it travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Text<'a> {
    /// A byte for each character up to U+00FF.
    Latin1(&'a [u8]),
    /// Units of two bytes, little-endian.
    Utf16(&'a [u8]),
}

/// Writes the parts of a message one after the other: first all strings, then the JSON text.
#[derive(Debug)]
pub struct Writer<'a> {
    bytes: &'a mut Vec<u8>,
    /// Where the length of the next string belongs.
    place: usize,
}

impl<'a> Writer<'a> {
    /// Begins a message with `count` strings.
    pub fn new(bytes: &'a mut Vec<u8>, count: u32) -> Self {
        bytes.extend_from_slice(&count.to_le_bytes());
        let place = bytes.len();
        bytes.resize(place + NUMBER * count as usize, 0);
        Writer { bytes, place }
    }

    /// Adds a string whose bytes `write` appends; it says whether they are UTF-16.
    ///
    /// # Panics
    /// If the string has 2 GiB or more, or is one more than the message was said to have.
    pub fn string(&mut self, write: impl FnOnce(&mut Vec<u8>) -> bool) {
        let start = self.bytes.len();
        let wide = write(self.bytes);
        let length = u32::try_from(self.bytes.len() - start).ok().filter(|length| length & WIDE == 0);
        let length = length.expect("a string of V8's is below 2 GiB") | if wide { WIDE } else { 0 };
        self.bytes[self.place..self.place + NUMBER].copy_from_slice(&length.to_le_bytes());
        self.place += NUMBER;
    }

    /// Adds the JSON text that `write` appends.
    pub fn json(self, write: impl FnOnce(&mut Vec<u8>)) {
        write(self.bytes);
    }
}

/// Reads the parts of a message: its strings, and the JSON text.
///
/// # Errors
/// [`Error::BadParts`] when the lengths do not add up.
pub fn read(payload: &[u8]) -> Result<(Vec<Text<'_>>, &[u8])> {
    let bad = || Error::BadParts { length: payload.len() };
    let (count, rest) = number(payload).ok_or_else(bad)?;
    let table = (count as usize).checked_mul(NUMBER).ok_or_else(bad)?;
    let (mut lengths, mut rest) = rest.split_at_checked(table).ok_or_else(bad)?;
    let mut strings = Vec::new();
    while let Some((length, more)) = number(lengths) {
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

    fn written(strings: &[Text<'_>], json: &[u8]) -> Vec<u8> {
        let mut bytes = b"before".to_vec();
        let mut writer = Writer::new(&mut bytes, strings.len() as u32);
        for string in strings {
            let (content, wide) = match string {
                Text::Latin1(content) => (content, false),
                Text::Utf16(content) => (content, true),
            };
            writer.string(|bytes| {
                bytes.extend_from_slice(content);
                wide
            });
        }
        writer.json(|bytes| bytes.extend_from_slice(json));
        bytes.split_off(b"before".len())
    }

    #[test]
    fn parts_are_read_as_they_were_written() {
        let strings = [Text::Latin1(b"abc"), Text::Utf16(b"x\0y\0"), Text::Latin1(b"")];
        for count in 0..=strings.len() {
            let bytes = written(&strings[..count], b"[1,[]]");
            assert_eq!(read(&bytes), Ok((strings[..count].to_vec(), &b"[1,[]]"[..])));
        }
    }

    #[test]
    fn lengths_that_do_not_add_up_are_refused() {
        let good = written(&[Text::Utf16(b"x\0y\0")], b"");
        for cut in 0..good.len() {
            assert_eq!(read(&good[..cut]), Err(Error::BadParts { length: cut }));
        }
        let odd = written(&[Text::Utf16(b"x\0y")], b"1");
        assert_eq!(read(&odd), Err(Error::BadParts { length: odd.len() }));
        assert_eq!(read(&[0xff; 64]), Err(Error::BadParts { length: 64 }));
    }
}
