//! What a table holds now, and what a run decides about each of its rows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use arrow::array::{Int32Array, Int64Array, RecordBatch, StringArray};

use crate::base::{Digest, Kind, Result};
use crate::plan::{Fingerprint, Reason, Stage};
use crate::table::{KeyPart, Snapshot, StagedPart, Store};

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
    /// The columns that say where a row's content stands; empty in tables made from tables.
    pub place: &'static [&'static str],
}

#[derive(Debug)]
struct Row {
    part: u32,
    fingerprint: u32,
    digest: Digest,
    /// Where the content stood; 0 in tables that are made from tables.
    place: u64,
    /// Decided while other threads look rows up.
    fate: AtomicU8,
}

/// No source has named it so far.
const UNSEEN: u8 = 0;
/// Stays as it is.
const KEEP: u8 = 1;
/// A new row takes its place, or none does.
const DROP: u8 = 2;

impl Row {
    fn stays(&self, keep_unseen: bool) -> bool {
        match self.fate.load(Ordering::Relaxed) {
            KEEP => true,
            UNSEEN => keep_unseen,
            _ => false,
        }
    }

    fn is_unseen(&self) -> bool {
        self.fate.load(Ordering::Relaxed) == UNSEEN
    }
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
    /// Parts of earlier runs that no version names yet, and their rows.
    pub staged: Vec<StagedPart>,
    /// Parts that no version will ever name: of another fingerprint, or unreadable.
    spoilt: Vec<StagedPart>,
    resumed: BTreeMap<Key, Resumed>,
}

/// A row that an earlier run computed and did not publish.
#[derive(Debug)]
struct Resumed {
    part: usize,
    digest: Digest,
    /// Where the content stood; 0 in tables that are made from tables.
    place: u64,
    taken: AtomicBool,
}

impl State {
    /// Reads the keys and digests of the newest version of `table`.
    ///
    /// # Errors
    /// When the table cannot be opened or read.
    pub(super) fn load(store: &Store, stage: &Stage, columns: Columns) -> Result<Self> {
        let fingerprint = &stage.fingerprint;
        let now = fingerprint.digest().to_string();
        let snapshot = store.snapshot(&stage.table)?;
        let mut state = Self {
            snapshot: None,
            rows: BTreeMap::new(),
            fingerprints: Vec::new(),
            stale: Vec::new(),
            damaged: BTreeSet::new(),
            now,
            staged: Vec::new(),
            spoilt: Vec::new(),
            resumed: BTreeMap::new(),
        };
        state.read_staged(store, stage, columns)?;
        let Some(snapshot) = snapshot else { return Ok(state) };
        let before = snapshot
            .note()?
            .and_then(|note| serde_json::from_value(note.fingerprint_parts).ok())
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
        let damaged: BTreeSet<_> = snapshot.damaged().into_iter().map(|d| d.path).collect();
        let mut names = vec!["image_id", columns.digest, "fingerprint"];
        if columns.has_caption_index {
            names.push("caption_index");
        }
        names.extend(columns.place);
        for (number, part) in snapshot.parts().iter().enumerate() {
            let part_number = part_number(number)?;
            if damaged.contains(&part.path) {
                self.damaged.insert(part_number);
                continue;
            }
            for batch in snapshot.scan_part(part, &names)? {
                let batch = batch?;
                let keys = Keys::of(&batch, columns)?;
                let fingerprints = rows::column::<StringArray>(&batch, "fingerprint")?;
                let places =
                    if columns.place.is_empty() { None } else { Some(Places::of(&batch)?) };
                for at in 0..batch.num_rows() {
                    let fingerprint = self.intern(fingerprints.value(at), before, now);
                    let (key, digest) = (keys.key(at), keys.digest(at)?);
                    let place = places.as_ref().map_or(0, |places| places.value(at));
                    let fate = AtomicU8::new(UNSEEN);
                    let row = Row { part: part_number, fingerprint, digest, place, fate };
                    self.rows.insert(key, row);
                }
            }
        }
        Ok(())
    }

