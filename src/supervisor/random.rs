//! Numbers that look random, and are the same for the same seed.

/// SplitMix64 (Steele, Lea and Flood, 2014): enough to keep workers apart, and nothing that must not be guessed.
#[derive(Debug, Clone)]
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// `value`, or less by a share of up to `jitter` of it.
    pub fn shorten(&mut self, value: u64, jitter: f64) -> u64 {
        let share = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        value - (value as f64 * jitter.clamp(0.0, 1.0) * share) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shortened_stays_within_its_share_and_differs() {
        let mut random = Random(7);
        let values: Vec<_> = (0..1000).map(|_| random.shorten(10_000, 0.1)).collect();
        assert!(values.iter().all(|value| (9_000..=10_000).contains(value)));
        assert!(values.iter().min() < Some(&9_100) && values.iter().max() > Some(&9_900));
        assert_eq!(random.shorten(10_000, 0.0), 10_000);
        assert_eq!(random.shorten(0, 1.0), 0);
    }

    #[test]
    fn the_largest_value_is_no_exception() {
        let mut random = Random(u64::MAX);
        (0..100).for_each(|_| assert!(random.shorten(u64::MAX, 0.5) >= u64::MAX / 2));
    }
}
