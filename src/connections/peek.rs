//! What the head of a connection's first request says of its client, looked at while it is still in the kernel.
//!
//! The bytes are anybody's. All that hangs on them is which worker gets the connection, and that worker reads them
//! again with Node's parser. So whatever is not plainly understood here says nothing ([`Seen::NoId`],
//! [`Seen::NotHttp`]), and nothing is ever refused.

use std::borrow::Cow;
use std::mem::MaybeUninit;

use httparse::{Header, Request};

/// How much of a head is looked at: as much as Node's parser takes.
pub const HEAD: usize = 16 * 1024;

/// More header fields than these say nothing.
const FIELDS: usize = 128;

/// No method is longer.
const METHOD: usize = 20;

/// Where a client's id is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In a cookie of this name; of two, in the first, as in Node's usual parsers.
    Cookie(String),
    /// In a header field of this name, in any case; of two, in the first.
    Header(String),
    /// In a parameter of the address; of two, in the first.
    Query(String),
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen<'a> {
    /// The id of the client. It is not empty.
    Id(Cow<'a, [u8]>),
    /// A head without one.
    NoId,
    /// The head goes on.
    More,
    /// The head is longer than [`HEAD`].
    TooLarge,
    /// It is TLS, HTTP/2, or anything else.
    NotHttp,
}

/// A head that arrives bit by bit.
#[derive(Debug, Default)]
pub struct Peek {
    /// So many bytes have been searched for their end.
    searched: usize,
}

impl Peek {
    /// Looks at all that has arrived so far.
    pub fn look<'a>(&mut self, bytes: &'a [u8], place: &Place) -> Seen<'a> {
        let bytes = &bytes[..bytes.len().min(HEAD)];
        // Node's parser passes over empty lines, too.
        let empty = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        if !may_be_http(&bytes[empty..]) {
            return Seen::NotHttp;
        }
        let from = self.searched.max(empty);
        let end = match place {
            Place::Query(_) => end_of_line(bytes, from),
            Place::Cookie(_) | Place::Header(_) => end_of_head(bytes, from),
        };
        let Some(end) = end else {
            // An end that has come in part has two bytes.
            self.searched = bytes.len().saturating_sub(2);
            return if bytes.len() < HEAD { Seen::More } else { Seen::TooLarge };
        };
        find(&bytes[empty..end], place).filter(|id| !id.is_empty()).map_or(Seen::NoId, Seen::Id)
    }
}

/// Whether bytes can be the start of a request.
fn may_be_http(bytes: &[u8]) -> bool {
    let is_of_method = |byte: &u8| byte.is_ascii_uppercase() || *byte == b'-';
    let length = bytes.iter().take(METHOD + 1).take_while(|byte| is_of_method(byte)).count();
    match bytes.get(length) {
        None => length <= METHOD,
        // `PRI * HTTP/2.0` begins HTTP/2.
        Some(next) => *next == b' ' && (1..=METHOD).contains(&length) && &bytes[..length] != b"PRI",
    }
}

/// Where the first line ends.
fn end_of_line(bytes: &[u8], from: usize) -> Option<usize> {
    bytes[from..].iter().position(|byte| *byte == b'\n').map(|place| from + place + 1)
}

/// Where an empty line ends.
fn end_of_head(bytes: &[u8], mut from: usize) -> Option<usize> {
    loop {
        from = end_of_line(bytes, from)?;
        match bytes[from..] {
            [b'\n', ..] => return Some(from + 1),
            [b'\r', b'\n', ..] => return Some(from + 2),
            _ => {}
        }
    }
}

fn find<'a>(head: &'a [u8], place: &Place) -> Option<Cow<'a, [u8]>> {
    match place {
        Place::Query(name) => in_query(target(head)?, name),
        Place::Cookie(name) => with_fields(head, |fields| {
            let cookies = fields.iter().filter(|field| field.name.eq_ignore_ascii_case("cookie"));
            cookies.flat_map(|field| field.value.split(|byte| *byte == b';')).find_map(|pair| in_pair(pair, name))
        }),
        Place::Header(name) => with_fields(head, |fields| {
            let field = fields.iter().find(|field| field.name.eq_ignore_ascii_case(name))?;
            Some(Cow::Borrowed(field.value.trim_ascii()))
        }),
    }
}

