//! What a table holds now, and what a run decides about each of its rows.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Int32Array, StringArray};

use crate::base::{Digest, Result};
use crate::plan::{Fingerprint, Reason};
use crate::table::{Snapshot, Store};

use super::rows;

/// The key of a row: an image, and the caption's number where there is one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub image_id: Box<str>,
    pub caption_index: Option<i32>,
}

impl Key {
    pub(super) fn image(image_id: &str) -> Self {
        Self { image_id: image_id.into(), caption_index: None }
    }

    pub(super) fn caption(image_id: &str, caption_index: i32) -> Self {
        Self { image_id: image_id.into(), caption_index: Some(caption_index) }
    }
}

/// Which columns say what a row is and what it was made from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Columns {
    pub has_caption_index: bool,
    /// `digest` in tables that read sources, `input_digest` in those made from tables.
    pub digest: &'static str,
}

#[derive(Debug, Clone)]
struct Row {
    part: u32,
    fingerprint: u32,
    digest: Digest,
    fate: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// No source has named it so far.
    Unseen,
    /// Stays as it is.
    Keep,
    /// A new row takes its place, or none does.
    Drop,
}

/// The rows of a table's newest version, by key.
#[derive(Debug)]
pub(super) struct State {
    pub snapshot: Option<Snapshot>,
    rows: BTreeMap<Key, Row>,
    fingerprints: Vec<String>,
    /// How rows of each fingerprint differ from those made now.
    stale: Vec<Option<Reason>>,
    damaged: BTreeSet<u32>,
    now: String,
}

impl State {
    /// Reads the keys and digests of the newest version of `table`.
    ///
    /// # Errors
    /// When the table cannot be opened or read.
    pub(super) fn load(
        store: &Store,
        table: &str,
        columns: Columns,
        fingerprint: &Fingerprint,
    ) -> Result<Self> {
        let now = fingerprint.digest().to_string();
        let snapshot = store.snapshot(table)?;
        let mut state = Self {
            snapshot: None,
            rows: BTreeMap::new(),
            fingerprints: Vec::new(),
            stale: Vec::new(),
            damaged: BTreeSet::new(),
            now,
        };
        let Some(snapshot) = snapshot else { return Ok(state) };
        let before = snapshot
            .note()
            .and_then(|note| serde_json::from_value(note.fingerprint_parts.clone()).ok())
            .unwrap_or_default();
        state.read(&snapshot, columns, &before, fingerprint)?;
        state.snapshot = Some(snapshot);
        Ok(state)
    }

    fn read(
        &mut self,
        snapshot: &Snapshot,
        columns: Columns,
        before: &Fingerprint,
        now: &Fingerprint,
    ) -> Result<()> {
        self.damaged = snapshot.damaged()?.into_iter().map(part_number).collect::<Result<_>>()?;
        let mut names = vec!["image_id", columns.digest, "fingerprint"];
        if columns.has_caption_index {
            names.push("caption_index");
        }
        for (part, _) in snapshot.parts().iter().enumerate() {
            let part_number = part_number(part)?;
            if self.damaged.contains(&part_number) {
                continue;
            }
            for batch in snapshot.scan_part(part, &names)? {
                let batch = batch?;
                let ids = rows::column::<StringArray>(&batch, "image_id")?;
                let digests = rows::column::<StringArray>(&batch, columns.digest)?;
                let fingerprints = rows::column::<StringArray>(&batch, "fingerprint")?;
                let indices = columns
                    .has_caption_index
                    .then(|| rows::column::<Int32Array>(&batch, "caption_index"))
                    .transpose()?;
                for at in 0..batch.num_rows() {
                    let fingerprint = self.intern(fingerprints.value(at), before, now);
                    let key = Key {
                        image_id: ids.value(at).into(),
                        caption_index: indices.map(|i| i.value(at)),
                    };
                    let digest = digests.value(at).parse()?;
                    let row = Row { part: part_number, fingerprint, digest, fate: Fate::Unseen };
                    self.rows.insert(key, row);
                }
            }
        }
        Ok(())
    }

