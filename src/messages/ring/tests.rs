use super::*;
use crate::messages::parts::{self, Text};
use crate::messages::testing::{ring_ends as ends, sent, Sent};
use crate::processes::board::Board;
use nix::sys::mman::{mprotect, ProtFlags};
use nix::sys::stat::fstat;
use proptest::collection::vec;
use proptest::prelude::*;
use std::slice;

/// Whether a string is the one that was sent.
fn is(reader: &Reader, place: Place, sent: Sent) -> bool {
    let found = reader.at(place).unwrap();
    // SAFETY: within the ring; who writes is this thread.
    let bytes = unsafe { slice::from_raw_parts(found.start.as_ptr(), found.length) };
    let length = if sent.wide { 2 * sent.length } else { sent.length };
    found.wide == sent.wide && bytes.len() == length && bytes.iter().all(|byte| *byte == sent.number)
}

#[test]
fn a_string_is_there_until_it_is_taken() {
    let (mut writer, mut reader) = ends();
    let both = [sent(LEAST, 1), Sent { length: 5000, number: 2, wide: true }];
    let places = both.map(|sent| writer.put(&sent).unwrap());
    assert!(places.iter().zip(both).all(|(place, sent)| is(&reader, *place, sent)));
    reader.take(2);
    assert_eq!(writer.put(&sent(LEAST, 3)).unwrap().start, 0, "all is free again, and it begins where it began");
}

#[test]
fn nothing_is_put_in_before_the_other_end_is_open() {
    let (board, _memory) = Board::new().unwrap();
    let mut writer = Writer::new(board.spaces().unwrap().0);
    assert_eq!(writer.put(&sent(LEAST, 1)), None);
    let _reader = Reader::new(board.spaces().unwrap().0, usize::MAX);
    assert!(writer.put(&sent(LEAST, 1)).is_some());
}

#[test]
fn short_strings_are_not_worth_it() {
    let (mut writer, _reader) = ends();
    assert_eq!(writer.put(&sent(LEAST - 1, 1)), None);
}

#[test]
fn the_two_directions_have_nothing_in_common() {
    let (board, _memory) = Board::new().unwrap();
    let (one, other) = board.spaces().unwrap();
    let (reader, other_reader) =
        (Reader::new(board.spaces().unwrap().0, SIZE), Reader::new(board.spaces().unwrap().1, SIZE));
    let (mut one, mut other) = (Writer::new(one), Writer::new(other));
    let both = [sent(SIZE - MORE, 1), sent(SIZE - MORE, 2)];
    let places = (one.put(&both[0]).unwrap(), other.put(&both[1]).unwrap());
    assert!(is(&reader, places.0, both[0]) && is(&other_reader, places.1, both[1]));
    board.turned(crate::processes::board::now(), 1);
    assert!(is(&reader, places.0, both[0]));
}

#[test]
fn what_does_not_fit_is_refused_and_fits_when_there_is_room() {
    let (mut writer, mut reader) = ends();
    assert_eq!(writer.put(&sent(SIZE, 1)), None, "with what it needs to be recognised");
    assert_eq!(writer.put(&sent(usize::MAX / 8, 1)), None);
    let mut count = 0;
    while writer.put(&sent(100_000, 2)).is_some() {
        count += 1;
    }
    assert_eq!(count, SIZE / 100_032);
    assert_eq!(writer.put(&sent(100_000, 2)), None);
    assert_eq!(writer.held(), count * 100_032 - UNCOUNTED);
    reader.take(1);
    assert_eq!(writer.put(&sent(100_000, 3)).unwrap().start, 0);
    reader.take(count);
    assert_eq!(writer.held(), 0);
}

#[test]
fn what_fits_to_the_byte_fits_and_one_byte_more_does_not() {
    const A: usize = 100_032;
    let start = |taken, others: &[usize], length| {
        let (mut writer, mut reader) = ends();
        others.iter().for_each(|length| assert!(writer.put(&sent(*length, 1)).is_some()));
        reader.take(taken);
        let fits = writer.put(&sent(length - MORE, 2)).map(|place| place.start as usize);
        (fits, writer, reader)
    };
    assert_eq!([0, 1].map(|more| start(0, &[SIZE / 2], SIZE / 2 + more).0), [Some(SIZE / 2), None], "before the end");
    let behind = Some(A + NEAR);
    assert_eq!([0, 1].map(|more| start(1, &[A, NEAR], A + more).0), [Some(0), behind], "before the first");
    let (_, mut one, _one) = start(1, &[A, NEAR], LEAST + MORE);
    assert_eq!(one.put(&sent(A - LEAST - MORE + 1, 3)), None, "behind what began again");
    assert_eq!(one.put(&sent(A - LEAST - MORE, 3)).unwrap().start as usize, LEAST);
}

