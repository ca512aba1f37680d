//! What a captioner learns from: features of images, with their captions.

use std::collections::BTreeMap;
use std::str::FromStr as _;

use arrow::array::{Array, Float32Array, Int32Array, ListArray, StringArray};

use super::inputs::Inputs;
use crate::base::digest::Digester;
use crate::base::{Digest, Error, Kind, Result};
use crate::flow::{Split, Vectors};
use crate::table::Snapshot;

/// The captions of one part of the data, in the order of their keys.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Part {
    /// The number of each caption's image in [`Examples::images`].
    pub images: Vec<usize>,
    /// The captions.
    pub texts: Vec<String>,
}

/// The splits `train` and `val` of a table of examples. Each image is in one of them, with all
/// its captions.
#[derive(Debug, Clone)]
pub struct Examples {
    /// Keys of the images, sorted.
    pub images: Vec<String>,
    /// The feature of each image.
    pub features: Vectors,
    /// What trains.
    pub train: Part,
    /// What validates; empty where the data has no split `val`.
    pub validation: Part,
    /// Identifies all of it: another order of the table's parts leaves it as it is.
    pub digest: Digest,
}

struct Row {
    text: String,
    split: Split,
    made_of: String,
}

struct Image {
    feature: Vec<f32>,
    captions: BTreeMap<i32, Row>,
}

impl Examples {
    /// Reads a version of the table.
    ///
    /// # Errors
    /// [`Kind::BadInput`] when nothing trains, when features have several widths, or when an image
    /// stands in two splits; and when the table cannot be read.
    pub fn read(snapshot: &Snapshot) -> Result<Self> {
        let mut images: BTreeMap<String, Image> = BTreeMap::new();
        let columns = [
            "image_id",
            "caption_index",
            "text",
            "split",
            "embedding",
            "input_digest",
            "fingerprint",
        ];
        for batch in snapshot.scan(&columns)? {
            let (_, batch) = batch?;
            let ids: &StringArray = column(&batch, "image_id")?;
            let indices: &Int32Array = column(&batch, "caption_index")?;
            let texts: &StringArray = column(&batch, "text")?;
            let splits: &StringArray = column(&batch, "split")?;
            let features: &ListArray = column(&batch, "embedding")?;
            let digests: &StringArray = column(&batch, "input_digest")?;
            let made_by: &StringArray = column(&batch, "fingerprint")?;
            for at in 0..batch.num_rows() {
                // An image of no split neither trains nor validates.
                if splits.is_null(at) {
                    continue;
                }
                let split = Split::from_str(splits.value(at))
                    .map_err(|what| Error::new(Kind::Store, what).at(snapshot.table()))?;
                if split == Split::Test || !features.is_valid(at) {
                    continue;
                }
                let row = Row {
                    text: texts.value(at).to_owned(),
                    split,
                    made_of: format!("{} {}", digests.value(at), made_by.value(at)),
                };
                let image = match images.get_mut(ids.value(at)) {
                    Some(image) => image,
                    None => {
                        let image =
                            Image { feature: feature(features, at)?, captions: BTreeMap::new() };
                        images.entry(ids.value(at).to_owned()).or_insert(image)
                    }
                };
                image.captions.insert(indices.value(at), row);
            }
        }
        Self::gather(images).map_err(|error| error.at(snapshot.table()))
    }

