//! A row of the table of captions, before it is written.

use std::borrow::Cow;

use crate::base::Digest;
use crate::flow::{Caption, Split};
use crate::plan::source::Cleaning;
use crate::sources;

use super::key::Key;

/// A caption with what the run adds.
#[derive(Debug)]
pub(super) struct CaptionRow {
    pub caption: Caption,
    pub split: Option<Split>,
    /// Of what the row depends on: its text and its split.
    pub digest: Digest,
}

impl CaptionRow {
    pub(super) fn key(&self) -> Key<'_> {
        Key::caption(&self.caption.image_id, self.caption.caption_index)
    }

    /// Rows are in this order, as the rows of parts are.
    pub(super) fn order(&self) -> (&str, i32) {
        (&self.caption.image_id, self.caption.caption_index)
    }

    /// The column `clean_text`; null where nothing is cleaned.
    pub(super) fn clean_text(&self, steps: &[Cleaning]) -> Option<String> {
        (!steps.is_empty()).then(|| sources::clean::clean(&self.caption.text, steps))
    }

    /// The column `text` or `clean_text`, null as the empty text.
    pub(super) fn column(&self, name: &str, steps: &[Cleaning]) -> Cow<'_, str> {
        if name == "clean_text" {
            self.clean_text(steps).unwrap_or_default().into()
        } else {
            self.caption.text.as_str().into()
        }
    }
}
