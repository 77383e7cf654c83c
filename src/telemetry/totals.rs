//! What a worker's counters have come to. They never go down: not where it writes nonsense, and not with its end.

use crate::messages::traffic::Traffic;
use crate::processes::board::{Board, Counts, WAITS};

/// Counters of a worker, or of all that have filled a slot.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Totals {
    /// Connections that it has taken.
    pub taken: u64,
    /// Nanoseconds for which its loop was busy.
    pub busy: u64,
    /// How many connections it took within each of [`WAITS`], and above.
    pub waits: [u64; WAITS.len() + 1],
    /// Nanoseconds that they waited, all together.
    pub waited: u64,
    /// Messages to it, and their bytes.
    pub sent: Flow,
    /// Messages from it, and their bytes.
    pub received: Flow,
    /// Seconds for which it had a processor.
    pub cpu: f64,
}

/// One way of a channel.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// Messages.
    pub messages: u64,
    /// Bytes.
    pub bytes: u64,
}

fn raise(total: &mut u64, to: u64) {
    *total = (*total).max(to);
}

impl Flow {
    fn raise(&mut self, to: Flow) {
        raise(&mut self.messages, to.messages);
        raise(&mut self.bytes, to.bytes);
    }

    fn add(&mut self, other: Flow) {
        self.messages = self.messages.saturating_add(other.messages);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }
}

impl Totals {
    /// Notes what a board says.
    pub fn note_board(&mut self, board: &Board) {
        let Counts { taken, busy, waits, waited } = board.counts();
        raise(&mut self.taken, taken);
        raise(&mut self.busy, busy);
        raise(&mut self.waited, waited);
        for (total, wait) in self.waits.iter_mut().zip(waits) {
            raise(total, wait);
        }
    }

    /// Notes what went over a channel.
    pub fn note_traffic(&mut self, traffic: &Traffic) {
        self.sent.raise(Flow { messages: traffic.sent.messages(), bytes: traffic.sent.bytes() });
        self.received.raise(Flow { messages: traffic.received.messages(), bytes: traffic.received.bytes() });
    }

    /// Notes for how many seconds it had a processor.
    pub fn note_cpu(&mut self, cpu: f64) {
        self.cpu = self.cpu.max(cpu);
    }

    /// Adds those of another.
    pub fn add(&mut self, other: &Totals) {
        for (total, more) in
            [(&mut self.taken, other.taken), (&mut self.busy, other.busy), (&mut self.waited, other.waited)]
        {
            *total = total.saturating_add(more);
        }
        for (total, more) in self.waits.iter_mut().zip(other.waits) {
            *total = total.saturating_add(more);
        }
        self.sent.add(other.sent);
        self.received.add(other.received);
        self.cpu += other.cpu;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use std::os::unix::fs::FileExt;

    #[test]
    fn whatever_a_worker_writes_no_counter_goes_down() {
        let (board, memory) = Board::new().unwrap();
        let worker = std::fs::File::from(memory.as_fd().try_clone_to_owned().unwrap());
        let mut totals = Totals::default();
        let mut before = totals.clone();
        for byte in [0, 1, 0xff, 0x7f, 0, 2, 0xfe] {
            worker.write_all_at(&[byte; 4096], 0).unwrap();
            totals.note_board(&board);
            let all =
                |totals: &Totals| [vec![totals.taken, totals.busy, totals.waited], totals.waits.to_vec()].concat();
            for (now, then) in all(&totals).into_iter().zip(all(&before)) {
                assert!(now >= then && now < 1 << 53, "{byte}: {now} after {then}");
            }
            before.clone_from(&totals);
        }
        assert!(totals.taken > 1 << 52);
    }
}
