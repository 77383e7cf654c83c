//! Connections that are looked at before they are placed: sticky clients, and those of proxies.

use super::super::parked::{MOST, SILENT, SLOW};
use super::*;
use crate::connections::peek::Place;
use crate::connections::policy::Policy;
use crate::connections::sticky::{By, Sticky};
use std::net::Shutdown;

fn sticky(by: By) -> Dispatch {
    Dispatch { policy: Policy::Sticky(Sticky { by, is_strict: false }), ..Dispatch::default() }
}

fn strict(by: By) -> Dispatch {
    Dispatch { policy: Policy::Sticky(Sticky { by, is_strict: true }), ..Dispatch::default() }
}

/// By an id in the address of the request, which may carry a slot.
fn by_query() -> By {
    By::Id(Place::Query("sid".into()))
}

fn behind_proxies(networks: &[&str], policy: Policy) -> Dispatch {
    Dispatch { policy, proxies: networks.iter().map(|network| network.parse().unwrap()).collect(), limit: None }
}

fn head(id: &str) -> Vec<u8> {
    format!("GET /?sid={id} HTTP/1.1\r\nHost: h\r\n\r\n").into_bytes()
}

impl Still<'_> {
    /// A client connects and says something, and all of it has come before the connection is looked at.
    fn connect_and_say(&mut self, bytes: &[u8]) -> TcpStream {
        let mut client = self.connect();
        self.say(&mut client, bytes);
        client
    }

    /// The only parked client says more, and the connection is looked at.
    fn say(&mut self, client: &mut TcpStream, bytes: &[u8]) {
        let [id] = self.parked()[..] else { panic!("{} are parked", self.parked().len()) };
        let (end, visitor) = self.state.parked.take(id).unwrap();
        let (server, was_heard) = (socket::duplicate(&visitor.connection.socket).unwrap(), visitor.is_heard());
        let now = self.state.now;
        self.state.parked.put_back(id, (end, was_heard), visitor, now);
        let before = socket::waiting_bytes(server.as_fd()).unwrap();
        client.write_all(bytes).unwrap();
        while socket::waiting_bytes(server.as_fd()).unwrap() < before + bytes.len() {
            std::thread::yield_now();
        }
        self.state.parked_ready(id, EpollFlags::EPOLLIN);
    }

    fn parked(&self) -> Vec<u32> {
        self.state.parked.of(self.listener)
    }

    /// Worker `id` comes, which fills a slot.
    fn join(&mut self, id: WorkerId, slot: Slot) {
        let (near, far) = socket::pair(SockType::SeqPacket).unwrap();
        let queue = Queue::new(id, near, socket::duplicate(&far).unwrap());
        self.state.add_worker(id, slot, queue, None).unwrap();
        assert!(self.state.join(self.listener, id));
        self.intakes.insert(id, Intake::new(far));
    }

    /// Who got the only connection that was placed.
    fn who(&self) -> WorkerId {
        let took: Vec<_> = self.intakes.keys().copied().filter(|id| !self.taken(*id).is_empty()).collect();
        assert_eq!(took.len(), 1, "{took:?}");
        took[0]
    }

    /// This worker gets a client with this id.
    fn assert_gets(&mut self, worker: WorkerId, id: &str) {
        let _client = self.connect_and_say(&head(id));
        assert_eq!(self.taken(worker).len(), 1, "{id}");
    }

    /// Who gets a client with this id.
    fn who_gets(&mut self, id: &str) -> WorkerId {
        let _client = self.connect_and_say(&head(id));
        self.who()
    }
}

