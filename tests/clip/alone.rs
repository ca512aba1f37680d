//! A row's numbers do not depend on the rows beside it.

use clipmill::embed::{ImageEncoder, TextEncoder, describe};
use clipmill::nn::clip::{Activation, ClipConfig};
use clipmill::plan::model::{Dtype, ModelSpec};

use super::{CAPTIONS, images, random_clip};

/// Sizes on both sides of every threshold of the matrix product.
fn configs() -> Vec<ClipConfig> {
    let small = ClipConfig { merges: 60, ..ClipConfig::default() };
    vec![
        small,
        ClipConfig {
            size_px: 32,
            patch_px: 32,
            image_width: 32,
            text_width: 16,
            width: 8,
            context: 16,
            ..small
        },
        ClipConfig {
            size_px: 97,
            image_width: 192,
            text_width: 192,
            width: 96,
            activation: Activation::Gelu,
            ..small
        },
        ClipConfig {
            size_px: 112,
            image_width: 768,
            text_width: 512,
            width: 512,
            image_layers: 1,
            text_layers: 1,
            ..small
        },
    ]
}

#[test]
fn an_image_in_a_batch_is_the_image_alone() {
    for config in configs() {
        let folder = tempfile::tempdir().unwrap();
        let encoder = ImageEncoder::load(&random_clip(folder.path(), &config)).unwrap();
        let each = 3 * config.size_px * config.size_px;
        let batch = images(7, config.size_px);
        let together = encoder.encode(&batch, 7).unwrap();
        assert_eq!(together.width, config.width);
        // and the same where the weights stay in their file
        let beside = encoder.load_beside(&random_clip(folder.path(), &config)).unwrap();
        let many = images(45, config.size_px);
        let expected = encoder.encode(&many, 45).unwrap();
        assert_eq!(beside.encode(&many, 45).unwrap(), expected, "{config:?}");
        for (row, image) in batch.chunks(each).enumerate() {
            let alone = encoder.encode(image, 1).unwrap();
            assert_eq!(together.iter().nth(row).unwrap(), alone.data, "{config:?} row {row}");
        }
        assert_ne!(together.data[..config.width], together.data[config.width..2 * config.width]);
    }
}

#[test]
fn levels_are_their_numbers() {
    let config = configs().remove(0);
    let folder = tempfile::tempdir().unwrap();
    let model = random_clip(folder.path(), &config);
    let side = config.size_px;
    let levels: Vec<u8> = (0..3 * side * side * 3).map(|i| (i * 37 % 251) as u8).collect();
    for dtype in [Dtype::F32, Dtype::Int8, Dtype::F16] {
        let encoder = ImageEncoder::load(&ModelSpec { dtype, ..model.clone() }).unwrap();
        let scale = encoder.preprocessing().scale();
        let number = |image: usize, channel: usize, pixel: usize| {
            let level = levels[(image * side * side + pixel) * 3 + channel];
            scale.numbers[channel][usize::from(level)]
        };
        let numbers: Vec<f32> = (0..3)
            .flat_map(|image| (0..3).map(move |channel| (image, channel)))
            .flat_map(|(image, channel)| {
                (0..side * side).map(move |pixel| number(image, channel, pixel))
            })
            .collect();
        let expected = encoder.encode(&numbers, 3).unwrap();
        assert_eq!(encoder.encode_levels(&levels, 3).unwrap(), expected, "{dtype:?}");
        assert!(encoder.encode_levels(&levels, 2).is_err());
    }
}

#[test]
fn a_text_in_a_batch_is_the_text_alone() {
    for config in configs() {
        let folder = tempfile::tempdir().unwrap();
        let encoder = TextEncoder::load(&random_clip(folder.path(), &config)).unwrap();
        let together = encoder.encode(&CAPTIONS).unwrap();
        assert_eq!(together.rows(), CAPTIONS.len());
        // and the same where the weights stay in their file
        let beside = encoder.load_beside(&random_clip(folder.path(), &config)).unwrap();
        let many = CAPTIONS.repeat(40);
        assert_eq!(beside.encode(&many).unwrap(), encoder.encode(&many).unwrap(), "{config:?}");
        for (row, text) in CAPTIONS.iter().enumerate() {
            let alone = encoder.encode(&[text]).unwrap();
            assert_eq!(together.iter().nth(row).unwrap(), alone.data, "{config:?} {text}");
        }
    }
}

#[test]
fn overlong_texts_are_cut() {
    let folder = tempfile::tempdir().unwrap();
    let model = random_clip(folder.path(), &ClipConfig { merges: 60, ..ClipConfig::default() });
    let encoder = TextEncoder::load(&model).unwrap();
    let count = |text| encoder.token_ids(&[text]).unwrap()[0].len();
    assert_eq!(count(""), 2);
    assert_eq!(count("the dogs the"), 2 + 1 + count("dogs") - 2 + 1);
    let (long, longer) = ("the ".repeat(75), "the ".repeat(300));
    assert_eq!((count(&long), count(&longer)), (77, 77));
    assert_eq!(encoder.encode(&[&long]).unwrap().data, encoder.encode(&[&longer]).unwrap().data);
    assert_eq!(describe(&model).unwrap().context_length, 77);
}
