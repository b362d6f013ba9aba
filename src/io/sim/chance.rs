//! Every decision of the simulated world, from one seed.

use std::cell::Cell;
use std::ops::Range;

use super::world;

/// A stream of numbers (SplitMix64): small, fast, and the same on every machine.
#[derive(Debug)]
pub struct Chance(Cell<u64>);

impl Chance {
    /// The stream of `seed`.
    pub fn new(seed: u64) -> Chance {
        Chance(Cell::new(seed))
    }

    /// The next 64 bits.
    pub fn u64(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.set(state);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number of `range`, which must not be empty.
    pub fn within(&self, range: Range<u64>) -> u64 {
        range.start + self.u64() % (range.end - range.start)
    }

    /// An index of something that has `len` elements, at least one.
    pub fn index(&self, len: usize) -> usize {
        self.within(0..len as u64) as usize
    }

    /// True with this probability.
    pub fn happens(&self, probability: f64) -> bool {
        // 53 bits make every representable probability exact enough, and 0 never happens.
        ((self.u64() >> 11) as f64) < probability * (1u64 << 53) as f64
    }
}

/// 64 bits that the program under test takes for unpredictable.
pub fn random_u64() -> u64 {
    world::with(|world| world.chance.u64())
}
