//! What the acceptor has counted, for whoever wants to know. Counting costs no system call.

use std::collections::BTreeMap;
use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::sys::socket::{getsockname, SockaddrStorage};

use super::listener::Listener;
use super::state::State;
use super::worker::{Standing, Worker};
use super::LONGEST_IDLE;
use crate::connections::listen::{without_filling, Opened};
use crate::connections::policy::WorkerId;
use crate::connections::sticky::Slot;
use crate::processes::board::now;

/// What was counted, and what there is now.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Figures {
    /// Listeners by their addresses: those that are open, and those that were.
    pub listeners: BTreeMap<String, ListenerFigures>,
    /// Connections whose clients are to say something first.
    pub parked: usize,
    /// The workers.
    pub workers: BTreeMap<WorkerId, WorkerFigures>,
    /// What was handed to all that have filled a slot.
    pub slots: BTreeMap<Slot, Handed>,
    /// Connections that were closed since nobody could have them.
    pub dropped: u64,
}

/// A listener.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct ListenerFigures {
    /// Connections that it has accepted.
    pub accepted: u64,
    /// Those of them that no worker takes for now.
    pub waiting: usize,
}

/// A worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerFigures {
    /// Packets that wait in its queue.
    pub queued: usize,
    /// For how long it has taken nothing, though something is there.
    pub quiet: Duration,
    /// Whether that is too long.
    pub is_stuck: bool,
}

/// What became of connections that were handed to a worker.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Handed {
    /// Put into its queue.
    pub handed: u64,
    /// Taken out of it again.
    pub taken_back: u64,
    /// Given back by the worker, which had no room for them.
    pub refused: u64,
    /// Passed on by the worker, since their next request is another's.
    pub passed_on: u64,
    /// How often it was found stuck.
    pub stuck: u64,
}

impl Handed {
    fn add(&mut self, other: &Handed) {
        let Handed { handed, taken_back, refused, passed_on, stuck } = other;
        self.handed += handed;
        self.taken_back += taken_back;
        self.refused += refused;
        self.passed_on += passed_on;
        self.stuck += stuck;
    }
}

/// Addresses that are told apart. Who listens on ever new ports has the rest of them in one line.
const ADDRESSES: usize = 64;

/// What addresses beyond that are called.
const OTHERS: &str = "other";

/// What is kept of those that have gone.
#[derive(Debug, Default)]
pub(super) struct Past {
    slots: BTreeMap<Slot, Handed>,
    /// How many were accepted, by address.
    accepted: BTreeMap<String, u64>,
    /// See [`Figures::dropped`].
    pub dropped: u64,
}

impl Past {
    /// A worker is forgotten.
    pub fn keep_worker(&mut self, worker: &Worker) {
        self.slots.entry(worker.slot).or_default().add(&worker.counts);
    }

    /// A listener is forgotten.
    pub fn keep_listener(&mut self, listener: &Listener) {
        let name = name_among(&self.accepted, &listener.name);
        *self.accepted.entry(name).or_default() += listener.accepted;
    }
}

/// The name by which an address is counted, where these have lines of their own.
fn name_among<Value>(known: &BTreeMap<String, Value>, name: &str) -> String {
    let has_room = known.len() < ADDRESSES || known.contains_key(name);
    String::from(if has_room { name } else { OTHERS })
}

/// What a socket is bound to, as a person writes it.
pub(super) fn name_of(opened: &Opened) -> String {
    if let Some(address) = opened.address() {
        return address.to_string();
    }
    let address: Option<SockaddrStorage> = getsockname(opened.socket().as_raw_fd()).ok();
    match address.as_ref().and_then(SockaddrStorage::as_unix_addr).map(|unix| (unix.path(), unix.as_abstract())) {
        Some((Some(path), _)) => path.to_string_lossy().into_owned(),
        Some((_, Some(name))) => format!("@{}", String::from_utf8_lossy(without_filling(name))),
        _ => String::from("unnamed"),
    }
}

impl State {
    /// All of it.
    pub fn figures(&self) -> Figures {
        let mut figures = Figures { parked: self.parked.count(), dropped: self.past.dropped, ..Figures::default() };
        for (name, accepted) in &self.past.accepted {
            figures.listeners.insert(name.clone(), ListenerFigures { accepted: *accepted, waiting: 0 });
        }
        for listener in self.listeners.values() {
            let name = name_among(&figures.listeners, &listener.name);
            let line = figures.listeners.entry(name).or_default();
            line.accepted += listener.accepted;
            line.waiting += listener.waiting.len() + listener.held.len();
        }
        figures.slots.clone_from(&self.past.slots);
        for (&id, worker) in &self.workers {
            figures.slots.entry(worker.slot).or_default().add(&worker.counts);
            if worker.standing != Standing::Leaving {
                figures.workers.insert(id, worker.figures(self.now));
            }
        }
        figures
    }

    /// Has each worker that does not turn find something in its queue: whether it takes that tells whether it idles.
    pub fn knock(&mut self) {
        let now = now();
        let is_silent = |worker: &Worker| {
            worker.board().is_some_and(|board| {
                let reading = board.read(now);
                reading.turns > 0 && reading.turned > LONGEST_IDLE
            })
        };
        let silent: Vec<_> = self.workers.iter().filter(|(_, worker)| is_silent(worker)).map(|(id, _)| *id).collect();
        for id in silent {
            self.quiet(id, true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connections::listen::Request;
    use crate::connections::policy::Dispatch;

    #[test]
    fn an_abstract_name_is_written_without_what_fills_it_up() {
        let name = format!("\0rust-cluster-{}-filled", std::process::id());
        let path = format!("{name:\0<108}").into();
        let opened = Opened::bind(&Request::Unix { path }).unwrap();
        assert_eq!(name_of(&opened), name.replace('\0', "@"));
    }

    #[test]
    fn addresses_are_bounded() {
        let mut past = Past::default();
        for number in 0..1000 {
            let path = std::path::PathBuf::from(format!("\0rust-cluster-{}-{number}", std::process::id()));
            let mut listener = Listener::new(Opened::bind(&Request::Unix { path }).unwrap(), Dispatch::default());
            assert!(
                listener.name.ends_with(&format!("-{number}")) && listener.name.starts_with('@'),
                "{}",
                listener.name
            );
            listener.accepted = 1;
            past.keep_listener(&listener);
        }
        assert_eq!((past.accepted.len(), past.accepted[OTHERS]), (ADDRESSES + 1, 1000 - ADDRESSES as u64));
    }
}
