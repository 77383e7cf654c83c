use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn written(merge: &Merge) -> String {
    written_as(merge, Format::Prometheus)
}

fn written_as(merge: &Merge, format: Format) -> String {
    let mut out = String::new();
    exposition::append(&mut out, &merge.families(format), format);
    out
}

/// What a series has in text.
fn value_of(text: &str, key: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.parse().ok())
}

fn of(workers: &[(WorkerId, Slot, &str)]) -> Merge {
    let mut merge = Merge::default();
    for &(worker, slot, text) in workers {
        merge.add(worker, slot);
        merge.take(worker, text.as_bytes()).unwrap();
    }
    merge
}

const HISTOGRAM: &str =
    "# HELP t Time\n# TYPE t histogram\nt_bucket{le=\"0.5\",m=\"x\"} 1\nt_bucket{le=\"+Inf\",m=\"x\"} 3\n\
                         t_sum{m=\"x\"} 7.5\nt_count{m=\"x\"} 3\n";

#[test]
fn counters_and_histograms_are_added_up_and_gauges_stand_beside_each_other() {
    let text = format!("# TYPE a_total counter\na_total{{p=\"/\"}} 2\n# TYPE g gauge\ng 5\n{HISTOGRAM}");
    let merge = of(&[(1, 0, &text), (2, 1, &text)]);
    let expected = "# TYPE a_total counter\na_total{p=\"/\"} 4\n\
                    # TYPE g gauge\ng{slot=\"0\"} 5\ng{slot=\"1\"} 5\n\
                    # HELP t Time\n# TYPE t histogram\nt_bucket{m=\"x\",le=\"0.5\"} 2\nt_bucket{m=\"x\",le=\"+Inf\"} 6\n\
                    t_sum{m=\"x\"} 15\nt_count{m=\"x\"} 6\n";
    assert_eq!(written(&merge), expected);
}

#[test]
fn what_was_counted_outlives_its_worker_and_a_gauge_does_not() {
    let text = format!("# TYPE a counter\na 2\n# TYPE g gauge\ng 5\n# TYPE s summary\ns{{quantile=\"0.5\"}} 1\ns_sum 3\ns_count 2\n{HISTOGRAM}");
    let mut merge = of(&[(1, 0, &text)]);
    merge.remove(1);
    let out = written(&merge);
    assert_eq!(value_of(&out, "a"), Some(2.0));
    assert_eq!(value_of(&out, "s_count"), Some(2.0));
    assert_eq!(value_of(&out, "t_count{m=\"x\"}"), Some(3.0));
    assert!(!out.contains("quantile") && !out.contains("g{"), "{out}");
    merge.add(2, 0);
    merge.take(2, b"# TYPE a counter\na 1\n").unwrap();
    assert_eq!(value_of(&written(&merge), "a"), Some(3.0));
}

#[test]
fn what_begins_anew_within_a_worker_counts_besides() {
    let mut merge = of(&[(1, 0, "# TYPE a counter\na 5\n")]);
    merge.take(1, b"# TYPE a counter\na 3\n").unwrap();
    merge.take(1, b"# TYPE a counter\na 3\n").unwrap();
    assert_eq!(value_of(&written(&merge), "a"), Some(8.0));
    // What is away for a moment has not begun anew.
    merge.take(1, b"").unwrap();
    merge.take(1, b"# TYPE a counter\na 4\n").unwrap();
    assert_eq!(value_of(&written(&merge), "a"), Some(9.0));
}

#[test]
fn a_histogram_begins_anew_as_a_whole() {
    let text = |sum: f64, few: u64, all: u64| {
        format!("# TYPE t histogram\nt_sum {sum}\nt_bucket{{le=\"1\"}} {few}\nt_bucket{{le=\"+Inf\"}} {all}\nt_count {all}\n")
    };
    let mut merge = of(&[(1, 0, &text(30.0, 2, 5))]);
    // More in the first bucket, and a larger sum, than before it began anew.
    merge.take(1, text(50.0, 3, 4).as_bytes()).unwrap();
    let out = written(&merge);
    assert_eq!(value_of(&out, "t_sum"), Some(80.0));
    assert_eq!(value_of(&out, "t_bucket{le=\"1\"}"), Some(5.0));
    assert_eq!(value_of(&out, "t_count"), Some(9.0));
    // A sum of what is negative goes down, and is no new beginning.
    merge.take(1, text(-50.0, 4, 5).as_bytes()).unwrap();
    assert_eq!(value_of(&written(&merge), "t_sum"), Some(-20.0));
}

