//! Made-up messages for the tests: a seed in, the same value out.

use bytes::Bytes;

use crate::base::TopicId;
use crate::wire::array::Array;
use crate::wire::message::{Blob, Records, Str};

/// A type that can be made up. Fields that `version` lacks keep their defaults, so that it encodes.
pub trait Sample {
    /// One value; the same for the same state of `s`.
    fn sample(s: &mut Source, version: i16) -> Self;
}

/// Elements of an array, at the most.
const ELEMENTS_MAX: u64 = 3;

/// A stream of numbers (SplitMix64) that decides everything about a sample.
pub struct Source(pub u64);

impl Source {
    pub fn u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.u64() % end
    }

    pub fn bool(&mut self) -> bool {
        self.below(2) == 1
    }

    pub fn uuid(&mut self) -> TopicId {
        TopicId((u128::from(self.u64()) << 64 | u128::from(self.u64())).to_be_bytes())
    }

    pub fn string<'a>(&mut self) -> Str<'a> {
        const LETTERS: [char; 6] = ['a', 'Z', '.', 'é', '€', '🦀'];
        let len = if self.below(50) == 0 {
            self.below(200)
        } else {
            self.below(6)
        };
        Str::Owned((0..len).map(|_| LETTERS[self.below(6) as usize]).collect())
    }

    pub fn bytes<'a>(&mut self) -> Blob<'a> {
        let len = if self.below(50) == 0 {
            self.below(200)
        } else {
            self.below(6)
        };
        Blob::Owned((0..len).map(|_| self.u64() as u8).collect())
    }

    pub fn records<'a>(&mut self) -> Records<'a> {
        Records::Segments(
            (0..self.below(3))
                .map(|_| Bytes::from(vec![7; self.below(1500) as usize]))
                .collect(),
        )
    }

    pub fn array<'a, T>(&mut self, mut one: impl FnMut(&mut Source) -> T) -> Array<'a, T> {
        (0..self.below(ELEMENTS_MAX + 1)).map(|_| one(self)).collect()
    }

    pub fn nullable<T>(&mut self, may: bool, one: impl FnOnce(&mut Source) -> T) -> Option<T> {
        (!may || self.below(4) != 0).then(|| one(self))
    }
}