/// What a worker reads of a connection, if its client has said so much.
fn read(connection: Connection, length: usize) -> Vec<u8> {
    let mut stream = TcpStream::from(connection.socket);
    stream.set_nonblocking(false).unwrap();
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

/// Whether a client sees its connection end.
fn has_ended(mut client: TcpStream) -> bool {
    client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    match client.read(&mut [0]) {
        Ok(length) => length == 0,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

#[test]
fn an_id_that_carries_a_slot_leads_there() {
    let acceptor = Acceptor::start().unwrap();
    let mut still = Still::with_dispatch(&acceptor, 4, sticky(By::Slot(Place::Query("sid".into()))));
    for slot in [3, 3, 1, 2, 4, 1] {
        assert_eq!(still.who_gets(&format!("{slot}~abc")), slot);
    }
    // One that names a slot that is not there, or none at all, goes to whoever is next.
    let others: Vec<_> = ["9~abc", "abc", "abc", "65536~"].iter().map(|id| still.who_gets(id)).collect();
    let mut sorted = others.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, [1, 2, 3, 4]);
}

#[test]
fn an_id_without_a_slot_has_one_worker_and_all_have_some() {
    let acceptor = Acceptor::start().unwrap();
    let mut still = Still::with_dispatch(&acceptor, 3, sticky(by_query()));
    let mut owners = BTreeMap::<_, u32>::new();
    for client in 0..60 {
        let (first, second) = (still.who_gets(&format!("c{client}")), still.who_gets(&format!("c{client}")));
        assert_eq!(first, second);
        *owners.entry(first).or_default() += 1;
    }
    assert_eq!(owners.len(), 3, "{owners:?}");
}

#[test]
fn round_robin_looks_at_nobodys_load() {
    let acceptor = Acceptor::start().unwrap();
    for (policy, shares) in [(Policy::RoundRobin, [2, 1]), (Policy::LeastBusy, [1, 2])] {
        let mut still = Still::with_dispatch(&acceptor, 2, Dispatch { policy, ..Dispatch::default() });
        let mut clients = vec![still.connect(), still.connect()];
        // The second one takes what it is given.
        let taken = still.taken(2).len();
        still.pass(Duration::from_millis(20));
        clients.push(still.connect());
        assert_eq!([still.taken(1).len(), taken + still.taken(2).len()], shares);
    }
}

#[test]
fn an_address_has_one_worker() {
    let acceptor = Acceptor::start().unwrap();
    let mut still = Still::with_dispatch(&acceptor, 3, sticky(By::Address));
    // Not a byte is waited for.
    let owners: Vec<_> = (0..4)
        .map(|_| {
            let _client = still.connect();
            still.who()
        })
        .collect();
    assert!(owners.iter().all(|owner| *owner == owners[0]), "{owners:?}");
}

#[test]
fn a_head_may_come_byte_by_byte_and_is_all_there_for_the_worker() {
    let acceptor = Acceptor::start().unwrap();
    let mut still = Still::with_dispatch(&acceptor, 3, sticky(By::Id(Place::Header("host".into()))));
    let head = head("3~a").repeat(2);
    let mut client = still.connect();
    for byte in &head[..head.len() / 2] {
        still.say(&mut client, &[*byte]);
    }
    assert!(still.parked().is_empty());
    client.write_all(&head[head.len() / 2..]).unwrap();
    let owner = (1..=3).find_map(|id| still.taken(id).pop()).unwrap();
    assert_eq!(read(owner, head.len()), head);
}

#[test]
fn what_is_not_http_is_placed_at_once() {
    let acceptor = Acceptor::start().unwrap();
    let mut still = Still::with_dispatch(&acceptor, 2, sticky(by_query()));
    for (turn, bytes) in [&b"\x16\x03\x01"[..], b"PRI * ", b"\0"].iter().enumerate() {
        let _client = still.connect_and_say(bytes);
        assert_eq!(still.who() as usize, turn % 2 + 1);
    }
}

#[test]
fn who_says_nothing_is_placed_in_the_end() {
    let acceptor = Acceptor::start().unwrap();
    let mut still = Still::with_dispatch(&acceptor, 2, sticky(by_query()));
    let _silent = still.connect();
    still.pass(SILENT - Duration::from_millis(1));
    still.state.give_up_overdue();
    assert!(still.taken(1).is_empty());
    still.pass(Duration::from_millis(1));
    still.state.give_up_overdue();
    assert_eq!(still.taken(1).len(), 1);
}

#[test]
fn who_is_slow_gets_no_more_time_by_each_byte() {
    let acceptor = Acceptor::start().unwrap();
    let mut still = Still::with_dispatch(&acceptor, 2, sticky(by_query()));
    let mut slow = still.connect();
    still.pass(SILENT / 2);
    for byte in b"GET /" {
        still.say(&mut slow, &[*byte]);
        still.pass(SLOW / 5);
    }
    still.state.give_up_overdue();
    assert_eq!(still.taken(1).len(), 1);
}

#[test]
fn a_client_that_ends_is_placed() {
    let acceptor = Acceptor::start().unwrap();
    let mut still = Still::with_dispatch(&acceptor, 2, sticky(by_query()));
    let mut client = still.connect();
    still.say(&mut client, b"GET /?sid=2~a");
    client.shutdown(Shutdown::Write).unwrap();
    let id = still.parked()[0];
    still.state.parked_ready(id, EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP);
    assert_eq!(read(still.take(1), 13), b"GET /?sid=2~a");
}

#[test]
fn the_one_that_has_waited_longest_makes_room() {
    let acceptor = Acceptor::start().unwrap();
    let mut still = Still::with_dispatch(&acceptor, 1, sticky(by_query()));
    let silent: Vec<_> = (0..MOST + 3).map(|_| still.connect()).collect();
    assert_eq!(still.parked().len(), MOST);
    for (client, connection) in silent.iter().zip(still.taken(1)) {
        let peer = TcpStream::from(connection.socket).peer_addr().unwrap();
        assert_eq!(peer, client.local_addr().unwrap());
    }
}

#[test]
fn who_waits_is_closed_with_its_listener() {
    let acceptor = Acceptor::start().unwrap();
    let mut still = Still::with_dispatch(&acceptor, 1, sticky(by_query()));
    let client = still.connect();
    still.state.close(still.listener);
    assert!(has_ended(client));
    assert_eq!(still.state.parked.first_end(), None);
}

#[test]
fn the_last_worker_gets_who_waits() {
    let acceptor = Acceptor::start().unwrap();
    let mut still = Still::with_dispatch(&acceptor, 1, sticky(by_query()));
    let _client = still.connect();
    assert!(still.state.depart_from(still.listener, 1, Departure::Retired));
    assert!(still.state.has_all(1));
    assert_eq!(still.taken(1).len(), 1);
}

#[test]
fn a_slot_belongs_to_the_newest_that_fills_it() {
    let acceptor = Acceptor::start().unwrap();
    let mut still = Still::with_dispatch(&acceptor, 3, sticky(by_query()));
    let client = (0..).map(|client| format!("c{client}")).find(|client| still.who_gets(client) == 2).unwrap();
    still.join(7, 2);
    assert_eq!(still.who_gets(&client), 7);
    assert_eq!(still.who_gets("2~x"), 7);
    // Its predecessor leaves: nothing moves.
    still.state.depart(2, Departure::Removed);
    still.intakes.remove(&2);
    assert_eq!(still.who_gets(&client), 7);
    // The slot is empty: another has it meanwhile, always the same.
    still.state.depart(7, Departure::Removed);
    still.intakes.remove(&7);
    let meanwhile = still.who_gets(&client);
    assert!([1, 3].contains(&meanwhile));
    assert_eq!(still.who_gets(&client), meanwhile);
    still.join(9, 2);
    assert_eq!(still.who_gets(&client), 9);
}

#[test]
fn what_a_worker_that_dies_has_not_taken_goes_to_its_successor() {
    let acceptor = Acceptor::start().unwrap();
    let mut still = Still::with_dispatch(&acceptor, 3, sticky(by_query()));
    let _client = still.connect_and_say(&head("2~x"));
    still.join(7, 2);
    still.state.depart(2, Departure::Removed);
    assert_eq!(read(still.take(7), 14), b"GET /?sid=2~x ");
}

/// Worker 2 gets a client and takes it not, for as long as one that is stuck.
fn stuck<'acceptor>(acceptor: &'acceptor Acceptor, dispatch: Dispatch) -> (Still<'acceptor>, TcpStream) {
    let mut still = Still::with_dispatch(acceptor, 3, dispatch);
    let client = still.connect_and_say(&head("2~x"));
    for _ in 0..4 {
        still.tick();
    }
    (still, client)
}

#[test]
fn another_serves_the_client_of_one_that_is_stuck() {
    let acceptor = Acceptor::start().unwrap();
    let (mut still, _client) = stuck(&acceptor, sticky(by_query()));
    assert_eq!(still.taken(1).len(), 1);
    still.assert_gets(3, "2~x");
    // It runs again.
    assert!(matches!(still.intakes[&2].take(), Ok(Taken::Probe)));
    still.tick();
    assert_eq!(still.who_gets("2~x"), 2);
}

#[test]
fn a_strict_client_waits_for_its_owner_and_nobody_else_does() {
    let acceptor = Acceptor::start().unwrap();
    let (mut still, _client) = stuck(&acceptor, strict(by_query()));
    let _second = still.connect_and_say(&head("2~y"));
    still.assert_gets(1, "1~x");
    still.assert_gets(3, "3~x");
    assert!(matches!(still.intakes[&2].take(), Ok(Taken::Probe)));
    still.tick();
    let ids: Vec<_> = still.taken(2).into_iter().map(|connection| read(connection, 14)).collect();
    assert_eq!(ids, [b"GET /?sid=2~x ", b"GET /?sid=2~y "]);
}

#[test]
fn a_strict_client_waits_for_room_with_its_owner() {
    let acceptor = Acceptor::start().unwrap();
    let mut still = Still::with_dispatch(&acceptor, 2, strict(by_query()));
    let _client = still.connect_and_say(&head("2~x"));
    assert_eq!(still.refuse_all(2), 1);
    assert!(still.taken(1).is_empty());
    // It is offered now and then, since room may come without a word.
    assert_eq!(still.refuse_all(2), 1);
    still.tick();
    assert_eq!(still.refuse_all(2), 1);
    still.has_room(2);
    assert_eq!(still.taken(2).len(), 1);
}

#[test]
fn an_owner_that_has_room_again_gets_one_of_those_that_wait_for_it() {
    let acceptor = Acceptor::start().unwrap();
    let mut still = Still::with_dispatch(&acceptor, 2, strict(by_query()));
    let ids = ["2~a", "2~b", "2~c", "2~d"];
    let _clients = ids.map(|id| {
        let client = still.connect_and_say(&head(id));
        still.refuse_all(2);
        client
    });
    for (place, id) in ids.iter().enumerate() {
        still.has_room(2);
        let connection = still.take(2);
        assert_eq!(connection.asks, place < 3);
        assert_eq!(read(connection, 12), format!("GET /?sid={}", &id[..2]).as_bytes());
    }
    still.assert_gets(1, "1~x");
    still.assert_gets(2, "2~x");
}

#[test]
fn who_waits_for_its_owner_gets_another_when_that_has_gone() {
    let acceptor = Acceptor::start().unwrap();
    let (mut still, _client) = stuck(&acceptor, strict(by_query()));
    still.intakes.remove(&2);
    still.state.depart(2, Departure::Removed);
    still.tick();
    still.who();
}

const LINE: &[u8] = b"PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n";

#[test]
fn a_proxy_says_who_the_client_is_and_nothing_else_is_taken() {
    let acceptor = Acceptor::start().unwrap();
    let mut still = Still::with_dispatch(&acceptor, 1, behind_proxies(&["127.0.0.0/8"], Policy::RoundRobin));
    // A second header is no header.
    let said = [LINE, LINE, b"GET /"].concat();
    // Byte by byte, and all at once.
    for first in [1, said.len()] {
        let mut client = still.connect();
        for piece in said[..LINE.len().max(first)].chunks(first) {
            still.say(&mut client, piece);
        }
        client.write_all(&said[LINE.len().max(first)..]).unwrap();
        let connection = still.take(1);
        assert_eq!(connection.peer, Some("192.0.2.1:56324".parse().unwrap()));
        assert_eq!(read(connection, said.len() - LINE.len()), said[LINE.len()..]);
    }
}

#[test]
fn from_elsewhere_a_header_is_none() {
    let acceptor = Acceptor::start().unwrap();
    let mut still = Still::with_dispatch(&acceptor, 1, behind_proxies(&["10.0.0.0/8", "::/8"], Policy::RoundRobin));
    let mut client = still.connect();
    let connection = still.take(1);
    assert_eq!(connection.peer, None);
    client.write_all(LINE).unwrap();
    assert_eq!(read(connection, LINE.len()), LINE);
}

#[test]
fn a_proxy_without_a_header_is_refused() {
    let acceptor = Acceptor::start().unwrap();
    let dispatch = behind_proxies(&["127.0.0.1"], Policy::RoundRobin);
    let mut still = Still::with_dispatch(&acceptor, 1, dispatch);
    assert!(has_ended(still.connect_and_say(b"GET / HTTP/1.1\r\n\r\n")));
    assert!(has_ended(still.connect_and_say(b"PROXY TCP4 nonsense\r\n")));
    let silent = still.connect();
    still.pass(SILENT);
    still.state.give_up_overdue();
    assert!(has_ended(silent));
    let mut half = still.connect();
    still.say(&mut half, b"PROXY ");
    still.pass(SLOW);
    still.state.give_up_overdue();
    assert!(has_ended(half));
    assert!(still.taken(1).is_empty());
}

#[test]
fn clients_of_proxies_are_sticky() {
    let acceptor = Acceptor::start().unwrap();
    let by = |by| behind_proxies(&["127.0.0.1"], Policy::Sticky(Sticky { by, is_strict: false }));
    let mut still = Still::with_dispatch(&acceptor, 3, by(by_query()));
    let mut client = still.connect_and_say(LINE);
    still.say(&mut client, &head("3~x"));
    assert_eq!(still.who(), 3);
    drop(still);
    let acceptor = Acceptor::start().unwrap();
    let mut still = Still::with_dispatch(&acceptor, 3, by(By::Address));
    let mut owners = BTreeMap::<_, u32>::new();
    for client in 0..60 {
        let line = format!("PROXY TCP4 192.0.2.{client} 198.51.100.1 56324 443\r\n");
        let (_first, first) = (still.connect_and_say(line.as_bytes()), still.who());
        let (_second, second) = (still.connect_and_say(line.as_bytes()), still.who());
        assert_eq!(first, second);
        *owners.entry(first).or_default() += 1;
    }
    assert_eq!(owners.len(), 3, "{owners:?}");
}

#[test]
fn what_is_given_back_keeps_its_address() {
    let acceptor = Acceptor::start().unwrap();
    let mut still = Still::with_dispatch(&acceptor, 2, behind_proxies(&["127.0.0.1"], Policy::RoundRobin));
    let _client = still.connect_and_say(LINE);
    assert_eq!(still.refuse_all(1), 1);
    assert_eq!(still.take(2).peer, Some("192.0.2.1:56324".parse().unwrap()));
}

#[test]
fn a_worker_cannot_give_back_an_address_where_nobody_says_any() {
    let acceptor = Acceptor::start().unwrap();
    let mut still = Still::with_workers(&acceptor, 2);
    let _client = still.connect();
    let mut connection = still.take(1);
    connection.peer = Some("192.0.2.1:1".parse().unwrap());
    still.give_back(1, connection);
    still.state.hear(1);
    assert!(still.taken(2).is_empty());
    let error = Error::NotHanded { worker: 1, listener: still.listener };
    drop(still);
    assert_eq!(event(&acceptor), Event::Broken { worker: 1, error });
}

#[test]
fn the_thread_looks_at_what_comes_and_at_the_clock() {
    let acceptor = Acceptor::start().unwrap();
    let (listener, address) = listener_with(&acceptor, sticky(by_query()));
    let intakes: Vec<_> = (1..=2).map(|id| worker(&acceptor, id)).collect();
    (1..=2).for_each(|id| assert!(acceptor.join(listener, id)));
    let mut client = TcpStream::connect(address).unwrap();
    for piece in head("2~x").chunks(5) {
        client.write_all(piece).unwrap();
    }
    assert_eq!(read(take(&intakes[1]), 14), b"GET /?sid=2~x ");
    let gone = TcpStream::connect(address).unwrap();
    drop(gone);
    take(&intakes[0]);
}

impl Still<'_> {
    /// A client of worker 1 says something on its connection after its first request has been read; the connection is
    /// passed on.
    fn pass_on(&mut self, client: &mut TcpStream, bytes: &[u8]) {
        let mut connection = self.take(1);
        let first = head("1~x");
        assert_eq!(read(Connection::new(1, socket::duplicate(&connection.socket).unwrap()), first.len()), first);
        client.write_all(bytes).unwrap();
        while socket::waiting_bytes(connection.socket.as_fd()).unwrap() < bytes.len() {
            std::thread::yield_now();
        }
        connection.asks = true;
        self.give_back(1, connection);
        self.state.hear(1);
    }
}

