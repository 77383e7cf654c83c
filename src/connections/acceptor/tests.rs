use super::*;
use crate::connections::handoff::{Connection, Intake, Sent, Taken};
use crate::connections::listen::Request;
use crate::os::socket;
use crate::processes::board;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::sys::socket::SockType;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};

fn listener(acceptor: &Acceptor) -> (ListenerId, SocketAddr) {
    listener_with(acceptor, Dispatch::default())
}

/// An address of this machine that nobody else listens on: what is closed there stays closed, whatever others do meanwhile.
fn own_host() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let (pid, place) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    format!("127.{}.{}.{}", 1 + pid / 250 % 250, 1 + pid % 250, 1 + place % 250)
}

fn listener_with(acceptor: &Acceptor, dispatch: Dispatch) -> (ListenerId, SocketAddr) {
    let request = Request::Tcp { host: Some(own_host()), port: 0, ipv6_only: false };
    let opened = Opened::bind(&request).unwrap();
    opened.listen(511).unwrap();
    let address = opened.address().unwrap();
    (acceptor.add_listener(opened, dispatch), address)
}

fn worker(acceptor: &Acceptor, id: WorkerId) -> Intake {
    let (near, far) = socket::pair(SockType::SeqPacket).unwrap();
    let queue = Queue::new(id, near, socket::duplicate(&far).unwrap());
    acceptor.add_worker(id, id, queue, None).unwrap();
    Intake::new(far)
}

fn worker_with_a_short_queue(acceptor: &Acceptor, id: WorkerId) -> Intake {
    let (near, far) = socket::pair(SockType::SeqPacket).unwrap();
    nix::sys::socket::setsockopt(&near, nix::sys::socket::sockopt::SndBuf, &1).unwrap();
    acceptor.add_worker(id, id, Queue::new(id, near, socket::duplicate(&far).unwrap()), None).unwrap();
    Intake::new(far)
}

fn worker_with_board(acceptor: &Acceptor, id: WorkerId) -> (Intake, Board) {
    let (near, far) = socket::pair(SockType::SeqPacket).unwrap();
    let (board, memory) = Board::new().unwrap();
    let queue = Queue::new(id, near, socket::duplicate(&far).unwrap());
    acceptor.add_worker(id, id, queue, Some(Arc::new(board))).unwrap();
    (Intake::new(far), Board::open(&memory).unwrap())
}

/// Waits until the intake has something, and takes it.
fn take(intake: &Intake) -> Connection {
    loop {
        poll(&mut [PollFd::new(intake.far(), PollFlags::POLLIN)], PollTimeout::NONE).unwrap();
        if let Taken::Connection(connection) = intake.take().unwrap() {
            return connection;
        }
    }
}

fn event(acceptor: &Acceptor) -> Event {
    loop {
        if let Some(event) = acceptor.next_event() {
            return event;
        }
        poll(&mut [PollFd::new(acceptor.news(), PollFlags::POLLIN)], PollTimeout::NONE).unwrap();
    }
}

/// All that was told since.
fn told(acceptor: &Acceptor) -> Vec<Event> {
    std::iter::from_fn(|| acceptor.events.try_recv().ok()).collect()
}

fn wait_for_depth(acceptor: &Acceptor, depths: &[(WorkerId, usize)]) {
    let depths: BTreeMap<_, _> = depths.iter().copied().collect();
    while acceptor.workers().iter().any(|status| depths.get(&status.id).is_some_and(|d| *d != status.depth)) {
        std::thread::yield_now();
    }
}

fn refuse(intake: &mut Intake, connection: Connection) {
    assert_eq!(intake.give_back(connection), Sent::All);
}

fn serve(connection: Connection, client: TcpStream) {
    TcpStream::from(connection.socket).write_all(b"served").unwrap();
    assert_served(client);
}

