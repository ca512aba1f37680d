//! From the files of captions to rows: read on a thread of its own, with the split of each image,
//! brought into the order of the table.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, bounded};
use rayon::prelude::*;

use crate::base::digest::Digester;
use crate::base::{Cancel, Digest, Result};
use crate::flow::{Caption, Reject, Split};
use crate::plan::Stage;
use crate::plan::stage::{ReadCaptions, SplitRule};
use crate::plan::state_folder;
use crate::sources;

use super::caption_row::CaptionRow;
use super::caption_sorter::Sorter;
use super::clocks::{Clocks, Part, Spend};
use super::context::{Context, Options};
use super::key::{Key, Short};
use super::overlap::joined;
use super::upstream;

/// Captions, some at a time, that wait between the reader and the rows.
const WAITING: usize = 1;
/// Rows that are judged and written together.
const BATCH_ROWS: usize = 8192;

/// The captions of a stage on their way to rows. They are read on a thread of their own, and few are
/// held at a time; those of files in another order than the table's are sorted on disk.
pub(super) struct Reading<'r> {
    options: &'r Options,
    clocks: &'r Clocks,
    stage: &'r Stage,
    recipe: Recipe<'r>,
    rejects: Vec<Reject>,
    /// Where captions may be sorted; a plan sorts in memory, since it writes nothing.
    folder: Option<PathBuf>,
    /// Whether rows may come as they are found.
    any_order: bool,
}

impl<'r> Reading<'r> {
    /// Reads what is needed beside the captions.
    ///
    /// # Errors
    /// When a split file or the table of images cannot be read.
    pub(super) fn begin(
        ctx: &'r Context<'_>,
        stage: &'r Stage,
        work: &'r ReadCaptions,
    ) -> Result<Self> {
        let (recipe, rejects) = Recipe::new(ctx, work)?;
        let (options, clocks) = (ctx.options, &ctx.clocks);
        let folder = ctx.foresight.is_none().then(|| state_folder(&ctx.plan.store));
        Ok(Self { options, clocks, stage, recipe, rejects, folder, any_order: false })
    }

    /// Rows are not sorted, so that none waits for another.
    pub(super) fn in_any_order(self) -> Self {
        Self { any_order: true, ..self }
    }

    /// Hands on every row: in the order of keys, or in [any order](Self::in_any_order).
    ///
    /// # Errors
    /// When a file cannot be read, or it is to stop; and those of `take`.
    pub(super) fn each(
        &mut self,
        take: &mut dyn FnMut(Vec<CaptionRow>) -> Result<()>,
    ) -> Result<()> {
        let progress = self.options.progress.as_ref();
        progress.begin(&self.stage.table, None);
        let done = self.rows(take);
        progress.end(&self.stage.table);
        self.rejects.extend(done?);
        Ok(())
    }

    fn rows(&mut self, take: &mut dyn FnMut(Vec<CaptionRow>) -> Result<()>) -> Result<Vec<Reject>> {
        let (work, clocks, cancel) = (self.recipe.work, self.clocks, &self.options.cancel);
        let (out, captions) = bounded::<Vec<Caption>>(WAITING);
        std::thread::scope(|scope| {
            let reader = scope.spawn(move || read(work, (clocks, cancel), &out));
            // Moved in, so that the reader ends when this part fails.
            let captions = captions;
            let mut sorter = Sorter::new(self.folder.clone());
            for some in &captions {
                cancel.check()?;
                self.options.progress.advance(&self.stage.table, some.len() as u64);
                let rows = self.recipe.rows(some);
                if self.any_order {
                    take(rows)?;
                    continue;
                }
                take(clocks.time(Part::Write, Spend::Busy, || sorter.take(rows))?)?;
            }
            // before rows that were held become durable
            let rejects = joined(reader)?;
            let mut rest = clocks.time(Part::Write, Spend::Busy, || sorter.rest())?;
            loop {
                cancel.check()?;
                let rows = clocks.time(Part::Write, Spend::Busy, || rest.next(BATCH_ROWS))?;
                if rows.is_empty() {
                    break;
                }
                take(rows)?;
            }
            Ok(rejects)
        })
    }

    /// Once all is read: what was refused, and what a user should know.
    pub(super) fn end(self) -> (Vec<Reject>, Vec<String>) {
        (self.rejects, self.recipe.notes(&self.stage.table))
    }
}

