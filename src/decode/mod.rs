//! Bytes become [`Pixels`](crate::flow::Pixels), and pixels a model's input. Pure and capped.
//!
//! The reference is what OpenAI's CLIP does: `Image.open(f).convert("RGB")` of Pillow, then
//! torchvision's `Resize`, `CenterCrop`, `ToTensor`, `Normalize`. ICC profiles are ignored, and
//! EXIF orientation too unless [`Orientation::Apply`] is asked for.
//!
//! - The format comes from the content, never from a name ([`sniff`]).
//! - Bytes, pixels and memory are checked from the header, before anything is allocated for
//!   pixels ([`Limits`]).
//! - A file that cannot be decoded is a [`Fault`] with a class of the closed list. A decoder
//!   that panics is caught and is a [`CorruptImage`](crate::flow::RejectClass::CorruptImage).
//! - JPEG's inverse DCT and colours are written out for the vectors of x86-64, without unsafe code
//!   (pulp's tokens prove that they are there); other processors take the formulas, to the same bits.
//! - Resizing is Pillow's fixed-point arithmetic ([`resize`]), and computes only what the
//!   crop keeps.

mod bmp;
pub mod encode;
mod exif;
mod gif;
mod jpeg;
#[cfg(target_arch = "x86_64")]
mod jpeg_colour_x86;
mod jpeg_frame;
mod jpeg_huffman;
mod jpeg_idct;
mod jpeg_idct_plain;
#[cfg(target_arch = "x86_64")]
mod jpeg_idct_x86;
mod jpeg_pairs;
mod jpeg_progressive;
mod jpeg_samples;
mod jpeg_scan;
pub mod limits;
mod orient;
mod pillow;
mod png;
pub mod preprocess;
mod raster;
pub mod read;
pub mod resize;
pub mod sniff;
mod tiff;
mod webp;
mod wide;
mod window;

pub use encode::encode_jpeg;
pub use limits::{Fault, Limits, Orientation};
pub use preprocess::{preprocess, preprocess_into, preprocess_u8, scale_into};
pub use read::{decode, decode_for, probe};
