//! How long a slot waits until it is filled again.

use super::options::Pauses;
use super::random::Random;
use super::Millis;

/// The back-off of one slot: each pause is twice as long as the one before, up to the longest.
#[derive(Debug, Clone, Default)]
pub struct Backoff {
    /// Failures since it was last forgotten.
    failures: u32,
}

impl Backoff {
    /// The next pause.
    pub fn next(&mut self, pauses: Pauses, jitter: f64, random: &mut Random) -> Millis {
        let doubled = 1u64.checked_shl(self.failures).unwrap_or(u64::MAX);
        self.failures = self.failures.saturating_add(1);
        random.shorten(pauses.first.saturating_mul(doubled).min(pauses.most), jitter)
    }

    /// Begins anew: the worker was stable.
    pub fn forget(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_begin_anew() {
        let (pauses, mut random) = (Pauses { first: 100, most: 30_000 }, Random(1));
        let mut backoff = Backoff::default();
        let taken: Vec<_> = (0..12).map(|_| backoff.next(pauses, 0.0, &mut random)).collect();
        assert_eq!(taken, [100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 30000, 30000, 30000]);
        (0..100).for_each(|_| assert_eq!(backoff.next(pauses, 0.0, &mut random), 30_000));
        backoff.forget();
        assert_eq!(backoff.next(pauses, 0.0, &mut random), 100);
    }
}