fn assert_served(mut client: TcpStream) {
    let mut text = String::new();
    client.read_to_string(&mut text).unwrap();
    assert_eq!(text, "served");
}

fn assert_closed(mut client: TcpStream) {
    // An end or a reset.
    assert_eq!(client.read(&mut [0]).unwrap_or_default(), 0);
}

#[test]
fn connections_go_round() {
    let acceptor = Acceptor::start().unwrap();
    let (id, address) = listener(&acceptor);
    let intakes: Vec<_> = (1..=3).map(|n| worker(&acceptor, n)).collect();
    (1..=3).for_each(|n| assert!(acceptor.join(id, n)));
    for round in 0..9 {
        let client = TcpStream::connect(address).unwrap();
        serve(take(&intakes[round % 3]), client);
    }
}

#[test]
fn a_worker_whose_turns_are_long_comes_after_those_that_are_not_busy() {
    let acceptor = Acceptor::start().unwrap();
    let (id, address) = listener(&acceptor);
    let (near, far) = socket::pair(SockType::SeqPacket).unwrap();
    let (board, _memory) = Board::new().unwrap();
    let board = Arc::new(board);
    let queue = Queue::new(1, near, socket::duplicate(&far).unwrap());
    acceptor.add_worker(1, 1, queue, Some(Arc::clone(&board))).unwrap();
    let (busy, others) = (Intake::new(far), [worker(&acceptor, 2), worker(&acceptor, 3)]);
    (1..=3).for_each(|n| assert!(acceptor.join(id, n)));
    let serve_by = |intake: &Intake| {
        let client = TcpStream::connect(address).unwrap();
        serve(take(intake), client);
    };
    [&busy, &others[0], &others[1]].into_iter().for_each(serve_by);
    // Turns of 60 ms each; the last one ends in an hour, when all of this is long over.
    let (slice, end) = (60_000_000, board::now() + 3_600_000_000_000);
    (0..50).rev().for_each(|before| board.turned(end - before * slice, slice));
    for round in 0..6 {
        serve_by(&others[round % 2]);
        // Not even a probe: nothing was there that had to be taken back.
        assert!(matches!(busy.take().unwrap(), Taken::Nothing), "{round}");
    }
    // Nothing to do for a minute.
    board.turned(end + 60_000_000_000, 0);
    serve_by(&busy);
}

#[test]
fn a_worker_that_does_not_exist_joins_nothing() {
    let acceptor = Acceptor::start().unwrap();
    let (id, _) = listener(&acceptor);
    assert!(!acceptor.join(id, 1));
    let _intake = worker(&acceptor, 1);
    assert!(!acceptor.join(id + 1, 1));
    assert!(!acceptor.leave(id + 1, 1));
}

#[test]
fn the_queue_of_a_dead_worker_goes_to_the_others() {
    let acceptor = Acceptor::start().unwrap();
    let (id, address) = listener(&acceptor);
    let (dead, alive) = (worker(&acceptor, 1), worker(&acceptor, 2));
    acceptor.join(id, 1);
    acceptor.join(id, 2);
    let clients: Vec<_> = (0..6).map(|_| TcpStream::connect(address).unwrap()).collect();
    wait_for_depth(&acceptor, &[(1, 3), (2, 3)]);
    drop(dead);
    acceptor.remove_worker(1);
    // Round robin put 0, 2, 4 into the dead one's queue; they follow those that waited already.
    for client in [1, 3, 5, 0, 2, 4] {
        serve(take(&alive), clients[client].try_clone().unwrap());
    }
}

