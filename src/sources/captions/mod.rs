//! Caption files of every layout, read where they lie: plain, compressed, in a tar or a zip.

mod coco;
mod collector;
mod flickr;
mod ids;
mod json;
mod karpathy;
mod read;
mod record;
mod shards;
mod table;
mod texts;

pub use read::{CaptionsRead, probe, read, stream};
