//! Replacing by will: reload, limits, stuck workers, and the number of slots.

use super::*;

#[test]
fn a_reload_replaces_one_after_the_other_the_replacement_first() {
    let mut play = Play::running(Options::new(2));
    play.tell(Event::Reload { worker: None });
    assert_eq!((play.last_worker, play.taken()), (3, vec![]), "nobody leaves before the new one is ready");
    play.listen(3);
    assert_eq!((play.last_worker, play.taken()), (4, vec![drain(1)]));
    play.listen(4);
    assert_eq!(play.taken(), [drain(2), Action::Reloaded { replaced: 2 }]);
    assert_eq!(play.states(), ["draining", "ready", "draining", "ready"]);
}

#[test]
fn a_replacement_has_to_listen_wherever_its_predecessor_did() {
    let mut play = Play::running(Options::new(1));
    play.tell(Event::Listening { worker: 1, address: "/run/app.sock".into() });
    play.tell(Event::Reload { worker: None });
    play.listen(2);
    assert_eq!(play.taken(), []);
    play.pass(60_000);
    let why = "was not ready within 60000 ms: it does not listen on /run/app.sock, as the worker before it did";
    let failure = Failure { slot: Some(0), worker: Some(2), why: why.into() };
    assert_eq!(play.taken(), [signal(2, Signal::SIGTERM), Action::ReloadFailed(failure)]);
    assert_eq!(play.states(), ["ready", "terminating"]);
    play.exit(2, 0);
    play.tell(Event::Reload { worker: None });
    play.listen(3);
    play.tell(Event::Listening { worker: 3, address: "/run/app.sock".into() });
    assert_eq!(play.taken(), [drain(1), Action::Reloaded { replaced: 1 }]);
}

#[test]
fn where_nobody_listens_any_more_nobody_has_to() {
    let mut play = Play::running(Options::new(2));
    play.exit(1, 1);
    play.pass(100);
    play.tell(Event::Listening { worker: 3, address: "0.0.0.0:81".into() });
    assert_eq!(play.states(), ["booting", "ready"], "the other listens where the one before did");
    play.exit(2, 1);
    assert_eq!(play.states(), ["ready", "waiting"]);
}

#[test]
fn where_it_is_asked_a_worker_says_that_it_is_ready_and_needs_not_listen() {
    let mut play = Play::new(Options { wait_ready: true, ..Options::new(1) });
    play.tell(Event::Ready { worker: 1 });
    assert_eq!(play.states(), ["ready"]);
    play.listen(1);
    play.tell(Event::Reload { worker: None });
    play.tell(Event::Ready { worker: 2 });
    assert_eq!(play.taken(), [], "the worker before it listens");
    play.listen(2);
    assert_eq!(play.taken(), [drain(1), Action::Reloaded { replaced: 1 }]);
}

#[test]
fn a_replacement_that_dies_ends_the_reload_and_the_old_ones_stay() {
    let mut play = Play::running(Options::new(3));
    play.tell(Event::Reload { worker: None });
    play.listen(4);
    play.forget();
    play.exit(5, 1);
    let failure = Failure { slot: Some(1), worker: Some(5), why: "exited with code 1 before it was ready".into() };
    assert_eq!(play.taken(), [Action::ReloadFailed(failure)]);
    play.pass(100_000);
    assert_eq!(play.last_worker, 5, "nobody else is started");
}

#[test]
fn an_old_one_that_dies_during_a_reload_is_replaced_once() {
    let mut play = Play::running(Options::new(2));
    play.tell(Event::Reload { worker: None });
    play.exit(2, 1);
    play.pass(100);
    assert_eq!(play.last_worker, 4, "slot 1 is filled again, with the new release");
    play.listen(4);
    play.listen(3);
    assert_eq!(play.taken(), [drain(1), Action::Reloaded { replaced: 2 }]);
    assert_eq!(play.last_worker, 4);
}

