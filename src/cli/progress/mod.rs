//! What long work shows: bars on a terminal, lines elsewhere, nothing when quiet; and what the log
//! is told of it.

mod bars;
mod lines;
mod logged;
mod screen;

pub use bars::Bars;
pub use lines::Lines;
pub use logged::{Logged, TOLD};
pub use screen::Screen;
