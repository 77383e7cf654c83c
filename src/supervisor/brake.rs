//! How often slots may be filled again, all together.

use std::collections::VecDeque;

use super::options::Budget;
use super::Millis;

/// A budget of restarts: in no span of `within` milliseconds are there more than `count`.
#[derive(Debug)]
pub struct Brake {
    budget: Budget,
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
    /// With the whole budget left.
    pub fn new(budget: Budget) -> Self {
        Brake { budget, restarts: VecDeque::new() }
    }

    /// Has another budget; what was used of the old one is used of it.
    pub fn set_budget(&mut self, budget: Budget) {
        self.budget = budget;
    }

    /// Asks for a restart.
    pub fn ask(&mut self, now: Millis) -> Verdict {
        while self.restarts.front().is_some_and(|then| then.saturating_add(self.budget.within) <= now) {
            self.restarts.pop_front();
        }
        if self.restarts.len() < self.budget.count as usize {
            self.restarts.push_back(now);
            return Verdict::Go;
        }
        // The one whose end leaves room: not the oldest where the budget has become smaller.
        let last = self.restarts.len().checked_sub(self.budget.count as usize).filter(|_| self.budget.count > 0);
        let until = |then: &Millis| then.saturating_add(self.budget.within);
        last.and_then(|last| self.restarts.get(last)).map_or(Verdict::Never, |then| Verdict::Wait(until(then)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_is_used_up_and_comes_back_as_time_passes() {
        let mut brake = Brake::new(Budget { count: 2, within: 1000 });
        assert_eq!(brake.ask(100), Verdict::Go);
        assert_eq!(brake.ask(400), Verdict::Go);
        assert_eq!(brake.ask(1099), Verdict::Wait(1100));
        assert_eq!(brake.ask(1100), Verdict::Go);
        assert_eq!(brake.ask(1100), Verdict::Wait(1400));
    }

    #[test]
    fn a_smaller_budget_has_room_when_enough_is_over() {
        let mut brake = Brake::new(Budget { count: 3, within: 1000 });
        (1..=3).for_each(|time| assert_eq!(brake.ask(time * 100), Verdict::Go));
        brake.set_budget(Budget { count: 1, within: 1000 });
        assert_eq!(brake.ask(1_050), Verdict::Wait(1_300));
        assert_eq!(brake.ask(1_250), Verdict::Wait(1_300));
        assert_eq!(brake.ask(1_300), Verdict::Go);
        brake.set_budget(Budget { count: 0, within: 1000 });
        assert_eq!(brake.ask(1_301), Verdict::Never);
    }

    #[test]
    fn without_a_budget_there_is_no_restart() {
        assert_eq!(Brake::new(Budget { count: 0, within: 1000 }).ask(5), Verdict::Never);
    }
}
