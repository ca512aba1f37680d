//! What Polars says about a statement, in the words of this house.

use std::ops::ControlFlow;

use polars::prelude::PolarsError;
use sqlparser::ast::{
    BinaryOperator, Expr, JoinConstraint, JoinOperator, Query, Select, Spanned, VisitorMut,
};
use sqlparser::tokenizer::Span;

use super::catalog::TableEntry;
use super::complete::FUNCTIONS;
use super::fault::{Text, choices, nearest};
use super::lineage::Lineage;
use super::walk::walk;
use crate::base::{Error, Kind};

/// A condition of ON that is no equation of two columns: Polars may look for its columns in the other
/// table.
#[derive(Debug)]
pub(super) struct Condition {
    span: Span,
    written: String,
}

/// All of a query.
pub(super) fn conditions(query: &mut Query) -> Vec<Condition> {
    struct Joins(Vec<Condition>);

    impl VisitorMut for Joins {
        type Break = ();

        fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
            let joins = select.from.iter().flat_map(|of| &of.joins);
            for on in joins.filter_map(|join| on(&join.join_operator)) {
                self.0.extend(
                    conjuncts(on)
                        .into_iter()
                        .filter(|part| !is_equation(part))
                        .map(|part| Condition { span: part.span(), written: part.to_string() }),
                );
            }
            ControlFlow::Continue(())
        }
    }

    let mut joins = Joins(Vec::new());
    let _ = walk(query, &mut joins);
    joins.0
}

fn on(join: &JoinOperator) -> Option<&Expr> {
    match join {
        JoinOperator::Join(JoinConstraint::On(on))
        | JoinOperator::Inner(JoinConstraint::On(on))
        | JoinOperator::Left(JoinConstraint::On(on))
        | JoinOperator::LeftOuter(JoinConstraint::On(on))
        | JoinOperator::Right(JoinConstraint::On(on))
        | JoinOperator::RightOuter(JoinConstraint::On(on))
        | JoinOperator::FullOuter(JoinConstraint::On(on)) => Some(on),
        _ => None,
    }
}

fn conjuncts(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::Nested(inner) => conjuncts(inner),
        Expr::BinaryOp { left, op: BinaryOperator::And, right } => {
            [conjuncts(left), conjuncts(right)].concat()
        }
        other => vec![other],
    }
}

fn is_equation(expr: &Expr) -> bool {
    let is_column = |expr: &Expr| matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
    match expr {
        Expr::BinaryOp { left, op: BinaryOperator::Eq, right } => {
            is_column(left) && is_column(right)
        }
        _ => false,
    }
}

/// An error of Polars about a statement.
pub(super) fn explain(
    text: &Text,
    lineage: &Lineage,
    conditions: &[Condition],
    cause: PolarsError,
) -> Error {
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
    let lost =
        said.split_once("unable to find column \"").and_then(|(_, rest)| rest.split('"').next());
    let of = |name| conditions.iter().find(|condition| names(&condition.written, name));
    if let Some(condition) = lost.and_then(of) {
        return text.error_at(
            condition.span,
            "a condition of ON that is no equation of two columns is not understood",
            "no equation of two columns",
            Some(
                "one on a single table belongs in WHERE; of an outer join, join what it leaves: \
                 JOIN (SELECT * FROM t WHERE …) t ON …"
                    .to_owned(),
            ),
        );
    }
    if said == "unexpected subquery" {
        return Error::new(Kind::Query, "a subquery cannot stand for a single value here")
            .at("query")
            .help(
                "join a subquery that has one row for each, as with GROUP BY; or use IN (SELECT …)",
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
