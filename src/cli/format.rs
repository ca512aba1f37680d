//! How a command says what it did.

use clap::ValueEnum;

/// How a command says what it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// Text for people.
    #[default]
    Human,
    /// One JSON object on standard output; progress stays on standard error.
    Json,
}
