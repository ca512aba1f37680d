//! How near features in a reduced numeric type are to those in `f32`: cosines of the two features
//! of each row, and how many of its nearest neighbours stay.

use std::cmp::Ordering;

use crate::flow::{Fidelity, Vectors};

/// Rows that are computed in both types.
pub const SAMPLE_ROWS: usize = 256;
/// Neighbours of a row that are compared.
const NEIGHBOURS: usize = 10;

/// Features of the same rows in two types, in the making.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    reduced: Vec<Vec<f64>>,
    full: Vec<Vec<f64>>,
}

impl Sample {
    /// How many rows more it takes.
    #[must_use]
    pub fn room(&self) -> usize {
        SAMPLE_ROWS.saturating_sub(self.reduced.len())
    }

    /// Adds rows, as many as there is room for. Those that hold NaN or infinity in either type are
    /// left out: they become no row of a table.
    ///
    /// # Shapes
    /// Both have the same rows of one width.
    pub fn push(&mut self, reduced: &Vectors, full: &Vectors) {
        for (one, other) in reduced.iter().zip(full.iter()).take(self.room()) {
            if let (Some(one), Some(other)) = (unit(one), unit(other)) {
                self.reduced.push(one);
                self.full.push(other);
            }
        }
    }

    /// What the sample says; nothing where it is empty.
    #[must_use]
    pub fn measure(&self) -> Option<Fidelity> {
        let mut cosines: Vec<f64> =
            self.reduced.iter().zip(&self.full).map(|(one, other)| dot(one, other)).collect();
        cosines.sort_by(f64::total_cmp);
        let min_cosine = *cosines.first()?;
        Some(Fidelity {
            rows: cosines.len() as u64,
            min_cosine,
            median_cosine: median(&cosines),
            neighbour_overlap: self.overlap(),
        })
    }

    /// The mean share of a row's nearest rows, itself left out, that are the same in both types.
    /// Where the sample has fewer than eleven rows, all others are neighbours.
    fn overlap(&self) -> f64 {
        let rows = self.reduced.len();
        let many = NEIGHBOURS.min(rows.saturating_sub(1));
        if many == 0 {
            return 1.0;
        }
        let shared: usize = (0..rows)
            .map(|row| {
                let (one, other) =
                    (nearest(&self.reduced, row, many), nearest(&self.full, row, many));
                one.iter().filter(|at| other.contains(at)).count()
            })
            .sum();
        #[expect(clippy::cast_precision_loss, reason = "at most 2560 neighbours")]
        let share = shared as f64 / (rows * many) as f64;
        share
    }
}

/// The `many` rows that are nearest to `row` by cosine, itself left out; of equal ones the first.
fn nearest(rows: &[Vec<f64>], row: usize, many: usize) -> Vec<usize> {
    let Some(of) = rows.get(row) else { return Vec::new() };
    let others = rows.iter().enumerate().filter(|(at, _)| *at != row);
    let mut near: Vec<(f64, usize)> = others.map(|(at, other)| (dot(of, other), at)).collect();
    near.sort_by(|(a, first), (b, second)| match b.total_cmp(a) {
        Ordering::Equal => first.cmp(second),
        order => order,
    });
    near.into_iter().take(many).map(|(_, at)| at).collect()
}

fn median(sorted: &[f64]) -> f64 {
    let at = |place: usize| sorted.get(place).copied().unwrap_or_default();
    let half = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        at(half)
    } else {
        f64::midpoint(at(half.saturating_sub(1)), at(half))
    }
}

/// The row at an L2 norm of one; a row of zeros stays. None where it is not finite.
fn unit(row: &[f32]) -> Option<Vec<f64>> {
    let row: Vec<f64> = row.iter().map(|x| f64::from(*x)).collect();
    let norm = dot(&row, &row).sqrt();
    if !norm.is_finite() {
        return None;
    }
    Some(if norm > 0.0 { row.into_iter().map(|x| x / norm).collect() } else { row })
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Points on a circle, `step` apart.
    fn circle(rows: usize, step: f32, scale: f32) -> Vectors {
        let angles = (0..rows).map(|row| row as f32 * step);
        let data = angles.flat_map(|a| [a.cos() * scale, a.sin() * scale]).collect();
        Vectors { width: 2, data }
    }

    fn measured(reduced: &Vectors, full: &Vectors) -> Fidelity {
        let mut sample = Sample::default();
        sample.push(reduced, full);
        sample.measure().unwrap()
    }

    #[test]
    fn the_same_directions_are_the_same_whatever_their_length() {
        let found = measured(&circle(40, 0.03, 1.0), &circle(40, 0.03, 7.0));
        assert_eq!(found.rows, 40);
        assert!(found.min_cosine > 1.0 - 1e-6 && found.median_cosine > 1.0 - 1e-6);
        assert!((found.neighbour_overlap - 1.0).abs() < 1e-12);
    }

    #[test]
    fn cosines_are_those_of_the_rows() {
        let full = Vectors { width: 2, data: vec![1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0] };
        let reduced = Vectors { width: 2, data: vec![1.0, 0.0, 0.6, 0.8, 0.8, 0.6, 0.0, 2.0] };
        let found = measured(&reduced, &full);
        assert!(found.min_cosine.abs() < 1e-7, "{found:?}");
        assert!((found.median_cosine - 0.7).abs() < 1e-7, "{found:?}");
    }

    #[test]
    fn neighbours_that_changed_lower_the_overlap() {
        // Twelve rows: each leaves out one of its eleven others. The first is turned far away.
        let full = circle(12, 0.1, 1.0);
        let mut reduced = full.clone();
        reduced.data[0] = -1.0;
        reduced.data[1] = 0.0;
        let found = measured(&reduced, &full);
        // Row 0 lost its neighbour 1 and got 11; rows 1 to 5 got their farthest for row 0, and the
        // farthest of rows 6 to 11 was row 0 all along.
        assert!(found.neighbour_overlap < 1.0 && found.neighbour_overlap > 0.9, "{found:?}");
    }

    #[test]
    fn fewer_than_eleven_rows_are_all_neighbours() {
        assert_eq!(Sample::default().measure(), None);
        let one = measured(&circle(1, 0.1, 1.0), &circle(1, 0.1, 1.0));
        assert_eq!((one.rows, one.neighbour_overlap), (1, 1.0));
        let ten = measured(&circle(10, 0.4, 1.0), &circle(10, 0.2, 1.0));
        assert!((ten.neighbour_overlap - 1.0).abs() < 1e-12, "{ten:?}");
        assert!(ten.min_cosine < 0.0);
    }

    #[test]
    fn it_takes_so_many_rows_and_none_that_is_not_finite() {
        let mut sample = Sample::default();
        let mut full = circle(SAMPLE_ROWS + 10, 0.01, 1.0);
        full.data[2] = f32::NAN;
        sample.push(&circle(SAMPLE_ROWS + 10, 0.01, 1.0), &full);
        assert_eq!(sample.room(), 1);
        sample.push(&circle(5, 0.01, 1.0), &circle(5, 0.01, 1.0));
        assert_eq!(sample.measure().unwrap().rows, SAMPLE_ROWS as u64);
    }
}
