//! The acceptor: who listens, and who owns a connection. Workers and listeners come and go in any order; each
//! connection is served by exactly one worker, one that has joined its listener, unless its listener is closed. One
//! that retires is closed only when its last worker has gone. Of the listeners with a limit no worker ever has more
//! connections, all in all, and those that wait for room get it without being looked for.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::Arc;
use std::time::Duration;

use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::sys::socket::{setsockopt, sockopt, SockType};
use proptest::prelude::*;
use rust_cluster::connections::acceptor::{Acceptor, Event};
use rust_cluster::connections::handoff::{Connection, Intake, ListenerId, Queue, Sent, Taken};
use rust_cluster::connections::limit::{Limit, Refusal};
use rust_cluster::connections::listen::{Opened, Request};
use rust_cluster::connections::policy::{Dispatch, WorkerId};
use rust_cluster::os::error::Error;
use rust_cluster::os::socket;
use rust_cluster::processes::board::{Board, Gauge};

use super::config;

/// Listeners and workers are named by their place among those there are.
#[derive(Debug, Clone)]
enum Step {
    Listen {
        limited: bool,
    },
    AddWorker {
        small_queue: bool,
    },
    Join(usize, usize),
    Leave(usize, usize),
    Retire(usize, usize),
    Connect(usize),
    /// A worker takes one connection and serves it.
    Serve(usize),
    /// A worker takes one connection, and has it for a while.
    Hold(usize),
    /// A worker serves all that it has.
    ServeHeld(usize),
    /// A worker takes one connection and gives it back.
    Refuse(usize),
    /// A worker closes its end, and is removed.
    Die(usize),
    /// A worker is removed, and goes on for a while.
    Remove(usize),
    /// A worker sends what no worker sends.
    Nonsense(usize),
    /// Nobody takes anything until somebody is seen to be stuck.
    GetStuck,
}

fn step() -> impl Strategy<Value = Step> {
    let place = || 0..8usize;
    prop_oneof![
        1 => prop::bool::ANY.prop_map(|limited| Step::Listen { limited }),
        2 => prop::bool::weighted(0.3).prop_map(|small_queue| Step::AddWorker { small_queue }),
        6 => (place(), place()).prop_map(|(listener, worker)| Step::Join(listener, worker)),
        3 => (place(), place()).prop_map(|(listener, worker)| Step::Leave(listener, worker)),
        1 => (place(), place()).prop_map(|(listener, worker)| Step::Retire(listener, worker)),
        12 => place().prop_map(Step::Connect),
        6 => place().prop_map(Step::Serve),
        6 => place().prop_map(Step::Hold),
        2 => place().prop_map(Step::ServeHeld),
        3 => place().prop_map(Step::Refuse),
        1 => place().prop_map(Step::Die),
        1 => place().prop_map(Step::Remove),
        1 => place().prop_map(Step::Nonsense),
    ]
}

/// What the acceptor was asked for, and what it must be like.
struct Model {
    acceptor: Acceptor,
    /// The listeners that are open.
    listeners: BTreeMap<ListenerId, Listener>,
    /// The last workers of those that have retired.
    retired: BTreeMap<ListenerId, WorkerId>,
    workers: BTreeMap<WorkerId, Worker>,
    last_worker: WorkerId,
    clients: Vec<Client>,
    /// Intakes of workers that were removed and are alive.
    removed: Vec<Intake>,
}

struct Listener {
    address: SocketAddr,
    joined: BTreeSet<WorkerId>,
}

/// How many connections of the listeners with a limit a worker has at most.
const MOST: usize = 2;

fn limit() -> Limit {
    let (wait, slow_start) = (None, Duration::ZERO);
    Limit { gauge: Gauge::MIN, most: MOST as u64, wait, refusal: Refusal::Reset, slow_start }
}

struct Worker {
    intake: Intake,
    board: Board,
    held: Vec<Connection>,
    /// The listeners whose connections it may be given: those it has joined, and those that closed as it left.
    may_serve: BTreeSet<ListenerId>,
    /// The listeners of which it gave a connection back: if they retire with it, that one is closed.
    refused: BTreeSet<ListenerId>,
    broken: bool,
}

