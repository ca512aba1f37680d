//! Made captions beside those of people: a score an image, and those of all together.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Float64Array, Int32Array, ListBuilder, StringArray, StringBuilder};

use crate::base::digest::Digester;
use crate::base::{Cancel, Digest, Result};
use crate::caption::metrics::{Case, Scores, Tokenizer, evaluate};
use crate::plan::captioner::{Evaluate, Words};
use crate::plan::{Counts, Reason, Stage};
use crate::table::Store;
use crate::table::schema::arrow_schema;
use crate::train::journal::Metric;

use super::clocks::{Part, Spend};
use super::context::Context;
use super::foresight::Foresight;
use super::key::{Columns, Key};
use super::ledger::Ledger;
use super::lookout::Sight;
use super::metrics;
use super::publish::{self, Made};
use super::rows;
use super::state::State;

/// Columns of tables of scores.
pub(super) const SCORES: Columns =
    Columns { has_caption_index: false, digest: "input_digest", place: &[] };

/// Scores the captions, if they or their references changed, and publishes the table.
pub(super) fn run(
    ctx: &mut Context<'_>,
    ledger: &mut Ledger,
    stage: &Stage,
    work: &Evaluate,
) -> Result<()> {
    let (cases, without, further) = cases(&ctx.store, work, None, &ctx.options.cancel)?;
    if further > 0 {
        ctx.report.notes.push(format!(
            "{}: of several captions of an image the first is scored; {} others in `{}` are not",
            stage.table,
            crate::base::units::count(further),
            work.generated
        ));
    }
    if without > 0 {
        ctx.report.notes.push(format!(
            "{}: {} made captions have no reference in `{}`, and are not scored",
            stage.table,
            crate::base::units::count(without),
            work.captions
        ));
    }
    let (state, counts, digests) = judge(ctx, stage, &cases)?;
    state.clean(&ctx.store, stage)?;
    let mut sink = ctx.sink(stage);
    let run = run_name(stage, &cases);
    let mut corpus = None;
    // Of the whole there is only what was measured: where that is lost, all is scored once more.
    let lost = !cases.is_empty() && metrics::read(&ctx.store, &stage.table, &run)?.is_empty();
    if counts.computed() > 0 || lost {
        ctx.trust(&work.generated)?;
        ctx.trust(&work.captions)?;
        let words = match work.words {
            Words::Ptb => Tokenizer::Ptb,
            Words::Characters => Tokenizer::Characters,
            Words::Jieba => Tokenizer::Jieba,
        };
        ctx.options.progress.begin(&stage.table, Some(cases.len() as u64));
        let scores = ctx.clocks.time(Part::Encode, Spend::Busy, || evaluate(&cases, words));
        ctx.options.progress.advance(&stage.table, cases.len() as u64);
        ctx.options.progress.end(&stage.table);
        let scores = scores?;
        if counts.computed() > 0 {
            sink.push(&batch(stage, &cases, &scores, &digests)?)?;
        }
        corpus = Some(scores.corpus.named());
    }
    ledger.complete(&stage.table);
    let made = Made {
        parts: sink.finish()?,
        columns: SCORES,
        without: &BTreeSet::new(),
        complete: true,
        counts,
        moved: &BTreeMap::new(),
    };
    publish::publish(ctx, ledger, stage, &state, made)?;
    if let Some(corpus) = corpus {
        let now = ctx.options.clock.now_us();
        let metric = |(name, value): (&str, f64)| Metric {
            step: 0,
            epoch: 0,
            name: name.to_owned(),
            value,
            time_us: now,
        };
        let measured: Vec<Metric> = corpus.into_iter().map(metric).collect();
        metrics::publish(ctx, &stage.table, &run, &measured)?;
    }
    let scores = metrics::read(&ctx.store, &stage.table, &run)?;
    ctx.report.scores.insert(stage.table.clone(), scores);
    Ok(())
}

/// Judges every row, for a survey, by the images that will have made captions and by the captions of
/// people that there will be.
pub(super) fn judged(ctx: &Context<'_>, stage: &Stage, work: &Evaluate) -> Result<(State, Counts)> {
    let (cases, ..) = cases(&ctx.store, work, ctx.foresight.as_ref(), &ctx.options.cancel)?;
    let (state, counts, _) = judge(ctx, stage, &cases)?;
    Ok((state, counts))
}

