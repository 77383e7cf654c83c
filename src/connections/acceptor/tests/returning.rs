//! What a worker may give back: connections that it was handed, and nothing else.

use super::*;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};

/// Worker 1 and 2 serve one listener, 3 another. Worker 1 has been handed one connection, and says of some socket that
/// it gives back a connection of some listener: nobody is given it, and the worker is broken.
fn assert_refused(lie: impl FnOnce(&Still<'_>, Connection, ListenerId) -> Connection) {
    let acceptor = Acceptor::start().unwrap();
    let (other, _) = listener(&acceptor);
    let third = worker(&acceptor, 3);
    assert!(acceptor.join(other, 3));
    let mut still = Still::with_workers(&acceptor, 2);
    let _client = still.connect();
    let connection = still.take(1);
    let lie = lie(&still, connection, other);
    let error = Error::NotHanded { worker: 1, listener: lie.listener };
    still.give_back(1, lie);
    still.state.hear(1);
    assert!(still.taken(2).is_empty() && matches!(third.take(), Ok(Taken::Nothing)));
    drop(still);
    assert_eq!(event(&acceptor), Event::Broken { worker: 1, error });
}

/// Both ends of a TCP connection that is none of the cluster's.
fn foreign() -> (OwnedFd, OwnedFd) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client.into(), listener.accept().unwrap().0.into())
}

#[test]
fn a_worker_cannot_give_back_to_a_listener_that_it_has_not_joined() {
    assert_refused(|_, connection, other| Connection::new(other, connection.socket));
}

#[test]
fn a_worker_cannot_give_back_to_a_listener_that_there_never_was() {
    assert_refused(|_, connection, other| Connection::new(other + 100, connection.socket));
}

#[test]
fn a_worker_cannot_give_back_another_socket() {
    assert_refused(|still, _, _| Connection::new(still.listener, foreign().0));
    assert_refused(|still, _, _| Connection::new(still.listener, foreign().1));
    assert_refused(|still, _, _| Connection::new(still.listener, UnixStream::pair().unwrap().0.into()));
    // Its own connection to the cluster: the client's end.
    assert_refused(|still, _, _| Connection::new(still.listener, TcpStream::connect(still.address).unwrap().into()));
}

#[test]
fn a_worker_cannot_give_back_what_is_no_connection() {
    assert_refused(|still, _, _| Connection::new(still.listener, std::fs::File::open("/dev/null").unwrap().into()));
    assert_refused(|still, _, _| {
        let udp = std::net::UdpSocket::bind(still.address).unwrap();
        Connection::new(still.listener, udp.into())
    });
    // It may have the listening socket, if it came as a descriptor.
    assert_refused(|still, _, _| {
        let socket = still.state.listeners[&still.listener].socket.as_ref().unwrap();
        Connection::new(still.listener, socket::duplicate(socket.socket()).unwrap())
    });
}

#[test]
fn a_worker_cannot_give_back_more_than_it_was_handed() {
    let acceptor = Acceptor::start().unwrap();
    let mut still = Still::with_workers(&acceptor, 2);
    let _clients = [still.connect(), still.connect()];
    let connection = still.take(1);
    let again = Connection::new(connection.listener, socket::duplicate(&connection.socket).unwrap());
    still.give_back(1, connection);
    still.give_back(1, again);
    still.state.hear(1);
    assert_eq!(still.taken(2).len(), 2, "the one that it was given, and the one that worker 1 was");
    drop(still);
    assert!(matches!(event(&acceptor), Event::Broken { worker: 1, error: Error::NotHanded { .. } }));
}

#[test]
fn what_was_taken_back_cannot_be_given_back() {
    let acceptor = Acceptor::start().unwrap();
    let mut still = Still::with_workers(&acceptor, 2);
    let _clients: Vec<_> = (0..4).map(|_| still.connect()).collect();
    let Taken::Connection(connection) = still.intakes[&1].take().unwrap() else { panic!("it was handed two") };
    let copy = socket::duplicate(&connection.socket).unwrap();
    still.give_back(1, connection);
    // It closes its server, and the other one of its two goes to worker 2.
    let listener = still.listener;
    still.state.depart_from(listener, 1, Departure::Left);
    still.give_back(1, Connection::new(listener, copy));
    still.state.hear(1);
    assert_eq!(still.taken(2).len(), 4);
    drop(still);
    assert_eq!(event(&acceptor), Event::Rescued { worker: 1, count: 1 });
    assert!(matches!(event(&acceptor), Event::Broken { worker: 1, error: Error::NotHanded { .. } }));
}

