//! Workers that may have so many connections, and those who wait for them.

use super::super::listener::Accepting;
use super::*;

use crate::connections::limit::{Limit, Refusal};
use crate::connections::policy::Policy;
use crate::connections::sticky::{By, Sticky};
use crate::processes::board::{gauge, Gauge};
use nix::sys::socket::{setsockopt, sockopt};
use std::net::Shutdown;

const MOST: usize = 3;
const WAIT: Duration = Duration::from_secs(5);

fn limit(number: u32) -> Limit {
    let (most, slow_start) = (MOST as u64, Duration::ZERO);
    Limit { gauge: gauge(number).unwrap(), most, wait: None, refusal: Refusal::Reset, slow_start }
}

fn limited(limit: Limit) -> Dispatch {
    Dispatch { limit: Some(limit), ..Dispatch::default() }
}

fn waits(refusal: Refusal) -> Dispatch {
    limited(Limit { wait: Some(WAIT), refusal, ..limit(1) })
}

/// Workers with boards: what they have taken counts until they say something else.
struct Limited<'acceptor> {
    still: Still<'acceptor>,
    boards: BTreeMap<WorkerId, Board>,
    open: BTreeMap<WorkerId, Vec<Connection>>,
}

impl Limited<'_> {
    /// Workers 1 and 2, which have joined each of the ports; the first is that of `still`.
    fn with_ports(acceptor: &Acceptor, dispatches: Vec<Dispatch>) -> (Limited<'_>, Vec<(ListenerId, SocketAddr)>) {
        let ports: Vec<_> = dispatches.into_iter().map(|dispatch| listener_with(acceptor, dispatch)).collect();
        let (mut intakes, mut boards) = (BTreeMap::new(), BTreeMap::new());
        for id in 1..=2 {
            let (intake, board) = worker_with_board(acceptor, id);
            intakes.insert(id, intake);
            boards.insert(id, board);
            ports.iter().for_each(|(listener, _)| assert!(acceptor.join(*listener, id)));
        }
        let (listener, address) = ports[0];
        let still = Still { state: acceptor.shared.state.lock(), listener, address, intakes };
        (Limited { still, boards, open: BTreeMap::new() }, ports)
    }

    fn new(acceptor: &Acceptor, dispatch: Dispatch) -> Limited<'_> {
        Limited::with_ports(acceptor, vec![dispatch]).0
    }

    /// Clients connect; as many are accepted as the acceptor likes.
    fn connect_many(&mut self, count: usize) -> Vec<TcpStream> {
        let (address, listener) = (self.still.address, self.still.listener);
        let clients = (0..count).map(|_| TcpStream::connect(address).unwrap()).collect();
        self.still.state.accept(listener);
        clients
    }

    /// Who has how many: what a worker has not taken yet is taken.
    fn open(&mut self) -> [usize; 2] {
        [1, 2].map(|id| {
            let open = self.open.entry(id).or_default();
            if self.still.intakes.contains_key(&id) {
                open.extend(self.still.taken(id));
            }
            open.len()
        })
    }

    /// A worker has one less: it says so if that is wanted, and the acceptor hears of it.
    fn frees(&mut self, id: WorkerId, gauge: Option<Gauge>) {
        if self.boards[&id].frees(gauge.unwrap()) {
            self.says_that_it_has_fewer(id);
        }
        self.accept();
    }

    fn says_that_it_has_fewer(&mut self, id: WorkerId) {
        assert_eq!(self.still.intakes.get_mut(&id).unwrap().has_fewer(Gauge::MIN), Sent::All);
        self.still.state.hear(id);
    }

    /// What the kernel reports while there is something to accept: of the listeners that are watched.
    fn accept(&mut self) {
        let watched = self.still.state.listeners.iter().filter(|(_, it)| it.accepting == Accepting::Watched);
        for id in watched.map(|(id, _)| *id).collect::<Vec<_>>() {
            self.still.state.accept(id);
        }
    }

    /// A worker answers its oldest connection.
    fn serve(&mut self, id: WorkerId) {
        let connection = self.open.get_mut(&id).unwrap().remove(0);
        let gauge = connection.gauge;
        let mut stream = TcpStream::from(connection.socket);
        // What is not read would reset it.
        if socket::waiting_bytes(stream.as_fd()).unwrap() > 0 {
            let _ = stream.read(&mut [0; 64]);
        }
        let _ = stream.write_all(b"served");
        self.frees(id, gauge);
    }

    /// Both serve, one after the other, until nobody has anything: how many there were. Nobody had too much.
    fn serve_all(&mut self) -> usize {
        let mut served = 0;
        loop {
            let open = self.open();
            assert!(open.into_iter().all(|count| count <= MOST), "{open:?}");
            if open == [0, 0] {
                return served;
            }
            for id in [1, 2].into_iter().filter(|id| open[*id as usize - 1] > 0) {
                self.serve(id);
                served += 1;
            }
        }
    }

    fn waiting(&self, listener: ListenerId) -> usize {
        self.still.state.listeners[&listener].waiting.len()
    }
}