#[test]
fn a_reload_fills_what_waits_and_what_stays_down() {
    let mut play = Play::running(Options { stay_down: vec![78], ..Options::new(3) });
    play.exit(1, 78);
    play.exit(2, 1);
    play.tell(Event::Reload { worker: None });
    (4..=6).for_each(|worker| play.listen(worker));
    assert_eq!(play.taken(), [drain(3), Action::Reloaded { replaced: 3 }]);
    assert_eq!((play.last_worker, play.now), (6, 0));
}

#[test]
fn a_stop_during_a_reload_answers_it_and_ends_the_replacement() {
    let mut play = Play::running(Options::new(1));
    play.tell(Event::Reload { worker: None });
    play.tell(Event::Stop { now: false });
    let failure = Failure { slot: None, worker: None, why: "the supervisor stops".into() };
    assert_eq!(play.taken(), [Action::ReloadFailed(failure.clone()), signal(2, Signal::SIGTERM), drain(1)]);
    play.tell(Event::Reload { worker: None });
    assert_eq!(play.taken(), [Action::ReloadFailed(failure)]);
}

#[test]
fn one_slot_can_be_filled_anew() {
    let mut play = Play::running(Options::new(2));
    play.tell(Event::Reload { worker: Some(2) });
    play.listen(3);
    assert_eq!(play.taken(), [drain(2), Action::Reloaded { replaced: 1 }]);
    play.tell(Event::Reload { worker: Some(99) });
    assert!(matches!(&play.taken()[..], [Action::ReloadFailed(failure)] if failure.why == "there is no worker 99"));
}

#[test]
fn slots_come_and_go() {
    let mut play = Play::running(Options::new(1));
    play.tell(Event::Scale { count: 3 });
    play.listen(2);
    assert_eq!((play.last_worker, play.taken()), (3, vec![]));
    play.listen(3);
    assert_eq!(play.taken(), [Action::Scaled { count: 3 }]);
    play.tell(Event::Scale { count: 2 });
    assert_eq!(play.taken(), [drain(3)]);
    play.exit(3, 0);
    assert_eq!(play.taken(), [Action::Scaled { count: 2 }]);
    play.tell(Event::Scale { count: 3 });
    play.exit(4, 9);
    assert!(matches!(&play.taken()[..], [Action::ScaleFailed(failure)] if failure.slot == Some(2)));
    play.pass(100);
    assert_eq!((play.last_worker, play.states()), (5, vec!["ready", "ready", "booting"]), "it is tried again");
    play.tell(Event::Scale { count: 0 });
    assert!(matches!(&play.taken()[..], [Action::ScaleFailed(_)]));
}

#[test]
fn whose_memory_grows_is_replaced_after_three_looks_one_at_a_time() {
    let mut play = Play::running(Options { max_memory: Some(100), ..Options::new(2) });
    for bytes in [90, 110, 110, 90, 110, 110, 110] {
        assert_eq!(play.last_worker, 2, "a peak is no growth");
        (1..=2).for_each(|worker| play.tell(Event::Memory { worker, bytes }));
    }
    assert_eq!(play.last_worker, 3);
    play.listen(3);
    play.listen(4);
    assert_eq!(play.taken(), [drain(1), drain(2)]);
}

#[test]
fn a_limit_that_a_fresh_worker_exceeds_is_refused_until_the_next_reload() {
    let mut play = Play::running(Options { max_memory: Some(100), ..Options::new(1) });
    let grow = |play: &mut Play, worker, looks: [u64; 4]| {
        looks.into_iter().for_each(|bytes| play.tell(Event::Memory { worker, bytes }));
    };
    grow(&mut play, 1, [110; 4]);
    assert_eq!((play.reported("limit-refused"), play.last_worker), (1, 1));
    grow(&mut play, 1, [90, 110, 110, 110]);
    assert_eq!((play.reported("limit-refused"), play.last_worker), (1, 1));
    play.tell(Event::Reload { worker: None });
    play.listen(2);
    grow(&mut play, 2, [90, 110, 110, 110]);
    assert_eq!(play.last_worker, 3);
}

