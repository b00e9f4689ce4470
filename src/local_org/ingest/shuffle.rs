//! A fixed disorder: the same seed gives the same order, so that a test that
//! found something finds it again.

/// Shuffles by a seed (Fisher and Yates, numbers by `SplitMix64`).
pub(crate) fn shuffle<T>(items: &mut [T], seed: u64) {
    let mut state = seed;
    for last in (1..items.len()).rev() {
        items.swap(last, (next(&mut state) % (last as u64 + 1)) as usize);
    }
}

fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_another_one_and_always_the_same() {
        let sorted: Vec<u32> = (0..50).collect();
        let mut once = sorted.clone();
        shuffle(&mut once, 7);
        let mut again = sorted.clone();
        shuffle(&mut again, 7);
        assert_eq!(once, again);
        assert_ne!(once, sorted);
        once.sort_unstable();
        assert_eq!(once, sorted, "nothing lost");
    }
}
