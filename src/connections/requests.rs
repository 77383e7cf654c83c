//! Requests of many clients on one kept-alive connection, as a proxy's pool of connections brings them.
//!
//! A worker that is to serve each request of its own clients, and no others, does not read the next one before it has been
//! looked at: the head lies in the kernel, as that of a first request does in the primary. If it is the worker's, it is
//! read. If not, the connection goes back with it, and the primary gives it to whoever is to have it. So nothing is relayed
//! or written again, and a connection on which one client speaks costs a look.

use std::os::fd::BorrowedFd;

use super::peek::{self, Peek, HEAD};
use super::sticky::{Hasher, Key, Slot, Sticky};
use crate::os::socket;

/// What looks, in one worker.
#[derive(Debug)]
pub struct Requests {
    slot: Slot,
    sticky: Sticky,
    hasher: Hasher,
    buffer: Box<[u8; HEAD]>,
}

/// What a head says of its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    /// It has not all come.
    Part,
    /// Nothing, and nothing more is to be waited for.
    Nothing,
    /// This.
    Key(Key),
}

impl Requests {
    /// Of the worker that fills a slot.
    pub fn new(slot: Slot, sticky: Sticky) -> Requests {
        Requests { slot, sticky, hasher: Hasher::default(), buffer: Box::new([0; HEAD]) }
    }

    /// The hash of the client's id, where the next request has one that carries no slot: of 53 bits, which a number of
    /// JavaScript's holds, and never 0. It says nothing outside of this process.
    pub fn hash(&mut self, socket: BorrowedFd<'_>) -> Option<u64> {
        match self.look(socket) {
            Said::Key(Key::Hash(hash)) => Some(short(hash)),
            Said::Key(Key::Slot(_)) | Said::Nothing | Said::Part => None,
        }
    }

    /// Whether the next request is to be read here. `led`: the hash of an id whose request was led here just now.
    ///
    /// One that says nothing of its client is anybody's. Of one of which not all has come the primary waits for the rest.
    pub fn is_ours(&mut self, socket: BorrowedFd<'_>, led: Option<u64>) -> bool {
        match self.look(socket) {
            Said::Key(Key::Slot(slot)) => slot == self.slot,
            Said::Key(Key::Hash(hash)) => led == Some(short(hash)),
            Said::Nothing => true,
            Said::Part => false,
        }
    }

    fn look(&mut self, socket: BorrowedFd<'_>) -> Said {
        let Some(place) = self.sticky.place() else { return Said::Nothing };
        let length = match socket::peek(socket, &mut self.buffer[..]) {
            // It has ended or was reset, or it is no socket: who reads from it is told.
            Ok(0) | Err(_) => return Said::Nothing,
            Ok(length) => length,
        };
        match Peek::default().look(&self.buffer[..length], place) {
            peek::Seen::More => Said::Part,
            peek::Seen::Id(id) => self.hasher.of_id(&id, &self.sticky.by).map_or(Said::Nothing, Said::Key),
            peek::Seen::NoId | peek::Seen::NotHttp | peek::Seen::TooLarge => Said::Nothing,
        }
    }
}

fn short(hash: u64) -> u64 {
    (hash >> 11).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connections::peek::Place;
    use crate::connections::sticky::By;
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    fn requests(by: By) -> Requests {
        Requests::new(2, Sticky { by, is_strict: true })
    }

    fn query() -> Place {
        Place::Query("sid".into())
    }

    /// A connection whose client has said this.
    fn said(bytes: &str) -> (UnixStream, UnixStream) {
        let (mut client, server) = UnixStream::pair().unwrap();
        client.write_all(bytes.as_bytes()).unwrap();
        (client, server)
    }

    fn head(sid: &str) -> String {
        format!("GET /?sid={sid} HTTP/1.1\r\nHost: h\r\n\r\n")
    }

    #[test]
    fn a_request_is_ours_if_its_id_carries_our_slot_or_nothing_is_known_of_it() {
        let mut requests = requests(By::Id(query()));
        for (bytes, ours) in [
            (head("2~abc"), true),
            (head("s:2~abc.signature"), true),
            (head("1~abc"), false),
            (head("abc"), false),
            (head(""), true),
            ("GET / HTTP/1.1\r\nHost: h\r\n\r\n".into(), true),
            ("\x16\x03\x01".into(), true),
            ("GET /?si".into(), false),
        ] {
            let (_client, mut server) = said(&bytes);
            assert_eq!(requests.is_ours(server.as_fd(), None), ours, "{bytes}");
            // All of it is still there.
            let mut read = vec![0; bytes.len()];
            server.read_exact(&mut read).unwrap();
            assert_eq!(read, bytes.as_bytes());
        }
    }

    #[test]
    fn an_id_that_was_led_here_is_ours_and_no_other() {
        let mut requests = requests(By::Id(query()));
        let (_first, led) = said(&head("abc"));
        let hash = requests.hash(led.as_fd());
        assert!(hash.is_some() && requests.is_ours(led.as_fd(), hash));
        assert!(!requests.is_ours(said(&head("abd")).1.as_fd(), hash));
        for bytes in [head("2~abc"), head(""), "GET /?sid=abc".into()] {
            assert_eq!(requests.hash(said(&bytes).1.as_fd()), None, "{bytes}");
        }
    }

    #[test]
    fn by_the_slot_an_id_that_carries_none_says_nothing() {
        let mut requests = requests(By::Slot(query()));
        for (sid, ours) in [("2~abc", true), ("1~abc", false), ("abc", true)] {
            assert_eq!(requests.is_ours(said(&head(sid)).1.as_fd(), None), ours, "{sid}");
        }
    }

    #[test]
    fn what_has_ended_or_said_nothing_is_left_to_whoever_has_it() {
        let mut requests = requests(By::Id(query()));
        let (client, server) = said("");
        assert!(requests.is_ours(server.as_fd(), None));
        drop(client);
        assert!(requests.is_ours(server.as_fd(), None));
    }
}
