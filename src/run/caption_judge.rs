//! Which images need captions: those of the part of the data that is captioned, whose feature, the
//! checkpoint or a setting is another than when their captions were made.

use std::collections::BTreeSet;

use arrow::array::StringArray;

use crate::base::digest::Digester;
use crate::base::{Digest, Result};
use crate::flow::{Origin, Split};
use crate::plan::captioner::Caption;
use crate::plan::{Counts, Reason, Stage};

use super::context::Context;
use super::key::{Columns, Key};
use super::ledger::{Ledger, Prints};
use super::lookout::Sight;
use super::rows;
use super::state::State;

/// Columns of tables of made captions.
pub(super) const GENERATED: Columns =
    Columns { has_caption_index: true, digest: "input_digest", place: &[] };

/// What the captions of an image depend on beside the stage: its content, and what made its feature.
pub(super) fn digest(input: &str, features: &str) -> Digest {
    Digester::new().field("image", input.as_bytes()).field("features", features.as_bytes()).finish()
}

/// What is to be done about the captions of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Captioned {
    /// There will be none: it is of another part of the data, or was refused.
    Not,
    /// They stand, or were made by a run that died.
    Already,
    /// They are to be made.
    Anew,
}

/// Which images need captions.
pub(super) struct Judge<'a> {
    stage: &'a Stage,
    work: &'a Caption,
    pub state: State,
    pub counts: Counts,
    prints: Prints,
    /// The images of the part of the data that is captioned; none where all are.
    captioned: Option<BTreeSet<String>>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(ctx: &Context<'_>, stage: &'a Stage, work: &'a Caption) -> Result<Self> {
        Ok(Self {
            stage,
            work,
            state: State::load(&ctx.store, stage, GENERATED)?,
            counts: Counts::default(),
            prints: Prints::plain(&stage.fingerprint.digest().to_string()),
            captioned: of_split(ctx, work)?,
        })
    }

    /// Counts the captions of an image, and says what is to be done about them. Those that are to be
    /// made take the place of the stored ones when they are there.
    pub(super) fn image(
        &mut self,
        ctx: &Context<'_>,
        ledger: &mut Ledger,
        id: &str,
        digest: Digest,
    ) -> Captioned {
        let Self { stage, work, state, counts, .. } = self;
        if self.captioned.as_ref().is_some_and(|known| !known.contains(id)) {
            return Captioned::Not;
        }
        let keys = || keys(work, id);
        if ledger.before().refused(&stage.table, &digest, &self.prints).is_some() {
            let gone = keys().filter(|key| state.stored(key).is_some()).count();
            match gone {
                0 => counts.add(Reason::RejectedEarlier),
                _ => counts.add_many(Reason::Removed, gone as u64),
            }
            keys().for_each(|key| state.refuse(&key));
            ctx.watch(id, || {
                Sight::new(stage, Key::caption(id, 0), Reason::RejectedEarlier, state)
                    .of(digest)
                    .at(&origin(work, id))
            });
            ledger.carry_at(&stage.table, &self.prints, &digest, origin(work, id), id);
            return Captioned::Not;
        }
        let reasons: Vec<_> = keys().map(|key| (key, state.judge(&key, &digest, 0))).collect();
        if reasons.iter().any(|(_, reason)| reason.computes()) {
            // All captions of an image are made together.
            for (key, reason) in &reasons {
                let reason = if reason.computes() { *reason } else { Reason::New };
                counts.add(reason);
                ctx.watch(id, || Sight::new(stage, *key, reason, state).of(digest));
            }
            return Captioned::Anew;
        }
        for (key, reason) in &reasons {
            counts.add(*reason);
            ctx.watch(id, || Sight::new(stage, *key, *reason, state).of(digest));
            match reason {
                Reason::Resumed => state.take_resumed(key),
                _ => state.keep(key),
            }
        }
        Captioned::Already
    }
}

/// The keys of the captions of an image.
pub(super) fn keys<'i>(work: &Caption, id: &'i str) -> impl Iterator<Item = Key<'i>> + use<'i> {
    let number = |n| i32::try_from(n).unwrap_or(i32::MAX);
    (0..work.strategy.captions()).map(move |n| Key::caption(id, number(n)))
}

pub(super) fn origin(work: &Caption, image_id: &str) -> Origin {
    Origin { source: work.image_features.as_str().into(), member: image_id.into(), offset: 0 }
}

/// The images of the part of the data that is captioned; none where all are.
fn of_split(ctx: &Context<'_>, work: &Caption) -> Result<Option<BTreeSet<String>>> {
    let Some((split, captions)) = &work.split else { return Ok(None) };
    let foreseen = ctx.foresight.as_ref().and_then(|world| world.captions.get(captions));
    if let Some(foreseen) = foreseen {
        let of_split = foreseen.rows.iter().filter(|row| row.split == Some(*split));
        return Ok(Some(of_split.map(|row| row.caption.image_id.clone()).collect()));
    }
    let mut images = BTreeSet::new();
    let Some(snapshot) = ctx.store.snapshot(captions)? else { return Ok(Some(images)) };
    for batch in snapshot.scan(&["image_id", "split"])? {
        ctx.options.cancel.check()?;
        let (_, batch) = batch?;
        let ids = rows::column::<StringArray>(&batch, "image_id")?;
        let splits = rows::column::<StringArray>(&batch, "split")?;
        for (id, name) in ids.iter().zip(splits) {
            let of = name.and_then(|name| name.parse::<Split>().ok());
            if let (Some(id), true) = (id, of == Some(*split)) {
                images.insert(id.to_owned());
            }
        }
    }
    Ok(Some(images))
}
