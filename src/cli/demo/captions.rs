//! Five captions a scene, each in other words, and each true.

use rand::SeedableRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand_chacha::ChaCha8Rng;

use super::scene::{Background, Colour, Object, Place, Scene, Shape, Size};

/// How many captions an image has, as in Flickr30k.
const CAPTIONS: usize = 5;

/// The scene's captions, tokens apart and a full stop at the end, as in Flickr30k's file.
#[must_use]
pub fn captions(scene: &Scene) -> Vec<String> {
    let mut rng = ChaCha8Rng::seed_from_u64(scene.wording);
    let mut all = match scene.objects.as_slice() {
        [a, b, ..] => pair(*a, *b, scene.background, &mut rng),
        [only] => single(*only, scene.background, &mut rng),
        [] => Vec::new(),
    };
    all.shuffle(&mut rng);
    all.truncate(CAPTIONS);
    all.iter().map(|text| format!("{} .", capital(text))).collect()
}

fn single(object: Object, background: Background, rng: &mut ChaCha8Rng) -> Vec<String> {
    let ground = ground(background);
    let colour = colour(object.colour, rng);
    let shape = shape(object.shape, rng);
    let size = size(object.size, rng);
    let mut at = || place(object.place, rng);
    vec![
        format!("a {size} {colour} {shape} {} of the picture", at()),
        format!("there is {} {shape} {}", a(colour), at()),
        format!("{} {shape} is {} , and the background is {ground}", a(colour), at()),
        format!("one {size} {shape} in {colour} , {}", at()),
        format!("a {size} {colour} {shape} {} on a {ground} background", at()),
        format!("the {shape} {} is {colour} and {size}", at()),
        format!("{} {shape} sits {} , against plain {ground}", a(colour), at()),
        format!("on a {ground} background , a {size} {colour} {shape} {}", at()),
        format!("somebody drew {} {shape} {}", a(colour), at()),
        format!("nothing but a {size} {colour} {shape} , {}", at()),
    ]
}

fn pair(a_: Object, b: Object, background: Background, rng: &mut ChaCha8Rng) -> Vec<String> {
    let ground = ground(background);
    let (colour_a, colour_b) = (colour(a_.colour, rng), colour(b.colour, rng));
    let (shape_a, shape_b) = (shape(a_.shape, rng), shape(b.shape, rng));
    let (size_a, size_b) = (size(a_.size, rng), size(b.size, rng));
    let (at_a, at_b) = (place(a_.place, rng), place(b.place, rng));
    let relation = relation(a_.place);
    let (full_a, full_b) =
        (format!("{} {shape_a}", a(colour_a)), format!("{} {shape_b}", a(colour_b)));
    vec![
        format!("{full_a} {relation} {full_b}"),
        format!("{full_a} {at_a} and {full_b} {at_b}"),
        format!("two shapes on {ground} : {full_a} {at_a} and {full_b} {at_b}"),
        format!("{full_b} {at_b} , and {full_a} {at_a} of the picture"),
        format!("there is {full_a} {at_a} , {relation} {full_b}"),
        format!("a {size_a} {colour_a} {shape_a} {at_a} , a {size_b} {colour_b} {shape_b} {at_b}"),
        format!("the {shape_a} {at_a} is {colour_a} , the {shape_b} {at_b} is {colour_b}"),
    ]
}

/// Where an object at `place` is, seen from one on the opposite side.
fn relation(place: Place) -> &'static str {
    match place {
        Place::Left => "to the left of",
        Place::Right => "to the right of",
        Place::Top => "above",
        Place::Bottom => "below",
        Place::Centre => "beside",
    }
}

fn place(place: Place, rng: &mut ChaCha8Rng) -> &'static str {
    let ways: &[&str] = match place {
        Place::Left => &["on the left", "at the left side", "on the left hand side"],
        Place::Right => &["on the right", "at the right side", "on the right hand side"],
        Place::Top => &["at the top", "in the upper part", "near the top"],
        Place::Bottom => &["at the bottom", "in the lower part", "near the bottom"],
        Place::Centre => &["in the middle", "in the centre", "at the centre"],
    };
    ways.choose(rng).copied().unwrap_or_default()
}

fn size(size: Size, rng: &mut ChaCha8Rng) -> &'static str {
    let ways: &[&str] = match size {
        Size::Small => &["small", "little", "tiny"],
        Size::Large => &["large", "big", "huge"],
    };
    ways.choose(rng).copied().unwrap_or_default()
}

