//! What lies in a worker's queue, by what it says that it has taken.

use super::*;

/// Workers 1 and 2, with boards, which have joined one listener.
struct Boards<'acceptor> {
    still: Still<'acceptor>,
    boards: [Board; 2],
    clients: Vec<TcpStream>,
}

impl Boards<'_> {
    fn new(acceptor: &Acceptor) -> Boards<'_> {
        let (listener, address) = listener_with(acceptor, Dispatch::default());
        let workers = [1, 2].map(|id| worker_with_board(acceptor, id));
        [1, 2].into_iter().for_each(|id| assert!(acceptor.join(listener, id)));
        let [(first, its_board), (second, other_board)] = workers;
        let intakes = BTreeMap::from([(1, first), (2, second)]);
        let still = Still { state: acceptor.shared.state.lock(), listener, address, intakes };
        Boards { still, boards: [its_board, other_board], clients: Vec::new() }
    }

    /// Clients connect; how many lie in the queues then.
    fn connect(&mut self, count: usize) -> [usize; 2] {
        for _ in 0..count {
            let client = self.still.connect();
            self.clients.push(client);
        }
        [1, 2].map(|id| self.still.state.workers[&id].queue.depth().unwrap())
    }

    /// A worker takes what lies there, and says of so many that it has.
    fn take(&mut self, id: WorkerId, says: impl FnOnce(usize) -> usize) {
        let taken = self.still.taken(id).len();
        (0..says(taken)).for_each(|_| self.boards[id as usize - 1].took(0));
    }
}

#[test]
fn who_has_taken_what_it_was_given_comes_before_one_that_has_not() {
    let acceptor = Acceptor::start().unwrap();
    let mut all = Boards::new(&acceptor);
    assert_eq!(all.connect(4), [2, 2], "where nobody takes anything each has its turn");
    all.take(1, |taken| taken);
    assert_eq!(all.connect(2), [2, 2]);
    all.take(1, |taken| taken);
    all.take(2, |taken| taken);
    assert_eq!(all.connect(3), [1, 2], "where all is taken each has its turn");
}

#[test]
fn one_that_says_too_little_has_its_turn_once_its_queue_was_seen_to_be_empty() {
    let acceptor = Acceptor::start().unwrap();
    let mut all = Boards::new(&acceptor);
    assert_eq!(all.connect(4), [2, 2]);
    all.take(1, |taken| taken);
    all.take(2, |_| 0);
    assert_eq!(all.connect(2), [2, 0], "it is taken at its word");
    all.take(1, |taken| taken);
    all.still.pass(Duration::from_millis(10));
    assert_eq!(all.connect(2), [1, 1]);
    assert_eq!(all.connect(2), [2, 2]);
}

#[test]
fn one_that_says_too_much_harms_no_other() {
    let acceptor = Acceptor::start().unwrap();
    let mut all = Boards::new(&acceptor);
    (0..1000).for_each(|_| all.boards[0].took(0));
    assert_eq!(all.connect(4), [3, 1], "it gets what it says that it takes");
    all.still.pass(Duration::from_millis(10));
    all.take(2, |taken| taken);
    assert_eq!(all.connect(3), [3, 3], "and nothing more where it does not");
}