/// What a request line asks for: a path, or a whole address.
fn target(line: &[u8]) -> Option<&[u8]> {
    let mut words = line.trim_ascii_end().split(|byte| *byte == b' ');
    let (_, target, version) = (words.next()?, words.next()?, words.next()?);
    (version.starts_with(b"HTTP/1.") && words.next().is_none()).then_some(target)
}

fn in_query<'a>(target: &'a [u8], name: &str) -> Option<Cow<'a, [u8]>> {
    let target = target.split(|byte| *byte == b'#').next()?;
    let query = target.splitn(2, |byte| *byte == b'?').nth(1)?;
    query.split(|byte| *byte == b'&').find_map(|pair| {
        let mut sides = pair.splitn(2, |byte| *byte == b'=');
        let is_it = *decoded(sides.next()?) == *name.as_bytes();
        is_it.then(|| decoded(sides.next().unwrap_or_default()))
    })
}

/// The value of a cookie, if this is the one.
fn in_pair<'a>(pair: &'a [u8], name: &str) -> Option<Cow<'a, [u8]>> {
    let mut sides = pair.splitn(2, |byte| *byte == b'=');
    let (left, right) = (sides.next()?.trim_ascii(), sides.next()?.trim_ascii());
    let value = right.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(right);
    (left == name.as_bytes()).then(|| decoded(value))
}

/// What `%7E` and its like stand for. What is none of them stays.
fn decoded(bytes: &[u8]) -> Cow<'_, [u8]> {
    if !bytes.contains(&b'%') {
        return Cow::Borrowed(bytes);
    }
    let (mut decoded, mut rest) = (Vec::with_capacity(bytes.len()), bytes);
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        let digit = |place: usize| char::from(*after.get(place)?).to_digit(16);
        match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high << 4 | low) as u8);
                rest = &after[2..];
            }
            _ => decoded.push(*first),
        }
    }
    Cow::Owned(decoded)
}

