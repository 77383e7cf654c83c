//! Clients that wait where workers have as many connections as they may have: those that have waited for too long, and
//! those that have given up.

use std::collections::{BTreeMap, VecDeque};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::libc::linger;
use nix::sys::socket::{send, setsockopt, shutdown, sockopt, MsgFlags, Shutdown};
use rustix::event::{poll, PollFd, PollFlags, Timespec};

use super::state::State;
use super::Event;
use crate::connections::limit::{asks_in_http, Limit, Refusal};
use crate::os::socket;

/// How long a client has to read why it is refused. What it sends meanwhile would reset its connection.
const FAREWELL: Duration = Duration::from_millis(500);

/// How many have that time at once.
const FAREWELLS: usize = 256;

/// How often it is told at most how many were refused.
const TOLD: Duration = Duration::from_secs(1);

/// So much of what a client asks is looked at.
const START: usize = 16;

/// Those that were refused.
#[derive(Debug, Default)]
pub(super) struct Refused {
    /// Those that were told so, and when their connections are closed.
    reading: VecDeque<(Instant, OwnedFd)>,
    /// How many, by their listener's name, of whom JavaScript was not told yet.
    untold: BTreeMap<String, u64>,
    /// When it may be told again.
    told: Option<Instant>,
}

impl State {
    /// When the next one has waited for long enough, or has had the time to read why, or is to be told of.
    pub fn first_overdue(&self) -> Option<Instant> {
        let closes = self.refused.reading.front().map(|(end, _)| *end);
        let told = self.refused.told.filter(|_| !self.refused.untold.is_empty());
        self.listeners.values().filter_map(|listener| listener.first_overdue()).chain(closes).chain(told).min()
    }

    /// Refuses those that have waited for too long.
    pub fn refuse_overdue(&mut self) {
        let now = self.now;
        while self.refused.reading.front().is_some_and(|(end, _)| *end <= now) {
            self.refused.reading.pop_front();
        }
        self.refuse_all_overdue();
        if self.refused.told.is_none_or(|told| told <= now) {
            for (address, count) in std::mem::take(&mut self.refused.untold) {
                self.refused.told = Some(now + TOLD);
                self.tell(Event::Refused { address, count });
            }
        }
    }

    fn refuse_all_overdue(&mut self) {
        let now = self.now;
        if self.first_overdue().is_none_or(|first| first > now) {
            return;
        }
        for id in self.listeners.keys().copied().collect::<Vec<_>>() {
            let Some(listener) = self.listeners.get_mut(&id) else { continue };
            let overdue = listener.take_overdue(now);
            let Some(limit) = listener.dispatch.limit.as_ref().filter(|_| !overdue.is_empty()) else { continue };
            let count = overdue.len() as u64;
            self.past.dropped += count;
            *self.refused.untold.entry(listener.name.clone()).or_default() += count;
            for connection in overdue {
                self.refused.refuse(connection.socket, limit, now);
            }
            self.go_on(id, true);
        }
    }
}

impl Refused {
    fn refuse(&mut self, socket: OwnedFd, limit: &Limit, now: Instant) {
        let mut start = [0; START];
        let is_answered = limit.refusal == Refusal::Unavailable
            && socket::peek(&socket, &mut start).is_ok_and(|seen| asks_in_http(&start[..seen]));
        if !is_answered {
            return reset(socket);
        }
        let flags = MsgFlags::MSG_NOSIGNAL | MsgFlags::MSG_DONTWAIT;
        // A client that has gone needs no answer, and the buffer of one that is there is empty.
        let _ = send(socket.as_raw_fd(), limit.unavailable().as_bytes(), flags);
        let _ = shutdown(socket.as_raw_fd(), Shutdown::Write);
        if self.reading.len() >= FAREWELLS {
            self.reading.pop_front();
        }
        self.reading.push_back((now + FAREWELL, socket));
    }
}

/// Closes a connection so that its client sees at once that it was refused. (Of a Unix socket it sees the end.)
fn reset(socket: OwnedFd) {
    let at_once = linger { l_onoff: 1, l_linger: 0 };
    let _ = setsockopt(&socket, sockopt::Linger, &at_once);
}

/// Whether a client that has waited has gone: it was reset, or has ended without a word. One that has ended and asked
/// something may wait for the answer, but in HTTP/1 those that do so are few, and those that have gone many.
pub(super) fn has_left(socket: &OwnedFd, limit: Option<&Limit>) -> bool {
    let mut polled = [PollFd::new(socket, PollFlags::RDHUP)];
    // What cannot be known is taken for a client that is there.
    let _ = poll(&mut polled, Some(&Timespec::default()));
    let seen = polled[0].revents();
    if seen.intersects(PollFlags::HUP | PollFlags::ERR) {
        return true;
    }
    let is_http = limit.is_some_and(|limit| limit.refusal == Refusal::Unavailable);
    seen.contains(PollFlags::RDHUP) && (is_http || socket::peek(socket, &mut [0]) == Ok(0))
}
