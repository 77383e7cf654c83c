//! Whatever makes a worker depart: nothing is lost of what it gave back and what it has not taken, though the primary
//! have no descriptor left.

use super::*;
use crate::os::alone::{alone, limit, take_numbers};

fn broken() -> Departure {
    Departure::Broken(Error::HandoffShut { worker: 1 })
}

/// Worker 1 departs, having given back a connection that was not received yet, and not taken another. Worker 2 serves
/// the listener, too.
fn assert_nothing_is_lost(depart: impl FnOnce(&mut State, ListenerId), is_starved: bool) {
    let acceptor = Acceptor::start().unwrap();
    let mut still = Still::with_workers(&acceptor, 2);
    let clients: Vec<_> = (0..4).map(|_| still.connect()).collect();
    let Taken::Connection(connection) = still.intakes[&1].take().unwrap() else { panic!("it was handed two") };
    still.give_back(1, connection);
    let numbers = if is_starved { take_numbers(0) } else { Vec::new() };
    let listener = still.listener;
    depart(&mut still.state, listener);
    if is_starved {
        still.tick();
        assert!(still.state.needs_tick(), "it is tried again");
    }
    drop(numbers);
    still.tick();
    // One that goes on may have what was not taken from it: it gives that back itself.
    let has_all = !(is_starved && still.state.workers.contains_key(&1));
    still.state.hear(1);
    if still.state.workers.contains_key(&1) {
        still.refuse_all(1);
    }
    for connection in still.taken(2) {
        TcpStream::from(connection.socket).write_all(b"served").unwrap();
    }
    clients.into_iter().for_each(assert_served);
    let is_rescue = |event: &Event| matches!(event, Event::Rescued { .. });
    let rescued: Vec<_> = told(&acceptor).into_iter().filter(is_rescue).collect();
    if has_all {
        assert_eq!(rescued, [Event::Rescued { worker: 1, count: 1 }]);
    } else {
        assert_eq!(rescued, []);
    }
}

#[test]
fn what_a_worker_gave_back_or_has_not_taken_is_served_by_others_whatever_makes_it_depart() {
    assert_nothing_is_lost(|state, _| state.depart(1, Departure::Removed), false);
    assert_nothing_is_lost(|state, _| state.depart(1, broken()), false);
    assert_nothing_is_lost(|state, id| _ = state.depart_from(id, 1, Departure::Left), false);
    assert_nothing_is_lost(|state, id| _ = state.depart_from(id, 1, Departure::Retired), false);
}

#[test]
fn without_a_descriptor_nothing_is_lost_either() {
    alone(|| {
        limit(64);
        assert_nothing_is_lost(|state, _| state.depart(1, Departure::Removed), true);
        assert_nothing_is_lost(|state, _| state.depart(1, broken()), true);
        assert_nothing_is_lost(|state, id| _ = state.depart_from(id, 1, Departure::Left), true);
        assert_nothing_is_lost(|state, id| _ = state.depart_from(id, 1, Departure::Retired), true);
    });
}

#[test]
fn one_that_broke_and_then_died_is_forgotten_once() {
    alone(|| {
        limit(64);
        let died = |state: &mut State, _| {
            state.depart(1, broken());
            state.depart(1, Departure::Removed);
        };
        assert_nothing_is_lost(died, true);
        assert_nothing_is_lost(died, false);
    });
}

#[test]
fn what_cannot_be_received_for_want_of_a_descriptor_does_not_keep_the_thread_busy() {
    alone(|| {
        limit(64);
        let acceptor = Acceptor::start().unwrap();
        let mut still = Still::with_workers(&acceptor, 2);
        let clients = [still.connect(), still.connect()];
        let given_back = still.take(1);
        still.give_back(1, given_back);
        let numbers = take_numbers(0);
        still.state.hear(1);
        let mut events = [EpollEvent::empty(); 8];
        assert_eq!(still.state.epoll.wait(&mut events, EpollTimeout::ZERO), Ok(0), "it is not watched");
        still.tick();
        drop(numbers);
        assert_eq!(still.taken(2).len(), 1, "its own");
        still.tick();
        assert_eq!(still.taken(2).len(), 1, "the one that was given back");
        // It is heard again.
        still.has_room(1);
        let _client = still.connect();
        let connection = still.take(1);
        still.give_back(1, connection);
        assert_eq!(still.state.epoll.wait(&mut events, EpollTimeout::ZERO), Ok(1));
        drop((still, clients));
        let starved = |event| matches!(event, Event::Starved { error: Error::Os { syscall: "recvmsg", .. } });
        assert!(starved(event(&acceptor)), "it is told");
        assert_eq!(acceptor.next_event(), None, "once");
    });
}

#[test]
fn one_that_departs_can_send_nothing_more() {
    alone(|| {
        limit(64);
        let acceptor = Acceptor::start().unwrap();
        let mut still = Still::with_workers(&acceptor, 2);
        let clients: Vec<_> = (0..3).map(|_| still.connect()).collect();
        let [first, second] = <[Connection; 2]>::try_from(still.taken(1)).unwrap();
        still.give_back(1, first);
        let numbers = take_numbers(0);
        still.state.depart(1, broken());
        assert!(still.state.workers.contains_key(&1), "something of it is still to be received");
        still.give_back(1, second);
        drop(numbers);
        let [first, other, second] = <[TcpStream; 3]>::try_from(clients).unwrap();
        assert_closed(second);
        still.tick();
        assert!(!still.state.workers.contains_key(&1));
        for connection in still.taken(2) {
            TcpStream::from(connection.socket).write_all(b"served").unwrap();
        }
        [first, other].into_iter().for_each(assert_served);
    });
}