/// As [`judged`], of captions that will be made of `images` and that nobody knows before they are:
/// all scores are supposed to change.
pub(super) fn supposed(
    ctx: &Context<'_>,
    stage: &Stage,
    work: &Evaluate,
    images: &BTreeSet<String>,
) -> Result<(State, Counts)> {
    let world = ctx.foresight.as_ref();
    let captions = world.and_then(|world| world.captions.get(&work.captions));
    let rows = captions.map_or(&[][..], |captions| &captions.rows);
    let referred = rows.iter().map(|row| row.caption.image_id.as_str());
    let scored: BTreeSet<&str> = referred.filter(|id| images.contains(*id)).collect();
    let state = State::load(&ctx.store, stage, SCORES)?;
    let mut counts = Counts::default();
    let unknown = Digest::of(b"captions that are still to be made");
    for id in scored {
        let key = Key::image(id);
        let reason = state.judge(&key, &unknown, 0);
        counts.add(reason);
        state.replace(&key);
        ctx.watch(id, || Sight::new(stage, key, reason, &state));
    }
    Ok((state, counts))
}

/// Every image with a made caption and references, by id; how many have none; and how many made
/// captions are not the first of their image. Made captions are as they are stored, without those that
/// will be gone in the world that is `foreseen`; its are the references, or those that are stored.
fn cases(
    store: &Store,
    work: &Evaluate,
    foreseen: Option<&Foresight>,
    cancel: &Cancel,
) -> Result<(Vec<Case>, u64, u64)> {
    let mut further = 0;
    let mut made: BTreeMap<String, String> = BTreeMap::new();
    if let Some(snapshot) = store.snapshot(&work.generated)? {
        for batch in snapshot.scan(&["image_id", "caption_index", "text"])? {
            cancel.check()?;
            let (_, batch) = batch?;
            let ids = rows::column::<StringArray>(&batch, "image_id")?;
            let indices = rows::column::<Int32Array>(&batch, "caption_index")?;
            let texts = rows::column::<StringArray>(&batch, "text")?;
            for at in 0..batch.num_rows() {
                if indices.value(at) != 0 {
                    further += 1;
                    continue;
                }
                made.insert(ids.value(at).to_owned(), texts.value(at).to_owned());
            }
        }
    }
    if let Some(left) = foreseen.and_then(|world| world.generated.get(&work.generated)) {
        made.retain(|id, _| left.images.contains(id));
    }
    let mut references: BTreeMap<String, BTreeMap<i32, String>> = BTreeMap::new();
    let mut refer = |id: &str, index: i32, text: &str| {
        if made.contains_key(id) {
            references.entry(id.to_owned()).or_default().insert(index, text.to_owned());
        }
    };
    if let Some(captions) = foreseen.and_then(|world| world.captions.get(&work.captions)) {
        for row in &captions.rows {
            let of = &row.caption;
            refer(&of.image_id, of.caption_index, &of.text);
        }
    } else if let Some(snapshot) = store.snapshot(&work.captions)? {
        for batch in snapshot.scan(&["image_id", "caption_index", "text"])? {
            cancel.check()?;
            let (_, batch) = batch?;
            let ids = rows::column::<StringArray>(&batch, "image_id")?;
            let indices = rows::column::<Int32Array>(&batch, "caption_index")?;
            let texts = rows::column::<StringArray>(&batch, "text")?;
            for at in 0..batch.num_rows() {
                refer(ids.value(at), indices.value(at), texts.value(at));
            }
        }
    }
    let all = made.len();
    let cases: Vec<Case> = made
        .into_iter()
        .filter_map(|(image_id, candidate)| {
            let references = references.remove(&image_id)?.into_values().collect();
            Some(Case { image_id, candidate, references })
        })
        .collect();
    let without = all.saturating_sub(cases.len()) as u64;
    Ok((cases, without, further))
}

/// The digest of all references: CIDEr weighs words by all of them.
fn weighs(cases: &[Case]) -> Digest {
    let mut digester = Digester::new();
    for reference in cases.iter().flat_map(|case| &case.references) {
        digester.field("reference", reference.as_bytes());
    }
    digester.finish()
}

fn run_name(stage: &Stage, cases: &[Case]) -> String {
    let mut digester = Digester::new();
    digester.field("fingerprint", stage.fingerprint.digest().as_bytes());
    digester.field("references", weighs(cases).as_bytes());
    for case in cases {
        digester
            .field("image", case.image_id.as_bytes())
            .field("caption", case.candidate.as_bytes());
    }
    digester.finish().short()
}