#[test]
fn near_the_start_is_used_again_while_its_reader_keeps_up() {
    let (mut writer, mut reader) = ends();
    writer.put(&sent(10_000, 0)).unwrap();
    for number in 0..1000 {
        let place = writer.put(&sent(10_000, number as u8)).unwrap();
        assert!(place.start as usize + 10_000 <= NEAR, "{place:?}");
        reader.take(1);
    }
    assert!(writer.populated <= NEAR);
}

#[test]
fn a_reader_that_counts_what_it_was_not_given_is_believed_no_more() {
    for wrong in [1, 2, 3, 1000, u32::MAX / 2, u32::MAX - 1, u32::MAX] {
        let (mut writer, reader) = ends();
        let first = writer.put(&sent(LEAST, 1)).unwrap();
        if wrong == 1 {
            // It is not yet wrong: what it may count is what it was given.
            writer.put(&sent(LEAST, 2)).unwrap();
        }
        reader.space.said().taken.store(wrong, Ordering::Relaxed);
        let next = writer.put(&sent(LEAST, 3));
        assert_eq!(next.is_some(), wrong == 1, "{wrong}");
        assert!(reader.at(first).is_some());
        assert_eq!(writer.held(), 0);
        // Nor is it ever again.
        reader.space.said().taken.store(0, Ordering::Relaxed);
        assert_eq!(writer.put(&sent(LEAST, 4)), None, "{wrong}");
    }
}

#[test]
fn what_lies_outside_is_no_string() {
    let (_writer, reader) = ends();
    let place = |start, length, wide| Place { start, length, wide };
    let end = SIZE as u32;
    for wrong in [
        place(end, 1, false),
        place(end - 64, 65, false),
        place(0, end + 1, false),
        place(u32::MAX - 63, 64, false),
        place(u32::MAX - 63, u32::MAX, false),
        place(1, 1, false),
        place(64, 3, true),
    ] {
        assert_eq!(reader.at(wrong), None, "{wrong:?}");
    }
    for right in [place(0, end, false), place(end, 0, false), place(end - 64, 64, true), place(64, 0, true)] {
        assert!(reader.at(right).is_some(), "{right:?}");
    }
}

#[test]
fn one_message_has_no_more_strings_than_a_ring_or_than_it_may_have() {
    let mark = |count: u32, length: u32| {
        let mut payload = count.to_le_bytes().to_vec();
        (0..count).for_each(|_| payload.extend((length | 1 << 30).to_le_bytes()));
        (0..count).for_each(|_| payload.extend([0; 4]));
        payload
    };
    let (board, _memory) = Board::new().unwrap();
    for (longest, most) in [(usize::MAX, SIZE as u32), (5000, 5000)] {
        let read = |count, length| {
            let payload = mark(count, length);
            // What travels beside counts as well.
            let reader = Reader::new(board.spaces().unwrap().0, longest.saturating_add(payload.len()));
            match parts::read(&payload, Some(&reader)) {
                Err(Error::FrameTooLarge { length, limit }) => {
                    assert!(length > limit && limit <= most as usize + payload.len());
                    false
                }
                read => read.map(|_| true).unwrap(),
            }
        };
        assert!(read(1, most) && read(4, most / 4) && read(0, 0));
        assert!(!read(1, most + 1) && !read(5, most / 4) && !read(1000, most));
    }
    assert!(parts::read(&mark(1, 8), None).is_err(), "where there is no ring");
}

#[test]
fn all_that_arrives_at_once_is_no_more_than_a_ring_holds() {
    let mark = |length: usize| [1, length as u32 | 1 << 30, 0].map(u32::to_le_bytes).concat();
    let (_writer, reader) = ends();
    for length in [SIZE / 2, SIZE / 2 - 64, 64] {
        assert!(parts::read(&mark(length), Some(&reader)).is_ok(), "{length}");
    }
    // None of them had been taken when this was put in.
    assert_eq!(parts::read(&mark(1), Some(&reader)), Err(Error::BadParts { length: 12 }));
    reader.arrived();
    assert!(parts::read(&mark(SIZE), Some(&reader)).is_ok());
    assert!(parts::read(&mark(1), Some(&reader)).is_err());
}