/// Worker 1 is handed a connection and gives it back, whatever has become of it: worker 2 gets it.
fn assert_returned(request: &Request, connect: impl FnOnce(&Opened) -> OwnedFd, meanwhile: impl FnOnce(OwnedFd)) {
    let acceptor = Acceptor::start().unwrap();
    let opened = Opened::bind(request).unwrap();
    opened.listen(511).unwrap();
    let client = connect(&opened);
    let id = acceptor.add_listener(opened, Dispatch::default());
    let (mut first, second) = (worker(&acceptor, 1), worker(&acceptor, 2));
    acceptor.join(id, 1);
    let connection = take(&first);
    acceptor.join(id, 2);
    meanwhile(client);
    refuse(&mut first, connection);
    assert_eq!(take(&second).listener, id);
    assert_eq!(acceptor.next_event(), None);
}

fn connect_to(host: &'static str) -> impl Fn(&Opened) -> OwnedFd {
    move |opened| TcpStream::connect((host, opened.address().unwrap().port())).unwrap().into()
}

#[test]
fn connections_of_every_kind_of_address_can_be_given_back() {
    let tcp = |host: Option<&str>| Request::Tcp { host: host.map(String::from), port: 0, ipv6_only: false };
    let keep = |client| std::mem::forget::<OwnedFd>(client);
    assert_returned(&tcp(Some("127.0.0.1")), connect_to("127.0.0.1"), keep);
    assert_returned(&tcp(Some("0.0.0.0")), connect_to("127.0.0.1"), keep);
    assert_returned(&tcp(None), connect_to("127.0.0.1"), keep);
    if std::net::TcpListener::bind("[::1]:0").is_ok() {
        assert_returned(&tcp(Some("::1")), connect_to("::1"), keep);
        assert_returned(&tcp(None), connect_to("::1"), keep);
    }
    let path = std::env::temp_dir().join(format!("rust-cluster-returning-{}.sock", std::process::id()));
    let connect = |_: &Opened| UnixStream::connect(&path).unwrap().into();
    assert_returned(&Request::Unix { path: path.clone() }, connect, keep);
}

#[test]
fn a_connection_that_was_reset_can_be_given_back() {
    let reset = |client: OwnedFd| {
        let linger = nix::libc::linger { l_onoff: 1, l_linger: 0 };
        nix::sys::socket::setsockopt(&client, nix::sys::socket::sockopt::Linger, &linger).unwrap();
    };
    let request = Request::Tcp { host: Some("127.0.0.1".into()), port: 0, ipv6_only: false };
    assert_returned(&request, connect_to("127.0.0.1"), reset);
    assert_returned(&request, connect_to("127.0.0.1"), drop);
}

#[test]
fn a_worker_cannot_give_back_a_connection_of_another_unix_socket() {
    let acceptor = Acceptor::start().unwrap();
    let path = |name: &str| std::env::temp_dir().join(format!("rust-cluster-{name}-{}.sock", std::process::id()));
    let (ours, foreign) = (path("ours"), path("foreign"));
    let opened = Opened::bind(&Request::Unix { path: ours.clone() }).unwrap();
    opened.listen(511).unwrap();
    let id = acceptor.add_listener(opened, Dispatch::default());
    let mut intake = worker(&acceptor, 1);
    acceptor.join(id, 1);
    let _client = UnixStream::connect(&ours).unwrap();
    drop(take(&intake));
    let listener = UnixListener::bind(&foreign).unwrap();
    let _foreign_client = UnixStream::connect(&foreign).unwrap();
    let (accepted, _) = listener.accept().unwrap();
    std::fs::remove_file(&foreign).unwrap();
    refuse(&mut intake, Connection::new(id, accepted.into()));
    assert_eq!(event(&acceptor), Event::Broken { worker: 1, error: Error::NotHanded { worker: 1, listener: id } });
}