#[test]
fn a_connection_that_is_passed_on_goes_to_the_owner_of_its_next_request() {
    let acceptor = Acceptor::start().unwrap();
    let mut still = Still::with_dispatch(&acceptor, 3, strict(by_query()));
    for (id, owner) in [("2~x", 2), ("3~x", 3), ("1~x", 1)] {
        let mut client = still.connect_and_say(&head("1~x"));
        still.pass_on(&mut client, &head(id));
        let connection = still.take(owner);
        assert!(!connection.asks);
        assert_eq!(read(connection, head(id).len()), head(id));
    }
    // Who passes one on has room all the same.
    still.assert_gets(1, "1~x");
}

#[test]
fn a_passed_connection_waits_for_the_rest_of_its_head() {
    let acceptor = Acceptor::start().unwrap();
    let mut still = Still::with_dispatch(&acceptor, 2, strict(by_query()));
    let mut client = still.connect_and_say(&head("1~x"));
    let next = head("2~x");
    still.pass_on(&mut client, &next[..8]);
    assert!(still.taken(1).is_empty() && still.taken(2).is_empty());
    still.say(&mut client, &next[8..]);
    assert_eq!(read(still.take(2), next.len()), next);
}

#[test]
fn a_passed_connection_keeps_what_a_proxy_has_said_and_owes_it_no_more() {
    let acceptor = Acceptor::start().unwrap();
    let dispatch = behind_proxies(&["127.0.0.1"], strict(by_query()).policy);
    let mut still = Still::with_dispatch(&acceptor, 2, dispatch);
    let mut client = still.connect_and_say(&[LINE, &head("1~x")].concat());
    still.pass_on(&mut client, &head("2~x"));
    let connection = still.take(2);
    assert_eq!(connection.peer, Some("192.0.2.1:56324".parse().unwrap()));
    assert_eq!(read(connection, head("2~x").len()), head("2~x"));
}

#[test]
fn what_the_last_worker_passes_on_comes_back_to_it() {
    for closed in [false, true] {
        let acceptor = Acceptor::start().unwrap();
        let mut still = Still::with_dispatch(&acceptor, 1, strict(by_query()));
        let mut client = still.connect_and_say(&head("1~x"));
        let (connection, listener) = (still.take(1), still.listener);
        let cause = if closed { Departure::Left } else { Departure::Retired };
        assert!(still.state.depart_from(listener, 1, cause));
        client.write_all(&head("2~x")).unwrap();
        still.give_back(1, Connection { asks: true, ..connection });
        still.state.hear(1);
        assert_eq!(still.taken(1).len(), 1, "closed: {closed}");
    }
}
