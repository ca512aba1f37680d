//! What a picture of the demo shows: one or two coloured shapes on a plain background.

use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

macro_rules! closed {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant),* }

        impl $name {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];
        }
    };
}

closed!(
    /// A shape.
    Shape {
        /// A disc.
        Circle,
        /// Sides parallel to the picture's.
        Square,
        /// Point up.
        Triangle,
        /// Five points, one up.
        Star,
        /// A square on its corner.
        Diamond,
        /// A disc with a hole.
        Ring,
        /// A plus sign.
        Cross,
    }
);

closed!(
    /// A colour of a shape; no background is near any of them.
    Colour {
        /// 214, 39, 40
        Red,
        /// 31, 158, 60
        Green,
        /// 30, 80, 200
        Blue,
        /// 250, 215, 40
        Yellow,
        /// 250, 130, 20
        Orange,
        /// 130, 50, 180
        Purple,
        /// 245, 120, 190
        Pink,
        /// 115, 70, 30
        Brown,
    }
);

impl Shape {
    /// The shape it stands beside.
    #[must_use]
    pub fn fellow(self) -> Self {
        match self {
            Self::Circle | Self::Cross => Self::Ring,
            Self::Ring => Self::Circle,
            Self::Square => Self::Diamond,
            Self::Diamond => Self::Square,
            Self::Triangle => Self::Star,
            Self::Star => Self::Triangle,
        }
    }
}

impl Colour {
    /// The colour it stands beside.
    #[must_use]
    pub fn fellow(self) -> Self {
        match self {
            Self::Red => Self::Green,
            Self::Green => Self::Red,
            Self::Blue => Self::Orange,
            Self::Orange => Self::Blue,
            Self::Yellow => Self::Purple,
            Self::Purple => Self::Yellow,
            Self::Pink => Self::Brown,
            Self::Brown => Self::Pink,
        }
    }

    /// Red, green and blue, in 0…255.
    #[must_use]
    pub fn rgb(self) -> [u8; 3] {
        match self {
            Self::Red => [214, 39, 40],
            Self::Green => [31, 158, 60],
            Self::Blue => [30, 80, 200],
            Self::Yellow => [250, 215, 40],
            Self::Orange => [250, 130, 20],
            Self::Purple => [130, 50, 180],
            Self::Pink => [245, 120, 190],
            Self::Brown => [115, 70, 30],
        }
    }
}

closed!(
    /// A plain background, a little lighter at the top than at the bottom.
    Background {
        /// 245, 245, 245
        White,
        /// 165, 165, 165
        Grey,
        /// 25, 25, 28
        Black,
    }
);

impl Background {
    /// Red, green and blue half-way down, in 0…255.
    #[must_use]
    pub fn rgb(self) -> [u8; 3] {
        match self {
            Self::White => [245, 245, 245],
            Self::Grey => [165, 165, 165],
            Self::Black => [25, 25, 28],
        }
    }
}

closed!(
    /// How large a shape is.
    Size {
        /// A radius of an eighth of the shorter side.
        Small,
        /// A radius of nearly a quarter of it.
        Large,
    }
);

impl Size {
    /// Radius of the circle around the shape, as a share of the picture's shorter side.
    #[must_use]
    pub fn radius(self) -> f32 {
        match self {
            Self::Small => 0.11,
            Self::Large => 0.21,
        }
    }
}

closed!(
    /// Where a shape is.
    Place {
        /// In the left third.
        Left,
        /// In the right third.
        Right,
        /// In the upper third.
        Top,
        /// In the lower third.
        Bottom,
        /// In the middle.
        Centre,
    }
);

impl Place {
    /// The shape's middle, as shares of the picture's shorter side from its middle. All stay
    /// inside the square that CLIP crops out of the middle.
    #[must_use]
    pub fn offset(self) -> (f32, f32) {
        match self {
            Self::Left => (-0.25, 0.0),
            Self::Right => (0.25, 0.0),
            Self::Top => (0.0, -0.25),
            Self::Bottom => (0.0, 0.25),
            Self::Centre => (0.0, 0.0),
        }
    }

    /// The other side; the middle has none.
    #[must_use]
    pub fn opposite(self) -> Option<Self> {
        match self {
            Self::Left => Some(Self::Right),
            Self::Right => Some(Self::Left),
            Self::Top => Some(Self::Bottom),
            Self::Bottom => Some(Self::Top),
            Self::Centre => None,
        }
    }
}

