//! What members and the hub say to each other: the payload of a frame of kind
//! [`Advanced`](crate::messages::frame::Kind::Advanced).
//!
//! ```text
//!  ┌────┬───────────────────────┬──────────────────────┬─────────┐
//!  │ op │ numbers, little endian │ a name: u16, so many │ data …  │
//!  └────┴───────────────────────┴──────────────────────┴─────────┘
//! ```
//!
//! Which of them there are goes by the op. The data is the rest of the frame; the hub never looks into it.
//! `lib/bus/protocol.js` has the other half.
//!
//! What is published, asked and answered can be JSON as well, in a frame of kind
//! [`Json`](crate::messages::frame::Kind::Json):
//!
//! | said | told |
//! |---|---|
//! | `["topic",value]` | `[from,"topic",value]` |
//! | `[id,kind of to,place,"topic",value]` | `[token,from,"topic",value]` |
//! | `[token,ok,value]` | `[id,from,ok,last,value]` |
//!
//! A member parses all that arrive together as one text, and tells them apart by how many there are. So the hub sees that each
//! is JSON: what is not could pass for what somebody else has said.

use std::io::Write;

use serde::de::IgnoredAny;

use crate::bus::Place;
use crate::messages::frame::Kind;

/// The longest name of a topic, a lock or a key, in bytes of UTF-8.
pub const LONGEST_NAME: usize = 1024;

/// Bytes of the names of a member's topics, all together; as many of those that it answers on, and of its locks.
pub const LONGEST_NAMES: usize = 1024 * 1024;
/// The first byte of a value that is JSON: see `lib/bus/clone.js`.
const JSON_VALUE: u8 = 1;

/// What a member numbers what it asks for with; the hub's notices say it again.
pub type Id = u32;

/// The hub's number of a request, for whoever is to answer it.
pub type Token = u64;

/// Whom a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// One of those who answer, the next in turn.
    Any,
    /// All of them.
    All,
    /// Those of this place.
    Place(Place),
}

/// What is published, asked or answered. It is passed on as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Post<'a> {
    /// Bytes.
    Bytes(&'a [u8]),
    /// The text of a JSON array, from the topic on, or from the value on where none is named.
    Json(&'a str),
    /// The text of the value alone, which travels as bytes.
    Value(&'a str),
}

impl<'a> Post<'a> {
    /// The same as bytes: a bridge passes it on, and parses nothing.
    pub fn for_bridge(self, topic: &str) -> Post<'a> {
        match self {
            Post::Json(text) => Post::Value(value_of(text, topic)),
            bytes => bytes,
        }
    }

    /// Bytes of what was published on the topic.
    pub fn len(&self, topic: &str) -> usize {
        match self {
            Post::Bytes(bytes) => bytes.len(),
            Post::Value(text) => text.len(),
            // Two quotation marks, a comma and a bracket.
            Post::Json(text) => text.len().saturating_sub(topic.len() + 4),
        }
    }
}

/// The value of a text that is JSON: what is behind the topic, which has nothing that is escaped, and before the bracket.
fn value_of<'a>(text: &'a str, topic: &str) -> &'a str {
    let behind = text.trim_start().get(topic.len() + 2..).unwrap_or_default().trim_start();
    let value = behind.strip_prefix(',').unwrap_or(behind).trim_end();
    value.strip_suffix(']').unwrap_or(value).trim()
}

/// How a lock is asked for; the words are those of the Web Locks API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Alone, after those who came before.
    Exclusive,
    /// Together with others who share it.
    Shared,
    /// As `Exclusive`, now or not at all.
    ExclusiveIfAvailable,
    /// As `Shared`, now or not at all.
    SharedIfAvailable,
    /// Alone and now: whoever holds it loses it.
    Steal,
}

