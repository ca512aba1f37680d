//! Rows of features.

/// `rows` vectors of `width` floats each, one after the other.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Vectors {
    /// Floats a row.
    pub width: usize,
    /// All rows; a multiple of `width` long.
    pub data: Vec<f32>,
}

impl Vectors {
    /// The number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.data.len().checked_div(self.width).unwrap_or(0)
    }

    /// Each row in turn.
    pub fn iter(&self) -> impl Iterator<Item = &[f32]> {
        self.data.chunks_exact(self.width.max(1))
    }

    /// Scales each row to an L2 norm of one; a row of zeros stays as it is.
    pub fn normalise(&mut self) {
        for row in self.data.chunks_exact_mut(self.width.max(1)) {
            let norm = row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
            if norm > 0.0 {
                #[expect(clippy::cast_possible_truncation, reason = "the features are f32")]
                row.iter_mut().for_each(|x| *x = (f64::from(*x) / norm) as f32);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_unit_length() {
        let mut vectors = Vectors { width: 2, data: vec![3.0, 4.0, 0.0, 0.0] };
        vectors.normalise();
        assert_eq!(vectors.data, [0.6, 0.8, 0.0, 0.0]);
        assert_eq!(vectors.rows(), 2);
    }
}
