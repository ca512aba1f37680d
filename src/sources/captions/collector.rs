//! Captions as they are found: ids taken from names, numbers given, doubles refused.

use std::collections::HashMap;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::base::Digest;
use crate::flow::{Caption, Origin, Reject, RejectClass, Split};
use crate::plan::source::IdRule;
use crate::sources::clean::is_blank;
use crate::sources::names::{self, Named};

use super::ids::Ids;

/// Captions that are handed on together: two megabytes at most are in few hands at a time.
const HANDED_ON: usize = 2048;

/// Whoever takes captions, in the order of the files; breaks when it wants no more.
pub(super) type Take<'t> = dyn FnMut(Vec<Caption>) -> ControlFlow<()> + 't;

/// How the splits that files name are taken.
pub(super) enum Splits {
    /// Not at all: others decide.
    Elsewhere,
    /// They are looked for, for images with captions before the one that names theirs.
    Sought,
    /// Kept to, one an image; with those that were looked for.
    Kept(HashMap<String, Split>),
}

/// What is known of an image.
struct Image {
    captions: i32,
    split: Option<Split>,
    /// Whether a caption was handed on without one.
    without: bool,
    /// The number of its first caption, and where that was seen: many images have no other.
    first: Option<(i32, u64)>,
    /// The same of further ones, [`FEW`] at most. The others are in [`Collector::seen`], which is
    /// slower: captions of one image stand together as a rule, and a map of all of them is too large
    /// for any cache.
    further: Vec<(i32, u64)>,
}

/// Captions of an image, beside its first, that are looked through one by one.
const FEW: usize = 32;

/// Finds the captions of a source and hands them on.
pub(super) struct Collector<'a> {
    source: Arc<str>,
    /// The file whose captions are found.
    member: Arc<str>,
    id: &'a IdRule,
    ids: Ids,
    /// By the numbers of their ids.
    known: Vec<Image>,
    splits: Splits,
    /// Where captions were first seen that [`Image::further`] has no room for.
    seen: HashMap<(usize, i32), u64, ahash::RandomState>,
    captions: Vec<Caption>,
    take: &'a mut Take<'a>,
    closed: bool,
    pub(super) rejects: Vec<Reject>,
}

impl fmt::Debug for Collector<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collector").field("source", &self.source).finish_non_exhaustive()
    }
}

/// One caption as its file has it.
pub(super) struct Found<'a> {
    /// Name of the image.
    pub(super) image: &'a str,
    pub(super) named: Named,
    /// Its number, where the file gives one.
    pub(super) index: Option<i32>,
    pub(super) text: &'a str,
    pub(super) split: Option<Split>,
    /// Where it stands, and its bytes, for rejects.
    pub(super) offset: u64,
    pub(super) raw: &'a [u8],
    /// Its number in the list that stands there, where it is of one.
    pub(super) item: Option<usize>,
}

/// What a reject is known by.
type Refusal = (Option<String>, RejectClass, String);

/// The place of one of several texts that stand at one offset of `member`.
pub(super) fn numbered(member: &str, item: usize) -> String {
    format!("{member}#{item}")
}

impl Image {
    /// The split of a caption of which its file says `named`: that of all captions of the image.
    fn agree(&mut self, id: &str, named: Option<Split>) -> Result<Option<Split>, String> {
        match (self.split, named) {
            (Some(first), Some(named)) if first != named => {
                Err(format!("{id} is in {named} by this caption, and in {first} by one before"))
            }
            (None, Some(named)) if self.without => {
                Err(format!("{id} is in {named} by this caption, and in no split by one before"))
            }
            (first, named) => {
                self.split = first.or(named);
                self.without |= self.split.is_none();
                Ok(self.split)
            }
        }
    }
}

