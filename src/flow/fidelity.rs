//! What a reduced numeric type costs, measured on a sample.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How near features that were computed in a reduced type are to those in `f32`, over the same
/// inputs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Fidelity {
    /// Rows that were computed in both types.
    pub rows: u64,
    /// Smallest cosine of a row's two features.
    pub min_cosine: f64,
    /// Median of these cosines.
    pub median_cosine: f64,
    /// Mean share of a row's ten nearest neighbours within the sample that are the same in both
    /// types; 1 for a sample of one row.
    pub neighbour_overlap: f64,
}

impl Fidelity {
    /// One value for several samples: of each number the worst, of the rows their sum. Parts of one
    /// sample say the same, and count once.
    #[must_use]
    pub fn worst(samples: impl IntoIterator<Item = Self>) -> Option<Self> {
        let mut distinct: Vec<Self> = Vec::new();
        for sample in samples {
            if !distinct.contains(&sample) {
                distinct.push(sample);
            }
        }
        distinct.into_iter().reduce(|a, b| Self {
            rows: a.rows + b.rows,
            min_cosine: a.min_cosine.min(b.min_cosine),
            median_cosine: a.median_cosine.min(b.median_cosine),
            neighbour_overlap: a.neighbour_overlap.min(b.neighbour_overlap),
        })
    }
}

impl fmt::Display for Fidelity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "cosine to f32 at least {:.6}, median {:.6}; {:.1} % of the nearest neighbours the same",
            self.min_cosine,
            self.median_cosine,
            self.neighbour_overlap * 100.0
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_samples_the_worst_counts_and_of_one_sample_one() {
        let of = |rows, min_cosine| Fidelity {
            rows,
            min_cosine,
            median_cosine: 0.99,
            neighbour_overlap: 1.0 - min_cosine / 2.0,
        };
        assert_eq!(Fidelity::worst([]), None);
        assert_eq!(Fidelity::worst([of(3, 0.5), of(3, 0.5)]), Some(of(3, 0.5)));
        let both = Fidelity::worst([of(3, 0.5), of(4, 0.75)]).unwrap();
        assert_eq!((both.rows, both.min_cosine), (7, 0.5));
        assert!((both.neighbour_overlap - 0.625).abs() < 1e-12);
    }
}
