//! Medians and ratios of a few numbers.

/// How often ours goes into the peer's: the median of the pairs, and the worst and the best of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Ratio {
    /// The one in the middle.
    pub(crate) median: f64,
    /// The worst for us.
    pub(crate) min: f64,
    /// The best for us.
    pub(crate) max: f64,
}

impl Ratio {
    /// Divides pair by pair, so that what slowed both for a while cancels out.
    pub(crate) fn of(peer: &[f64], ours: &[f64]) -> Self {
        let ratios: Vec<f64> = peer.iter().zip(ours).map(|(peer, ours)| peer / ours).collect();
        Self {
            median: median(&ratios),
            min: ratios.iter().copied().fold(f64::INFINITY, f64::min),
            max: ratios.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        }
    }
}

/// The middle of the numbers, or the mean of the two in the middle; not a number where there is none.
pub(crate) fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => f64::NAN,
        len if len % 2 == 1 => sorted[middle],
        _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::{Ratio, median};

    #[test]
    fn the_median_does_not_mind_order_or_outliers() {
        assert_eq!(median(&[9.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 100.0, 2.0]), 3.0);
        assert_eq!(median(&[7.0]), 7.0);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn ratios_are_taken_pair_by_pair() {
        let ratio = Ratio::of(&[8.0, 16.0, 9.0], &[2.0, 4.0, 3.0]);
        assert_eq!(ratio, Ratio { median: 4.0, min: 3.0, max: 4.0 });
    }
}
