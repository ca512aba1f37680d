//! One image in every table: what each row of it was made from, and what a run would do with it.

use crate::base::{Error, Kind, Result};
use crate::plan::{Plan, Work};

use super::context::Options;
use super::lookout::Sight;
use super::survey;

/// Ids that are named when there is none of that name.
const NEAREST: usize = 3;

/// Everything that is known of the rows of one image, in the order of the definition's tables.
///
/// # Errors
/// [`Kind::BadInput`] when neither the sources nor the rejects know the image; it names the
/// nearest ids. The same for a caption that the image has not, unless the image is refused and has
/// none. Else as [`super::survey()`].
pub fn explain(
    plan: &Plan,
    options: &Options,
    image_id: &str,
    caption: Option<i32>,
) -> Result<Vec<Sight>> {
    let (mut seen, ids) = survey::of_image(plan, options, image_id)?;
    if seen.is_empty() {
        return Err(unknown(image_id, &ids));
    }
    // An image that is refused has no captions, whatever its source holds: that is the answer.
    let lists = |sight: &Sight| {
        plan.stage(&sight.table).is_some_and(|of| matches!(of.work, Work::IndexImages(_)))
    };
    let refused = seen.iter().all(|sight| sight.caption_index.is_none())
        && seen.iter().any(|sight| sight.reject.is_some() && lists(sight));
    if let Some(caption) = caption.filter(|_| !refused) {
        seen.retain(|sight| sight.caption_index.is_none_or(|index| index == caption));
        if !seen.iter().any(|sight| sight.caption_index.is_some()) {
            return Err(Error::new(
                Kind::BadInput,
                format!("image `{image_id}` has no caption {caption}"),
            )
            .help("leave --caption out to see all of them"));
        }
    }
    let order = |sight: &Sight| {
        let of = plan.stages.iter().position(|stage| stage.table == sight.table);
        (of, sight.caption_index)
    };
    seen.sort_by_key(order);
    Ok(seen)
}

fn unknown(image_id: &str, ids: &[String]) -> Error {
    let error = Error::new(Kind::BadInput, format!("no source holds an image `{image_id}`"));
    let mut near: Vec<_> =
        ids.iter().map(|id| (strsim::osa_distance(id, image_id), id.as_str())).collect();
    near.sort_unstable();
    let near: Vec<_> = near.iter().take(NEAREST).map(|(_, id)| format!("`{id}`")).collect();
    if near.is_empty() {
        return error.help("no image is known: look at the definition's sources of images");
    }
    error.help(format!("the nearest ids are {}", near.join(", ")))
}
