//! Texts that several captions have, windows apart: each goes through the model once.

use std::collections::BTreeMap;

use crate::base::Digest;

/// Bytes of vectors that are kept: what would be more is computed again, so that memory does not
/// grow with the captions.
const ROOM_BYTES: usize = 64 << 20;

/// What stands for a text while there are many: the begin of its digest. Two texts of one mark are
/// only kept for longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mark([u8; 8]);

impl Mark {
    pub(super) fn of(text: &Digest) -> Self {
        Self(text.as_bytes().first_chunk().copied().unwrap_or_default())
    }
}

/// Vectors of texts that come again.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    /// Captions that are still to get a vector, of texts that several have.
    left: BTreeMap<Mark, usize>,
    kept: BTreeMap<Digest, Vec<f32>>,
}

impl Repeats {
    /// `marks` has one of every caption that is to be embedded.
    pub(super) fn among(mut marks: Vec<Mark>) -> Self {
        marks.sort_unstable();
        let same = marks.chunk_by(|a, b| a == b).filter(|same| same.len() > 1);
        let left = same.filter_map(|same| Some((*same.first()?, same.len()))).collect();
        Self { left, kept: BTreeMap::new() }
    }

    /// The vector of a text that was seen before, where it was kept; [`Self::done`] gives it back.
    pub(super) fn take(&mut self, text: &Digest) -> Option<Vec<f32>> {
        self.kept.remove(text)
    }

    /// So many captions of a text have this vector now. It is kept while others wait for it, and
    /// there is room.
    pub(super) fn done(&mut self, text: Digest, captions: usize, vector: &[f32]) {
        let mark = Mark::of(&text);
        let Some(left) = self.left.get_mut(&mark) else { return };
        *left = left.saturating_sub(captions);
        if *left == 0 {
            self.left.remove(&mark);
        } else if (self.kept.len() + 1) * size_of_val(vector) <= ROOM_BYTES {
            self.kept.insert(text, vector.to_vec());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(text: &str) -> Digest {
        Digest::of(text.as_bytes())
    }

    fn among(texts: &[&str]) -> Repeats {
        Repeats::among(texts.iter().map(|text| Mark::of(&digest(text))).collect())
    }

    #[test]
    fn a_vector_is_kept_until_the_last_caption_has_it() {
        let mut repeats = among(&["a", "b", "a", "c", "a", "a"]);
        repeats.done(digest("b"), 1, &[1.0]);
        assert_eq!(repeats.take(&digest("b")), None, "it comes once");
        assert_eq!(repeats.take(&digest("a")), None, "it was not made yet");
        repeats.done(digest("a"), 2, &[2.0]);
        for captions in [1, 1] {
            let vector = repeats.take(&digest("a")).unwrap();
            assert_eq!(vector, [2.0]);
            repeats.done(digest("a"), captions, &vector);
        }
        assert_eq!(repeats.take(&digest("a")), None);
        assert!(repeats.left.is_empty() && repeats.kept.is_empty());
    }

    #[test]
    fn as_many_are_kept_as_there_is_room_for() {
        let texts = ["a", "b", "c"];
        let mut repeats = among(&texts.repeat(2));
        let vector = vec![0.5; ROOM_BYTES / 2 / size_of::<f32>()];
        texts.iter().for_each(|text| repeats.done(digest(text), 1, &vector));
        let kept = texts.map(|text| repeats.take(&digest(text)).is_some());
        assert_eq!(kept, [true, true, false]);
    }
}