/// Judges every row; what would be computed counts as made again.
fn judge(ctx: &Context<'_>, stage: &Stage, cases: &[Case]) -> Result<(State, Counts, Vec<Digest>)> {
    let state = State::load(&ctx.store, stage, SCORES)?;
    let weighs = weighs(cases);
    let digest = |case: &Case| {
        let mut digester = Digester::new();
        digester.field("caption", case.candidate.as_bytes());
        for reference in &case.references {
            digester.field("reference", reference.as_bytes());
        }
        digester.field("weighs", weighs.as_bytes()).finish()
    };
    let digests: Vec<Digest> = cases.iter().map(digest).collect();
    let mut counts = Counts::default();
    let judged = cases.iter().zip(&digests).map(|(case, digest)| {
        match state.judge(&Key::image(&case.image_id), digest, 0) {
            // Scores are made all together: a part that waits is made anew with the others.
            Reason::Resumed => Reason::New,
            reason => reason,
        }
    });
    let reasons: Vec<Reason> = judged.collect();
    let any = reasons.iter().any(|reason| reason.computes());
    for ((case, reason), digest) in cases.iter().zip(reasons).zip(&digests) {
        let reason = if any && !reason.computes() { Reason::ContentChanged } else { reason };
        let key = Key::image(&case.image_id);
        counts.add(reason);
        if any {
            state.remake(&key, digest);
        } else {
            state.keep(&key);
        }
        ctx.watch(&case.image_id, || Sight::new(stage, key, reason, &state).of(*digest));
    }
    Ok((state, counts, digests))
}

fn batch(
    stage: &Stage,
    cases: &[Case],
    scores: &Scores,
    digests: &[Digest],
) -> Result<arrow::array::RecordBatch> {
    let schema = arrow_schema(&stage.contract);
    let fingerprint = stage.fingerprint.digest().to_string();
    let mut references = ListBuilder::new(StringBuilder::new());
    for case in cases {
        for reference in &case.references {
            references.values().append_value(reference);
        }
        references.append(true);
    }
    let references: arrow::array::ArrayRef = Arc::new(references.finish());
    let mut columns = vec![
        ("image_id", rows::strings(cases.iter().map(|case| &case.image_id))),
        ("candidate", rows::strings(cases.iter().map(|case| &case.candidate))),
        ("references", rows::retyped(&schema, "references", &references)?),
        ("input_digest", rows::strings(digests.iter().map(Digest::to_string))),
        ("fingerprint", rows::strings(cases.iter().map(|_| &fingerprint))),
    ];
    for (number, (name, _)) in scores.corpus.named().into_iter().enumerate() {
        let of = scores
            .per_image
            .iter()
            .map(|one| one.score.named().get(number).map_or(0.0, |(_, value)| *value));
        columns.push((name, Arc::new(Float64Array::from_iter_values(of))));
    }
    rows::batch(&schema, &columns)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Kind;
    use crate::base::clock::SystemClock;
    use crate::plan::contract::{Column, ColumnType, Contract};
    use crate::table::{Change, PartLabel};

    #[test]
    fn captions_are_gathered_until_somebody_asks_to_stop() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::create(dir.path(), Arc::new(SystemClock)).unwrap();
        let columns = [
            ("image_id", ColumnType::String),
            ("caption_index", ColumnType::Int32),
            ("text", ColumnType::String),
        ];
        let contract = Contract {
            name: "captions".to_owned(),
            description: String::new(),
            key: vec!["image_id".to_owned(), "caption_index".to_owned()],
            columns: columns.map(Column::plain).into(),
            checks: Vec::new(),
        };
        for table in ["generated", "captions"] {
            let columns = [
                ("image_id", rows::strings(["a", "a", "b"])),
                ("caption_index", rows::int32s([0, 1, 0])),
                ("text", rows::strings(["one", "two", "three"])),
            ];
            let mut writer = store.part_writer(table, &contract, PartLabel::default()).unwrap();
            writer.write(&rows::batch(&arrow_schema(&contract), &columns).unwrap()).unwrap();
            let add = vec![writer.finish().unwrap()];
            store.publish(table, &contract, Change { add, ..Change::default() }).unwrap();
        }
        let work = Evaluate {
            generated: "generated".to_owned(),
            captions: "captions".to_owned(),
            words: Words::Ptb,
        };
        let cancel = Cancel::new();
        let (found, without, further) = cases(&store, &work, None, &cancel).unwrap();
        assert_eq!((found.len(), without, further), (2, 0, 1));
        cancel.cancel();
        let stopped = cases(&store, &work, None, &cancel).unwrap_err();
        assert_eq!(stopped.kind(), Kind::Interrupted);
    }
}