#[test]
fn nonsense_costs_a_snapshot_and_nothing_else() {
    let mut merge = of(&[(1, 0, "# TYPE a counter\na 5\n# TYPE g gauge\ng 1\n"), (2, 1, "# TYPE a counter\na 1\n")]);
    let before = written(&merge);
    let many = (0..=MOST_SERIES).map(|number| format!("a{number} 1\n")).collect::<String>();
    for text in [
        &b"\xff"[..],
        b"# TYPE a counter\na 9\na 9\n",
        b"# TYPE a counter\na 9\nb\n",
        b"# TYPE a counter\na NaN\n",
        b"# TYPE a counter\na -1\n",
        b"# TYPE a counter\na 7\n# TYPE b counter\nb +Inf\n",
        b"# TYPE t histogram\nt_bucket 1\n",
        b"# TYPE t histogram\nt 1\n",
        b"g 1\nz 1\nz 2\n",
        many.as_bytes(),
        "#\n".repeat(parse::MOST_LINES + 1).as_bytes(),
    ] {
        assert!(merge.take(1, text).is_err(), "{}", String::from_utf8_lossy(text));
        assert_eq!(written(&merge), before);
    }
    assert_eq!(merge.take(3, b"a 1"), Ok(None), "of one that is gone");
    assert_eq!(written(&merge), before);
}

#[test]
fn of_two_workers_in_a_slot_the_newer_one_has_the_gauges() {
    let mut merge = of(&[(1, 0, "# TYPE g gauge\ng 1\n"), (2, 0, "# TYPE g gauge\ng 2\n")]);
    assert_eq!(value_of(&written(&merge), "g{slot=\"0\"}"), Some(2.0));
    assert_eq!(written(&merge).matches("g{").count(), 1);
    merge.remove(2);
    assert_eq!(value_of(&written(&merge), "g{slot=\"0\"}"), Some(1.0));
}

#[test]
fn labels_and_names_of_ours_stay_ours() {
    let text = "cluster_x 1\n# TYPE g gauge\ng{slot=\"a\"} 1\nh{slot=\"a\",exported_slot=\"b\"} 1\ni{a=\"1\",b=\"2\"} 1\ni{b=\"2\",a=\"1\"} 2\n";
    let out = written(&of(&[(1, 3, text)]));
    let samples: Vec<_> = out.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(samples, ["g{exported_slot=\"a\",slot=\"3\"} 1", "i{a=\"1\",b=\"2\",slot=\"3\"} 1"]);
}

#[test]
fn a_family_is_another_once_nobody_has_the_old_one() {
    let mut merge = of(&[(1, 0, "# TYPE a counter\na 5\n"), (2, 1, "# TYPE a gauge\na 7\n")]);
    assert!(written(&merge).contains("# TYPE a counter\na 5\n"), "{}", written(&merge));
    merge.remove(1);
    merge.add(3, 0);
    merge.take(3, b"# TYPE a gauge\na 8\n").unwrap();
    assert!(written(&merge).ends_with("# TYPE a gauge\na{slot=\"0\"} 8\n"), "{}", written(&merge));
}

#[test]
fn the_formats_may_be_mixed_and_names_do_not_clash() {
    let merge = of(&[
        (1, 0, "# TYPE a counter\na_total 1 # {x=\"y\"} 1\na_created 17\n# TYPE i info\ni_info{v=\"1\"} 1\n# EOF\n"),
        (2, 1, "# TYPE a_total counter\na_total 2\n# TYPE b counter\nb 1\n# TYPE j gauge\nj 1\n# TYPE j_total counter\nj_total 4\n"),
    ]);
    assert_eq!(value_of(&written(&merge), "a_total"), Some(3.0));
    let out = written_as(&merge, Format::OpenMetrics);
    for part in [
        "# TYPE a counter\na_total 3\n",
        "# TYPE i_info gauge\ni_info{v=\"1\",slot=\"0\"} 1\n",
        "# TYPE b counter\nb_total 1\n",
        "# TYPE j gauge\nj{",
        "# TYPE j_total unknown\nj_total 4\n",
    ] {
        assert!(out.contains(part), "{part}: {out}");
    }
}