struct Client {
    listener: ListenerId,
    socket: TcpStream,
}

fn nth<K: Copy, V>(map: &BTreeMap<K, V>, place: usize) -> Option<K> {
    map.keys().nth(place % map.len().max(1)).copied()
}

fn serve(connection: Connection) {
    TcpStream::from(connection.socket).write_all(b"!").unwrap();
}

impl Worker {
    /// A connection is no longer its own.
    fn frees(&mut self, gauge: Option<Gauge>) {
        if gauge.is_some_and(|gauge| self.board.frees(gauge)) {
            assert_eq!(self.intake.has_fewer(Gauge::MIN), Sent::All);
        }
    }

    fn serve(&mut self, connection: Connection) {
        let gauge = connection.gauge;
        serve(connection);
        self.frees(gauge);
    }

    fn serve_held(&mut self) {
        while let Some(connection) = self.held.pop() {
            self.serve(connection);
        }
    }

    fn look_at_limit(&self, taken: &Connection) {
        let count = |connection: &&Connection| connection.gauge.is_some();
        let open = self.held.iter().chain([taken]).filter(count).count();
        assert!(open <= MOST, "it has {open}, and may have {MOST}");
    }
}

fn await_readable(descriptor: impl AsFd) {
    let ready = poll(&mut [PollFd::new(descriptor.as_fd(), PollFlags::POLLIN)], PollTimeout::from(20_000u16)).unwrap();
    assert!(ready > 0, "nothing came");
}

impl Model {
    fn new() -> Model {
        let mut model = Model {
            acceptor: Acceptor::start().unwrap(),
            listeners: BTreeMap::new(),
            retired: BTreeMap::new(),
            workers: BTreeMap::new(),
            last_worker: 0,
            clients: Vec::new(),
            removed: Vec::new(),
        };
        model.listen(false);
        model.listen(true);
        for worker in 1..=2 {
            model.add_worker(false);
            model.join(1, worker);
            model.join(2, worker);
        }
        model
    }

    fn step(&mut self, step: &Step) {
        let Model { listeners, workers, .. } = &*self;
        let pair = |listener, worker| nth(listeners, listener).zip(nth(workers, worker));
        match *step {
            Step::Listen { limited } => self.listen(limited),
            Step::AddWorker { small_queue } => self.add_worker(small_queue),
            Step::Join(listener, worker) => drop(pair(listener, worker).map(|(l, w)| self.join(l, w))),
            Step::Leave(listener, worker) => drop(pair(listener, worker).map(|(l, w)| self.leave(l, w))),
            Step::Retire(listener, worker) => drop(pair(listener, worker).map(|(l, w)| self.retire(l, w))),
            Step::Connect(listener) => drop(nth(listeners, listener).map(|listener| self.connect(listener))),
            Step::Serve(worker) => drop(nth(workers, worker).map(|worker| self.take(worker, Worker::serve))),
            Step::Hold(worker) => {
                nth(workers, worker).inspect(|worker| self.take(*worker, |worker, taken| worker.held.push(taken)));
            }
            Step::ServeHeld(worker) => {
                nth(workers, worker).inspect(|worker| self.workers.get_mut(worker).unwrap().serve_held());
            }
            Step::Refuse(worker) => drop(nth(workers, worker).map(|worker| self.refuse(worker))),
            Step::Die(worker) => drop(nth(workers, worker).map(|worker| self.remove(worker, true))),
            Step::Remove(worker) => drop(nth(workers, worker).map(|worker| self.remove(worker, false))),
            Step::Nonsense(worker) => drop(nth(workers, worker).map(|worker| self.nonsense(worker))),
            Step::GetStuck => self.get_stuck(),
        }
    }

    fn listen(&mut self, limited: bool) {
        let opened = Opened::bind(&Request::Tcp { host: Some(own_host()), port: 0, ipv6_only: false }).unwrap();
        opened.listen(511).unwrap();
        let address = opened.address().unwrap();
        let id = self.acceptor.add_listener(opened, Dispatch { limit: limited.then(limit), ..Dispatch::default() });
        self.listeners.insert(id, Listener { address, joined: BTreeSet::new() });
    }