#[test]
fn of_a_burst_on_two_ports_no_worker_ever_has_more_than_it_may_and_all_are_served_without_a_tick() {
    for wait in [None, Some(WAIT)] {
        let acceptor = Acceptor::start().unwrap();
        let shared = limited(Limit { wait, ..limit(1) });
        let (mut all, ports) = Limited::with_ports(&acceptor, vec![shared.clone(), shared]);
        let mut clients = Vec::new();
        for _ in 0..20 {
            clients.extend(ports.iter().map(|(_, address)| TcpStream::connect(address).unwrap()));
        }
        ports.iter().for_each(|(id, _)| _ = all.still.state.accept(*id));
        assert_eq!(all.open(), [MOST, MOST]);
        let here = ports.iter().map(|(id, _)| all.waiting(*id)).collect::<Vec<_>>();
        assert_eq!(here, if wait.is_some() { [4, 4] } else { [1, 1] }, "the rest waits in the kernel");
        assert_eq!(all.serve_all(), 40);
        clients.into_iter().for_each(assert_served);
    }
}

#[test]
fn a_port_with_a_limit_of_its_own_does_not_wait_for_another() {
    let acceptor = Acceptor::start().unwrap();
    let (mut all, ports) =
        Limited::with_ports(&acceptor, vec![limited(limit(1)), limited(limit(2)), Dispatch::default()]);
    let _clients = all.connect_many(20);
    assert_eq!(all.open(), [MOST, MOST]);
    for (more, place) in [(MOST, 1), (10, 2)] {
        let before = all.open();
        let _others: Vec<_> = (0..20).map(|_| TcpStream::connect(ports[place].1).unwrap()).collect();
        all.still.state.accept(ports[place].0);
        assert_eq!(all.open(), before.map(|count| count + more));
    }
}

#[test]
fn of_ports_that_share_a_limit_the_client_that_has_waited_longest_comes_first() {
    let acceptor = Acceptor::start().unwrap();
    let shared = waits(Refusal::Reset);
    let (mut all, ports) = Limited::with_ports(&acceptor, vec![shared.clone(), shared]);
    let _clients = all.connect_many(2 * MOST);
    all.open();
    let mut waiting = Vec::new();
    for place in [1, 0, 0, 1] {
        let (id, address) = ports[place];
        waiting.push(TcpStream::connect(address).unwrap());
        all.still.pass(Duration::from_millis(1));
        all.still.state.accept(id);
    }
    for place in [1, 0, 0, 1] {
        all.serve(1);
        all.open();
        assert_eq!(all.open[&1].last().unwrap().listener, ports[place].0);
    }
}

#[test]
fn an_idle_connection_makes_room_and_counts_again_when_it_is_asked() {
    let acceptor = Acceptor::start().unwrap();
    let mut all = Limited::new(&acceptor, limited(limit(1)));
    let _clients = all.connect_many(2 * MOST + 3);
    assert_eq!(all.open(), [MOST, MOST]);
    all.frees(1, gauge(1));
    assert_eq!(all.open(), [MOST + 1, MOST]);
    all.boards[&1].occupies(gauge(1).unwrap());
    all.frees(1, gauge(1));
    assert_eq!(all.open(), [MOST + 1, MOST], "it has one more than it may");
    all.frees(1, gauge(1));
    assert_eq!(all.open(), [MOST + 2, MOST]);
}

#[test]
fn what_a_worker_gives_back_is_free_again() {
    let acceptor = Acceptor::start().unwrap();
    let mut all = Limited::new(&acceptor, limited(limit(1)));
    let _clients = all.connect_many(2 * MOST + 2);
    all.open();
    let connection = all.open.get_mut(&1).unwrap().remove(0);
    all.still.give_back(1, connection);
    all.frees(1, gauge(1));
    all.still.state.hear(1);
    assert_eq!(all.open(), [MOST, MOST]);
    assert!(all.open[&1].last().unwrap().asks, "it refuses, and is offered another");
}

