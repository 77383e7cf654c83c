//! Workers that have no room: whom the acceptor asks, and how often.

use super::*;

impl Still<'_> {
    /// All workers refuse what is offered, until nobody is asked any more. Returns how often one was.
    fn all_refuse(&mut self) -> usize {
        let workers: Vec<_> = self.intakes.keys().copied().collect();
        let mut offers = 0;
        loop {
            let now: usize = workers.iter().map(|worker| self.refuse_all(*worker)).sum();
            if now == 0 {
                return offers;
            }
            offers += now;
        }
    }

    fn waiting(&self) -> usize {
        self.state.listeners[&self.listener].waiting.len()
    }
}

#[test]
fn what_all_refuse_is_offered_once_a_tick() {
    for workers in [1, 2, 4] {
        let acceptor = Acceptor::start().unwrap();
        let mut still = Still::with_workers(&acceptor, workers);
        let _client = still.connect();
        still.all_refuse();
        let others: Vec<_> = (0..9).map(|_| TcpStream::connect(still.address).unwrap()).collect();
        assert_eq!(still.state.accept(still.listener), 0, "{} wait in the kernel", others.len());
        for _ in 0..20 {
            assert_eq!(still.all_refuse(), 0, "{workers} workers: before the tick");
            still.tick();
            assert_eq!(still.all_refuse(), 1, "{workers} workers: at the tick");
        }
    }
}

#[test]
fn each_that_refuses_has_its_turn_to_be_asked() {
    let acceptor = Acceptor::start().unwrap();
    let mut still = Still::with_workers(&acceptor, 3);
    let _client = still.connect();
    still.all_refuse();
    let mut asked = Vec::new();
    for _ in 0..6 {
        still.tick();
        asked.extend((1..=3).filter(|worker| still.refuse_all(*worker) > 0));
    }
    let (first, second) = asked.split_at(3);
    assert_eq!(first, second);
    assert_eq!(BTreeMap::from_iter(first.iter().map(|worker| (*worker, ()))).len(), 3, "{asked:?}");
}

#[test]
fn one_that_has_room_again_gets_one_of_those_that_wait_and_another_when_it_says_so_again() {
    for workers in [1, 2, 4] {
        let acceptor = Acceptor::start().unwrap();
        let mut still = Still::with_workers(&acceptor, workers);
        let clients: Vec<_> = (0..5).map(|_| TcpStream::connect(still.address).unwrap()).collect();
        still.state.accept(still.listener);
        still.all_refuse();
        assert_eq!(still.waiting(), 5);
        for left in (0..5).rev() {
            still.has_room(1);
            let connection = still.take(1);
            assert_eq!((still.waiting(), connection.asks), (left, left > 0));
            TcpStream::from(connection.socket).write_all(b"served").unwrap();
        }
        clients.into_iter().for_each(assert_served);
    }
}

#[test]
fn one_that_is_full_is_not_asked_while_another_is_free() {
    let acceptor = Acceptor::start().unwrap();
    let mut still = Still::with_workers(&acceptor, 2);
    let mut clients = vec![still.connect()];
    assert_eq!(still.refuse_all(1), 1);
    let _served = still.take(2);
    for _ in 0..20 {
        clients.push(still.connect());
        still.tick();
        assert_eq!((still.taken(1).len(), still.taken(2).len()), (0, 1));
    }
    still.has_room(1);
    for worker in [1, 2, 1, 2] {
        clients.push(still.connect());
        still.take(worker);
    }
}

#[test]
fn what_one_refuses_does_not_bear_on_another_listener() {
    let acceptor = Acceptor::start().unwrap();
    let (other, other_address) = listener(&acceptor);
    let mut still = Still::with_workers(&acceptor, 2);
    still.state.join(other, 1);
    let _client = still.connect();
    still.all_refuse();
    for _ in 0..2 {
        let _client = TcpStream::connect(other_address).unwrap();
        still.state.accept(other);
        assert_eq!(still.take(1).listener, other);
    }
}

#[test]
fn room_that_nobody_asked_for_changes_nothing() {
    let acceptor = Acceptor::start().unwrap();
    let mut still = Still::with_workers(&acceptor, 2);
    still.has_room(2);
    let _clients = [still.connect(), still.connect()];
    assert_eq!((still.taken(1).len(), still.taken(2).len()), (1, 1));
    // Of a listener that there never was.
    let strange = still.listener + 1;
    still.intakes.get_mut(&2).unwrap().has_room(strange);
    still.state.hear(2);
    drop(still);
    assert_eq!(event(&acceptor), Event::Broken { worker: 2, error: Error::NotHanded { worker: 2, listener: strange } });
}

#[test]
fn one_that_refused_and_retires_is_given_what_waits_and_it_is_closed_if_it_does_not_take_it() {
    let acceptor = Acceptor::start().unwrap();
    let mut still = Still::with_workers(&acceptor, 2);
    let clients: Vec<_> = (0..5).map(|_| TcpStream::connect(still.address).unwrap()).collect();
    still.state.accept(still.listener);
    still.all_refuse();
    let listener = still.listener;
    assert!(!still.state.depart_from(listener, 1, Departure::Retired));
    assert!(still.state.depart_from(listener, 2, Departure::Retired));
    assert!(still.state.has_all(2));
    assert_eq!(still.refuse_all(2), 5);
    clients.into_iter().for_each(assert_closed);
}

#[test]
fn one_that_has_not_taken_what_it_was_given_comes_after_those_that_have() {
    let acceptor = Acceptor::start().unwrap();
    let mut still = Still::with_workers(&acceptor, 3);
    let mut clients = Vec::new();
    for round in 0..12 {
        clients.push(still.connect());
        still.pass(Duration::from_millis(5));
        if round > 0 {
            assert_eq!(still.taken(2).len() + still.taken(3).len(), 1, "connection {round}");
        }
    }
    assert_eq!(still.taken(1).len(), 1);
    clients.push(still.connect());
    still.take(1);
}

#[test]
fn where_all_have_something_it_is_round_robin() {
    let acceptor = Acceptor::start().unwrap();
    let mut still = Still::with_workers(&acceptor, 3);
    let _clients: Vec<_> = (0..9).map(|_| still.connect()).collect();
    for worker in 1..=3 {
        assert_eq!(still.taken(worker).len(), 3);
    }
}