/// Reads until all is read, or nobody takes any more.
fn read(
    work: &ReadCaptions,
    (clocks, cancel): (&Clocks, &Cancel),
    out: &Sender<Vec<Caption>>,
) -> Result<Vec<Reject>> {
    let (begun, mut waited) = (Instant::now(), Duration::ZERO);
    let own_splits = matches!(work.split, SplitRule::OfFile(_));
    let rejects = sources::captions::stream(&work.source, own_splits, cancel, &mut |captions| {
        let ready = Instant::now();
        let taken = out.send(captions);
        waited += ready.elapsed();
        if taken.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    clocks.add(Part::Read, Spend::Blocked, waited);
    clocks.add(Part::Read, Spend::Busy, begun.elapsed().saturating_sub(waited));
    rejects
}

/// What makes rows of captions.
struct Recipe<'w> {
    work: &'w ReadCaptions,
    splits: Option<BTreeMap<String, Split>>,
    images: Option<BTreeSet<Short>>,
    /// Captions of images that are not in the table of images.
    orphans: u64,
    /// Images that are in none of the split files.
    unlisted: BTreeSet<String>,
    /// Captions whose files name their image's split, and those whose do not.
    named: (u64, u64),
}

impl<'w> Recipe<'w> {
    /// With what of the split files is no split.
    fn new(ctx: &Context<'_>, work: &'w ReadCaptions) -> Result<(Self, Vec<Reject>)> {
        let (splits, rejects) = match &work.split {
            SplitRule::Listed(source) => {
                let (splits, rejects) = sources::splits::read(source)?;
                (Some(splits), rejects)
            }
            _ => (None, Vec::new()),
        };
        let images = work.images.as_ref().map(|table| upstream::image_keys(ctx, table));
        let (orphans, unlisted) = (0, BTreeSet::new());
        let images = images.transpose()?;
        Ok((Self { work, splits, images, orphans, unlisted, named: (0, 0) }, rejects))
    }

    fn rows(&mut self, mut captions: Vec<Caption>) -> Vec<CaptionRow> {
        if let Some(images) = &self.images {
            let before = captions.len();
            captions.retain(|caption| images.contains(&Key::image(&caption.image_id).short()));
            self.orphans += (before - captions.len()) as u64;
        }
        let rows: Vec<_> = captions
            .into_par_iter()
            .map(|caption| {
                let split = self.split(&caption);
                let digest = digest(&caption.text, split);
                CaptionRow { caption, split, digest }
            })
            .collect();
        if matches!(self.work.split, SplitRule::OfFile(_)) {
            let named = rows.iter().filter(|row| row.caption.split.is_some()).count() as u64;
            self.named.0 += named;
            self.named.1 += rows.len() as u64 - named;
        }
        if self.splits.is_some() {
            let of_none = rows.iter().filter(|row| row.split.is_none());
            self.unlisted.extend(of_none.map(|row| row.caption.image_id.clone()));
        }
        rows
    }

    fn split(&self, caption: &Caption) -> Option<Split> {
        match &self.work.split {
            SplitRule::Listed(_) => self.splits.as_ref()?.get(&caption.image_id).copied(),
            SplitRule::Drawn(shares) => Some(draw(caption, shares)),
            SplitRule::OfFile(shares) => {
                Some(caption.split.unwrap_or_else(|| draw(caption, shares)))
            }
        }
    }

    /// What a user should know of captions that are left out, or belong nowhere.
    fn notes(&self, table: &str) -> Vec<String> {
        let mut notes = Vec::new();
        let count = crate::base::units::count;
        let captions = |n: u64| match n {
            1 => "1 caption".to_owned(),
            n => format!("{} captions", count(n)),
        };
        if self.orphans > 0 {
            notes.push(format!(
                "{table}: {} left out, of images that are not in `{}`",
                captions(self.orphans),
                self.work.images.as_deref().unwrap_or_default()
            ));
        }
        if !self.unlisted.is_empty() {
            notes.push(format!(
                "{table}: {} images are in none of the split files; their split is null",
                count(self.unlisted.len() as u64)
            ));
        }
        // of files without any nobody expects them
        if let (1.., drawn @ 1..) = self.named {
            notes.push(format!(
                "{table}: the split of {} was drawn, as the files name none for the image",
                captions(drawn)
            ));
        }
        notes
    }
}

fn draw(caption: &Caption, shares: &crate::plan::stage::Shares) -> Split {
    sources::splits::seeded(&caption.image_id, &shares.of, shares.seed)
}

/// What a caption's row depends on: its text and its split.
fn digest(text: &str, split: Option<Split>) -> Digest {
    Digester::new()
        .field("text", text.as_bytes())
        .field("split", split.map_or("", Split::name).as_bytes())
        .finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::Origin;
    use crate::plan::source::{Caps, CaptionFormat, CaptionSource, IdRule};
    use crate::plan::stage::Shares;

    #[test]
    fn splits_that_are_drawn_beside_those_of_the_files_are_told_of() {
        let work = ReadCaptions {
            source: CaptionSource {
                name: "sentences".into(),
                paths: Vec::new(),
                member: None,
                format: CaptionFormat::Flickr,
                id: IdRule::Stem,
                caps: Caps::default(),
            },
            images: None,
            split: SplitRule::OfFile(Shares {
                of: [(Split::Train, 0.0), (Split::Val, 1.0), (Split::Test, 0.0)],
                seed: 0,
            }),
            clean: Vec::new(),
        };
        let caption = |id: &str, split| Caption {
            image_id: id.into(),
            caption_index: 0,
            text: "a".into(),
            origin: Origin { source: "sentences".into(), member: "a.csv".into(), offset: 0 },
            split,
        };
        let (blank, named) = (caption("1", None), caption("2", Some(Split::Test)));
        let told = |captions: Vec<Caption>| {
            let unlisted = BTreeSet::new();
            let (splits, images, named) = (None, None, (0, 0));
            let mut recipe = Recipe { work: &work, splits, images, orphans: 0, unlisted, named };
            let rows = recipe.rows(captions);
            let splits: Vec<_> = rows.iter().map(|row| row.split.unwrap().name()).collect();
            (splits.join(" "), recipe.notes("captions").len())
        };
        assert_eq!(told(vec![blank.clone(), named.clone()]), ("val test".into(), 1));
        assert_eq!(told(vec![blank]), ("val".into(), 0));
        assert_eq!(told(vec![named]), ("test".into(), 0));
    }
}
