//! What a survey sees of the one image that somebody asked about.

use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::base::Digest;
use crate::flow::{Origin, Reject};
use crate::plan::{Fingerprint, Reason, Stage};

use super::key::Key;
use super::state::State;

/// Looks out for one image.
#[derive(Debug)]
pub(super) struct Lookout {
    pub image_id: String,
    seen: Mutex<Vec<Sight>>,
}

/// A row, or a row to be, of that image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    /// The table.
    pub table: String,
    /// The row's image.
    pub image_id: String,
    /// And caption, where the table has captions.
    pub caption_index: Option<i32>,
    /// What a run does with the row; none where it is refused before it is one.
    pub reason: Option<Reason>,
    /// Where its content stands now.
    pub origin: Option<Origin>,
    /// The file or folder that holds it, where that is one of images.
    pub archive: Option<PathBuf>,
    /// Size of the image file in bytes.
    pub size_bytes: Option<u64>,
    /// Digest of its content, or of what it is made from, as it is now.
    pub digest: Option<Digest>,
    /// What was stored beside the row: digest and fingerprint.
    pub stored: Option<(Digest, String)>,
    /// The part that holds it.
    pub part: Option<String>,
    /// The facts behind the newest version, and behind what would be made now.
    pub before: Fingerprint,
    /// See [`Self::before`].
    pub facts: Fingerprint,
    /// Why it can be no row, and how often that was found.
    pub reject: Option<(Reject, i32)>,
}

impl Sight {
    pub(super) fn new(stage: &Stage, key: Key<'_>, reason: Reason, state: &State) -> Self {
        let stored = state.stored(&key);
        Self {
            table: stage.table.clone(),
            image_id: key.image_id.to_owned(),
            caption_index: key.caption_index,
            reason: Some(reason),
            origin: None,
            archive: None,
            size_bytes: None,
            digest: None,
            part: stored.map(|(_, _, part)| part.to_owned()),
            stored: stored.map(|(digest, fingerprint, _)| (digest, fingerprint.to_owned())),
            before: state.before.clone(),
            facts: state.facts.clone(),
            reject: None,
        }
    }

    pub(super) fn of(mut self, digest: Digest) -> Self {
        self.digest = Some(digest);
        self
    }

    pub(super) fn at(mut self, origin: &Origin) -> Self {
        self.origin = Some(origin.clone());
        self
    }

    /// An image that is refused before it is a row.
    pub(super) fn refused(stage: &Stage, image_id: &str, reject: Reject, attempts: i32) -> Self {
        Self {
            table: stage.table.clone(),
            image_id: image_id.to_owned(),
            caption_index: None,
            reason: None,
            origin: Some(reject.origin.clone()),
            archive: None,
            size_bytes: None,
            digest: reject.digest,
            stored: None,
            part: None,
            before: Fingerprint::default(),
            facts: stage.fingerprint.clone(),
            reject: Some((reject, attempts)),
        }
    }

    /// Whether a refusal is one of this row: by where it was read, or by its key.
    pub(super) fn is_of(&self, reject: &Reject) -> bool {
        let key = match self.caption_index {
            Some(number) => format!("{}#{number}", self.image_id),
            None => self.image_id.clone(),
        };
        self.origin.as_ref() == Some(&reject.origin) || *reject.origin.member == *key
    }

    pub(super) fn inside(mut self, archive: &Path) -> Self {
        self.archive = Some(archive.to_owned());
        self
    }

    pub(super) fn sized(mut self, size_bytes: u64) -> Self {
        self.size_bytes = Some(size_bytes);
        self
    }
}

impl Lookout {
    pub(super) fn new(image_id: &str) -> Self {
        Self { image_id: image_id.to_owned(), seen: Mutex::default() }
    }

    pub(super) fn see(&self, sight: Sight) {
        // A poisoned lock only means that another thread failed; what was seen was seen.
        let mut seen = self.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        seen.push(sight);
    }

    pub(super) fn into_seen(self) -> Vec<Sight> {
        self.seen.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
