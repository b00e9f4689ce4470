//! Chance that can be repeated: every draw is a hash of the seed, a label and
//! numbers, so that it doesn't matter in which order draws are made.

/// A probability in millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Share(pub u32);

/// Certainty.
pub(crate) const WHOLE: u32 = 1_000_000;

impl Share {
    /// Whether it hits this time.
    pub(super) fn hits(self, seed: u64, label: &str, numbers: [u64; 2]) -> bool {
        number(seed, label, numbers) % u64::from(WHOLE) < u64::from(self.0)
    }
}

/// A number drawn.
pub(super) fn number(seed: u64, label: &str, numbers: [u64; 2]) -> u64 {
    // FNV-1a over the label, then SplitMix64's finish for each part.
    let label = label.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    numbers.into_iter().fold(mixed(seed ^ mixed(label)), |hash, part| {
        mixed(hash ^ part.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    })
}

/// A fraction drawn, from 0 to below 1.
pub(crate) fn fraction(seed: u64, label: &str, numbers: [u64; 2]) -> f64 {
    part(number(seed, label, numbers))
}

/// A drawn number as a fraction, from 0 to below 1.
pub(super) fn part(number: u64) -> f64 {
    (number >> 11) as f64 / (1_u64 << 53) as f64
}

fn mixed(value: u64) -> u64 {
    let mut mixed = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