#[test]
fn what_nobody_reads_any_more_takes_no_memory() {
    let (board, memory) = Board::new().unwrap();
    let mut writer = Writer::new(board.spaces().unwrap().0);
    let reader = Reader::new(Board::open(&memory).unwrap().spaces().unwrap().0, usize::MAX);
    let bytes = || fstat(&memory).unwrap().st_blocks * 512;
    writer.put(&sent(NEAR, 1)).unwrap();
    assert!(bytes() > NEAR as i64);
    drop(reader);
    assert_eq!((bytes(), writer.put(&sent(NEAR, 2)), bytes()), (4096, None, 4096));
}

#[test]
fn what_rests_has_no_memory() {
    let (mut writer, mut reader) = ends();
    let place = writer.put(&sent(STEP, 1)).unwrap();
    assert!(!writer.rest(), "it was used");
    assert!(!writer.rest(), "it is not taken");
    assert!(is(&reader, place, sent(STEP, 1)));
    reader.take(1);
    assert!(writer.rest() && writer.rest());
    assert_eq!(writer.populated, 0);
    assert!(is(&reader, Place { length: SIZE as u32, ..place }, sent(SIZE, 0)), "its pages are new ones, all zeros");
    let place = writer.put(&sent(STEP, 2)).unwrap();
    assert!(is(&reader, place, sent(STEP, 2)));
}

#[test]
fn what_is_taken_back_was_never_there() {
    let (mut writer, mut reader) = ends();
    let first = writer.put(&sent(300_000, 1)).unwrap();
    let held = writer.held();
    let before = writer.count();
    writer.put(&sent(LEAST, 2)).unwrap();
    writer.put(&sent(LEAST, 3)).unwrap();
    writer.take_back(before);
    assert_eq!((writer.count(), writer.held()), (before, held));
    let second = writer.put(&sent(LEAST, 4)).unwrap();
    assert!(is(&reader, first, sent(300_000, 1)) && is(&reader, second, sent(LEAST, 4)));
    reader.take(2);
    assert!(writer.put(&sent(LEAST, 5)).is_some(), "what it counts is what it was given");
}

#[test]
fn what_is_taken_back_is_what_was_put_in_last_though_others_were_taken_meanwhile() {
    let (mut writer, mut reader) = ends();
    let places = [1, 2, 3].map(|number| writer.put(&sent(LEAST, number)).unwrap());
    let before = writer.count();
    reader.take(2);
    writer.put(&sent(LEAST, 4)).unwrap();
    writer.take_back(before);
    let third = places[2].start as usize;
    assert_eq!(writer.held, [(third, third + LEAST)]);
    assert!(is(&reader, places[2], sent(LEAST, 3)));
    reader.take(1);
    assert_eq!(writer.put(&sent(LEAST, 5)).unwrap().start, 0, "it is empty again");
}

#[test]
fn where_memory_is_refused_what_lies_there_is_taken_and_goes_back_all_the_same() {
    let (mut writer, mut reader) = ends();
    let both = [sent(STEP / 2, 1), sent(300_000, 2)];
    let places = both.map(|sent| writer.put(&sent).unwrap());
    let rest = writer.populated;
    let more = writer.space.strings();
    // SAFETY: the part of the mapping that nobody has touched. The kernel has no memory for what nobody may write.
    unsafe { mprotect(more.byte_add(rest).cast(), SIZE - rest, ProtFlags::PROT_READ).unwrap() };
    assert_eq!(writer.put(&sent(NEAR, 3)), None);
    assert!(places.iter().zip(both).all(|(place, sent)| is(&reader, *place, sent)));
    assert!(writer.held() > 0 && !writer.rest());
    reader.take(2);
    assert_eq!(writer.held(), 0);
    writer.rest();
    assert!(writer.rest());
    assert_eq!(writer.populated, 0);
}