#[test]
fn a_limit_waits_for_a_reload_which_fulfils_it() {
    let mut play = Play::running(Options { max_connections: Some(10), ..Options::new(2) });
    play.tell(Event::Reload { worker: None });
    play.tell(Event::Connections { worker: 2, count: 10 });
    play.listen(3);
    play.listen(4);
    play.pass(1_000);
    assert_eq!((play.last_worker, play.taken()), (4, vec![drain(1), drain(2), Action::Reloaded { replaced: 2 }]));
}

#[test]
fn a_limit_waits_also_while_a_reload_waits() {
    let mut play = Play::running(Options { max_connections: Some(10), ..Options::new(2) });
    play.tell(Event::Reload { worker: None });
    play.exit(2, 1);
    play.pass(100);
    play.listen(3);
    play.tell(Event::Connections { worker: 3, count: 10 });
    assert_eq!(play.last_worker, 4, "the reload waits for the worker that fills slot 1 again");
    play.listen(4);
    assert_eq!(play.taken(), [drain(1), Action::Reloaded { replaced: 2 }]);
    assert_eq!(play.last_worker, 5, "now it is the limit's turn");
    play.listen(5);
    assert_eq!(play.taken(), [drain(3)]);
}

#[test]
fn a_replacement_for_a_limit_that_fails_is_tried_again_later() {
    let mut play = Play::running(Options { max_lifetime: Some(1_000), ..Options::new(1) });
    play.pass(1_000);
    play.exit(2, 1);
    assert_eq!((play.last_worker, play.states()), (2, vec!["ready"]));
    play.pass(99);
    assert_eq!(play.last_worker, 2);
    play.pass(1);
    play.listen(3);
    assert_eq!(play.taken(), [drain(1)]);
}

#[test]
fn who_is_stuck_is_told_then_replaced_and_then_aborted() {
    let mut play = Play::running(Options::new(2));
    for worker in 1..=2 {
        play.tell(Event::Quiet { worker, duration: 4_999 });
        assert_eq!(play.taken(), []);
        play.tell(Event::Quiet { worker, duration: 5_000 });
        play.tell(Event::Quiet { worker, duration: 6_000 });
        assert_eq!(play.taken(), [Action::Diagnose { worker }]);
        play.tell(Event::Quiet { worker, duration: 60_000 });
    }
    assert_eq!((play.last_worker, play.taken()), (3, vec![]), "all are stuck: one at a time");
    play.listen(3);
    assert_eq!((play.last_worker, play.taken()), (4, vec![signal(1, Signal::SIGABRT)]));
    play.tell(Event::Quiet { worker: 2, duration: 0 });
    assert_eq!(play.reported("turns-again"), 1);
    play.listen(4);
    assert_eq!(play.taken(), [drain(2)], "it turns again: it may finish what it has");
    play.pass(5_000);
    assert_eq!(play.taken(), [signal(1, Signal::SIGKILL)]);
}

#[test]
fn what_is_stuck_goes_before_what_a_reload_replaces_next() {
    let mut play = Play::running(Options::new(3));
    play.tell(Event::Reload { worker: None });
    play.tell(Event::Quiet { worker: 3, duration: 60_000 });
    play.listen(4);
    play.listen(5);
    play.listen(6);
    let signalled = signal(3, Signal::SIGABRT);
    let diagnosed = Action::Diagnose { worker: 3 };
    let actions = [diagnosed, drain(1), signalled, drain(2), Action::Reloaded { replaced: 3 }];
    assert_eq!((play.taken(), play.last_worker), (actions.to_vec(), 6));
}

#[test]
fn other_options_hold_from_then_on_and_the_number_of_slots_stays() {
    let mut play = Play::running(Options::new(2));
    play.supervisor.configure(Options { drain: 7, jitter: 0.0, ..Options::new(1) });
    play.tell(Event::Reload { worker: None });
    play.listen(3);
    play.listen(4);
    let drain = |worker| Action::Drain { worker, within: 7 };
    assert_eq!(play.taken(), [drain(1), drain(2), Action::Reloaded { replaced: 2 }]);
}
