//! The few values that cross stages.

pub mod caption;
pub mod fidelity;
pub mod image;
pub mod preprocessing;
pub mod reject;
pub mod sample;
pub mod vectors;

pub use caption::{Caption, Split};
pub use fidelity::Fidelity;
pub use image::{ImageHeader, Pixels};
pub use preprocessing::Preprocessing;
pub use reject::{Reject, RejectClass};
pub use sample::{Origin, Sample};
pub use vectors::Vectors;