#[test]
fn what_a_worker_has_said_once_is_not_kept_for_ever() {
    let mut merge = of(&[(1, 0, "")]);
    for round in 0..50 {
        let text: String = (0..200).map(|number| format!("g{{r=\"{round}\",n=\"{number}\"}} 1\n")).collect();
        merge.take(1, text.as_bytes()).unwrap();
    }
    let worker = &merge.workers[&1];
    assert!(worker.series.len() <= 1400 && worker.by_key.len() <= 1400, "{}", worker.series.len());
    assert_eq!(written(&merge).matches("r=\"49\"").count(), 200);
    assert_eq!(written(&merge).matches("r=\"").count(), 200);
}

/// Counters that nobody else has: so many, for each of which 620 bytes are kept.
fn new_counters(round: u32, count: u32) -> String {
    let pad = "x".repeat(100);
    let series = |number| format!("a{{r=\"{round}\",n=\"{number}\",p=\"{pad}\"}} 1\n");
    std::iter::once("# TYPE a counter\n".to_owned()).chain((0..count).map(series)).collect()
}

#[test]
fn what_is_kept_of_all_is_bounded_and_those_who_say_little_have_room() {
    let mut merge = of(&[(1, 0, ""), (2, 1, ""), (3, 2, "# TYPE g counter\ng 1\n")]);
    // Two who say ever new things, one of which is replaced again and again.
    for round in 0..6 {
        merge.add(10 + round, 1);
        for worker in [1, 10 + round] {
            let left_out = merge.take(worker, new_counters(worker * 100 + round, 6000).as_bytes()).unwrap();
            assert_eq!(left_out.is_some(), round >= 2, "{round}");
            assert!(left_out.is_none_or(|left_out| left_out.bound == Bound::Slot));
        }
    }
    assert!(merge.kept_of.values().all(|kept| *kept <= MOST_OF_SLOT));
    assert!(written(&merge).len() < 2 * MOST_OF_SLOT);
    let text = "# TYPE g counter\ng 2\n# TYPE h counter\nh 1\n";
    assert_eq!(merge.take(3, text.as_bytes()), Ok(None), "others do not notice");
    assert_eq!(value_of(&written(&merge), "h"), Some(1.0));
    // What is kept already counts on.
    merge.take(1, new_counters(100, 1).replace("} 1", "} 9").as_bytes()).unwrap();
    let is_counted = |line: &str| line.starts_with("a{n=\"0\",") && line.ends_with(",r=\"100\"} 9");
    assert!(written(&merge).lines().any(is_counted), "it is not counted twice");
    // There is an end to it, however many slots there are.
    for slot in 2..7 {
        merge.add(100 + slot, slot);
        for round in 0..3 {
            merge.take(100 + slot, new_counters(1000 * slot + round, 6000).as_bytes()).unwrap();
        }
    }
    assert!(merge.kept <= MOST_KEPT);
    merge.add(200, 8);
    let left_out = merge.take(200, new_counters(0, 1).as_bytes()).unwrap();
    assert_eq!(left_out, Some(LeftOut { count: 1, bound: Bound::All }));
}

#[test]
fn a_counter_that_was_away_for_long_goes_on_from_what_it_was() {
    let counters = |value: u32, of: std::ops::Range<u32>| -> String {
        let counters = of.map(|number| format!("c{{n=\"{number}\"}} {value}\n"));
        std::iter::once("# TYPE c counter\n".to_owned()).chain(counters).collect()
    };
    let mut merge = of(&[(1, 0, &counters(5, 0..3000))]);
    // So many others that what is away is forgotten.
    merge.take(1, counters(1, 9000..9010).as_bytes()).unwrap();
    assert!(merge.workers[&1].series.len() < 1000, "{}", merge.workers[&1].series.len());
    merge.take(1, counters(7, 0..2000).as_bytes()).unwrap();
    merge.take(1, counters(3, 2000..3000).as_bytes()).unwrap();
    let out = written(&merge);
    assert_eq!(value_of(&out, "c{n=\"0\"}"), Some(7.0));
    assert_eq!(value_of(&out, "c{n=\"1999\"}"), Some(7.0));
    assert_eq!(value_of(&out, "c{n=\"2000\"}"), Some(8.0), "it is less than it was: it has begun anew");
    assert_eq!(value_of(&out, "c{n=\"9000\"}"), Some(1.0));
}

#[test]
fn long_keys_are_forgotten_as_well_as_many() {
    let mut merge = of(&[(1, 0, "")]);
    let pad = "x".repeat(8000);
    for round in 0..8 {
        let text: String =
            (0..100).map(|number| format!("g{{r=\"{round}\",n=\"{number}\",p=\"{pad}\"}} 1\n")).collect();
        merge.take(1, text.as_bytes()).unwrap();
    }
    assert!(merge.workers[&1].series.len() <= 400, "{}", merge.workers[&1].series.len());
}