fn shape(shape: Shape, rng: &mut ChaCha8Rng) -> &'static str {
    let ways: &[&str] = match shape {
        Shape::Circle => &["circle", "disc"],
        Shape::Square => &["square"],
        Shape::Triangle => &["triangle"],
        Shape::Star => &["star"],
        Shape::Diamond => &["diamond"],
        Shape::Ring => &["ring"],
        Shape::Cross => &["cross", "plus sign"],
    };
    ways.choose(rng).copied().unwrap_or_default()
}

fn colour(colour: Colour, rng: &mut ChaCha8Rng) -> &'static str {
    let ways: &[&str] = match colour {
        Colour::Red => &["red"],
        Colour::Green => &["green"],
        Colour::Blue => &["blue"],
        Colour::Yellow => &["yellow"],
        Colour::Orange => &["orange"],
        Colour::Purple => &["purple", "violet"],
        Colour::Pink => &["pink"],
        Colour::Brown => &["brown"],
    };
    ways.choose(rng).copied().unwrap_or_default()
}

fn ground(background: Background) -> &'static str {
    match background {
        Background::White => "white",
        Background::Grey => "grey",
        Background::Black => "black",
    }
}

/// The word behind its article.
fn a(word: &str) -> String {
    let article = if word.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
    format!("{article} {word}")
}

fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Words that say one thing; whoever uses one claims it.
    fn claims(words: &[&str]) -> [BTreeSet<String>; 4] {
        let all = |names: &[(&str, &str)]| {
            names
                .iter()
                .filter(|(word, _)| words.contains(word))
                .map(|(_, meaning)| (*meaning).to_owned())
                .collect()
        };
        [
            all(&[
                ("circle", "Circle"),
                ("disc", "Circle"),
                ("square", "Square"),
                ("triangle", "Triangle"),
                ("star", "Star"),
                ("diamond", "Diamond"),
                ("ring", "Ring"),
                ("cross", "Cross"),
                ("plus", "Cross"),
            ]),
            all(&[
                ("red", "Red"),
                ("green", "Green"),
                ("blue", "Blue"),
                ("yellow", "Yellow"),
                ("orange", "Orange"),
                ("purple", "Purple"),
                ("violet", "Purple"),
                ("pink", "Pink"),
                ("brown", "Brown"),
            ]),
            all(&[
                ("small", "Small"),
                ("little", "Small"),
                ("tiny", "Small"),
                ("large", "Large"),
                ("big", "Large"),
                ("huge", "Large"),
            ]),
            all(&[
                ("left", "Left"),
                ("right", "Right"),
                ("top", "Top"),
                ("upper", "Top"),
                ("above", "Top"),
                ("bottom", "Bottom"),
                ("lower", "Bottom"),
                ("below", "Bottom"),
                ("middle", "Centre"),
                ("centre", "Centre"),
            ]),
        ]
    }

    #[test]
    fn five_distinct_true_captions_that_name_shape_and_colour() {
        for scene in Scene::series(3, 300) {
            let texts = captions(&scene);
            assert_eq!(texts.len(), CAPTIONS);
            assert_eq!(texts.iter().collect::<BTreeSet<_>>().len(), CAPTIONS, "{texts:?}");
            let set = |name: fn(&Object) -> String| -> BTreeSet<String> {
                scene.objects.iter().map(name).collect()
            };
            for text in texts {
                assert!(text.ends_with(" .") && !text.contains(['\t', '\n']), "{text}");
                let words: Vec<&str> = text.split(' ').collect();
                let [shapes, colours, sizes, places] = claims(&words);
                assert_eq!(shapes, set(|o| format!("{:?}", o.shape)), "{text}");
                assert_eq!(colours, set(|o| format!("{:?}", o.colour)), "{text}");
                assert!(sizes.is_subset(&set(|o| format!("{:?}", o.size))), "{text}");
                assert!(places.is_subset(&set(|o| format!("{:?}", o.place))), "{text}");
                for (word, next) in words.iter().zip(&words[1..]) {
                    let vowel = next.starts_with(['a', 'e', 'i', 'o', 'u']);
                    assert!(!word.eq_ignore_ascii_case("a") || !vowel, "{text}");
                }
            }
        }
    }
}
