//! Scene → pixels; pure.

use crate::flow::Pixels;

use super::scene::{Object, Scene, Shape};

/// Samples across a pixel; its colour is the mean of their square.
const SAMPLES: u32 = 4;

/// An object in the picture's pixels.
struct Placed<'s> {
    object: &'s Object,
    middle: (f32, f32),
    offset: (f32, f32),
    radius: f32,
}

impl<'s> Placed<'s> {
    fn new(scene: &Scene, object: &'s Object) -> Self {
        let side = scene.width_px.min(scene.height_px) as f32;
        let (dx, dy) = object.place.offset();
        Self {
            object,
            middle: (scene.width_px as f32 / 2.0, scene.height_px as f32 / 2.0),
            offset: (dx * side, dy * side),
            radius: object.size.radius() * side,
        }
    }

    /// A point in radii from the object's middle.
    fn local(&self, at: (f32, f32)) -> (f32, f32) {
        let of = |at: f32, middle: f32, offset: f32| (at - middle - offset) / self.radius;
        (of(at.0, self.middle.0, self.offset.0), of(at.1, self.middle.1, self.offset.1))
    }

    /// Whether it may reach a pixel: no shape is farther from its middle than its radius, along
    /// either axis. A pixel more than need be.
    fn is_near(&self, along: impl Fn((f32, f32)) -> f32, pixel: u32) -> bool {
        let at = pixel as f32 + 0.5 - along(self.middle) - along(self.offset);
        at.abs() <= self.radius + 1.0
    }
}

/// Draws a scene, antialiased by 4 × 4 samples a pixel.
///
/// # Shapes
/// `scene.height_px` rows of `scene.width_px` pixels, RGB interleaved.
#[must_use]
pub fn draw(scene: &Scene) -> Pixels {
    // The last one lies on top.
    let placed: Vec<_> =
        scene.objects.iter().rev().map(|object| Placed::new(scene, object)).collect();
    let mut data = Vec::with_capacity(3 * scene.width_px as usize * scene.height_px as usize);
    for y in 0..scene.height_px {
        let plain = pixel(scene, &[], 0, y);
        let is_near = |of: &Placed<'_>, x| of.is_near(|at| at.0, x) && of.is_near(|at| at.1, y);
        for x in 0..scene.width_px {
            let hit = placed.iter().any(|of| is_near(of, x));
            data.extend(if hit { pixel(scene, &placed, x, y) } else { plain });
        }
    }
    Pixels { width_px: scene.width_px, height_px: scene.height_px, data }
}

fn pixel(scene: &Scene, placed: &[Placed<'_>], x: u32, y: u32) -> [u8; 3] {
    let mut sums = [0.0_f32; 3];
    for sample in 0..SAMPLES * SAMPLES {
        let step = |n: u32| (n as f32 + 0.5) / SAMPLES as f32;
        let at = (x as f32 + step(sample % SAMPLES), y as f32 + step(sample / SAMPLES));
        let color = sample_at(scene, placed, at);
        sums.iter_mut().zip(color).for_each(|(sum, channel)| *sum += channel);
    }
    sums.map(|sum| level(sum / (SAMPLES * SAMPLES) as f32))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the value was clamped to a byte's range"
)]
fn level(value: f32) -> u8 {
    value.round().clamp(0.0, 255.0) as u8
}

