//! How much of what the demo's captioner says is so, and how often its search finds the picture
//! that a caption was written of.

use std::collections::BTreeMap;

use arrow::array::{Array, Float32Array, Int32Array, ListArray, RecordBatch, StringArray};

use crate::base::{Error, Kind, Result};
use crate::cli::demo::{Recipe, Says, Scene};
use crate::plan::{Plan, Work};
use crate::table::Store;

use super::drawing;

/// What was measured on the held-out scenes.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Truth {
    /// Share of the scenes whose caption names every shape with its colour and place, and no other.
    pub(super) attributes_exact: Option<f64>,
    /// Share of the distinct captions whose own picture comes first in a search.
    pub(super) recall_at_1: Option<f64>,
    rows: Vec<Vec<String>>,
    /// Right captions and scenes, of those with one shape and of those with two.
    by_shapes: [(u32, u32); 2],
    distinct: usize,
    searched: usize,
}

/// Scenes that the table shows; the measures are over all.
const SHOWN: usize = 20;

/// Compares the demo's tables with the scenes that were drawn.
///
/// # Errors
/// When a table cannot be read.
pub(super) fn measure(
    plan: &Plan,
    recipe: &Recipe,
    clock: std::sync::Arc<dyn crate::base::clock::Clock>,
) -> Result<Truth> {
    let store = Store::look(&plan.store, clock)?;
    let scenes = Scene::series(recipe.seed, recipe.images);
    let scenes: BTreeMap<&str, &Scene> =
        scenes.iter().map(|scene| (scene.id.as_str(), scene)).collect();
    let made_by = |fits: fn(&Work) -> bool| {
        plan.stages.iter().find(|stage| fits(&stage.work)).map(|stage| stage.table.as_str())
    };
    let mut truth = Truth {
        attributes_exact: None,
        recall_at_1: None,
        rows: Vec::new(),
        by_shapes: [(0, 0); 2],
        distinct: 0,
        searched: 0,
    };
    if let Some(table) = made_by(|work| matches!(work, Work::Caption(_))) {
        written(&store, table, &scenes, &mut truth)?;
    }
    let tables = [
        made_by(|work| matches!(work, Work::ReadCaptions(_))),
        made_by(|work| matches!(work, Work::EmbedCaptions(_))),
        made_by(|work| matches!(work, Work::EmbedImages(_))),
    ];
    if let [Some(captions), Some(texts), Some(images)] = tables {
        found(&store, [captions, texts, images], &scenes, &mut truth)?;
    }
    Ok(truth)
}

/// What the captioner wrote of held-out scenes.
fn written(
    store: &Store,
    table: &str,
    scenes: &BTreeMap<&str, &Scene>,
    truth: &mut Truth,
) -> Result<()> {
    let (mut right, mut all) = (0_u32, 0_u32);
    each(store, table, &["image_id", "text"], &mut |batch| {
        let (ids, texts) = (text(batch, "image_id")?, text(batch, "text")?);
        for (id, caption) in ids.iter().flatten().zip(texts.iter().flatten()) {
            let Some(scene) = scenes.get(id) else { continue };
            let names = Says::of(caption).names(scene);
            all += 1;
            right += u32::from(names);
            let [alone, two] = &mut truth.by_shapes;
            let of = if scene.objects.len() == 1 { alone } else { two };
            *of = (of.0 + u32::from(names), of.1 + 1);
            let verdict = if names { "yes" } else { "no" };
            truth.rows.push(vec![format!("{id}.jpg"), caption.to_owned(), verdict.to_owned()]);
        }
        Ok(())
    })?;
    truth.attributes_exact = (all > 0).then(|| f64::from(right) / f64::from(all));
    Ok(())
}