#[test]
fn labels_in_another_order_are_the_same_metric() {
    let text = |key: &str, value: u32| format!("# TYPE c counter\nc{key} {value}\n# TYPE g gauge\ng{key} {value}\n");
    let (one, other) = ("{a=\"1\",b=\"2\"}", "{b=\"2\",a=\"1\"}");
    let mut merge = of(&[(1, 0, &text(one, 5))]);
    for (key, value) in [(other, 6), (one, 7), (one, 8), (other, 9)] {
        merge.take(1, text(key, value).as_bytes()).unwrap();
        let out = written(&merge);
        assert_eq!(value_of(&out, "c{a=\"1\",b=\"2\"}"), Some(value.into()));
        assert_eq!(value_of(&out, "g{a=\"1\",b=\"2\",slot=\"0\"}"), Some(value.into()));
        assert_eq!(out.lines().filter(|line| !line.starts_with('#')).count(), 2);
    }
    // Of both in one text the first one counts.
    merge.take(1, format!("# TYPE c counter\nc{other} 10\nc{one} 100\n").as_bytes()).unwrap();
    assert_eq!(value_of(&written(&merge), "c{a=\"1\",b=\"2\"}"), Some(10.0));
}

#[test]
fn what_was_another_kind_for_a_while_counts_once() {
    let mut merge = of(&[(1, 0, "# TYPE a counter\na 5\n"), (2, 1, "# TYPE a counter\na 1\n")]);
    merge.take(1, b"# TYPE a gauge\na 7\n").unwrap();
    merge.take(1, b"# TYPE a counter\na 6\n").unwrap();
    assert_eq!(value_of(&written(&merge), "a"), Some(7.0));
}

#[test]
fn a_sum_of_any_numbers_is_a_number() {
    let text = |sum: f64, all: u64| format!("# TYPE s summary\ns_sum {sum:e}\ns_count {all}\n");
    let mut merge = of(&[(1, 0, &text(f64::MAX, 1)), (2, 1, &text(f64::MAX, 1))]);
    for (all, sum) in (2..).zip([f64::MIN, f64::MAX, f64::MIN, -0.0]) {
        merge.take(1, text(sum, all).as_bytes()).unwrap();
        let sum = value_of(&written(&merge), "s_sum").unwrap();
        assert!(sum.is_finite(), "{sum}");
    }
    assert_eq!(value_of(&written(&merge), "s_count"), Some(6.0));
}

#[test]
fn a_histogram_has_no_more_parts_than_there_is_room_for() {
    let buckets = |first: u32| -> String {
        let bucket = |le| format!("h_bucket{{le=\"{le}\"}} 1\n");
        std::iter::once("# TYPE h histogram\n".into()).chain((first..first + 900).map(bucket)).collect()
    };
    let mut merge = of(&[(1, 0, &buckets(0))]);
    for first in [900, 1800] {
        merge.take(1, buckets(first).as_bytes()).unwrap();
    }
    let out = written(&merge);
    assert_eq!(out.matches("h_bucket").count(), 1000);
    // What is there counts on.
    merge.take(1, b"# TYPE h histogram\nh_bucket{le=\"0\"} 3\n").unwrap();
    assert_eq!(value_of(&written(&merge), "h_bucket{le=\"0\"}"), Some(3.0));
}

