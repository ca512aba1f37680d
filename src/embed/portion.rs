//! How many rows a model computes at once: fewer than it was given, once its device had no memory
//! for them.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::base::{Error, Kind, Result};
use crate::nn::fault::is_out_of_memory;

/// The most rows at once, for as long as the model is loaded.
#[derive(Debug)]
pub(super) struct Portion {
    most: AtomicUsize,
    is_news: AtomicBool,
    /// Rows that the model has in its device's memory at once, however many it is given.
    at_once: usize,
}

impl Portion {
    pub(super) fn new(at_once: Option<usize>) -> Self {
        Self {
            most: AtomicUsize::new(usize::MAX),
            is_news: AtomicBool::new(false),
            at_once: at_once.unwrap_or(usize::MAX),
        }
    }

    /// Has `compute` give the numbers of so many rows, range after range. A range for which the
    /// device has no memory is halved and computed again, and later ranges are no longer than that.
    ///
    /// # Errors
    /// The first one of `compute`, but for that; that too, for a single row.
    pub(super) fn over(
        &self,
        rows: usize,
        mut compute: impl FnMut(Range<usize>) -> Result<Vec<f32>>,
    ) -> Result<Vec<f32>> {
        let mut out = Vec::new();
        let mut at = 0;
        while at < rows {
            let take = self.most.load(Ordering::Relaxed).clamp(1, rows - at);
            match compute(at..at + take) {
                Ok(made) if out.is_empty() => out = made,
                Ok(made) => out.extend_from_slice(&made),
                Err(error) if !is_out_of_memory(&error) => return Err(error),
                Err(error) if take == 1 => return Err(too_small(error)),
                Err(error) => {
                    tracing::warn!(%error, rows = take, "halved");
                    self.most.store((take.min(self.at_once) / 2).max(1), Ordering::Relaxed);
                    self.is_news.store(true, Ordering::Relaxed);
                    continue;
                }
            }
            at += take;
        }
        Ok(out)
    }

    /// The most rows at once, where the device had no memory for more.
    pub(super) fn most(&self) -> Option<usize> {
        Some(self.most.load(Ordering::Relaxed)).filter(|most| *most < usize::MAX)
    }

    /// As [`Self::most`], if it shrank since this was last asked.
    pub(super) fn news(&self) -> Option<usize> {
        if self.is_news.swap(false, Ordering::Relaxed) { self.most() } else { None }
    }
}

fn too_small(cause: Error) -> Error {
    Error::new(Kind::Device, "the device is out of memory, for a single row too")
        .help("free memory of the device, or take `device = \"cpu\"` or a smaller model")
        .caused_by(cause)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::fault::candle;

    /// A device with memory for so many rows, which gives two numbers a row.
    fn device(room: usize, asked: &mut Vec<usize>) -> impl FnMut(Range<usize>) -> Result<Vec<f32>> {
        move |rows| {
            asked.push(rows.len());
            if rows.len() > room {
                let text = "DriverError(CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\")";
                let cause = candle_core::Error::Msg(text.to_owned());
                return Err(candle("the image tower failed")(cause));
            }
            Ok(rows.flat_map(|row| [row as f32, -(row as f32)]).collect())
        }
    }

    fn expected(rows: usize) -> Vec<f32> {
        (0..rows).flat_map(|row| [row as f32, -(row as f32)]).collect()
    }

    #[test]
    fn with_memory_enough_all_rows_go_at_once() {
        let (portion, mut asked) = (Portion::new(None), Vec::new());
        assert_eq!(portion.over(16, device(16, &mut asked)).unwrap(), expected(16));
        assert_eq!(portion.over(0, device(16, &mut asked)).unwrap(), expected(0));
        assert_eq!(asked, [16]);
        assert_eq!((portion.most(), portion.news()), (None, None));
    }

    #[test]
    fn out_of_memory_halves_the_batch_and_it_stays_so() {
        let (portion, mut asked) = (Portion::new(None), Vec::new());
        assert_eq!(portion.over(17, device(5, &mut asked)).unwrap(), expected(17));
        assert_eq!(asked, [17, 8, 4, 4, 4, 4, 1], "the same rows again, and none left out");
        assert_eq!(portion.news(), Some(4));
        assert_eq!((portion.news(), portion.most()), (None, Some(4)), "it is told once");
        asked.clear();
        assert_eq!(portion.over(6, device(5, &mut asked)).unwrap(), expected(6));
        assert_eq!(asked, [4, 2]);
        // Another one took memory of the device meanwhile.
        asked.clear();
        assert_eq!(portion.over(5, device(2, &mut asked)).unwrap(), expected(5));
        assert_eq!(asked, [4, 2, 2, 1]);
        assert_eq!(portion.news(), Some(2));
    }

    #[test]
    fn what_goes_in_pieces_is_halved_from_a_piece_on() {
        let (portion, mut asked) = (Portion::new(Some(8)), Vec::new());
        assert_eq!(portion.over(32, device(4, &mut asked)).unwrap(), expected(32));
        assert_eq!(asked, [32, 4, 4, 4, 4, 4, 4, 4, 4]);
    }

    #[test]
    fn no_memory_for_one_row_is_an_error_that_says_so() {
        let (portion, mut asked) = (Portion::new(None), Vec::new());
        let error = portion.over(4, device(0, &mut asked)).unwrap_err();
        assert_eq!(asked, [4, 2, 1]);
        assert_eq!(error.kind(), Kind::Device);
        assert!(error.what().contains("out of memory, for a single row too"), "{error}");
        assert!(error.help_text().unwrap().contains("cpu"));
    }

    #[test]
    fn other_faults_are_not_tried_again() {
        let (portion, mut asked) = (Portion::new(None), 0);
        let error = portion.over(4, |_| {
            asked += 1;
            Err(candle("the image tower failed")(candle_core::Error::Msg("no kernel".to_owned())))
        });
        assert_eq!((error.unwrap_err().kind(), asked), (Kind::Internal, 1));
        assert_eq!(portion.most(), None);
    }
}