    fn intern(&mut self, fingerprint: &str, before: &Fingerprint, now: &Fingerprint) -> u32 {
        let at = self.fingerprints.iter().position(|known| known == fingerprint);
        let at = at.unwrap_or_else(|| {
            let stale = (fingerprint != self.now).then(|| before.stale_because(now));
            self.fingerprints.push(fingerprint.to_owned());
            self.stale.push(stale);
            self.fingerprints.len() - 1
        });
        u32::try_from(at).unwrap_or(u32::MAX)
    }

    /// What has to happen to the row `key`, made from an input of `digest`.
    pub(super) fn judge(&self, key: &Key, digest: &Digest) -> Reason {
        let Some(row) = self.rows.get(key) else {
            return if self.damaged.is_empty() { Reason::New } else { Reason::PartDamaged };
        };
        if let Some(Some(stale)) = self.stale.get(row.fingerprint as usize) {
            return *stale;
        }
        if row.digest == *digest { Reason::UpToDate } else { Reason::ContentChanged }
    }

    /// The digest that the stored row was made from.
    pub(super) fn digest_of(&self, key: &Key) -> Option<Digest> {
        self.rows.get(key).map(|row| row.digest)
    }

    /// The row stays.
    pub(super) fn keep(&mut self, key: &Key) {
        self.set(key, Fate::Keep);
    }

    /// The row goes: a new one takes its place, or its image was refused.
    pub(super) fn replace(&mut self, key: &Key) {
        self.set(key, Fate::Drop);
    }

    fn set(&mut self, key: &Key, fate: Fate) {
        if let Some(row) = self.rows.get_mut(key) {
            row.fate = fate;
        }
    }

    /// Rows that no source named: removed upstream, if the sources were read to their ends.
    pub(super) fn unseen(&self) -> u64 {
        self.rows.values().filter(|row| row.fate == Fate::Unseen).count() as u64
    }

    /// Whether publishing rows of the present fingerprint beside the kept ones would mix two
    /// models in one version.
    pub(super) fn would_mix(&self, keep_unseen: bool) -> bool {
        self.rows.values().any(|row| {
            let kept = row.fate == Fate::Keep || (keep_unseen && row.fate == Fate::Unseen);
            kept && self.stale.get(row.fingerprint as usize).is_some_and(Option::is_some)
        })
    }

    /// The keys that stay, by the part that holds them; parts that lose nothing are left out.
    pub(super) fn rewrites(&self, keep_unseen: bool) -> Rewrites {
        let parts = self.snapshot.as_ref().map_or(0, |s| s.parts().len());
        let mut kept = vec![0_u64; parts];
        let mut lost = vec![0_u64; parts];
        for row in self.rows.values() {
            let stays = row.fate == Fate::Keep || (keep_unseen && row.fate == Fate::Unseen);
            let side = if stays { &mut kept } else { &mut lost };
            if let Some(count) = side.get_mut(row.part as usize) {
                *count += 1;
            }
        }
        let mut rewrites = Rewrites::default();
        for (part, (kept, lost)) in kept.into_iter().zip(lost).enumerate() {
            let damaged = u32::try_from(part).is_ok_and(|p| self.damaged.contains(&p));
            if damaged || kept == 0 {
                rewrites.remove.push(part);
            } else if lost > 0 {
                rewrites.remove.push(part);
                rewrites.copy.push(part);
            } else {
                rewrites.whole.push((part, kept));
            }
            rewrites.lost += lost;
        }
        rewrites
    }

    /// Whether the row `key` stays.
    pub(super) fn stays(&self, key: &Key, keep_unseen: bool) -> bool {
        self.rows.get(key).is_some_and(|row| {
            row.fate == Fate::Keep || (keep_unseen && row.fate == Fate::Unseen)
        })
    }

    /// Every key of the version, sorted.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.rows.keys()
    }
}

/// What a new version does with the parts of the old one, by their number.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Rewrites {
    /// Parts that leave the table.
    pub remove: Vec<usize>,
    /// Those of them with rows that stay, and are copied.
    pub copy: Vec<usize>,
    /// Parts that stay as they are, with their rows.
    pub whole: Vec<(usize, u64)>,
    /// Rows that go.
    pub lost: u64,
}

fn part_number(part: usize) -> Result<u32> {
    u32::try_from(part).map_err(|cause| {
        crate::base::Error::new(crate::base::Kind::Store, "too many parts").caused_by(cause)
    })
}
