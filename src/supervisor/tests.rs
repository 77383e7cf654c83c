//! Stories: what a supervisor does when this and that happens. Random ones are in `tests/model/supervisor.rs`.

mod replacing;

use nix::sys::signal::Signal;

use super::*;

const ADDRESS: &str = "0.0.0.0:80";

/// A supervisor whose forks are answered at once: its workers are numbered from 1 as they come.
struct Play {
    supervisor: Supervisor,
    now: Millis,
    last_worker: WorkerId,
    /// What was to be done, without reports and forks.
    actions: Vec<Action>,
    reports: Vec<Report>,
    refuse_forks: bool,
}

impl Play {
    fn new(options: Options) -> Self {
        Play::start(options, false)
    }

    /// One for which no worker can be started.
    fn refusing(options: Options) -> Self {
        Play::start(options, true)
    }

    fn start(options: Options, refuse_forks: bool) -> Self {
        let supervisor = Supervisor::new(Options { jitter: 0.0, ..options }, 1);
        let mut play =
            Play { supervisor, now: 0, last_worker: 0, actions: Vec::new(), reports: Vec::new(), refuse_forks };
        play.tell(Event::Start);
        play
    }

    /// One whose first workers are ready.
    fn running(options: Options) -> Self {
        let mut play = Play::new(options);
        (1..=play.last_worker).for_each(|worker| play.listen(worker));
        play.forget();
        play
    }

    fn tell(&mut self, event: Event) {
        for action in self.supervisor.handle(self.now, event) {
            match action {
                Action::Fork { slot, .. } if self.refuse_forks => {
                    self.tell(Event::ForkFailed { slot, why: "EAGAIN".into() });
                }
                Action::Fork { slot, .. } => {
                    self.last_worker += 1;
                    self.tell(Event::Forked { slot, worker: self.last_worker });
                }
                Action::Report(report) => self.reports.push(report),
                other => self.actions.push(other),
            }
        }
    }

    fn listen(&mut self, worker: WorkerId) {
        self.tell(Event::Listening { worker, address: ADDRESS.into() });
    }

    fn exit(&mut self, worker: WorkerId, code: i32) {
        self.tell(Event::Exited { worker, exit: Exit { code: Some(code), signal: None } });
    }

    /// The time passes, and each deadline on the way is told.
    fn pass(&mut self, time: Millis) {
        let end = self.now + time;
        while let Some(at) = self.supervisor.deadline().filter(|at| *at <= end) {
            self.now = at.max(self.now);
            self.tell(Event::Time);
            assert_ne!(self.supervisor.deadline(), Some(at), "it asks for the time again");
        }
        self.now = end;
    }

    fn forget(&mut self) {
        self.actions.clear();
        self.reports.clear();
    }

    fn taken(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    fn reported(&self, event: &str) -> usize {
        self.reports.iter().filter(|report| report.event == event).count()
    }

    fn states(&self) -> Vec<&'static str> {
        self.supervisor.status().rows.iter().map(|row| row.state).collect()
    }
}

fn drain(worker: WorkerId) -> Action {
    Action::Drain { worker, within: 25_000 }
}

fn signal(worker: WorkerId, signal: Signal) -> Action {
    Action::Signal { worker, signal }
}

#[test]
fn workers_start_serve_drain_and_end() {
    let mut play = Play::new(Options::new(2));
    assert_eq!(play.states(), ["booting", "booting"]);
    play.listen(1);
    play.listen(2);
    assert_eq!(play.states(), ["ready", "ready"]);
    assert_eq!(play.supervisor.deadline(), None);
    play.tell(Event::Stop { now: false });
    assert_eq!(play.taken(), [drain(1), drain(2)]);
    play.tell(Event::Disconnected { worker: 1 });
    assert_eq!(play.taken(), [signal(1, Signal::SIGTERM)]);
    play.exit(1, 0);
    play.exit(2, 0);
    assert_eq!(play.taken(), [Action::End { code: 0 }]);
    assert_eq!(play.supervisor.deadline(), None);
}

#[test]
fn who_does_not_leave_is_ended_at_the_deadlines_and_the_code_says_so() {
    let mut play = Play::running(Options::new(1));
    play.tell(Event::Stop { now: false });
    play.pass(24_999);
    assert_eq!(play.taken(), [drain(1)]);
    play.pass(1);
    assert_eq!(play.taken(), [signal(1, Signal::SIGTERM)]);
    play.pass(5_000);
    assert_eq!(play.taken(), [signal(1, Signal::SIGKILL)]);
    play.pass(1_000_000);
    play.tell(Event::Exited { worker: 1, exit: Exit { code: None, signal: Some("SIGKILL".into()) } });
    assert_eq!(play.taken(), [Action::End { code: 3 }]);
}

#[test]
fn a_second_stop_is_at_once() {
    let mut play = Play::running(Options::new(1));
    play.tell(Event::Stop { now: false });
    play.tell(Event::Stop { now: false });
    assert_eq!(play.taken(), [drain(1), signal(1, Signal::SIGKILL)]);
    play.tell(Event::Stop { now: true });
    assert_eq!(play.taken(), []);
}

