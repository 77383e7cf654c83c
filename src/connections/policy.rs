//! Which worker gets the next connection.

use std::collections::VecDeque;

/// The number of a worker: its `id` in JavaScript.
pub type WorkerId = u32;

/// The place that a worker fills: a worker that replaces another has its slot.
pub type Slot = u32;

/// Round robin over the workers of one listener, in the order in which they came.
///
/// The worker that was chosen goes to the end of the line. One that could not be chosen stays where it is, so
/// that after a pause it is the first to be asked.
#[derive(Debug, Default)]
pub struct Rotation {
    line: VecDeque<WorkerId>,
}

impl Rotation {
    /// Puts a worker at the end of the line. One that is in it stays where it is.
    pub fn add(&mut self, worker: WorkerId) {
        if !self.contains(worker) {
            self.line.push_back(worker);
        }
    }

    /// Takes a worker out; `false` if it was not in.
    pub fn remove(&mut self, worker: WorkerId) -> bool {
        let length = self.line.len();
        self.line.retain(|other| *other != worker);
        self.line.len() < length
    }

    /// Whether a worker is in the line.
    pub fn contains(&self, worker: WorkerId) -> bool {
        self.line.contains(&worker)
    }

    /// Whether nobody is in the line.
    pub fn is_empty(&self) -> bool {
        self.line.is_empty()
    }

    /// Whether there is no choice.
    pub fn has_one(&self) -> bool {
        self.line.len() == 1
    }

    /// The workers, first the one whose turn it is.
    pub fn iter(&self) -> impl Iterator<Item = WorkerId> + '_ {
        self.line.iter().copied()
    }

    /// The first worker that `ready` accepts; it goes to the end of the line.
    pub fn next(&mut self, ready: impl FnMut(&WorkerId) -> bool) -> Option<WorkerId> {
        let position = self.line.iter().position(ready)?;
        let worker = self.line.remove(position)?;
        self.line.push_back(worker);
        Some(worker)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rotation(workers: impl IntoIterator<Item = WorkerId>) -> Rotation {
        let mut rotation = Rotation::default();
        workers.into_iter().for_each(|worker| rotation.add(worker));
        rotation
    }

    #[test]
    fn every_worker_in_turn() {
        let mut rotation = rotation(1..=3);
        let chosen: Vec<_> = (0..7).map(|_| rotation.next(|_| true).unwrap()).collect();
        assert_eq!(chosen, [1, 2, 3, 1, 2, 3, 1]);
    }

    #[test]
    fn one_that_is_not_ready_is_passed_over_and_comes_first_when_it_is() {
        let mut rotation = rotation(1..=3);
        assert_eq!(rotation.next(|worker| *worker != 1), Some(2));
        assert_eq!(rotation.next(|worker| *worker != 1), Some(3));
        assert_eq!(rotation.next(|_| true), Some(1));
    }

    #[test]
    fn nobody_ready_changes_nothing() {
        let mut rotation = rotation(1..=2);
        assert_eq!(rotation.next(|_| false), None);
        assert_eq!(rotation.iter().collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn a_worker_is_in_the_line_once() {
        let mut rotation = rotation([1, 2, 1]);
        assert_eq!(rotation.iter().collect::<Vec<_>>(), [1, 2]);
        assert!(rotation.remove(1));
        assert!(!rotation.remove(1));
        assert!(!rotation.is_empty());
    }
}