/// One shape in a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Object {
    /// What it is.
    pub shape: Shape,
    /// Its colour.
    pub colour: Colour,
    /// How large it is.
    pub size: Size,
    /// Where it is.
    pub place: Place,
}

/// What one picture shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scene {
    /// Image id, digits as Flickr's are.
    pub id: String,
    /// Width in pixels.
    pub width_px: u32,
    /// Height in pixels.
    pub height_px: u32,
    /// Behind the objects.
    pub background: Background,
    /// One, or two side by side that differ in colour and shape.
    pub objects: Vec<Object>,
    /// Seed of the captions' wording.
    pub wording: u64,
}

/// Sizes of the pictures: landscape, portrait, square, as photos come.
const FRAMES_PX: [(u32, u32); 4] = [(160, 120), (120, 160), (128, 128), (180, 120)];

impl Scene {
    /// `count` scenes, every one with its own id. The same `seed` gives the same scenes, and
    /// as many single objects as there are go round before one is drawn again.
    #[must_use]
    pub fn series(seed: u64, count: u32) -> Vec<Self> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut deck = Vec::new();
        let mut id = 36_979_u64;
        let mut scenes = Vec::new();
        for number in 0..count {
            // Ids grow beyond 32 bits, as Flickr's do, and are not in order of their text.
            id += rng.random_range(1_000_003..40_000_003);
            if deck.is_empty() {
                deck = every_object();
                deck.shuffle(&mut rng);
            }
            let Some(first) = deck.pop() else { continue };
            // Of fewer pairs a training learns by chance only, or not, which of the two is where.
            let objects =
                if number % 10 >= 7 { side_by_side(first, &mut rng).to_vec() } else { vec![first] };
            let (width_px, height_px) = *FRAMES_PX.choose(&mut rng).unwrap_or(&FRAMES_PX[0]);
            scenes.push(Self {
                id: id.to_string(),
                width_px,
                height_px,
                // One background: each further one is a lesson of its own for every colour and
                // shape, and the demo's CLIP has a minute.
                background: Background::White,
                objects,
                wording: rng.random(),
            });
        }
        scenes
    }
}

fn every_object() -> Vec<Object> {
    let mut all = Vec::new();
    for &shape in Shape::ALL {
        for &colour in Colour::ALL {
            for &size in Size::ALL {
                for &place in Place::ALL {
                    all.push(Object { shape, colour, size, place });
                }
            }
        }
    }
    all
}

/// An object and, on its other side, one of the shape and the colour that go with its own: what is
/// told apart is then not what the two are, but which is which and where, and that is to be learnt.
fn side_by_side(first: Object, rng: &mut ChaCha8Rng) -> [Object; 2] {
    let (place, other) =
        if rng.random() { (Place::Left, Place::Right) } else { (Place::Right, Place::Left) };
    let size = *Size::ALL.choose(rng).unwrap_or(&first.size);
    let second =
        Object { shape: first.shape.fellow(), colour: first.colour.fellow(), size, place: other };
    [Object { place, ..first }, second]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_seed_names_the_scenes() {
        assert_eq!(Scene::series(7, 20), Scene::series(7, 20));
        assert_ne!(Scene::series(7, 20), Scene::series(8, 20));
        // A longer series begins as a shorter one does.
        assert_eq!(Scene::series(7, 30)[..20], Scene::series(7, 20)[..]);
    }

    #[test]
    fn ids_differ_and_pass_32_bits() {
        let scenes = Scene::series(0, 320);
        let ids: BTreeSet<&str> = scenes.iter().map(|scene| scene.id.as_str()).collect();
        assert_eq!(ids.len(), 320);
        assert!(ids.iter().any(|id| id.parse::<u64>().unwrap() > u64::from(u32::MAX)));
        assert!(!ids.iter().map(|id| id.parse::<u64>().unwrap()).is_sorted());
    }

    #[test]
    fn two_objects_are_apart_and_differ() {
        let scenes = Scene::series(1, 500);
        let pairs: Vec<_> = scenes.iter().filter(|scene| scene.objects.len() == 2).collect();
        assert!(pairs.len() > 50, "{}", pairs.len());
        for scene in pairs {
            let (a, b) = (scene.objects[0], scene.objects[1]);
            assert_eq!(a.place.opposite(), Some(b.place));
            assert!(a.colour != b.colour && a.shape != b.shape);
        }
    }
}