#[test]
fn workers_go_on_for_the_delay_of_a_stop() {
    let mut play = Play::running(Options { shutdown_delay: 5_000, ..Options::new(2) });
    play.tell(Event::Stop { now: false });
    assert_eq!(play.taken(), []);
    assert_eq!(play.reported("stopping"), 1);
    play.exit(1, 1);
    play.pass(4_999);
    assert_eq!((play.taken(), play.last_worker), (vec![], 2), "nobody is started any more");
    play.pass(1);
    assert_eq!(play.taken(), [drain(2)]);
}

#[test]
fn a_worker_that_dies_is_started_again_after_its_back_off_which_is_forgotten() {
    let mut play = Play::running(Options::new(2));
    for (worker, pause) in [(1, 100), (3, 200), (4, 400)] {
        play.exit(worker, 1);
        play.pass(pause - 1);
        assert_eq!(play.last_worker, worker.max(2), "not before its time");
        play.pass(1);
        assert_eq!(play.last_worker, worker.max(2) + 1);
        play.listen(play.last_worker);
    }
    play.pass(60_000);
    play.exit(5, 1);
    play.pass(100);
    assert_eq!(play.last_worker, 6, "the worker was stable");
}

#[test]
fn one_that_is_killed_while_it_leaves_has_cut_requests_off() {
    for (signal, code) in [("SIGKILL", 3), ("SIGSEGV", 3), ("SIGTERM", 0), ("SIGINT", 0)] {
        let mut play = Play::running(Options::new(1));
        play.tell(Event::Stop { now: false });
        // Its channel is closed before its end is known.
        play.tell(Event::Disconnected { worker: 1 });
        play.taken();
        play.tell(Event::Exited { worker: 1, exit: Exit { code: None, signal: Some(signal.into()) } });
        assert_eq!(play.taken(), [Action::End { code }], "{signal}");
    }
}

#[test]
fn a_first_start_that_fails_ends_soon_with_the_code_of_the_worker() {
    let mut play = Play::new(Options::new(2));
    play.tell(Event::Disconnected { worker: 1 });
    play.exit(1, 7);
    assert_eq!(play.taken(), []);
    play.exit(2, 8);
    assert_eq!(play.taken(), [Action::End { code: 7 }]);
    assert_eq!((play.reported("gave-up"), play.last_worker), (1, 2));
    let mut play = Play::new(Options::new(1));
    play.exit(1, 0);
    assert_eq!(play.taken(), [Action::End { code: 1 }], "nothing was served");
}

#[test]
fn a_first_worker_that_is_not_ready_in_time_ends_it() {
    let mut play = Play::new(Options { ready_timeout: Some(1_000), ..Options::new(1) });
    play.pass(1_000);
    assert_eq!(play.taken(), [signal(1, Signal::SIGTERM)]);
    play.exit(1, 0);
    assert_eq!(play.taken(), [Action::End { code: 1 }], "whatever its own code is");
}

#[test]
fn where_no_worker_can_be_started_it_ends_and_later_goes_on_trying() {
    let mut play = Play::refusing(Options::new(2));
    assert_eq!(play.taken(), [Action::End { code: 1 }]);
    let mut play = Play::running(Options::new(2));
    play.refuse_forks = true;
    play.exit(1, 1);
    play.pass(1_000);
    assert!(play.reported("fork-failed") > 1 && play.taken().is_empty());
    play.refuse_forks = false;
    play.pass(10_000);
    assert_eq!(play.states(), ["booting", "ready"]);
}

#[test]
fn one_that_fails_at_the_first_start_is_tried_again_once_another_is_ready() {
    let mut play = Play::new(Options::new(2));
    play.exit(1, 7);
    play.pass(10_000);
    assert_eq!(play.last_worker, 2);
    play.listen(2);
    play.pass(100);
    assert_eq!(play.last_worker, 3);
}

#[test]
fn when_all_die_faster_than_they_may_it_gives_up() {
    let budget = Budget { count: 3, within: 60_000 };
    let mut play = Play::running(Options { max_restarts: Some(budget), ..Options::new(2) });
    for worker in [1, 3, 4, 5] {
        play.exit(worker, 1);
        play.pass(1_000);
        (1..=play.last_worker).for_each(|worker| play.listen(worker));
    }
    assert_eq!((play.last_worker, play.reported("braked")), (5, 1));
    assert_eq!(play.taken(), [], "the other serves");
    play.pass(60_000);
    assert_eq!(play.last_worker, 6, "the budget has come back");
    play.listen(6);
    let mut play = Play::running(Options { max_restarts: Some(budget), ..Options::new(2) });
    for worker in 1..=5 {
        play.exit(worker, 1);
        play.pass(1_000);
    }
    assert_eq!(play.taken(), [Action::End { code: 1 }]);
}

#[test]
fn the_budget_grows_with_the_slots() {
    let mut play = Play::running(Options::new(1));
    play.tell(Event::Scale { count: 4 });
    (2..=4).for_each(|worker| play.listen(worker));
    for round in 0..3 {
        (1..=4).for_each(|slot| play.exit(4 * round + slot, 1));
        play.pass(1_000);
    }
    assert_eq!((play.reported("braked"), play.last_worker), (0, 16));
}

#[test]
fn a_code_that_means_so_keeps_the_worker_down() {
    let mut play = Play::running(Options { stay_down: vec![78], ..Options::new(2) });
    play.exit(1, 78);
    play.pass(100_000);
    assert_eq!((play.last_worker, play.states()), (2, vec!["down", "ready"]));
    play.exit(2, 78);
    assert_eq!(play.taken(), [Action::End { code: 78 }]);
}