/// Searches the held-out pictures by the held-out captions that are true of one of them only.
fn found(
    store: &Store,
    [captions, texts, images]: [&str; 3],
    scenes: &BTreeMap<&str, &Scene>,
    truth: &mut Truth,
) -> Result<()> {
    let mut held: BTreeMap<(String, i32), Says> = BTreeMap::new();
    let mut gallery: BTreeMap<String, Vec<f32>> = BTreeMap::new();
    each(store, captions, &["image_id", "caption_index", "text", "split"], &mut |batch| {
        let (ids, said) = (text(batch, "image_id")?, text(batch, "text")?);
        let (numbers, splits) =
            (column::<Int32Array>(batch, "caption_index")?, text(batch, "split")?);
        for at in 0..batch.num_rows() {
            let id = ids.value(at);
            if splits.is_valid(at) && splits.value(at) == "test" && scenes.contains_key(id) {
                held.insert((id.to_owned(), numbers.value(at)), Says::of(said.value(at)));
                gallery.entry(id.to_owned()).or_default();
            }
        }
        Ok(())
    })?;
    each(store, images, &["image_id", "embedding"], &mut |batch| {
        let (ids, vectors) = (text(batch, "image_id")?, column::<ListArray>(batch, "embedding")?);
        for at in 0..batch.num_rows() {
            if let Some(place) = gallery.get_mut(ids.value(at)) {
                *place = unit(vectors, at);
            }
        }
        Ok(())
    })?;
    gallery.retain(|_, vector| !vector.is_empty());
    held.retain(|(own, _), says| {
        let of = |id: &String| scenes.get(id.as_str()).is_some_and(|scene| says.holds(scene));
        gallery.contains_key(own) && of(own) && gallery.keys().filter(|id| of(id)).count() == 1
    });
    let (mut first, mut all) = (0_u32, 0_u32);
    each(store, texts, &["image_id", "caption_index", "embedding"], &mut |batch| {
        let (ids, vectors) = (text(batch, "image_id")?, column::<ListArray>(batch, "embedding")?);
        let numbers = column::<Int32Array>(batch, "caption_index")?;
        for at in 0..batch.num_rows() {
            let own = ids.value(at);
            if !held.contains_key(&(own.to_owned(), numbers.value(at))) {
                continue;
            }
            let query = unit(vectors, at);
            let score = |vector: &[f32]| query.iter().zip(vector).map(|(a, b)| a * b).sum::<f32>();
            let best = gallery.iter().max_by(|a, b| score(a.1).total_cmp(&score(b.1)));
            all += 1;
            first += u32::from(best.is_some_and(|(id, _)| id == own));
        }
        Ok(())
    })?;
    truth.recall_at_1 = (all > 0).then(|| f64::from(first) / f64::from(all));
    truth.distinct = usize::try_from(all).unwrap_or(0);
    truth.searched = gallery.len();
    Ok(())
}

impl Truth {
    /// The table of held-out scenes, and both measures in words.
    pub(super) fn told(&self) -> Option<String> {
        let share = self.attributes_exact?;
        let shown: Vec<Vec<String>> = self.rows.iter().take(SHOWN).cloned().collect();
        let header = ["held-out picture", "what the captioner says", "colour, shape, place right"];
        let left = self.rows.len().saturating_sub(shown.len());
        let more = if left > 0 { format!("\n… and {left} more") } else { String::new() };
        let recall = self.recall_at_1.map_or(String::new(), |recall| {
            format!(
                "\nOf {} captions that are true of one of the {} held-out pictures only, {:.1} % \
                 find it first.",
                self.distinct,
                self.searched,
                recall * 100.0
            )
        });
        let [alone, two] = self.by_shapes;
        Some(format!(
            "{}{more}\nAll colours, shapes and places are right in {:.1} % of {} held-out \
             pictures: in {} of {} with one shape, in {} of {} with two.{recall}",
            drawing::table(&header, shown, &[]),
            share * 100.0,
            self.rows.len(),
            alone.0,
            alone.1,
            two.0,
            two.1
        ))
    }
}

fn each(
    store: &Store,
    table: &str,
    columns: &[&str],
    look: &mut dyn FnMut(&RecordBatch) -> Result<()>,
) -> Result<()> {
    let Some(snapshot) = store.snapshot(table)? else { return Ok(()) };
    for batch in snapshot.scan(columns)? {
        look(&batch?.1)?;
    }
    Ok(())
}

/// A vector, scaled to a norm of one.
fn unit(vectors: &ListArray, at: usize) -> Vec<f32> {
    let vector = vectors.value(at);
    let numbers = vector.as_any().downcast_ref::<Float32Array>();
    let numbers = numbers.map(|numbers| numbers.values().to_vec()).unwrap_or_default();
    let norm = numbers.iter().map(|x| x * x).sum::<f32>().sqrt();
    numbers.iter().map(|x| if norm > 0.0 { x / norm } else { *x }).collect()
}

fn text<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a StringArray> {
    column(batch, name)
}

fn column<'a, T: 'static>(batch: &'a RecordBatch, name: &str) -> Result<&'a T> {
    let found = batch.column_by_name(name).and_then(|array| array.as_any().downcast_ref::<T>());
    found.ok_or_else(|| Error::new(Kind::Store, format!("a table has no usable column `{name}`")))
}
