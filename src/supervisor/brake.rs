//! How often slots may be filled again, all together.

use std::collections::VecDeque;

use super::options::Budget;
use super::Millis;

/// The restarts of the last time: in no span of a budget's milliseconds are there more than its count.
#[derive(Debug, Default)]
pub struct Brake {
    /// The times of those that count, the oldest first.
    restarts: VecDeque<Millis>,
}

/// What the brake says.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The restart is counted, and may happen.
    Go,
    /// Not before that time.
    Wait(Millis),
    /// There are to be no restarts.
    Never,
}

impl Brake {
    /// Asks for a restart, of which there may be so many.
    pub fn ask(&mut self, now: Millis, budget: Budget) -> Verdict {
        let until = |then: &Millis| then.saturating_add(budget.within);
        while self.restarts.front().is_some_and(|then| until(then) <= now) {
            self.restarts.pop_front();
        }
        let count = budget.count as usize;
        if self.restarts.len() < count {
            self.restarts.push_back(now);
            return Verdict::Go;
        }
        // The one whose end leaves room: not the oldest where the budget was larger.
        let last = self.restarts.len().checked_sub(count).filter(|_| count > 0);
        last.and_then(|last| self.restarts.get(last)).map_or(Verdict::Never, |then| Verdict::Wait(until(then)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn budget(count: u32) -> Budget {
        Budget { count, within: 1000 }
    }

    #[test]
    fn the_budget_is_used_up_and_comes_back_as_time_passes() {
        let mut brake = Brake::default();
        assert_eq!(brake.ask(100, budget(2)), Verdict::Go);
        assert_eq!(brake.ask(400, budget(2)), Verdict::Go);
        assert_eq!(brake.ask(1099, budget(2)), Verdict::Wait(1100));
        assert_eq!(brake.ask(1100, budget(2)), Verdict::Go);
        assert_eq!(brake.ask(1100, budget(2)), Verdict::Wait(1400));
    }

    #[test]
    fn a_smaller_budget_has_room_when_enough_is_over() {
        let mut brake = Brake::default();
        (1..=3).for_each(|time| assert_eq!(brake.ask(time * 100, budget(3)), Verdict::Go));
        assert_eq!(brake.ask(1_050, budget(1)), Verdict::Wait(1_300));
        assert_eq!(brake.ask(1_250, budget(1)), Verdict::Wait(1_300));
        assert_eq!(brake.ask(1_300, budget(1)), Verdict::Go);
    }

    #[test]
    fn without_a_budget_there_is_no_restart() {
        assert_eq!(Brake::default().ask(5, budget(0)), Verdict::Never);
    }
}