/// What may happen.
#[derive(Debug, Clone)]
enum Step {
    Fork(Slot),
    Count { worker: usize, series: usize, by: u32 },
    Set { worker: usize, value: u32 },
    Restart { worker: usize },
    Push { worker: usize },
    Garbage { worker: usize, bytes: Vec<u8> },
    Kill { worker: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let worker = 0..8_usize;
    prop_oneof![
        2 => (0..4_u32).prop_map(Step::Fork),
        6 => (worker.clone(), 0..4_usize, 0..100_u32).prop_map(|(worker, series, by)| Step::Count { worker, series, by }),
        1 => (worker.clone(), 0..9_u32).prop_map(|(worker, value)| Step::Set { worker, value }),
        1 => worker.clone().prop_map(|worker| Step::Restart { worker }),
        4 => worker.clone().prop_map(|worker| Step::Push { worker }),
        1 => (worker.clone(), prop::collection::vec(any::<u8>(), 0..40)).prop_map(|(worker, bytes)| Step::Garbage { worker, bytes }),
        1 => worker.prop_map(|worker| Step::Kill { worker }),
    ]
}

/// A worker as it counts, and what it has said of it.
#[derive(Debug, Clone, Default)]
struct Counting {
    slot: Slot,
    now: [u32; 4],
    gauge: u32,
    said_gauge: Option<u32>,
}

impl Counting {
    /// Two counters, and a histogram of what was 0 and what was more.
    fn text(&self) -> String {
        let [a, b, few, more] = self.now;
        let all = few + more;
        format!(
            "# TYPE c counter\nc{{n=\"a\"}} {a}\nc{{n=\"b\"}} {b}\n# TYPE g gauge\ng {}\n# TYPE h histogram\n\
             h_bucket{{le=\"1\"}} {few}\nh_bucket{{le=\"+Inf\"}} {all}\nh_sum {more}\nh_count {all}\n",
            self.gauge
        )
    }
}

/// The naive twin: what each has counted until it last said so, life by life.
#[derive(Default)]
struct Model {
    workers: BTreeMap<WorkerId, Counting>,
    /// What is over: of workers, and of beginnings within one.
    over: [u64; 4],
    said: BTreeMap<WorkerId, [u32; 4]>,
}

impl Model {
    fn at(&mut self, place: usize) -> Option<(WorkerId, &mut Counting)> {
        let count = self.workers.len().max(1);
        self.workers.iter_mut().nth(place % count).map(|(&id, worker)| (id, worker))
    }

    fn push(&mut self, id: WorkerId) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        worker.said_gauge = Some(worker.gauge);
        let before = self.said.insert(id, worker.now).unwrap_or_default();
        let now = worker.now;
        // A counter, a counter, and the two numbers of one histogram.
        let all = |of: [u32; 4]| of[2] + of[3];
        // A sum that falls while there is more of it may be one of what is negative: this histogram's are not.
        let sum_alone = all(now) == all(before) && now[3] != before[3];
        let began_anew =
            [now[0] < before[0], now[1] < before[1], now[2] < before[2] || all(now) < all(before) || sum_alone];
        for (place, group) in [0, 1, 2, 2].into_iter().enumerate() {
            if began_anew[group] {
                self.over[place] += u64::from(before[place]);
            }
        }
    }

    fn kill(&mut self, id: WorkerId) {
        self.workers.remove(&id);
        for (place, count) in self.said.remove(&id).unwrap_or_default().into_iter().enumerate() {
            self.over[place] += u64::from(count);
        }
    }

    fn total(&self, place: usize) -> f64 {
        (self.over[place] + self.said.values().map(|said| u64::from(said[place])).sum::<u64>()) as f64
    }
}

proptest! {
    /// However workers count, begin anew, talk nonsense, are killed and replaced: what comes out is what they had counted
    /// when they last said so, and nothing that is counted ever goes down.
    #[test]
    fn no_total_goes_down_and_none_is_lost(steps in prop::collection::vec(step(), 1..200)) {
        let (mut merge, mut model, mut next) = (Merge::default(), Model::default(), 0);
        let mut before = [0.0; 4];
        for step in steps {
            match step {
                Step::Fork(slot) => {
                    next += 1;
                    merge.add(next, slot);
                    model.workers.insert(next, Counting { slot, ..Counting::default() });
                }
                Step::Count { worker, series, by } => {
                    if let Some((_, worker)) = model.at(worker) {
                        worker.now[series] += by;
                    }
                }
                Step::Set { worker, value } => {
                    if let Some((_, worker)) = model.at(worker) {
                        worker.gauge = value;
                    }
                }
                Step::Restart { worker } => {
                    if let Some((_, worker)) = model.at(worker) {
                        worker.now = [0; 4];
                    }
                }
                Step::Push { worker } => {
                    if let Some((id, worker)) = model.at(worker) {
                        merge.take(id, worker.text().as_bytes()).unwrap();
                        model.push(id);
                    }
                }
                Step::Garbage { worker, bytes } => {
                    if let Some((id, worker)) = model.at(worker) {
                        // Behind what is right, so that it is read to there.
                        let bytes = [worker.text().as_bytes(), b"\n}", &bytes].concat();
                        prop_assert!(merge.take(id, &bytes).is_err());
                    }
                }
                Step::Kill { worker } => {
                    if let Some((id, _)) = model.at(worker) {
                        model.kill(id);
                        merge.remove(id);
                    }
                }
            }
            let out = written(&merge);
            let value = |key| value_of(&out, key).unwrap_or_default();
            let (few, all) = (value("h_bucket{le=\"1\"}"), value("h_count"));
            let now = [value("c{n=\"a\"}"), value("c{n=\"b\"}"), few, value("h_sum")];
            prop_assert_eq!(now, [0, 1, 2, 3].map(|place| model.total(place)));
            prop_assert_eq!(all, value("h_bucket{le=\"+Inf\"}"));
            prop_assert_eq!(all, model.total(2) + model.total(3));
            let counts = [now[0], now[1], few, all];
            prop_assert!(counts.iter().zip(before).all(|(now, before)| *now >= before), "{:?} after {:?}", counts, before);
            before = counts;
            let newest: BTreeMap<Slot, &Counting> = model.workers.values().map(|worker| (worker.slot, worker)).collect();
            for slot in 0..4 {
                let expected = newest.get(&slot).and_then(|worker| worker.said_gauge).map(f64::from);
                prop_assert_eq!(value_of(&out, &format!("g{{slot=\"{slot}\"}}")), expected);
            }
        }
    }
}