    fn add_worker(&mut self, small_queue: bool) {
        let (near, far) = socket::pair(SockType::SeqPacket).unwrap();
        if small_queue {
            setsockopt(&near, sockopt::SndBuf, &1).unwrap();
        }
        self.last_worker += 1;
        let queue = Queue::new(self.last_worker, near, socket::duplicate(&far).unwrap());
        let (board, memory) = Board::new().unwrap();
        self.acceptor.add_worker(self.last_worker, 0, queue, Some(Arc::new(board))).unwrap();
        let worker = Worker {
            intake: Intake::new(far),
            board: Board::open(&memory).unwrap(),
            held: Vec::new(),
            may_serve: BTreeSet::new(),
            refused: BTreeSet::new(),
            broken: false,
        };
        self.workers.insert(self.last_worker, worker);
    }

    fn join(&mut self, listener: ListenerId, worker: WorkerId) {
        let broken = self.workers[&worker].broken;
        assert_eq!(self.acceptor.join(listener, worker), !broken, "one that is broken joins nothing");
        if broken {
            return;
        }
        self.listeners.get_mut(&listener).unwrap().joined.insert(worker);
        self.workers.get_mut(&worker).unwrap().may_serve.insert(listener);
    }

    fn leave(&mut self, id: ListenerId, worker: WorkerId) {
        let listener = self.listeners.get_mut(&id).unwrap();
        listener.joined.remove(&worker);
        let last = listener.joined.is_empty();
        assert_eq!(self.acceptor.leave(id, worker), last, "the last to leave closes");
        if last {
            assert_eq!(TcpStream::connect(listener.address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
            self.listeners.remove(&id);
        } else {
            self.workers.get_mut(&worker).unwrap().may_serve.remove(&id);
        }
    }

    /// As `leave`, but the last worker is given all that clients have connected.
    fn retire(&mut self, id: ListenerId, worker: WorkerId) {
        if !self.listeners[&id].joined.iter().eq([&worker]) {
            return self.leave(id, worker);
        }
        assert!(self.acceptor.retire(id, worker));
        let listener = self.listeners.remove(&id).unwrap();
        assert_eq!(TcpStream::connect(listener.address).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        self.retired.insert(id, worker);
    }

    fn connect(&mut self, listener: ListenerId) {
        let socket = TcpStream::connect(self.listeners[&listener].address).unwrap();
        self.clients.push(Client { listener, socket });
    }

    fn take(&mut self, id: WorkerId, then: impl FnOnce(&mut Worker, Connection)) {
        let worker = self.workers.get_mut(&id).unwrap();
        let Taken::Connection(connection) = worker.intake.take().unwrap() else { return };
        assert!(worker.may_serve.contains(&connection.listener), "it has not joined that listener");
        worker.look_at_limit(&connection);
        then(worker, connection);
    }

    fn refuse(&mut self, id: WorkerId) {
        self.take(id, |worker, connection| {
            if worker.broken {
                return worker.serve(connection);
            }
            let gauge = connection.gauge;
            worker.refused.insert(connection.listener);
            assert_eq!(worker.intake.give_back(connection), Sent::All);
            worker.frees(gauge);
        });
    }

    fn remove(&mut self, id: WorkerId, dies: bool) {
        let mut worker = self.workers.remove(&id).unwrap();
        worker.serve_held();
        let intake = worker.intake;
        if !dies {
            self.removed.push(intake);
        } else {
            drop(intake);
        }
        self.acceptor.remove_worker(id);
        self.listeners.values_mut().for_each(|listener| _ = listener.joined.remove(&id));
        assert!(self.listeners.keys().all(|listener| !self.acceptor.join(*listener, id)), "it has gone");
    }

    fn nonsense(&mut self, id: WorkerId) {
        let worker = self.workers.get_mut(&id).unwrap();
        if std::mem::replace(&mut worker.broken, true) {
            return;
        }
        socket::send(worker.intake.far(), b"nonsense", None).unwrap();
        loop {
            match self.acceptor.next_event() {
                Some(Event::Broken { worker, error: Error::BadHandoff { .. } }) => {
                    assert_eq!(worker, id);
                    break;
                }
                Some(_) => {}
                None => await_readable(self.acceptor.news()),
            }
        }
        self.listeners.values_mut().for_each(|listener| _ = listener.joined.remove(&id));
    }

    /// Waits until a worker with something in its queue is stuck, if there is one.
    fn get_stuck(&mut self) {
        while let Some(worker) = self.acceptor.workers().into_iter().find(|worker| worker.depth > 0) {
            if worker.stuck {
                return;
            }
            std::thread::yield_now();
        }
    }

    /// Every worker serves what it holds, and one that goes on what retired with it. Then the workers go, but for one
    /// that has joined what is open: no connection is left over.
    fn end(mut self) {
        let mut clients = std::mem::take(&mut self.clients);
        self.workers.values_mut().for_each(Worker::serve_held);
        for (listener, worker) in std::mem::take(&mut self.retired) {
            if self.workers.get(&worker).is_some_and(|worker| !worker.broken && !worker.refused.contains(&listener)) {
                let (here, others) = clients.into_iter().partition(|client| client.listener == listener);
                clients = others;
                self.serve_all(worker, here);
            }
        }
        while let Some(worker) = nth(&self.workers, 0) {
            self.remove(worker, worker % 2 == 0);
        }
        self.add_worker(false);
        let (worker, listeners) = (self.last_worker, self.listeners.keys().copied().collect::<Vec<_>>());
        listeners.into_iter().for_each(|listener| self.join(listener, worker));
        let (open, closed) = clients.into_iter().partition(|client| self.listeners.contains_key(&client.listener));
        self.serve_all(worker, open);
        drop(self);
        closed.into_iter().for_each(is_closed);
    }

    /// Has the worker take what comes until each of the clients is served.
    fn serve_all(&mut self, worker: WorkerId, clients: Vec<Client>) {
        for mut client in clients {
            loop {
                let intake = &self.workers[&worker].intake;
                let watched = |descriptor| PollFd::new(descriptor, PollFlags::POLLIN);
                let mut either = [watched(client.socket.as_fd()), watched(intake.far())];
                assert!(poll(&mut either, PollTimeout::from(20_000u16)).unwrap() > 0, "a connection is left hanging");
                if either[0].any().unwrap() {
                    break;
                }
                self.take(worker, Worker::serve);
            }
            let mut text = String::new();
            client.socket.read_to_string(&mut text).unwrap();
            assert_eq!(text, "!", "a connection of an open listener is served, once");
        }
    }
}

/// Sees that nobody holds a connection whose listener was closed, and that one worker at most has served it.
fn is_closed(mut client: Client) {
    let mut text = String::new();
    await_readable(&client.socket);
    match client.socket.read_to_string(&mut text) {
        Ok(_) => assert!(text.len() <= 1, "a connection is served once"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
}

fn run(steps: &[Step]) {
    let mut model = Model::new();
    steps.iter().for_each(|step| model.step(step));
    model.end();
}

proptest! {
    #![proptest_config(config(400))]

    #[test]
    fn every_connection_has_one_owner(steps in prop::collection::vec(step(), 0..80)) {
        run(&steps);
    }
}

proptest! {
    // It takes the time after which a worker counts as stuck, again and again.
    #![proptest_config(config(8))]

    #[test]
    fn every_connection_has_one_owner_though_workers_get_stuck(
        steps in prop::collection::vec(prop_oneof![15 => step(), 1 => Just(Step::GetStuck)], 30..60),
    ) {
        run(&steps);
    }
}

/// An address of this machine that nobody else listens on: what is closed there stays closed, whatever others do meanwhile.
fn own_host() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let (pid, place) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    format!("127.{}.{}.{}", 1 + pid / 250 % 250, 1 + pid % 250, 1 + place % 250)
}