#[test]
fn beside_a_worker_that_is_killed_at_its_limit_the_other_has_no_more_and_the_next_one_gets_the_rest() {
    let acceptor = Acceptor::start().unwrap();
    let mut all = Limited::new(&acceptor, limited(limit(1)));
    let clients = all.connect_many(2 * MOST + 5);
    // One of its connections it has taken; two lie in its queue.
    let Taken::Connection(taken) = all.still.intakes[&1].take().unwrap() else { panic!("it was handed three") };
    drop(taken);
    all.still.intakes.remove(&1);
    all.still.state.depart(1, Departure::Removed);
    assert_eq!(all.open(), [0, MOST]);
    let (near, far) = socket::pair(SockType::SeqPacket).unwrap();
    let (board, memory) = Board::new().unwrap();
    let queue = Queue::new(3, near, socket::duplicate(&far).unwrap());
    all.still.state.add_worker(3, 1, queue, Some(Arc::new(board))).unwrap();
    let listener = all.still.listener;
    assert!(all.still.state.join(listener, 3));
    let (mut intake, board) = (Intake::new(far), Board::open(&memory).unwrap());
    all.accept();
    let mut served = 0;
    while let Taken::Connection(connection) = intake.take().unwrap() {
        assert!(connection.gauge == gauge(1));
        TcpStream::from(connection.socket).write_all(b"served").unwrap();
        served += 1;
        if board.frees(gauge(1).unwrap()) {
            assert_eq!(intake.has_fewer(Gauge::MIN), Sent::All);
        }
        all.still.state.hear(3);
        all.accept();
    }
    assert_eq!(served, MOST + 4, "all but those that the other has, and the one that was killed with its worker");
    while all.open() != [0, 0] {
        all.serve(2);
    }
    clients.into_iter().skip(1).for_each(assert_served);
}

#[test]
fn a_worker_that_is_stuck_at_its_limit_gets_nothing_and_what_it_has_not_taken_waits_for_others() {
    let acceptor = Acceptor::start().unwrap();
    let mut all = Limited::new(&acceptor, limited(limit(1)));
    let mut clients = all.connect_many(2 * MOST + 2);
    let stuck = all.still.intakes.remove(&1).unwrap();
    assert_eq!(all.open(), [0, MOST]);
    for _ in 0..4 {
        all.still.tick();
    }
    assert!(all.still.state.status()[0].stuck);
    while all.open()[1] > 0 {
        all.serve(2);
        all.still.tick();
        assert!(all.open()[1] <= MOST);
    }
    assert!(!matches!(stuck.take().unwrap(), Taken::Connection(_)), "they were taken back");
    clients.drain(..).for_each(assert_served);
}

#[test]
fn one_that_lies_on_its_board_harms_no_other() {
    // What it says is free: far too much, and nothing.
    for lie in [u64::MAX, 0] {
        let acceptor = Acceptor::start().unwrap();
        let mut all = Limited::new(&acceptor, limited(limit(1)));
        let lies = |all: &Limited<'_>| {
            if lie == 0 {
                return;
            }
            (0..1000).for_each(|_| _ = all.boards[&1].frees(gauge(1).unwrap()));
        };
        lies(&all);
        let _clients = all.connect_many(40);
        let [liar, honest] = all.open();
        assert_eq!(honest, MOST);
        assert!(liar >= MOST);
        // It says that it has room, again and again.
        for _ in 0..100 {
            all.says_that_it_has_fewer(1);
        }
        assert_eq!(all.open()[1], MOST);
        if lie == 0 {
            assert_eq!(all.open()[0], MOST, "who says that nothing has closed gets nothing more");
        }
        all.serve(2);
        assert!(all.open()[1] <= MOST);
    }
}

fn refused_of(all: &Limited<'_>, count: usize) -> Event {
    Event::Refused { address: all.still.address.to_string(), count: count as u64 }
}

/// The acceptor's answers to clients that say this, and wait in vain.
fn refused(refusal: Refusal, says: &[&[u8]]) -> Vec<std::io::Result<String>> {
    let acceptor = Acceptor::start().unwrap();
    let mut all = Limited::new(&acceptor, waits(refusal));
    let _served = all.connect_many(2 * MOST);
    let mut clients = all.connect_many(says.len());
    for (client, text) in clients.iter_mut().zip(says) {
        client.write_all(text).unwrap();
    }
    let listener = all.still.listener;
    let here = |state: &State| -> usize {
        let lengths = state.listeners[&listener].waiting.iter();
        lengths.map(|connection| socket::waiting_bytes(connection.socket.as_fd()).unwrap()).sum()
    };
    while here(&all.still.state) < says.iter().map(|text| text.len()).sum() {
        std::thread::yield_now();
    }
    assert_eq!(all.waiting(listener), says.len());
    all.still.pass(WAIT - Duration::from_millis(1));
    all.still.state.refuse_overdue();
    assert_eq!(all.waiting(listener), says.len());
    all.still.pass(Duration::from_millis(1));
    assert!(all.still.state.first_overdue().unwrap() <= all.still.state.now);
    all.still.state.refuse_overdue();
    assert_eq!((all.waiting(listener), all.open()), (0, [MOST, MOST]));
    assert_eq!(told(&acceptor), [refused_of(&all, says.len())]);
    // Those that were answered are closed a little later.
    all.still.pass(WAIT);
    all.still.state.refuse_overdue();
    assert_eq!(all.still.state.first_overdue(), None);
    let read = |mut client: TcpStream| {
        let mut text = String::new();
        client.read_to_string(&mut text).map(|_| text)
    };
    clients.into_iter().map(read).collect()
}