/// What a worker may do with a few counters, each of which has its own labels.
#[derive(Debug, Clone)]
enum Telling {
    Count {
        worker: usize,
        counter: usize,
        by: u32,
    },
    Restart {
        worker: usize,
        counter: usize,
    },
    /// Says some of them, some with their labels in another order.
    Say {
        worker: usize,
        said: u8,
        turned: u8,
    },
    Forget {
        worker: usize,
    },
    Replace {
        worker: usize,
    },
}

fn telling() -> impl Strategy<Value = Telling> {
    let (worker, counter) = (0..2_usize, 0..4_usize);
    prop_oneof![
        4 => (worker.clone(), counter.clone(), 1..9_u32).prop_map(|(worker, counter, by)| Telling::Count { worker, counter, by }),
        1 => (worker.clone(), counter).prop_map(|(worker, counter)| Telling::Restart { worker, counter }),
        4 => (worker.clone(), 0..16_u8, 0..16_u8).prop_map(|(worker, said, turned)| Telling::Say { worker, said, turned }),
        2 => worker.clone().prop_map(|worker| Telling::Forget { worker }),
        1 => worker.prop_map(|worker| Telling::Replace { worker }),
    ]
}

proptest! {
    /// Whatever a worker leaves out and says again, forgotten or not: each is the sum of what was counted, once.
    #[test]
    fn what_is_left_out_and_said_again_counts_once(steps in prop::collection::vec(telling(), 1..100)) {
        let mut merge = Merge::default();
        let (mut ids, mut now, mut said, mut totals) = ([0, 1], [[0; 4]; 2], [[0; 4]; 2], [0; 4]);
        ids.iter().for_each(|&id| merge.add(id, id));
        for step in steps {
            match step {
                Telling::Count { worker, counter, by } => now[worker][counter] += by,
                Telling::Restart { worker, counter } => now[worker][counter] = 0,
                Telling::Say { worker, said: which, turned } => {
                    let mut text = "# TYPE c counter\n".to_owned();
                    for counter in (0..4).filter(|counter| which >> counter & 1 == 1) {
                        let (now, before) = (now[worker][counter], &mut said[worker][counter]);
                        totals[counter] += now - if now < *before { 0 } else { *before };
                        *before = now;
                        text += &match turned >> counter & 1 {
                            0 => format!("c{{n=\"{counter}\",o=\"x\"}} {now}\n"),
                            _ => format!("c{{o=\"x\",n=\"{counter}\"}} {now}\n"),
                        };
                    }
                    merge.take(ids[worker], text.as_bytes()).unwrap();
                }
                Telling::Forget { worker } => merge.workers.get_mut(&ids[worker]).unwrap().forget(),
                Telling::Replace { worker } => {
                    merge.remove(ids[worker]);
                    ids[worker] += 2;
                    merge.add(ids[worker], worker as Slot);
                    (now[worker], said[worker]) = ([0; 4], [0; 4]);
                }
            }
            let out = written(&merge);
            for (counter, total) in totals.iter().enumerate() {
                let value = value_of(&out, &format!("c{{n=\"{counter}\",o=\"x\"}}")).unwrap_or_default();
                prop_assert_eq!(value, f64::from(*total), "{} in {}", counter, out);
            }
        }
    }
}