#[test]
fn parts_bring_strings_beside_them_and_in_the_ring() {
    let (mut writer, reader) = ends();
    let strings = [sent(LEAST, 1), sent(SIZE, 2), Sent { length: LEAST, number: 3, wide: true }];
    let mut bytes = Vec::new();
    let mut parts = parts::Writer::new(&mut bytes, Some(&mut writer), 3);
    strings.iter().for_each(|string| parts.string(string));
    parts.json(|bytes| bytes.extend_from_slice(b"[1,[]]"));
    assert!(bytes.len() < SIZE + 100, "one is too large for the ring");
    let (found, json) = parts::read(&bytes, Some(&reader)).unwrap();
    assert_eq!(json, b"[1,[]]");
    assert!(matches!(found[..], [Text::Shared(_), Text::Latin1(_), Text::Shared(_)]), "{found:?}");
    let Text::Latin1(beside) = found[1] else { unreachable!() };
    assert!(beside.len() == SIZE && beside.iter().all(|byte| *byte == 2));
}

/// Two threads at once, as two processes are: on x86 what a processor may see too early is not seen here, but in
/// `weak_memory.rs`; what is given back too early is.
#[test]
fn what_one_sends_while_another_reads_arrives_whole() {
    const STRINGS: usize = 1500;
    let length = |number: usize| [LEAST, 5000, 60_000, 100_000, NEAR / 2][number % 5];
    let (mut writer, mut reader) = ends();
    let (marks, marked) = crossbeam_channel::unbounded();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for number in 0..STRINGS {
                let string = sent(length(number), number as u8);
                let place = loop {
                    match writer.put(&string) {
                        Some(place) => break place,
                        None => std::thread::yield_now(),
                    }
                    assert!(!writer.broken);
                };
                marks.send((place, string)).unwrap();
                writer.rest();
            }
        });
        let mut torn = Vec::new();
        // Else who sends would wait.
        while let Ok((place, sent)) = marked.recv() {
            torn.extend((!is(&reader, place, sent)).then_some(sent));
            reader.take(1);
        }
        assert_eq!(torn, []);
    });
}

#[derive(Debug, Clone)]
enum Step {
    Put(Sent),
    /// Its reader takes so many of those that are there.
    Take(usize),
    Rest,
}

fn step() -> impl Strategy<Value = Step> {
    let length = prop_oneof![4 => LEAST..20_000, 2 => LEAST..NEAR, 1 => LEAST..=SIZE];
    prop_oneof![
        6 => (length, any::<u8>(), any::<bool>()).prop_map(|(length, number, wide)| Step::Put(Sent { length, number, wide })),
        3 => (0..6_usize).prop_map(Step::Take),
        1 => Just(Step::Rest),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// The model is the list of what was put in and not taken.
    #[test]
    fn each_string_is_whole_until_it_is_taken(steps in vec(step(), 1..80)) {
        let (mut writer, mut reader) = ends();
        let mut there: VecDeque<(Place, Sent)> = VecDeque::new();
        for step in steps {
            match step {
                Step::Put(sent) => match writer.put(&sent) {
                    Some(place) => {
                        let (from, to) = (place.start, place.start + place.length);
                        prop_assert!(to as usize <= SIZE);
                        prop_assert!(there.iter().all(|(it, _)| to <= it.start || it.start + it.length <= from));
                        there.push_back((place, sent));
                    }
                    // An empty one has room for all that are no longer than it.
                    None => prop_assert!(!there.is_empty() || 2 * sent.length + MORE > SIZE),
                },
                Step::Take(count) => {
                    let taken = count.min(there.len());
                    for (place, sent) in there.drain(..taken) {
                        prop_assert!(is(&reader, place, sent), "{:?} {:?}", place, sent);
                    }
                    reader.take(taken);
                }
                Step::Rest => {
                    let rests = writer.rest();
                    prop_assert!(!rests || there.is_empty());
                }
            }
            prop_assert!(!writer.broken);
        }
        for (place, sent) in there {
            prop_assert!(is(&reader, place, sent));
        }
    }

    /// Whatever it says, what is put in lies within, and the writer goes on or stops, and does not panic.
    #[test]
    fn whatever_a_reader_says_what_is_put_in_lies_within(said in vec((any::<u32>(), any::<u32>(), LEAST..300_000), 1..60)) {
        let (mut writer, reader) = ends();
        for (number, (taken, open, length)) in said.into_iter().enumerate() {
            let honest = writer.taken.wrapping_add(taken % 4);
            reader.space.said().taken.store(if number % 8 < 7 { honest } else { taken }, Ordering::Relaxed);
            reader.space.said().open.store(open, Ordering::Relaxed);
            if let Some(place) = writer.put(&sent(length, 1)) {
                prop_assert!(reader.at(place).is_some());
            }
            prop_assert!(writer.held() <= SIZE);
            writer.rest();
        }
    }
}