#[test]
fn who_has_waited_for_too_long_is_reset() {
    for answer in refused(Refusal::Reset, &[b"GET / HTTP/1.1\r\n", b""]) {
        assert_eq!(answer.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    }
}

#[test]
fn who_asks_in_http_is_told_that_it_has_waited_for_too_long_and_nobody_else() {
    let answers = refused(Refusal::Unavailable, &[b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01", b""]);
    let expected = limited(Limit { wait: Some(WAIT), ..limit(1) }).limit.unwrap().unavailable();
    // What it has sent was not read: the answer may come with a reset behind it, but it comes.
    let text = answers[0].as_ref().unwrap();
    assert_eq!(*text, expected);
    for answer in &answers[1..] {
        assert_eq!(answer.as_ref().unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    }
}

#[test]
fn of_those_who_are_refused_within_a_second_it_is_told_together() {
    let acceptor = Acceptor::start().unwrap();
    let mut all = Limited::new(&acceptor, waits(Refusal::Reset));
    let _served = all.connect_many(2 * MOST);
    let a_bit = Duration::from_millis(100);
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.extend(all.connect_many(1));
        all.still.pass(a_bit);
    }
    all.still.pass(WAIT - 3 * a_bit);
    for (waiting, expected) in [(2, vec![refused_of(&all, 1)]), (1, vec![]), (0, vec![])] {
        all.still.state.refuse_overdue();
        assert_eq!((all.waiting(all.still.listener), told(&acceptor)), (waiting, expected));
        all.still.pass(a_bit);
    }
    let left = all.still.state.first_overdue().unwrap() - all.still.state.now;
    assert_eq!(left, Duration::from_secs(1) - 3 * a_bit);
    all.still.pass(left);
    all.still.state.refuse_overdue();
    assert_eq!(told(&acceptor), [refused_of(&all, 2)]);
    assert_eq!(all.still.state.first_overdue(), None);
}

#[test]
fn those_that_wait_here_are_few_and_the_rest_is_let_in_as_they_go() {
    let acceptor = Acceptor::start().unwrap();
    let mut all = Limited::new(&acceptor, waits(Refusal::Reset));
    let _clients = all.connect_many(2 * MOST + 10);
    let listener = all.still.listener;
    let is_watched = |all: &Limited<'_>| all.still.state.listeners[&listener].accepting == Accepting::Watched;
    assert_eq!((all.waiting(listener), is_watched(&all)), (4, false));
    all.still.pass(WAIT);
    all.still.state.refuse_overdue();
    assert_eq!((all.waiting(listener), is_watched(&all)), (0, true));
    all.still.state.accept(listener);
    assert_eq!(all.waiting(listener), 4);
}

#[test]
fn who_has_given_up_gets_no_place() {
    for wait in [None, Some(WAIT)] {
        let acceptor = Acceptor::start().unwrap();
        let mut all = Limited::new(&acceptor, limited(Limit { wait, ..limit(1) }));
        let _served = all.connect_many(2 * MOST);
        assert_eq!(all.open(), [MOST, MOST]);
        let mut gone = all.connect_many(3);
        // One is reset, one has ended without a word, one has asked and ended: that one may wait for its answer.
        setsockopt(&gone[0], sockopt::Linger, &nix::libc::linger { l_onoff: 1, l_linger: 0 }).unwrap();
        gone.remove(0);
        gone[0].shutdown(Shutdown::Write).unwrap();
        gone[1].write_all(b"?").unwrap();
        gone[1].shutdown(Shutdown::Write).unwrap();
        let last = all.connect_many(1);
        (0..2).for_each(|_| all.serve(1));
        assert_eq!(all.open(), [MOST, MOST]);
        assert_eq!(all.serve_all(), 2 * MOST);
        [gone.pop().unwrap()].into_iter().chain(last).for_each(assert_served);
    }
}

#[test]
fn in_http_who_has_ended_has_gone() {
    let acceptor = Acceptor::start().unwrap();
    let mut all = Limited::new(&acceptor, waits(Refusal::Unavailable));
    let _served = all.connect_many(2 * MOST);
    assert_eq!(all.open(), [MOST, MOST]);
    let mut gone = all.connect_many(1);
    gone[0].write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    gone[0].shutdown(Shutdown::Write).unwrap();
    let last = all.connect_many(1);
    all.serve(1);
    assert_eq!((all.open(), all.waiting(all.still.listener)), ([MOST, MOST], 0));
    assert_eq!(all.serve_all(), 2 * MOST);
    assert_closed(gone.remove(0));
    last.into_iter().for_each(assert_served);
}

#[test]
fn the_client_of_a_worker_at_its_limit_goes_to_another_or_waits_for_it() {
    for is_strict in [false, true] {
        let acceptor = Acceptor::start().unwrap();
        let policy = Policy::Sticky(Sticky { by: By::Address, is_strict });
        let limit = Limit { wait: Some(WAIT), ..limit(1) };
        let mut all = Limited::new(&acceptor, Dispatch { policy, limit: Some(limit), ..Dispatch::default() });
        let clients = all.connect_many(MOST + 2);
        let open = all.open();
        let owner = if open[0] == MOST { 1 } else { 2 };
        assert_eq!(open[owner as usize - 1], MOST);
        assert_eq!(open.iter().sum::<usize>(), if is_strict { MOST } else { MOST + 2 });
        if is_strict {
            all.serve(owner);
            assert_eq!(all.open().iter().sum::<usize>(), MOST);
            all.still.pass(WAIT);
            all.still.state.refuse_overdue();
            let held = &all.still.state.listeners[&all.still.listener].held;
            assert!(held.is_empty());
            clients.into_iter().take(1).for_each(assert_served);
        }
    }
}

#[test]
fn the_last_worker_of_a_listener_gets_all_that_waits_as_it_has_room_for_it() {
    let acceptor = Acceptor::start().unwrap();
    let mut all = Limited::new(&acceptor, limited(limit(1)));
    let clients = all.connect_many(2 * MOST + 5);
    assert_eq!(all.open(), [MOST, MOST]);
    let listener = all.still.listener;
    assert!(!all.still.state.depart_from(listener, 1, Departure::Retired));
    assert!(all.still.state.depart_from(listener, 2, Departure::Retired));
    assert!(!all.still.state.has_all(2));
    while !all.still.state.has_all(2) {
        assert_eq!(all.open()[1], MOST);
        all.serve(2);
    }
    assert_eq!(told(&acceptor), [Event::HasAll { worker: 2 }]);
    while let Some(id) = [1, 2].into_iter().find(|id| all.open()[*id as usize - 1] > 0) {
        all.serve(id);
    }
    clients.into_iter().for_each(assert_served);
}

#[test]
fn a_worker_that_comes_later_gets_ever_more() {
    let acceptor = Acceptor::start().unwrap();
    let slow_start = Duration::from_secs(30);
    let (listener, address) = listener_with(&acceptor, limited(Limit { slow_start, ..limit(1) }));
    let (first, _board) = worker_with_board(&acceptor, 1);
    assert!(acceptor.join(listener, 1));
    let (second, _other) = worker_with_board(&acceptor, 2);
    let intakes = BTreeMap::from([(1, first), (2, second)]);
    let mut still = Still { state: acceptor.shared.state.lock(), listener, address, intakes };
    still.pass(slow_start);
    assert!(still.state.join(listener, 2));
    let _clients: Vec<_> = (0..10).map(|_| TcpStream::connect(address).unwrap()).collect();
    still.state.accept(listener);
    assert_eq!([1, 2].map(|id| still.taken(id).len()), [MOST, 1]);
    assert!(still.state.needs_tick());
    for more in [0, 1, 1] {
        still.pass(slow_start / 3 + Duration::from_millis(1));
        still.state.tick();
        still.state.accept(listener);
        assert_eq!([1, 2].map(|id| still.taken(id).len()), [0, more]);
    }
}

#[test]
fn where_there_is_no_board_there_is_no_limit() {
    let acceptor = Acceptor::start().unwrap();
    let mut still = Still::with_dispatch(&acceptor, 2, limited(limit(1)));
    let _clients: Vec<_> = (0..20).map(|_| still.connect()).collect();
    assert_eq!([1, 2].map(|id| still.taken(id).len()), [10, 10]);
}