#[test]
fn the_last_to_leave_closes_the_port() {
    let acceptor = Acceptor::start().unwrap();
    let (id, address) = listener(&acceptor);
    let _intakes = [worker(&acceptor, 1), worker(&acceptor, 2)];
    acceptor.join(id, 1);
    acceptor.join(id, 2);
    assert!(!acceptor.leave(id, 1));
    TcpStream::connect(address).unwrap();
    assert!(acceptor.leave(id, 2));
    assert_eq!(TcpStream::connect(address).unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
}

#[test]
fn all_that_clients_have_connected_is_the_last_ones_when_it_retires() {
    let acceptor = Acceptor::start().unwrap();
    let (id, address) = listener(&acceptor);
    let (first, last) = (worker(&acceptor, 1), worker(&acceptor, 2));
    acceptor.join(id, 1);
    acceptor.join(id, 2);
    let mut clients: Vec<_> = (0..20).map(|_| TcpStream::connect(address).unwrap()).collect();
    wait_for_depth(&acceptor, &[(1, 10), (2, 10)]);
    // While we have the lock the kernel keeps those that come.
    let mut state = acceptor.shared.state.lock();
    clients.extend((0..20).map(|_| TcpStream::connect(address).unwrap()));
    assert!(!state.depart_from(id, 1, Departure::Retired));
    assert!(state.depart_from(id, 2, Departure::Retired));
    assert!(state.has_all(2));
    drop(state);
    assert_eq!(TcpStream::connect(address).unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
    assert!(matches!(first.take(), Ok(Taken::Nothing)));
    for _ in &clients {
        let Taken::Connection(connection) = last.take().unwrap() else { panic!("one is missing") };
        TcpStream::from(connection.socket).write_all(b"served").unwrap();
    }
    clients.into_iter().for_each(assert_served);
}

#[test]
fn what_finds_no_room_as_the_last_one_retires_waits_for_it() {
    let acceptor = Acceptor::start().unwrap();
    let (id, address) = listener(&acceptor);
    let last = worker_with_a_short_queue(&acceptor, 1);
    acceptor.join(id, 1);
    let clients: Vec<_> = (0..60).map(|_| TcpStream::connect(address).unwrap()).collect();
    assert!(acceptor.retire(id, 1));
    assert!(!acceptor.has_all(1));
    let mut served = 0;
    while !acceptor.has_all(1) {
        TcpStream::from(take(&last).socket).write_all(b"served").unwrap();
        served += 1;
    }
    while event(&acceptor) != (Event::HasAll { worker: 1 }) {}
    for _ in served..clients.len() {
        let Taken::Connection(connection) = last.take().unwrap() else { panic!("one is missing") };
        TcpStream::from(connection.socket).write_all(b"served").unwrap();
    }
    clients.into_iter().for_each(assert_served);
}

#[test]
fn what_a_retired_worker_leaves_behind_is_closed() {
    for end in [Acceptor::remove_worker, |acceptor: &Acceptor, _| drop(acceptor.workers())] {
        let acceptor = Acceptor::start().unwrap();
        let (id, address) = listener(&acceptor);
        let last = worker_with_a_short_queue(&acceptor, 1);
        acceptor.join(id, 1);
        let clients: Vec<_> = (0..60).map(|_| TcpStream::connect(address).unwrap()).collect();
        acceptor.retire(id, 1);
        assert!(!acceptor.has_all(1));
        rustix::net::shutdown(last.far(), rustix::net::Shutdown::Both).unwrap();
        end(&acceptor, 1);
        clients.into_iter().for_each(assert_closed);
    }
}

#[test]
fn a_refused_connection_goes_to_another_worker() {
    let acceptor = Acceptor::start().unwrap();
    let (id, address) = listener(&acceptor);
    let (mut refuses, serves) = (worker(&acceptor, 1), worker(&acceptor, 2));
    acceptor.join(id, 1);
    acceptor.join(id, 2);
    let client = TcpStream::connect(address).unwrap();
    let connection = take(&refuses);
    refuse(&mut refuses, connection);
    serve(take(&serves), client);
}

#[test]
fn one_that_all_refuse_waits_and_is_offered_again() {
    let acceptor = Acceptor::start().unwrap();
    let (id, address) = listener(&acceptor);
    let mut only = worker(&acceptor, 1);
    acceptor.join(id, 1);
    let client = TcpStream::connect(address).unwrap();
    for _ in 0..3 {
        let connection = take(&only);
        refuse(&mut only, connection);
    }
    serve(take(&only), client);
}

#[test]
fn a_stuck_worker_is_passed_over_and_comes_back() {
    let acceptor = Acceptor::start().unwrap();
    let (id, address) = listener(&acceptor);
    let (stuck, serves) = (worker(&acceptor, 1), worker(&acceptor, 2));
    acceptor.join(id, 1);
    acceptor.join(id, 2);
    let first = TcpStream::connect(address).unwrap();
    wait_for_depth(&acceptor, &[(1, 1)]);
    assert_eq!(event(&acceptor), Event::Stuck { worker: 1 });
    assert_eq!(event(&acceptor), Event::Rescued { worker: 1, count: 1 });
    serve(take(&serves), first);
    for _ in 0..4 {
        serve_next(&serves, address);
    }
    assert!(matches!(stuck.take(), Ok(Taken::Probe)));
    assert_eq!(event(&acceptor), Event::Recovered { worker: 1 });
    serve_next(&stuck, address);
}

fn serve_next(intake: &Intake, address: SocketAddr) {
    let client = TcpStream::connect(address).unwrap();
    serve(take(intake), client);
}

#[test]
fn when_all_are_stuck_connections_wait_in_their_queues() {
    let acceptor = Acceptor::start().unwrap();
    let (id, address) = listener(&acceptor);
    let only = worker(&acceptor, 1);
    acceptor.join(id, 1);
    let first = TcpStream::connect(address).unwrap();
    assert_eq!(event(&acceptor), Event::Stuck { worker: 1 });
    let second = TcpStream::connect(address).unwrap();
    serve(take(&only), first);
    serve(take(&only), second);
}

#[test]
fn full_queues_leave_the_rest_in_the_kernel_and_lose_nothing() {
    let acceptor = Acceptor::start().unwrap();
    let (id, address) = listener(&acceptor);
    let intake = worker_with_a_short_queue(&acceptor, 1);
    acceptor.join(id, 1);
    let clients: Vec<_> = (0..60).map(|_| TcpStream::connect(address).unwrap()).collect();
    for client in clients {
        serve(take(&intake), client);
    }
}

#[test]
fn a_worker_that_sends_nonsense_gets_nothing_more_and_others_do() {
    let acceptor = Acceptor::start().unwrap();
    let (id, address) = listener(&acceptor);
    let (hostile, serves) = (worker(&acceptor, 1), worker(&acceptor, 2));
    acceptor.join(id, 1);
    acceptor.join(id, 2);
    socket::send(hostile.far(), b"not a packet", None).unwrap();
    assert!(matches!(event(&acceptor), Event::Broken { worker: 1, error: Error::BadHandoff { .. } }));
    for _ in 0..3 {
        serve_next(&serves, address);
    }
}

#[test]
fn a_worker_that_shuts_its_end_down_gets_nothing_more_and_others_do() {
    let acceptor = Acceptor::start().unwrap();
    let (id, address) = listener(&acceptor);
    let (hostile, serves) = (worker(&acceptor, 1), worker(&acceptor, 2));
    acceptor.join(id, 1);
    rustix::net::shutdown(hostile.far(), rustix::net::Shutdown::Read).unwrap();
    acceptor.join(id, 2);
    serve_next(&serves, address);
    assert_eq!(event(&acceptor), Event::Broken { worker: 1, error: Error::HandoffShut { worker: 1 } });
    serve_next(&serves, address);
}

#[test]
fn a_stuck_workers_queue_is_left_to_it_where_no_other_serves_the_same() {
    let acceptor = Acceptor::start().unwrap();
    let ((id, address), (other, _)) = (listener(&acceptor), listener(&acceptor));
    let (stuck, _idle) = (worker(&acceptor, 1), worker(&acceptor, 2));
    acceptor.join(id, 1);
    acceptor.join(other, 2);
    let client = TcpStream::connect(address).unwrap();
    assert_eq!(event(&acceptor), Event::Stuck { worker: 1 });
    let Taken::Connection(connection) = stuck.take().unwrap() else { panic!("it was taken away") };
    serve(connection, client);
}

#[test]
fn what_a_worker_gave_back_as_it_died_is_served_by_others() {
    for _ in 0..50 {
        let acceptor = Acceptor::start().unwrap();
        let (id, address) = listener(&acceptor);
        let (mut dies, serves) = (worker(&acceptor, 1), worker(&acceptor, 2));
        acceptor.join(id, 1);
        let client = TcpStream::connect(address).unwrap();
        let connection = take(&dies);
        acceptor.join(id, 2);
        refuse(&mut dies, connection);
        drop(dies);
        acceptor.remove_worker(1);
        serve(take(&serves), client);
    }
}

mod departing;
mod limits;
mod looking;
mod queued;
mod refusing;
mod returning;

/// Workers 1, 2, … that have joined one listener. The test has the acceptor's lock and does what its thread would do,
/// so that it knows what happens when; the time is its own.
struct Still<'acceptor> {
    state: parking_lot::MutexGuard<'acceptor, State>,
    listener: ListenerId,
    address: SocketAddr,
    intakes: BTreeMap<WorkerId, Intake>,
}

impl Still<'_> {
    fn with_workers<'acceptor>(acceptor: &'acceptor Acceptor, count: WorkerId) -> Still<'acceptor> {
        Still::with_dispatch(acceptor, count, Dispatch::default())
    }

    fn with_dispatch(acceptor: &Acceptor, count: WorkerId, dispatch: Dispatch) -> Still<'_> {
        let (listener, address) = listener_with(acceptor, dispatch);
        let intakes: BTreeMap<_, _> = (1..=count).map(|id| (id, worker(acceptor, id))).collect();
        intakes.keys().for_each(|id| assert!(acceptor.join(listener, *id)));
        Still { state: acceptor.shared.state.lock(), listener, address, intakes }
    }

    /// A client connects, and the connection is placed.
    fn connect(&mut self) -> TcpStream {
        let client = TcpStream::connect(self.address).unwrap();
        assert_eq!(self.state.accept(self.listener), 1);
        client
    }

    /// What is in a worker's queue.
    fn taken(&self, worker: WorkerId) -> Vec<Connection> {
        let take = || match self.intakes[&worker].take().unwrap() {
            Taken::Connection(connection) => Some(connection),
            Taken::Nothing => None,
            other => panic!("{other:?}"),
        };
        std::iter::from_fn(take).collect()
    }

    fn take(&self, worker: WorkerId) -> Connection {
        let mut taken = self.taken(worker);
        assert_eq!(taken.len(), 1, "worker {worker}");
        taken.remove(0)
    }

    fn give_back(&mut self, worker: WorkerId, connection: Connection) {
        refuse(self.intakes.get_mut(&worker).unwrap(), connection);
    }

    /// A worker gives back what is in its queue, and the acceptor hears of it. Returns how many that were.
    fn refuse_all(&mut self, worker: WorkerId) -> usize {
        let taken = self.taken(worker);
        let count = taken.len();
        taken.into_iter().for_each(|connection| self.give_back(worker, connection));
        self.state.hear(worker);
        count
    }

    fn has_room(&mut self, worker: WorkerId) {
        assert_eq!(self.intakes.get_mut(&worker).unwrap().has_room(self.listener), Sent::All);
        self.state.hear(worker);
    }

    /// Time passes.
    fn pass(&mut self, time: Duration) {
        self.state.now += time;
    }

    fn tick(&mut self) {
        self.pass(TICK);
        self.state.tick();
    }
}
