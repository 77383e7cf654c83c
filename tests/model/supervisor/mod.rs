//! The supervisor: in random steps, and with a world that does whatever it likes, each promise of its own holds.
//!
//! `cargo test --test model supervisor` takes ten thousand steps; with `STEPS=1000000` before it, a million.

mod house;
mod promises;

use proptest::prelude::*;
use rust_cluster::supervisor::{Budget, Options, Pauses};

use super::config;
use house::House;

/// What happens next. Workers are named by their place among those that live, or that ever lived.
#[derive(Debug, Clone)]
pub enum Step {
    /// A fork is answered: a worker, or none.
    Answer(bool),
    Listen(usize, u8),
    SayReady(usize),
    /// It listens where it is to, and says so.
    BecomeReady(usize),
    Disconnect(usize),
    Exit(usize, i32),
    Quiet(usize, u64),
    Memory(usize, u64),
    Connections(usize, u64),
    Reload,
    ReloadOne(usize),
    Scale(u32),
    Stop(bool),
    /// Time passes; each deadline on the way is told.
    Pass(u64),
    /// The machine slept: only the last of the deadlines is told.
    Sleep(u64),
    /// Something is told about a worker that is dead, or that never was.
    Late(usize, u8),
}

fn step() -> impl Strategy<Value = Step> {
    let place = || 0..12usize;
    prop_oneof![
        12 => prop::bool::weighted(0.9).prop_map(Step::Answer),
        3 => (place(), 0..3u8).prop_map(|(worker, address)| Step::Listen(worker, address)),
        2 => place().prop_map(Step::SayReady),
        12 => place().prop_map(Step::BecomeReady),
        2 => place().prop_map(Step::Disconnect),
        6 => (place(), prop_oneof![Just(0), Just(1), Just(1), Just(78)]).prop_map(|(worker, code)| Step::Exit(worker, code)),
        4 => (place(), prop_oneof![Just(0), Just(400), Just(600), Just(3500)]).prop_map(|(w, time)| Step::Quiet(w, time)),
        5 => (place(), prop_oneof![Just(900), Just(1001), Just(1500)]).prop_map(|(w, bytes)| Step::Memory(w, bytes)),
        2 => (place(), 0..120u64).prop_map(|(worker, count)| Step::Connections(worker, count)),
        2 => Just(Step::Reload),
        1 => place().prop_map(Step::ReloadOne),
        2 => (0..6u32).prop_map(Step::Scale),
        10 => (0..400u64).prop_map(Step::Pass),
        3 => (0..20_000u64).prop_map(Step::Pass),
        1 => (0..20_000u64).prop_map(Step::Sleep),
        2 => (place(), any::<u8>()).prop_map(|(worker, kind)| Step::Late(worker, kind)),
    ]
}

prop_compose! {
    fn options()(
        workers in 1..5u32,
        wait_ready in prop::bool::weighted(0.3),
        ready_timeout in prop::option::weighted(0.8, Just(1_500)),
        drain in prop_oneof![Just(0), Just(2_000)],
        kill_timeout in prop_oneof![Just(0), Just(500)],
        shutdown_delay in prop_oneof![Just(0), Just(1_000)],
        count in 0..12u32,
        stay_down in prop_oneof![Just(vec![]), Just(vec![78])],
        max_memory in prop::option::of(Just(1_000)),
        max_lifetime in prop::option::of(Just(20_000)),
        max_connections in prop::option::of(Just(100)),
        stuck in prop::option::of(Just(3_000)),
    ) -> Options {
        Options {
            wait_ready, ready_timeout, drain, kill_timeout, shutdown_delay, stay_down, max_memory, max_lifetime,
            max_connections, stuck,
            backoff: Pauses { first: 100, most: 1_000 },
            stable_after: 2_000,
            max_restarts: Some(Budget { count, within: 10_000 }),
            stuck_report: Some(500),
            ..Options::new(workers)
        }
    }
}

const STEPS: u32 = 150;

fn cases() -> u32 {
    let wanted = std::env::var("STEPS").ok().and_then(|steps| steps.parse::<u32>().ok());
    wanted.unwrap_or(10_000) / STEPS
}

proptest! {
    #![proptest_config(config(cases()))]

    /// `calm`: before the end nobody fails any more, and all that is asked for is done.
    #[test]
    fn it_keeps_its_promises(
        options in options(),
        seed: u64,
        steps in prop::collection::vec(step(), STEPS as usize),
        stop in prop::option::weighted(0.3, (0..STEPS as usize, any::<bool>())),
        calm: bool,
    ) {
        let mut house = House::new(options, seed);
        for (number, step) in steps.into_iter().enumerate() {
            if let Some((_, now)) = stop.filter(|(when, _)| *when == number) {
                house.step(&Step::Stop(now));
            }
            house.step(&step);
        }
        if calm {
            house.calm_down();
        }
        house.end();
    }
}
