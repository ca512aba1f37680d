//! More captions than are judged together, of images that lie in another order than their ids.

use super::house::{House, id, pictures};
use super::step::{changes, step};

const IMAGES: usize = 200;
/// Of each image: all together are more than twice 8192.
const CAPTIONS: usize = 90;

#[test]
fn captions_at_the_seams_are_judged_as_the_others() {
    let house = House::new(IMAGES);
    let mut images = pictures(IMAGES);
    images.reverse();
    house.images(&images);
    // In the order of the table: ids are of one length.
    let line = |n: usize| {
        let (image, number) = (n / CAPTIONS, n % CAPTIONS);
        format!("{}.jpg#{number}\tpicture {image} told {number} times .", id(image))
    };
    let mut lines: Vec<String> = (0..IMAGES * CAPTIONS).map(line).collect();
    house.captions(&lines);
    let all = lines.len();
    let made = changes(&step(&house).report);
    assert!(made.contains(&format!("caption_features new {all}; examples new {all}")), "{made}");
    for at in [0, 8191, 8192, 16383, 16384, all - 1] {
        lines[at].push_str(" again");
    }
    house.captions(&lines);
    assert_eq!(
        changes(&step(&house).report),
        "captions content_changed 6; caption_features content_changed 6; examples content_changed 6"
    );
}