    /// Looks at parts that are durable and in no version: those made under the present
    /// fingerprint are taken over row by row, others are set aside.
    fn read_staged(&mut self, store: &Store, stage: &Stage, columns: Columns) -> Result<()> {
        for staged in store.staged(&stage.table)? {
            if staged.label.fingerprint != self.now {
                self.spoilt.push(staged);
                continue;
            }
            match self.rows_of(store, stage, columns, &staged) {
                Ok(rows) => {
                    self.resumed.extend(rows);
                    self.staged.push(staged);
                }
                // Its rows are computed again, as if it had never been written.
                Err(error) if error.kind() == Kind::Store => {
                    tracing::warn!(%error, "a staged part is left out");
                    self.spoilt.push(staged);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn rows_of(
        &self,
        store: &Store,
        stage: &Stage,
        columns: Columns,
        staged: &StagedPart,
    ) -> Result<Vec<(Key, Resumed)>> {
        let mut names = vec!["image_id", columns.digest];
        if columns.has_caption_index {
            names.push("caption_index");
        }
        names.extend(columns.place);
        let part = self.staged.len();
        let mut rows = Vec::new();
        for batch in store.scan_staged(&stage.table, &stage.contract, staged, &names)? {
            let batch = batch?;
            let keys = Keys::of(&batch, columns)?;
            let places = if columns.place.is_empty() { None } else { Some(Places::of(&batch)?) };
            for at in 0..batch.num_rows() {
                let place = places.as_ref().map_or(0, |places| places.value(at));
                let digest = keys.digest(at)?;
                let row = Resumed { part, digest, place, taken: AtomicBool::new(false) };
                rows.push((keys.key(at), row));
            }
        }
        Ok(rows)
    }

    /// Throws away parts that no version will ever name. The store's lock is held.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub(super) fn clean(&self, store: &Store, stage: &Stage) -> Result<()> {
        store.discard_staged(&stage.table, &self.spoilt)
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

    /// What has to happen to the row `key`, made from an input of `digest`, which stands at
    /// `place` (0 in tables made from tables).
    pub(super) fn judge(&self, key: &Key, digest: &Digest, place: u64) -> Reason {
        let reason = self.judge_stored(key, digest);
        if reason == Reason::UpToDate && self.rows.get(key).is_some_and(|row| row.place != place) {
            return Reason::Moved;
        }
        // A row that says where its content stood before helps nobody once it stands elsewhere.
        let same = |row: &Resumed| row.digest == *digest && row.place == place;
        let resumed = || self.resumed.get(key).is_some_and(same);
        if reason.computes() && resumed() { Reason::Resumed } else { reason }
    }

    fn judge_stored(&self, key: &Key, digest: &Digest) -> Reason {
        let Some(row) = self.rows.get(key) else {
            return if self.in_damaged(key) { Reason::PartDamaged } else { Reason::New };
        };
        if let Some(Some(stale)) = self.stale.get(row.fingerprint as usize) {
            return *stale;
        }
        if row.digest == *digest { Reason::UpToDate } else { Reason::ContentChanged }
    }

    /// Whether a part that cannot be read may have held this row.
    fn in_damaged(&self, key: &Key) -> bool {
        let Some(snapshot) = &self.snapshot else { return false };
        self.damaged.iter().filter_map(|part| snapshot.parts().get(*part as usize)).any(|part| {
            let ends = part.seal.as_ref().and_then(|seal| {
                match (seal.min_key.first(), seal.max_key.first()) {
                    (Some(KeyPart::Text(first)), Some(KeyPart::Text(last))) => Some((first, last)),
                    _ => None,
                }
            });
            ends.is_none_or(|(first, last)| {
                (first.as_str()..=last.as_str()).contains(&key.image_id.as_ref())
            })
        })
    }

    /// Takes over the row that an earlier run computed.
    pub(super) fn take_resumed(&self, key: &Key) {
        if let Some(row) = self.resumed.get(key) {
            row.taken.store(true, Ordering::Relaxed);
        }
        self.replace(key);
    }

    /// Whether any row of an earlier run was taken over.
    pub(super) fn any_taken(&self) -> bool {
        self.resumed.values().any(|row| row.taken.load(Ordering::Relaxed))
    }

    /// The rows of each staged part of an earlier run that were taken over.
    pub(super) fn taken(&self) -> Vec<BTreeSet<&Key>> {
        let mut taken = vec![BTreeSet::new(); self.staged.len()];
        for (key, row) in &self.resumed {
            if row.taken.load(Ordering::Relaxed)
                && let Some(of) = taken.get_mut(row.part)
            {
                of.insert(key);
            }
        }
        taken
    }

    /// The row stays.
    pub(super) fn keep(&self, key: &Key) {
        self.set(key, KEEP);
    }

    /// The row goes: a new one takes its place, or its image was refused.
    pub(super) fn replace(&self, key: &Key) {
        self.set(key, DROP);
    }

    fn set(&self, key: &Key, fate: u8) {
        if let Some(row) = self.rows.get(key) {
            row.fate.store(fate, Ordering::Relaxed);
        }
    }

    /// Rows that no source named: removed upstream, if the sources were read to their ends.
    pub(super) fn unseen(&self) -> u64 {
        self.rows.values().filter(|row| row.is_unseen()).count() as u64
    }

    /// Whether publishing rows of the present fingerprint beside the kept ones would mix two
    /// models in one version.
    pub(super) fn would_mix(&self, keep_unseen: bool) -> bool {
        self.rows.values().any(|row| {
            row.stays(keep_unseen)
                && self.stale.get(row.fingerprint as usize).is_some_and(Option::is_some)
        })
    }

    /// The keys that stay, by the part that holds them; parts that lose nothing are left out.
    pub(super) fn rewrites(&self, keep_unseen: bool) -> Rewrites {
        let parts = self.snapshot.as_ref().map_or(0, |s| s.parts().len());
        let mut kept = vec![0_u64; parts];
        let mut lost = vec![0_u64; parts];
        for row in self.rows.values() {
            let side = if row.stays(keep_unseen) { &mut kept } else { &mut lost };
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
        self.rows.get(key).is_some_and(|row| row.stays(keep_unseen))
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

/// The columns that name a row, and what it was made from.
pub(super) struct Keys<'a> {
    ids: &'a StringArray,
    indices: Option<&'a Int32Array>,
    digests: &'a StringArray,
}

impl<'a> Keys<'a> {
    pub(super) fn of(batch: &'a RecordBatch, columns: Columns) -> Result<Self> {
        let indices = if columns.has_caption_index {
            Some(rows::column(batch, "caption_index")?)
        } else {
            None
        };
        Ok(Self {
            ids: rows::column(batch, "image_id")?,
            indices,
            digests: rows::column(batch, columns.digest)?,
        })
    }

    pub(super) fn key(&self, at: usize) -> Key {
        Key {
            image_id: self.ids.value(at).into(),
            caption_index: self.indices.map(|indices| indices.value(at)),
        }
    }

    pub(super) fn digest(&self, at: usize) -> Result<Digest> {
        self.digests.value(at).parse()
    }
}

/// The columns that say where a row's content stands.
struct Places<'a> {
    source: &'a StringArray,
    member: &'a StringArray,
    offset: &'a Int64Array,
    size: Option<&'a Int64Array>,
}

impl<'a> Places<'a> {
    fn of(batch: &'a RecordBatch) -> Result<Self> {
        Ok(Self {
            source: rows::column(batch, "source")?,
            member: rows::column(batch, "member")?,
            offset: rows::column(batch, "offset")?,
            // Captions have none.
            size: rows::column(batch, "size_bytes").ok(),
        })
    }

    fn value(&self, at: usize) -> u64 {
        place(
            self.source.value(at),
            self.member.value(at),
            u64::try_from(self.offset.value(at)).unwrap_or(0),
            self.size.and_then(|size| u64::try_from(size.value(at)).ok()).unwrap_or(0),
        )
    }
}

/// A short digest of where some content stands, to notice that it moved.
pub(super) fn place(source: &str, member: &str, offset: u64, size_bytes: u64) -> u64 {
    let digest = crate::base::digest::Digester::new()
        .field("source", source.as_bytes())
        .field("member", member.as_bytes())
        .field("offset", &offset.to_le_bytes())
        .field("size", &size_bytes.to_le_bytes())
        .finish();
    let [a, b, c, d, e, f, g, h, ..] = *digest.as_bytes();
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

fn part_number(part: usize) -> Result<u32> {
    u32::try_from(part).map_err(|cause| {
        crate::base::Error::new(crate::base::Kind::Store, "too many parts").caused_by(cause)
    })
}