impl<'a> Collector<'a> {
    pub(super) fn new(
        source: &str,
        id: &'a IdRule,
        splits: Splits,
        take: &'a mut Take<'a>,
    ) -> Self {
        Self {
            source: source.into(),
            member: "".into(),
            id,
            ids: Ids::default(),
            known: Vec::new(),
            splits,
            seen: HashMap::default(),
            captions: Vec::new(),
            take,
            closed: false,
            rejects: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, member: &str, found: &Found<'_>) {
        let Err((id, class, why)) = self.keep(member, found) else { return };
        let place = found.item.map(|item| numbered(member, item));
        let place = place.as_deref().unwrap_or(member);
        self.reject(place, found.offset, id, class, why, Some(found.raw));
    }

    fn keep(&mut self, member: &str, found: &Found<'_>) -> Result<(), Refusal> {
        let id = names::image_id(found.image, self.id, found.named)
            .map_err(|why| (None, RejectClass::BadName, why))?;
        if found.text.contains('\0') {
            let why = "it holds a zero byte, as UTF-16 does and damaged files do".to_string();
            return Err((Some(id), RejectClass::BadText, why));
        }
        if is_blank(found.text) {
            return Err((Some(id), RejectClass::EmptyCaption, "its caption is empty".to_string()));
        }
        let number = self.ids.number(&id);
        if number == self.known.len() {
            let split = match &self.splits {
                Splits::Kept(sought) => sought.get(&id).copied(),
                _ => None,
            };
            let (first, further) = (None, Vec::new());
            self.known.push(Image { captions: 0, split, without: false, first, further });
        }
        let Some(image) = self.known.get_mut(number) else { return Ok(()) };
        let caption_index = found.index.unwrap_or(image.captions);
        image.captions = image.captions.saturating_add(1);
        let key = (number, caption_index);
        let mut of_few = image.first.iter().chain(&image.further);
        let of_few = of_few.find(|(index, _)| *index == caption_index);
        let of_many =
            || (image.further.len() == FEW).then(|| self.seen.get(&key).copied()).flatten();
        let first = of_few.map(|(_, offset)| *offset).or_else(of_many);
        if let Some(first) = first {
            let why = format!("caption {caption_index} of {id} stands already at byte {first}");
            return Err((Some(id), RejectClass::DuplicateCaption, why));
        }
        let split = match &self.splits {
            Splits::Elsewhere => Ok(found.split),
            Splits::Sought => {
                image.split = image.split.or(found.split);
                image.without |= image.split.is_none();
                Ok(image.split)
            }
            Splits::Kept(_) => image.agree(&id, found.split),
        };
        let split = match split {
            Ok(split) => split,
            Err(why) => return Err((Some(id), RejectClass::BadLine, why)),
        };
        let place = (caption_index, found.offset);
        if image.first.is_none() {
            image.first = Some(place);
        } else if image.further.len() < FEW {
            image.further.push(place);
        } else {
            self.seen.insert(key, found.offset);
        }
        let origin = self.origin(member, found.offset);
        if self.captions.is_empty() {
            self.captions.reserve_exact(HANDED_ON);
        }
        self.captions.push(Caption {
            image_id: id,
            caption_index,
            text: found.text.to_string(),
            origin,
            split,
        });
        if self.captions.len() >= HANDED_ON {
            self.hand_on();
        }
        Ok(())
    }

    /// Hands on what waits.
    pub(super) fn hand_on(&mut self) {
        let captions = std::mem::take(&mut self.captions);
        if !captions.is_empty() && !self.closed {
            self.closed = (self.take)(captions).is_break();
        }
    }

    /// The splits of images that have captions before the one that names theirs.
    pub(super) fn late_splits(self) -> HashMap<String, Split> {
        let late = self.ids.iter().zip(&self.known).filter(|(_, image)| image.without);
        late.filter_map(|(id, image)| Some((id.to_owned(), image.split?))).collect()
    }

    /// The image id in a name that stands in what is refused.
    pub(super) fn id_of(&self, image: &str, named: Named) -> Option<String> {
        names::image_id(image, self.id, named).ok()
    }

    /// Whether nobody wants any more.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    pub(super) fn reject(
        &mut self,
        member: &str,
        offset: u64,
        image_id: Option<String>,
        class: RejectClass,
        message: String,
        raw: Option<&[u8]>,
    ) {
        let origin = self.origin(member, offset);
        let digest = raw.map(Digest::of);
        self.rejects.push(Reject { origin, image_id, class, message, digest });
    }

    /// A line without its parts, and the name of its image if it has that.
    pub(super) fn bad_line(
        &mut self,
        member: &str,
        offset: u64,
        image: Option<(&str, Named)>,
        message: String,
        raw: &[u8],
    ) {
        let id = image.and_then(|(name, named)| self.id_of(name, named));
        self.reject(member, offset, id, RejectClass::BadLine, message, Some(raw));
    }

    fn origin(&mut self, member: &str, offset: u64) -> Origin {
        if *self.member != *member {
            self.member = member.into();
        }
        Origin { source: self.source.clone(), member: self.member.clone(), offset }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_twice_is_told_by_its_place_however_many_captions_there_are() {
        let mut taken = 0;
        let mut take = |captions: Vec<Caption>| {
            taken += captions.len();
            ControlFlow::Continue(())
        };
        let mut collector = Collector::new("s", &IdRule::Stem, Splits::Elsewhere, &mut take);
        let numbers = (0..100).chain([3, 31, 32, 99, 100, 100]);
        for (offset, index) in (1000..).zip(numbers) {
            let named = Named::Text;
            let (image, index, text, split, raw) = ("a.jpg", Some(index), "a", None, &b""[..]);
            let found = Found { image, named, index, text, split, offset, raw, item: None };
            collector.add("m", &found);
        }
        collector.hand_on();
        let told: Vec<_> = collector.rejects.iter().map(|reject| reject.message.as_str()).collect();
        let expected = [(3, 1003), (31, 1031), (32, 1032), (99, 1099), (100, 1104)];
        let expected =
            expected.map(|(n, at)| format!("caption {n} of a stands already at byte {at}"));
        assert_eq!(told, expected);
        assert_eq!(taken, 101);
    }
}