fn with_fields<'a>(head: &'a [u8], find: impl FnOnce(&[Header<'a>]) -> Option<Cow<'a, [u8]>>) -> Option<Cow<'a, [u8]>> {
    let mut fields = [const { MaybeUninit::uninit() }; FIELDS];
    let mut request = Request::new(&mut []);
    match request.parse_with_uninit_headers(head, &mut fields) {
        Ok(httparse::Status::Complete(_)) => find(request.headers),
        Ok(httparse::Status::Partial) | Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cookie() -> Place {
        Place::Cookie("sid".into())
    }

    fn header() -> Place {
        Place::Header("X-User".into())
    }

    fn query() -> Place {
        Place::Query("sid".into())
    }

    fn look<'a>(bytes: &'a (impl AsRef<[u8]> + ?Sized), place: &Place) -> Seen<'a> {
        Peek::default().look(bytes.as_ref(), place)
    }

    fn id(id: &str) -> Seen<'_> {
        Seen::Id(Cow::Borrowed(id.as_bytes()))
    }

    #[test]
    fn an_id_is_found_in_each_place() {
        let head = "GET /a?b=c&sid=3~x HTTP/1.1\r\nHost: h\r\nx-USER:  me \r\nCookie: a=b; sid=4~y\r\n\r\n";
        assert_eq!(look(head, &query()), id("3~x"));
        assert_eq!(look(head, &cookie()), id("4~y"));
        assert_eq!(look(head, &header()), id("me"));
    }

    #[test]
    fn an_address_is_one_in_each_form() {
        for (target, found) in [
            ("/?sid=1", id("1")),
            ("http://host:80/path?x=%3f&sid=1", id("1")),
            ("/?sid=%31%7e", id("1~")),
            ("/?%73id=1", id("1")),
            ("/?sid=1&sid=2", id("1")),
            ("/?sid=1#sid=2", id("1")),
            ("/?sid=a=b", id("a=b")),
            ("/?sid=%", id("%")),
            ("/?sid=%zz%4", id("%zz%4")),
            ("/?sid=\u{e4}", id("\u{e4}")),
            ("/?a=b#&sid=1", Seen::NoId),
            ("/?sid", Seen::NoId),
            ("/?sid=", Seen::NoId),
            ("/?xsid=1&SID=2", Seen::NoId),
            ("/sid=1", Seen::NoId),
            ("host:443", Seen::NoId),
            ("*", Seen::NoId),
        ] {
            // No more than the first line is needed.
            let line = format!("OPTIONS {target} HTTP/1.1\r\n");
            assert_eq!(look(&line, &query()), found, "{target}");
        }
        assert_eq!(look("GET /?sid=1 HTTP/1.1 x\r\n", &query()), Seen::NoId);
        assert_eq!(look("GET /?sid=1\r\n", &query()), Seen::NoId);
    }

    #[test]
    fn a_referer_and_a_body_are_no_address() {
        let head = "POST /?a=b HTTP/1.1\r\nReferer: http://h/?sid=1\r\nCookie: x=sid=1\r\n\r\n/?sid=1&sid=2";
        assert_eq!(look(head, &query()), Seen::NoId);
        assert_eq!(look(head, &cookie()), Seen::NoId);
    }

    #[test]
    fn cookies_are_read_as_nodes_parsers_do() {
        for (line, found) in [
            ("Cookie: sid=1; sid=2", id("1")),
            ("cookie:sid=1;", id("1")),
            ("COOKIE: a=b;sid = \"1\" ;c", id("1")),
            ("Cookie: sid=s%3A2~x.y", id("s:2~x.y")),
            ("Cookie: a=b\r\nCookie: sid=1", id("1")),
            ("Cookie: sid", Seen::NoId),
            ("Cookie: sid=", Seen::NoId),
            ("Cookie: Sid=1; xsid=1", Seen::NoId),
            ("Cookies: sid=1", Seen::NoId),
            ("Cookie: sid=1\0", Seen::NoId),
            ("Cookie : sid=1", Seen::NoId),
        ] {
            let head = format!("GET / HTTP/1.1\r\nHost: h\r\n{line}\r\n\r\n");
            assert_eq!(look(&head, &cookie()), found, "{line}");
        }
    }

    #[test]
    fn what_is_not_http_is_seen_at_its_first_bytes() {
        for bytes in [
            &b"\x16\x03\x01"[..],
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"\0",
            b" GET / HTTP/1.1\r\n",
            b"get / HTTP/1.1\r\n",
            b"GET\r\n",
            b"\x80abc",
            b"AVERYLONGWORDWITHOUTAN",
        ] {
            assert_eq!(look(bytes, &cookie()), Seen::NotHttp, "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn a_head_without_an_end_is_too_large_in_the_end() {
        let endless = format!("GET / HTTP/1.1\r\n{}", "a: b\r\n".repeat(HEAD));
        assert_eq!(look(&endless[..HEAD - 1], &header()), Seen::More);
        assert_eq!(look(&endless, &header()), Seen::TooLarge);
        let line = format!("GET /{}", "a".repeat(1 << 20));
        assert_eq!(look(&line, &query()), Seen::TooLarge);
    }

    #[test]
    fn too_many_fields_and_nul_say_nothing() {
        let many = format!("GET / HTTP/1.1\r\n{}X-User: me\r\n\r\n", "a: b\r\n".repeat(FIELDS));
        assert_eq!(look(&many, &header()), Seen::NoId);
        assert_eq!(look("GET / HTTP/1.1\r\na: \0\r\nX-User: me\r\n\r\n", &header()), Seen::NoId);
        assert_eq!(look("GET / HTTP/1.1\r\nX-User: m\u{e9}\r\n\r\n", &header()), id("m\u{e9}"));
    }

    #[test]
    fn the_first_of_pipelined_requests_counts() {
        let two = "\r\nGET /?sid=1 HTTP/1.1\r\nX-User: a\r\n\r\nGET /?sid=2 HTTP/1.1\r\nX-User: b\r\n\r\n";
        assert_eq!(look(two, &query()), id("1"));
        assert_eq!(look(two, &header()), id("a"));
    }

    proptest! {
        #[test]
        fn it_does_not_matter_how_a_head_arrives(
            start in "(\r\n)?[A-Z]{1,4} /\\PC{0,8}\\?sid=[a-z%~]{0,4} HTTP/1\\.1\r?\n",
            fields in prop::collection::vec("(Cookie|X-User|a): (sid=)?[ -~]{0,8}\r?\n", 0..4),
            rest in "\r?\n[a-z\r\n]{0,8}",
        ) {
            let head = [&start, &*fields.concat(), &rest].concat().into_bytes();
            for place in [cookie(), header(), query()] {
                let whole = look(&head, &place);
                let mut peek = Peek::default();
                let mut seen = Seen::More;
                for length in 0..=head.len() {
                    seen = peek.look(&head[..length], &place);
                    if seen != Seen::More {
                        break;
                    }
                }
                prop_assert_eq!(seen, whole);
            }
        }
    }
}