/// The colour at a point, in pixels from the upper left.
fn sample_at(scene: &Scene, placed: &[Placed<'_>], at: (f32, f32)) -> [f32; 3] {
    match placed.iter().find(|of| covers(of.object, of.local(at))) {
        Some(of) => of.object.colour.rgb().map(f32::from),
        None => {
            // Light falls from above: eight levels over the whole height.
            let shade = 8.0 * (0.5 - at.1 / scene.height_px as f32);
            scene.background.rgb().map(|channel| f32::from(channel) + shade)
        }
    }
}

/// Whether a shape of radius one around the origin covers a point; `y` points down.
fn covers(object: &Object, (x, y): (f32, f32)) -> bool {
    // None reaches farther, and most points lie there.
    if x.abs().max(y.abs()) > 1.0 {
        return false;
    }
    match object.shape {
        Shape::Circle => x.hypot(y) <= 0.95,
        Shape::Ring => (0.55..=1.0).contains(&x.hypot(y)),
        Shape::Square => x.abs().max(y.abs()) <= 0.8,
        Shape::Diamond => x.abs() + y.abs() <= 1.0,
        Shape::Cross => x.abs().max(y.abs()) <= 0.95 && x.abs().min(y.abs()) <= 0.3,
        Shape::Triangle => {
            // Equilateral, its middle at the origin: the base lies half a radius below.
            y <= 0.5 && y >= -1.0 + x.abs() * 3.0_f32.sqrt()
        }
        Shape::Star => {
            // A pentagram: inside at least four of the five half-planes of its lines.
            let inside = |turn: u8| {
                let angle = f32::from(turn) * std::f32::consts::TAU / 5.0;
                // The inner pentagon's sides lie cos 72° of the radius from the middle.
                x * angle.sin() - y * angle.cos() <= (std::f32::consts::TAU / 5.0).cos()
            };
            (0..5).filter(|turn| inside(*turn)).count() >= 4
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::scene::{Background, Colour, Place, Size};
    use super::*;
    use proptest::prelude::*;

    fn nearest(rgb: &[u8]) -> Option<Colour> {
        let apart = |other: [u8; 3]| -> u32 {
            rgb.iter().zip(other).map(|(a, b)| u32::from(a.abs_diff(b)).pow(2)).sum()
        };
        let colour = Colour::ALL.iter().min_by_key(|c| apart(c.rgb())).copied()?;
        let background = Background::ALL.iter().map(|b| apart(b.rgb())).min()?;
        (apart(colour.rgb()) < background).then_some(colour)
    }

    /// How many pixels are nearest to each colour, and the middle of all of them.
    fn measure(pixels: &Pixels) -> (Vec<(Colour, usize)>, (f32, f32)) {
        let mut counts: Vec<(Colour, usize)> = Colour::ALL.iter().map(|c| (*c, 0)).collect();
        let (mut x_sum, mut y_sum, mut n) = (0.0, 0.0, 0.0);
        for (i, rgb) in pixels.data.chunks_exact(3).enumerate() {
            let Some(colour) = nearest(rgb) else { continue };
            counts.iter_mut().find(|(c, _)| *c == colour).unwrap().1 += 1;
            x_sum += (i % pixels.width_px as usize) as f32 + 0.5;
            y_sum += (i / pixels.width_px as usize) as f32 + 0.5;
            n += 1.0;
        }
        counts.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
        (counts, (x_sum / n, y_sum / n))
    }

    fn any<T: Copy + std::fmt::Debug>(all: &'static [T]) -> impl Strategy<Value = T> {
        proptest::sample::select(all)
    }

    fn object() -> impl Strategy<Value = Object> {
        (any(Shape::ALL), any(Colour::ALL), any(Size::ALL), any(Place::ALL))
            .prop_map(|(shape, colour, size, place)| Object { shape, colour, size, place })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn the_label_is_what_is_drawn(object in object(), background in any(Background::ALL)) {
            let scene = Scene {
                id: "1".into(), width_px: 120, height_px: 96, background,
                objects: vec![object], wording: 0,
            };
            let pixels = draw(&scene);
            prop_assert_eq!(pixels.data.len(), 120 * 96 * 3);
            let (counts, (x, y)) = measure(&pixels);
            prop_assert_eq!(counts[0].0, object.colour);
            prop_assert!(counts[0].1 > 10 * counts[1].1.min(1), "{:?}", counts);
            let (dx, dy) = (x - 60.0, y - 48.0);
            let seen = if dx.abs().max(dy.abs()) < 0.14 * 96.0 { Place::Centre }
                else if dx.abs() > dy.abs() { if dx < 0.0 { Place::Left } else { Place::Right } }
                else if dy < 0.0 { Place::Top } else { Place::Bottom };
            prop_assert_eq!(seen, object.place);
            // Large shapes cover more than any small one.
            let share = counts[0].1 as f32 / (96.0 * 96.0);
            prop_assert_eq!(share > 0.04, object.size == Size::Large, "{}", share);
        }
    }

    #[test]
    fn what_is_left_out_is_background() {
        for scene in Scene::series(3, 24) {
            let all: Vec<_> =
                scene.objects.iter().rev().map(|object| Placed::new(&scene, object)).collect();
            let rows = 0..scene.height_px;
            let every = rows.flat_map(|y| (0..scene.width_px).map(move |x| (x, y)));
            let slowly: Vec<u8> = every.flat_map(|(x, y)| pixel(&scene, &all, x, y)).collect();
            assert!(draw(&scene).data == slowly, "{}", scene.id);
        }
    }

    #[test]
    fn edges_are_antialiased() {
        let scene = Scene {
            id: "1".into(),
            width_px: 64,
            height_px: 64,
            background: Background::White,
            objects: vec![Object {
                shape: Shape::Circle,
                colour: Colour::Blue,
                size: Size::Large,
                place: Place::Centre,
            }],
            wording: 0,
        };
        let pixels = draw(&scene);
        let reds: std::collections::BTreeSet<u8> =
            pixels.data.chunks_exact(3).map(|rgb| rgb[0]).collect();
        assert!(reds.range(60..200).count() >= 5, "{reds:?}");
    }
}
