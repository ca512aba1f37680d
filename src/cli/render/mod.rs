//! Errors and findings, for people and for scripts.

mod code;
mod error;
mod finding;
mod github;

pub use code::code;
pub use error::{error_human, error_json};
pub use finding::{report_human, report_json};
pub use github::{Annotation, error_github, report_github};