/// What a member says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are said at their types")]
pub enum Command<'a> {
    /// It wants what others publish on the topic.
    Subscribe { id: Id, topic: &'a str },
    /// No more.
    Unsubscribe { topic: &'a str },
    /// For all others who want it.
    Publish { topic: &'a str, data: Post<'a> },
    /// It answers requests on the topic.
    Serve { id: Id, topic: &'a str },
    /// No more. What it was asked before it still may answer.
    Retire { topic: &'a str },
    /// A request.
    Ask { id: Id, to: To, topic: &'a str, data: Post<'a> },
    /// It waits for the answers no more.
    Forget { id: Id },
    /// The answer to a request; `ok`: or why there is none.
    Answer { token: Token, ok: bool, data: Post<'a> },
    /// It wants a lock.
    Lock { id: Id, wish: Wish, name: &'a str },
    /// It has no use for a lock that it has, or waits for.
    Unlock { id: Id },
    /// Which locks there are.
    Locks { id: Id },
    /// What is kept under a key.
    Get { id: Id, key: &'a str },
    /// Keeps something, for so many milliseconds; 0: for ever.
    Set { id: Id, ttl: u64, key: &'a str, data: &'a [u8] },
    /// Adds to a counter, which begins at 0 and lives for so many milliseconds from then on; 0: for ever.
    Increment { id: Id, by: i64, ttl: u64, key: &'a str },
    /// Removes what is kept.
    Delete { id: Id, key: &'a str },
    /// To be told when all that was said before is done.
    Sync { id: Id },
    /// Begins a counter, in the place of what is kept, for so many milliseconds; 0: for ever.
    Count { id: Id, count: i64, ttl: u64, key: &'a str },
    /// A bridge wants what others publish on any topic, and to know which topics somebody listens to.
    Watch,
    /// A bridge brings so many messages of another machine.
    Relay { count: u32, topic: &'a str, data: &'a [u8] },
    /// So many messages of other machines are lost; 0: nobody knows how many.
    Lost { count: u64, topic: &'a str },
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Absence {
    /// Nobody answers on the topic there.
    Nobody = 2,
    /// Who was to answer is gone.
    Gone = 3,
    /// Who was to answer does not read.
    Full = 4,
}

/// Why a command was not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Refusal {
    /// The member has asked for as much as it may.
    TooMany = 1,
    /// A counter was expected, and the key has something else.
    NoCounter = 2,
    /// The counter would not fit 64 bits.
    Overflow = 3,
    /// It is larger than all that may be kept.
    TooLarge = 4,
    /// The names of what the member has asked for are longer than they may be, all together.
    NamesTooLong = 5,
}

/// What is kept under a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// Nothing.
    Nothing,
    /// What `Set` has put there.
    Data(&'a [u8]),
    /// A counter.
    Counter(i64),
}

/// A lock that is held or waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockRow<'a> {
    /// Its name.
    pub name: &'a str,
    /// Whether it is held.
    pub held: bool,
    /// Whether it is shared.
    pub shared: bool,
    /// By whom.
    pub place: Place,
}

/// What a member is told.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "the fields are said at their types")]
pub enum Notice<'a> {
    /// Somebody has published this.
    Published { from: Place, topic: &'a str, data: Post<'a> },
    /// So many were published that it could not be told; 0: nobody knows how many.
    Missed { count: u64, topic: &'a str },
    /// It is asked.
    Asked { token: Token, from: Place, topic: &'a str, data: Post<'a> },
    /// Nobody waits for its answer any more.
    Forgotten { token: Token },
    /// An answer; `ok`: or why it refused.
    Answered { id: Id, from: Place, ok: bool, last: bool, data: Post<'a> },
    /// There is no answer.
    Absent { id: Id, from: Place, why: Absence, last: bool },
    /// It has the lock.
    Granted { id: Id },
    /// The lock is not available.
    Unavailable { id: Id },
    /// It has the lock no more.
    Stolen { id: Id },
    /// Which locks there are.
    LockList { id: Id, rows: Vec<LockRow<'a>> },
    /// What is kept, or was removed, and for how many milliseconds more; 0: for ever.
    Kept { id: Id, left: u64, value: Value<'a> },
    /// It is done, and all that was said before.
    Synced { id: Id },
    /// It was not carried out.
    Refused { id: Id, why: Refusal },
    /// Somebody listens to the topic, or nobody does any more.
    Wanted { topic: &'a str, wanted: bool },
    /// A bridge has missed more than was counted; and what is wanted, of which it is told all anew.
    Astray,
}

/// Reads one after the other; `None` from the first on that is not there.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }

    fn u8(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn name(&mut self) -> Option<&'a str> {
        let length = usize::from(u16::from_le_bytes(self.array()?));
        let (name, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        (length <= LONGEST_NAME).then(|| std::str::from_utf8(name).ok()).flatten()
    }

    fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }
}

impl<'a> Command<'a> {
    /// Reads a command in a frame of this kind; `None`: no member of ours writes this.
    pub fn decode(kind: Kind, bytes: &'a [u8]) -> Option<Command<'a>> {
        match kind {
            Kind::Advanced => Command::decode_bytes(bytes),
            Kind::Json => Command::decode_json(bytes),
            Kind::Control | Kind::Parts => None,
        }
    }

    fn decode_json(bytes: &'a [u8]) -> Option<Command<'a>> {
        let text = std::str::from_utf8(bytes).ok()?;
        // A name that has to be escaped travels as bytes.
        let command = if text.starts_with("[\"") {
            let (topic, _): (_, IgnoredAny) = serde_json::from_str(text).ok()?;
            Command::Publish { topic, data: Post::Json(&text[1..]) }
        } else if behind(text, 1)?.starts_with(['t', 'f']) {
            let (token, ok, _): (_, _, IgnoredAny) = serde_json::from_str(text).ok()?;
            Command::Answer { token, ok, data: Post::Json(behind(text, 2)?) }
        } else {
            let (id, kind, place, topic, _): (_, _, _, _, IgnoredAny) = serde_json::from_str(text).ok()?;
            Command::Ask { id, to: to(kind, place)?, topic, data: Post::Json(behind(text, 3)?) }
        };
        match command {
            Command::Publish { topic, .. } | Command::Ask { topic, .. } if topic.len() > LONGEST_NAME => None,
            command => Some(command),
        }
    }

    fn decode_bytes(bytes: &'a [u8]) -> Option<Command<'a>> {
        let mut reader = Reader(bytes);
        let r = &mut reader;
        let command = match r.u8()? {
            1 => Command::Subscribe { id: r.u32()?, topic: r.name()? },
            2 => Command::Unsubscribe { topic: r.name()? },
            3 => Command::Publish { topic: r.name()?, data: Post::Bytes(r.rest()) },
            4 => Command::Serve { id: r.u32()?, topic: r.name()? },
            5 => Command::Retire { topic: r.name()? },
            6 => {
                Command::Ask { id: r.u32()?, to: to(r.u8()?, r.u32()?)?, topic: r.name()?, data: Post::Bytes(r.rest()) }
            }
            7 => Command::Forget { id: r.u32()? },
            8 => Command::Answer { token: r.u64()?, ok: flag(r.u8()?)?, data: Post::Bytes(r.rest()) },
            9 => Command::Lock { id: r.u32()?, wish: wish(r.u8()?)?, name: r.name()? },
            10 => Command::Unlock { id: r.u32()? },
            11 => Command::Locks { id: r.u32()? },
            12 => Command::Get { id: r.u32()?, key: r.name()? },
            13 => Command::Set { id: r.u32()?, ttl: r.u64()?, key: r.name()?, data: r.rest() },
            14 => Command::Increment { id: r.u32()?, by: r.u64()? as i64, ttl: r.u64()?, key: r.name()? },
            15 => Command::Delete { id: r.u32()?, key: r.name()? },
            16 => Command::Sync { id: r.u32()? },
            17 => Command::Count { id: r.u32()?, count: r.u64()? as i64, ttl: r.u64()?, key: r.name()? },
            18 => Command::Watch,
            19 => Command::Relay { count: r.u32()?, topic: r.name()?, data: r.rest() },
            20 => Command::Lost { count: r.u64()?, topic: r.name()? },
            _ => return None,
        };
        reader.0.is_empty().then_some(command)
    }
}

/// What is behind so many commas. Of an array those are the first, since numbers and words have none.
fn behind(text: &str, commas: usize) -> Option<&str> {
    text.splitn(commas + 1, ',').nth(commas)
}

fn to(kind: u8, place: Place) -> Option<To> {
    match kind {
        0 => Some(To::Any),
        1 => Some(To::All),
        2 => Some(To::Place(place)),
        _ => None,
    }
}

fn flag(byte: u8) -> Option<bool> {
    match byte {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

fn wish(byte: u8) -> Option<Wish> {
    match byte {
        0 => Some(Wish::Exclusive),
        1 => Some(Wish::Shared),
        2 => Some(Wish::ExclusiveIfAvailable),
        3 => Some(Wish::SharedIfAvailable),
        4 => Some(Wish::Steal),
        _ => None,
    }
}

/// Writes one after the other.
struct Writer<'w>(&'w mut Vec<u8>);

impl Writer<'_> {
    fn u8(self, number: u8) -> Self {
        self.0.push(number);
        self
    }

    fn u32(self, number: u32) -> Self {
        self.0.extend_from_slice(&number.to_le_bytes());
        self
    }

    fn u64(self, number: u64) -> Self {
        self.0.extend_from_slice(&number.to_le_bytes());
        self
    }

    /// One that was read: so it is not too long.
    fn name(self, name: &str) -> Self {
        self.0.extend_from_slice(&(name.len() as u16).to_le_bytes());
        self.0.extend_from_slice(name.as_bytes());
        self
    }

    /// The text of an array that begins with these numbers.
    fn text<const N: usize>(self, numbers: [u64; N], rest: &str) -> Self {
        self.0.push(b'[');
        for number in numbers {
            // Memory takes what is written to it.
            let _ = write!(self.0, "{number},");
        }
        self.data(rest.as_bytes())
    }

    /// What travels as bytes.
    fn post(self, data: Post<'_>) -> Self {
        match data {
            Post::Bytes(bytes) => self.data(bytes),
            Post::Json(text) | Post::Value(text) => self.u8(JSON_VALUE).data(text.as_bytes()),
        }
    }

    fn data(self, data: &[u8]) -> Self {
        self.0.extend_from_slice(data);
        self
    }
}

impl Notice<'_> {
    /// The kind of its frame.
    pub fn kind(&self) -> Kind {
        match self {
            Notice::Published { data: Post::Json(_), .. }
            | Notice::Asked { data: Post::Json(_), .. }
            | Notice::Answered { data: Post::Json(_), .. } => Kind::Json,
            _ => Kind::Advanced,
        }
    }

    /// Appends the notice's bytes.
    pub fn encode(&self, bytes: &mut Vec<u8>) {
        let w = Writer(bytes);
        match self {
            Notice::Published { from, data: Post::Json(text), .. } => w.text([(*from).into()], text),
            Notice::Published { from, topic, data } => w.u8(1).u32(*from).name(topic).post(*data),
            Notice::Missed { count, topic } => w.u8(2).u64(*count).name(topic),
            Notice::Asked { token, from, data: Post::Json(text), .. } => w.text([*token, (*from).into()], text),
            Notice::Asked { token, from, topic, data } => w.u8(3).u64(*token).u32(*from).name(topic).post(*data),
            Notice::Forgotten { token } => w.u8(4).u64(*token),
            Notice::Answered { id, from, ok, last, data: Post::Json(text) } => {
                w.text([(*id).into(), (*from).into(), (*ok).into(), (*last).into()], text)
            }
            Notice::Answered { id, from, ok, last, data } => {
                w.u8(5).u32(*id).u32(*from).u8(u8::from(*ok)).u8(u8::from(*last)).post(*data)
            }
            Notice::Absent { id, from, why, last } => w.u8(5).u32(*id).u32(*from).u8(*why as u8).u8(u8::from(*last)),
            Notice::Granted { id } => w.u8(6).u32(*id),
            Notice::Unavailable { id } => w.u8(7).u32(*id),
            Notice::Stolen { id } => w.u8(8).u32(*id),
            Notice::LockList { id, rows } => {
                let w = w.u8(9).u32(*id);
                rows.iter().fold(w, |w, LockRow { name, held, shared, place }| {
                    w.u8(u8::from(*held)).u8(u8::from(*shared)).u32(*place).name(name)
                })
            }
            Notice::Kept { id, left, value } => {
                let w = w.u8(10).u32(*id).u64(*left);
                match value {
                    Value::Nothing => w.u8(0),
                    Value::Data(data) => w.u8(1).data(data),
                    Value::Counter(count) => w.u8(2).u64(*count as u64),
                }
            }
            Notice::Synced { id } => w.u8(11).u32(*id),
            Notice::Refused { id, why } => w.u8(12).u32(*id).u8(*why as u8),
            Notice::Wanted { topic, wanted } => w.u8(13).u8(u8::from(*wanted)).name(topic),
            Notice::Astray => w.u8(14),
        };
    }
}
