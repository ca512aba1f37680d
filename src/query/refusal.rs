//! What Polars says about a statement, in the words of this house.

use polars::prelude::PolarsError;

use super::catalog::TableEntry;
use super::complete::FUNCTIONS;
use super::fault::{Text, choices, nearest};
use super::lineage::Lineage;
use crate::base::{Error, Kind};

/// An error of Polars about a statement.
pub(super) fn explain(text: &Text, lineage: &Lineage, cause: PolarsError) -> Error {
    let said = root(&cause).to_string();
    let said = said.lines().next().unwrap_or_default().trim();
    // Polars names a column that is not there; the walk over the text knows where it stands.
    let suspect = lineage.suspects.iter().find(|suspect| names(said, &suspect.name));
    if let Some(suspect) = suspect {
        return text.error_at(
            suspect.span,
            &format!("there is no column '{}'", suspect.name),
            "unknown column",
            Some(choices(&suspect.name, "columns", suspect.there.iter().map(String::as_str))),
        );
    }
    let function =
        said.strip_prefix("unsupported function '").and_then(|rest| rest.strip_suffix('\''));
    if let Some(name) = function
        && let Some(span) = text.call_of(name)
    {
        let help = match nearest(name, FUNCTIONS.iter().copied()) {
            Some(near) => format!("did you mean '{near}'?"),
            None => {
                "besides those of Polars SQL there are clip_image, clip_text, cosine, dot and l2"
                    .to_owned()
            }
        };
        let message = format!("there is no function '{name}'");
        return text.error_at(span, &message, "unknown function", Some(help));
    }
    match root(&cause) {
        PolarsError::IO { .. } => Error::new(Kind::Store, "cannot read the tables")
            .help("check that the store's files are there and whole")
            .caused_by(cause),
        _ => Error::new(Kind::Query, said.to_owned()).at("query"),
    }
}

/// An error of Polars about the parts of a table, whatever the statement.
pub(super) fn unreadable(table: &TableEntry, cause: PolarsError) -> Error {
    Error::new(Kind::Store, "cannot be read").at(format!("table '{}'", table.name)).caused_by(cause)
}

/// Whether a message has `name` as a whole word.
fn names(said: &str, name: &str) -> bool {
    said.match_indices(name).any(|(at, _)| {
        let inside = |c: char| c.is_alphanumeric() || c == '_';
        let before = said.get(..at).and_then(|text| text.chars().next_back());
        let after = said.get(at + name.len()..).and_then(|text| text.chars().next());
        !before.is_some_and(inside) && !after.is_some_and(inside)
    })
}

/// An error without what was said around it.
pub(super) fn root(cause: &PolarsError) -> &PolarsError {
    match cause {
        PolarsError::Context { error, .. } => root(error),
        other => other,
    }
}
