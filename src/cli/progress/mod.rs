//! What long work shows: bars on a terminal, lines in a log, nothing when quiet.

mod bars;
mod lines;
mod screen;

pub use bars::Bars;
pub use lines::Lines;
pub use screen::Screen;