    fn gather(images: BTreeMap<String, Image>) -> Result<Self> {
        let width = images.values().next().map_or(0, |image| image.feature.len());
        let mut examples = Self {
            images: Vec::new(),
            features: Vectors { width, data: Vec::new() },
            train: Part::default(),
            validation: Part::default(),
            digest: Digest::of(&[]),
        };
        let mut digester = Digester::new();
        for (id, image) in images {
            let number = examples.images.len();
            if image.feature.len() != width {
                return Err(Error::new(
                    Kind::BadInput,
                    format!(
                        "the feature of image `{id}` has {} numbers, those before it {width}",
                        image.feature.len()
                    ),
                ));
            }
            let split = image.captions.values().next().map(|row| row.split);
            for (index, row) in image.captions {
                if Some(row.split) != split {
                    return Err(Error::new(
                        Kind::BadInput,
                        format!("image `{id}` stands in two splits"),
                    )
                    .help("a caption of an image that trained must not validate"));
                }
                digester
                    .field("image", id.as_bytes())
                    .field("caption", &index.to_le_bytes())
                    .field("split", row.split.name().as_bytes())
                    .field("made of", row.made_of.as_bytes());
                let part = match row.split {
                    Split::Train => &mut examples.train,
                    _ => &mut examples.validation,
                };
                part.images.push(number);
                part.texts.push(row.text);
            }
            examples.features.data.extend(image.feature);
            examples.images.push(id);
        }
        if examples.train.texts.is_empty() {
            return Err(Error::new(Kind::BadInput, "no example is in the split `train`").help(
                "look at `SELECT split, count(*) FROM captions GROUP BY split`; the stage of the \
                 captions draws or reads the splits",
            ));
        }
        examples.digest = digester.finish();
        Ok(examples)
    }

    /// The feature of an image.
    #[must_use]
    pub fn feature(&self, image: usize) -> &[f32] {
        let from = image.saturating_mul(self.features.width);
        self.features.data.get(from..from + self.features.width).unwrap_or_default()
    }
}

impl Inputs for Examples {
    fn digest(&self) -> Digest {
        self.digest
    }

    fn width(&self) -> usize {
        self.features.width
    }

    fn image(&self, image: usize) -> &str {
        self.images.get(image).map_or("", String::as_str)
    }

    fn of_images(&self, images: &[usize]) -> Result<Vec<f32>> {
        Ok(images.iter().flat_map(|image| self.feature(*image)).copied().collect())
    }
}

fn feature(lists: &ListArray, at: usize) -> Result<Vec<f32>> {
    let list = lists.value(at);
    let numbers =
        list.as_any().downcast_ref::<Float32Array>().ok_or_else(|| unusable("embedding"))?;
    Ok(numbers.values().to_vec())
}

fn column<'a, T: 'static>(batch: &'a arrow::array::RecordBatch, name: &str) -> Result<&'a T> {
    batch
        .column_by_name(name)
        .and_then(|array| array.as_any().downcast_ref::<T>())
        .ok_or_else(|| unusable(name))
}

fn unusable(name: &str) -> Error {
    Error::new(Kind::Store, format!("the stored table has no usable column `{name}`"))
        .help("it was written by another version: run `clipmill run` into a new store")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(feature: &[f32], captions: &[(i32, Split)]) -> Image {
        let row = |index: &i32, split: &Split| Row {
            text: format!("caption {index}"),
            split: *split,
            made_of: "x".into(),
        };
        Image {
            feature: feature.to_vec(),
            captions: captions.iter().map(|(i, split)| (*i, row(i, split))).collect(),
        }
    }

    #[test]
    fn images_are_split_whole() {
        let good = BTreeMap::from([
            ("b".to_owned(), image(&[3.0, 4.0], &[(0, Split::Val)])),
            ("a".to_owned(), image(&[1.0, 2.0], &[(1, Split::Train), (0, Split::Train)])),
        ]);
        let examples = Examples::gather(good).unwrap();
        assert_eq!(examples.images, ["a", "b"]);
        assert_eq!(examples.feature(1), [3.0, 4.0]);
        assert_eq!(examples.train.texts, ["caption 0", "caption 1"]);
        assert_eq!((examples.train.images, examples.validation.images), (vec![0, 0], vec![1]));

        let torn = BTreeMap::from([(
            "a".to_owned(),
            image(&[1.0], &[(0, Split::Train), (1, Split::Val)]),
        )]);
        assert!(Examples::gather(torn).unwrap_err().what().contains("two splits"));
        let odd = BTreeMap::from([
            ("a".to_owned(), image(&[1.0], &[(0, Split::Train)])),
            ("b".to_owned(), image(&[1.0, 2.0], &[(0, Split::Train)])),
        ]);
        assert!(Examples::gather(odd).unwrap_err().what().contains("has 2 numbers"));
        let none = BTreeMap::from([("a".to_owned(), image(&[1.0], &[(0, Split::Val)]))]);
        assert!(Examples::gather(none).unwrap_err().help_text().is_some());
    }
}
