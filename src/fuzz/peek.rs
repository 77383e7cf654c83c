//! The head of a client's first request.

use crate::connections::peek::{Peek, Place, Seen};

/// [`Peek::look`]: how a head arrives does not matter, nor what comes after it; and of a head that is plain, the id is
/// the one that a naive reader of its lines finds.
///
/// The first byte of the input says where the id is (bits 0 and 1), and in what pieces the head arrives (the others).
pub fn peek(input: &[u8]) {
    let Some((&how, bytes)) = input.split_first() else { return };
    let place = match how & 3 {
        0 => Place::Cookie("sid".into()),
        1 => Place::Header("x-user".into()),
        _ => Place::Query("sid".into()),
    };
    let whole = Peek::default().look(bytes, &place);
    let mut peek = Peek::default();
    let mut end = 0;
    while end < bytes.len() {
        end = bytes.len().min(end + 1 + usize::from(how >> 2));
        let seen = peek.look(&bytes[..end], &place);
        if seen != Seen::More {
            assert_eq!(seen, whole, "what comes later changes what was seen");
            break;
        }
        assert!(end < bytes.len() || whole == Seen::More);
    }
    if let Some(expected) = naive(bytes, &place) {
        let seen = match &whole {
            Seen::Id(id) => Some(id.to_vec()),
            _ => None,
        };
        assert_eq!(seen, expected);
    }
}

/// What a naive reader finds; `None` if the head is not plain: whole, of printable characters without `%` and `"`, with
/// few fields that all have a name.
fn naive(bytes: &[u8], place: &Place) -> Option<Option<Vec<u8>>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (head, _) = text.split_once("\r\n\r\n")?;
    let mut lines = head.split("\r\n");
    let is_plain = |line: &str| line.bytes().all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'%' | b'"'));
    let words: Vec<_> = lines.next().filter(|line| is_plain(line))?.split(' ').collect();
    let &[method, target, "HTTP/1.1"] = &words[..] else { return None };
    let is_method = (1..=9).contains(&method.len()) && method.bytes().all(|byte| byte.is_ascii_uppercase());
    if !is_method || method == "PRI" || target.is_empty() {
        return None;
    }
    let mut fields = Vec::new();
    for line in lines {
        let (name, value) = line.split_once(':').filter(|_| is_plain(line))?;
        let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        fields.push((name.to_lowercase(), value.trim_matches(' ')));
        if !is_name || fields.len() > 100 {
            return None;
        }
    }
    let of_name = |wanted: &'static str| fields.iter().filter(move |(name, _)| name == wanted).map(|(_, value)| *value);
    let found = match place {
        Place::Header(_) => of_name("x-user").next(),
        Place::Cookie(_) => of_name("cookie").flat_map(|value| value.split(';')).find_map(|pair| {
            let (name, value) = pair.split_once('=')?;
            (name.trim() == "sid").then(|| value.trim())
        }),
        Place::Query(_) => {
            let target = target.split('#').next()?;
            let query = target.split_once('?').map_or("", |(_, query)| query);
            query
                .split('&')
                .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
                .find(|pair| pair.0 == "sid")
                .map(|pair| pair.1)
        }
    };
    Some(found.filter(|id| !id.is_empty()).map(|id| id.as_bytes().to_vec()))
}
