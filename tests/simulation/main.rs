//! Policies beside each other, on workers that are event loops, with connections whose work is Pareto: most is little,
//! and a few take a hundred times as long. Ours is the code that runs in production; only the clock is not real.
//!
//! `SIMULATION=file cargo test --release --test simulation` writes what `bench/simulation.js` draws.

mod loops;
mod policies;
mod random;

use std::fmt::Write as _;

use loops::{Loops, Work};
use policies::{LeastBusy, LeastConnections, Optimum, Policy, PowerOfTwo, Random, RoundRobin};

/// A policy for so many workers.
type Make = fn(usize) -> Box<dyn Policy>;

const POLICIES: [(&str, Make); 6] = [
    ("round robin", |workers| Box::new(RoundRobin::new(workers))),
    ("random", |_| Box::new(Random::new())),
    ("least connections", |_| Box::new(LeastConnections)),
    ("power of two choices", |_| Box::new(PowerOfTwo::new())),
    ("rust-cluster", |workers| Box::new(LeastBusy::new(workers))),
    ("optimum", |_| Box::new(Optimum)),
];

/// How long connections waited, in milliseconds.
struct Waits(Vec<f64>);

impl Waits {
    fn of(name: &str, workers: usize, work: &Work) -> Waits {
        let (_, make) = POLICIES.iter().find(|(other, _)| *other == name).unwrap();
        let mut waits = Loops::new(workers).run(work, make(workers).as_mut()).waits;
        waits.sort_by(f64::total_cmp);
        Waits(waits)
    }

    fn at(&self, share: f64) -> f64 {
        self.0[((self.0.len() - 1) as f64 * share) as usize]
    }
}

#[test]
fn the_tail_is_shorter_than_that_of_round_robin_and_near_the_best_that_can_be_had() {
    for (workers, load) in [(16, 0.5), (16, 0.7), (1000, 0.7)] {
        let work = Work::pareto(workers, load, 60_000);
        let tail = |name| Waits::of(name, workers, &work).at(0.99);
        let (ours, round_robin, random) = (tail("rust-cluster"), tail("round robin"), tail("random"));
        println!("{workers} workers, {load}: {ours:.1} ms, round robin {round_robin:.1}, random {random:.1}");
        assert!(ours < round_robin * 0.8, "{workers} workers, load {load}: {ours} ms, round robin {round_robin}");
        assert!(ours < random * 0.5, "{workers} workers, load {load}: {ours} ms, random {random}");
    }
}

#[test]
fn who_computes_in_slices_gets_next_to_nothing() {
    let workers = 4;
    let work = Work::beside_a_busy_worker(300.0, 60.0, 3000);
    let served = Loops::new(workers).run(&work, &mut LeastBusy::new(workers)).served;
    assert!(served[0] * 100 < 3000, "{served:?}");
    let served = Loops::new(workers).run(&work, &mut RoundRobin::new(workers)).served;
    assert_eq!(served, [750; 4], "{served:?}");
}

#[test]
fn at_rest_it_is_round_robin() {
    for workers in [2, 7, 1000] {
        let work = Work::of_one_length(workers, 0.02, 1.0, 3760);
        let served = Loops::new(workers).run(&work, &mut LeastBusy::new(workers)).served;
        let (most, fewest) = (served.iter().max().unwrap(), served.iter().min().unwrap());
        assert!(most - fewest <= 1, "{workers} workers: {fewest} to {most}");
    }
}

/// What is known is as old as a turn, and may be wrong when it is used: that does not make crowds run to and fro. Of any
/// run of connections, four a worker, nobody gets much more than its share.
#[test]
fn where_all_have_much_to_do_no_crowd_runs_to_and_fro() {
    for length in [2.0, 20.0] {
        let workers = 50;
        let work = Work::of_one_length(workers, 0.8, length, 40_000);
        let chosen = Loops::new(workers).run(&work, &mut LeastBusy::new(workers)).chosen;
        let most = chosen.chunks(4 * workers).map(|run| {
            (0..workers).map(|worker| run.iter().filter(|chosen| **chosen == worker).count()).max().unwrap_or_default()
        });
        let most = most.max().unwrap();
        assert!(most <= 8, "connections of {length} ms: {most} of {} went to one of {workers}", 4 * workers);
    }
}

/// Not a test: what the plot shows.
#[test]
fn the_plot() {
    let Some(file) = std::env::var_os("SIMULATION") else { return };
    let mut lines = String::new();
    for workers in [16, 1000] {
        for load in [0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9] {
            let work = Work::pareto(workers, load, 300_000);
            for (name, _) in POLICIES {
                let waits = Waits::of(name, workers, &work);
                let _ = writeln!(
                    lines,
                    r#"{{"workers":{workers},"load":{load},"policy":"{name}","p50":{:.3},"p99":{:.3}}}"#,
                    waits.at(0.5),
                    waits.at(0.99)
                );
            }
        }
    }
    std::fs::write(file, lines).unwrap();
}
