//! What a caption says of a scene, and whether that is so.

use std::collections::BTreeSet;

use super::scene::{Background, Colour, Place, Scene, Shape, Size};

/// What a caption says, in the order it says it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Says {
    shapes: Vec<Shape>,
    colours: Vec<Colour>,
    places: Vec<Place>,
    sizes: Vec<Size>,
    background: Option<Background>,
}

/// A shape with its colour and its place.
type Attributes = (Shape, Colour, Place);

impl Says {
    /// Reads a caption in the words that the demo's captions have; others are passed over.
    #[must_use]
    pub fn of(caption: &str) -> Self {
        let mut text = format!(" {} ", caption.to_lowercase());
        let mut says = Self::default();
        let mut beside = None;
        for (words, place) in [
            (" to the left of ", Place::Left),
            (" to the right of ", Place::Right),
            (" above ", Place::Top),
            (" below ", Place::Bottom),
        ] {
            if text.contains(words) {
                beside = Some(place);
                text = text.replace(words, " ");
            }
        }
        for word in text.split_whitespace() {
            says.shapes.extend(shape(word));
            says.colours.extend(colour(word));
            says.places.extend(place(word));
            says.sizes.extend(size(word));
            says.background = says.background.or(background(word));
        }
        // `A above B` says where both are.
        if let Some(first) = beside {
            match says.places.as_slice() {
                [] => says.places.push(first),
                [one] if *one == first => {}
                _ => says.places.clear(),
            }
            says.places.extend(first.opposite());
        }
        says
    }

    /// Every shape with its colour and its place; none where the caption leaves one of them out.
    #[must_use]
    pub fn attributes(&self) -> Option<BTreeSet<Attributes>> {
        let count = self.shapes.len();
        if count == 0 || self.colours.len() != count || self.places.len() != count {
            return None;
        }
        let parts = self.shapes.iter().zip(&self.colours).zip(&self.places);
        Some(parts.map(|((shape, colour), place)| (*shape, *colour, *place)).collect())
    }

    /// Whether it names exactly the shapes of a scene, each with its colour and place.
    #[must_use]
    pub fn names(&self, scene: &Scene) -> bool {
        let there = scene.objects.iter().map(|o| (o.shape, o.colour, o.place)).collect();
        self.attributes() == Some(there)
    }

    /// Whether all that it says is so: of sizes and background too, where it speaks of them.
    #[must_use]
    pub fn holds(&self, scene: &Scene) -> bool {
        let size_of = |shape: &Shape| scene.objects.iter().find(|o| o.shape == *shape);
        let mut sizes = self.shapes.iter().zip(&self.sizes);
        self.names(scene)
            && self.background.is_none_or(|background| background == scene.background)
            && sizes.all(|(shape, size)| size_of(shape).is_some_and(|o| o.size == *size))
    }
}

fn shape(word: &str) -> Option<Shape> {
    Some(match word {
        "circle" | "disc" => Shape::Circle,
        "square" => Shape::Square,
        "triangle" => Shape::Triangle,
        "star" => Shape::Star,
        "diamond" => Shape::Diamond,
        "ring" => Shape::Ring,
        "cross" | "plus" => Shape::Cross,
        _ => return None,
    })
}

fn colour(word: &str) -> Option<Colour> {
    Some(match word {
        "red" => Colour::Red,
        "green" => Colour::Green,
        "blue" => Colour::Blue,
        "yellow" => Colour::Yellow,
        "orange" => Colour::Orange,
        "purple" | "violet" => Colour::Purple,
        "pink" => Colour::Pink,
        "brown" => Colour::Brown,
        _ => return None,
    })
}

fn place(word: &str) -> Option<Place> {
    Some(match word {
        "left" => Place::Left,
        "right" => Place::Right,
        "top" | "upper" => Place::Top,
        "bottom" | "lower" => Place::Bottom,
        "middle" | "centre" => Place::Centre,
        _ => return None,
    })
}

fn size(word: &str) -> Option<Size> {
    Some(match word {
        "small" | "little" | "tiny" => Size::Small,
        "large" | "big" | "huge" => Size::Large,
        _ => return None,
    })
}

fn background(word: &str) -> Option<Background> {
    Some(match word {
        "white" => Background::White,
        "grey" => Background::Grey,
        "black" => Background::Black,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::captions::captions;
    use super::*;

    #[test]
    fn the_demos_captions_say_what_is_so_and_nothing_else() {
        let scenes = Scene::series(5, 300);
        for scene in &scenes {
            for caption in captions(scene) {
                let says = Says::of(&caption);
                assert!(says.names(scene) && says.holds(scene), "{caption}: {says:?}, {scene:?}");
                let same = |other: &Scene| {
                    other.objects.len() == scene.objects.len()
                        && other.objects.iter().all(|object| scene.objects.contains(object))
                };
                for other in scenes.iter().filter(|other| !same(other)) {
                    let sizes_only = says.sizes.is_empty() && says.names(other);
                    assert!(!says.holds(other) || sizes_only, "{caption}: {other:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_left_out_or_contradicts_itself_is_not_right() {
        let scene = Scene::series(5, 300).into_iter().find(|s| s.objects.len() == 1).unwrap();
        assert!(!Says::of("A star .").names(&scene));
        assert!(!Says::of("").names(&scene));
        let says = Says::of("A red star at the bottom , above a blue ring .");
        assert_eq!(says.attributes(), None);
    }
}
