//! Statements in terms of the internal functions.
//!
//! `clip_text('…')` and `clip_image('…')` become numbered query vectors, the measures get their
//! internal names, and a measure that is selected without an alias is named after itself
//! (Polars would name it after its first argument, a second `embedding`).

use std::collections::BTreeSet;
use std::fmt;
use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident,
    ObjectName, OrderByKind, Query, Select, SelectItem, SetExpr, Spanned, Value, VisitorMut,
};
use sqlparser::tokenizer::Span;

use super::distance::Measure;
use super::fault::Text;
use super::functions::{PREFIX, VECTOR, internal_measure};
use super::walk::walk;
use crate::base::{Error, Result};

/// What a `clip_…` call encodes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    /// A text.
    Text(String),
    /// The image in a file.
    Image(String),
}

/// As a statement writes it, on one line.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, said) = match self {
            Self::Text(text) => ("clip_text", text),
            Self::Image(path) => ("clip_image", path),
        };
        write!(f, "{name}('{}')", said.replace('\'', "''").replace(['\n', '\r'], " "))
    }
}

/// One `clip_…` call; its number is its place in the list.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) source: Source,
    pub(super) span: Span,
}

/// Rewrites `query` in place and returns its `clip_…` calls.
pub(super) fn rewrite(text: &Text, query: &mut Query) -> Result<Vec<Call>> {
    let mut rewriter = Rewriter { text, calls: Vec::new(), fault: None };
    let _ = walk(query, &mut rewriter);
    rewriter.fault.map_or(Ok(rewriter.calls), Err)
}

/// The single-word name of a function, lower case.
pub(super) fn function_name(function: &Function) -> Option<String> {
    match function.name.0.as_slice() {
        [part] => part.as_ident().map(|ident| ident.value.to_lowercase()),
        _ => None,
    }
}

/// The arguments of a function, if they are plain expressions.
pub(super) fn arguments(function: &Function) -> Option<Vec<&Expr>> {
    match &function.args {
        FunctionArguments::List(list) => list
            .args
            .iter()
            .map(|arg| match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
                _ => None,
            })
            .collect(),
        _ => None,
    }
}

struct Rewriter<'t> {
    text: &'t Text,
    calls: Vec<Call>,
    /// Why the walk broke off.
    fault: Option<Error>,
}

impl VisitorMut for Rewriter<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if let SetExpr::Select(select) = query.body.as_mut() {
            name_columns(&mut select.projection);
            order_by_names(query);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        name_columns(&mut select.projection);
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let span = expr.span();
        let Expr::Function(function) = expr else { return ControlFlow::Continue(()) };
        let Some(name) = function_name(function) else { return ControlFlow::Continue(()) };
        let result = match name.as_str() {
            "clip_text" | "clip_image" => self.vector(&name, function, span),
            _ if Measure::of_name(&name).is_some() => self.measure(&name, function, span),
            _ if name.starts_with(PREFIX) && function.span() != Span::empty() => Err(self
                .text
                .error_at(span, &format!("unsupported function '{name}'"), "here", None)),
            _ => Ok(()),
        };
        match result {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.fault = Some(error);
                ControlFlow::Break(())
            }
        }
    }
}

impl Rewriter<'_> {
    fn vector(&mut self, name: &str, function: &mut Function, span: Span) -> Result<()> {
        self.plain(name, function, span)?;
        let wrong = |label: &str, help: String| {
            let message = format!("{name} takes one string");
            self.text.error_at(span, &message, label, Some(help))
        };
        let other = || {
            let help = match name {
                "clip_text" => "for example clip_text('two dogs on grass')",
                _ => "for example clip_image('photos/dog.jpg')",
            };
            wrong("this is something else", help.to_owned())
        };
        let value = match arguments(function).as_deref() {
            Some([Expr::Value(value)]) => value.value.clone().into_string().ok_or_else(other)?,
            Some([Expr::Identifier(ident)]) if ident.quote_style.is_some() => {
                let text = ident.value.replace('\'', "''");
                let help = format!("strings want single quotes: {name}('{text}')");
                return Err(wrong("in these quotes it is a column's name", help));
            }
            _ => return Err(other()),
        };
        let number = self.calls.len().to_string();
        let source = match name {
            "clip_text" => Source::Text(value),
            _ => Source::Image(value),
        };
        self.calls.push(Call { source, span });
        function.name = internal(VECTOR);
        function.args = FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::value(
                Value::SingleQuotedString(number),
            )))],
            clauses: Vec::new(),
        });
        Ok(())
    }

    fn measure(&self, name: &str, function: &mut Function, span: Span) -> Result<()> {
        self.plain(name, function, span)?;
        if arguments(function).is_none_or(|args| args.len() != 2) {
            return Err(self.text.error_at(
                span,
                &format!("{name} takes two vectors"),
                "here",
                Some(format!("for example {name}(embedding, clip_text('two dogs on grass'))")),
            ));
        }
        function.name = internal(&format!("{PREFIX}{name}"));
        Ok(())
    }

    /// Refuses what Polars would drop silently from a call of ours.
    fn plain(&self, name: &str, function: &Function, span: Span) -> Result<()> {
        let distinct = match &function.args {
            FunctionArguments::List(list) => {
                list.duplicate_treatment.is_some() || !list.clauses.is_empty()
            }
            _ => false,
        };
        if function.over.is_some()
            || function.filter.is_some()
            || function.null_treatment.is_some()
            || !function.within_group.is_empty()
            || distinct
        {
            return Err(self.text.error_at(
                span,
                &format!("{name} is no aggregate: it takes no OVER, FILTER or DISTINCT"),
                "here",
                Some(format!("aggregate its value: max({name}(…))")),
            ));
        }
        Ok(())
    }
}

fn internal(name: &str) -> ObjectName {
    ObjectName::from(vec![Ident::new(name)])
}

/// Names what has no name of its own: a measure after itself, any other expression as its text, as
/// DuckDB does; a name that is taken gets a number. Polars would refuse two columns of one name.
fn name_columns(items: &mut [SelectItem]) {
    let mut taken: BTreeSet<String> = items
        .iter()
        .filter_map(|item| match item {
            SelectItem::ExprWithAlias { alias, .. } => Some(alias.value.clone()),
            _ => None,
        })
        .collect();
    for item in items {
        let SelectItem::UnnamedExpr(expr) = item else { continue };
        let (name, own, first) = match expr {
            Expr::Identifier(ident) => (ident.value.clone(), true, 1),
            Expr::CompoundIdentifier(parts) => match parts.last() {
                Some(ident) => (ident.value.clone(), true, 1),
                None => continue,
            },
            Expr::Function(function) => match function_name(function) {
                Some(name) if Measure::of_name(&name).is_some() || name.starts_with("clip_") => {
                    (name, false, 2)
                }
                Some(name) if matches!(name.as_str(), "unnest" | "columns") => continue,
                _ => (lower_call(function), false, 1),
            },
            _ => (expr.to_string(), false, 1),
        };
        let mut alias = name.clone();
        let mut number = first;
        while !taken.insert(alias.clone()) {
            alias = format!("{name}_{number}");
            number += 1;
        }
        if own && alias == name {
            continue;
        }
        let expr = expr.clone();
        *item = SelectItem::ExprWithAlias { expr, alias: Ident::with_quote('"', alias) };
    }
}

/// Orders by a selected column where its expression is written out again: Polars would compute
/// it a second time, after the grouping that it belongs before.
fn order_by_names(query: &mut Query) {
    let SetExpr::Select(select) = query.body.as_ref() else { return };
    let Some(OrderByKind::Expressions(keys)) = query.order_by.as_mut().map(|by| &mut by.kind)
    else {
        return;
    };
    for key in keys {
        if matches!(key.expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Value(_)) {
            continue;
        }
        let named = select.projection.iter().find_map(|item| match item {
            SelectItem::ExprWithAlias { expr, alias } if *expr == key.expr => Some(alias),
            _ => None,
        });
        if let Some(alias) = named {
            key.expr = Expr::Identifier(Ident::with_quote('"', alias.value.clone()));
        }
    }
}

/// A call's text with its name in lower case: `COUNT(*)` is headed `count(*)`.
fn lower_call(function: &Function) -> String {
    let mut named = function.clone();
    if let Some(name) = function_name(function) {
        named.name = internal(&name);
    }
    named.to_string()
}

/// The number of the query vector that a rewritten function stands for.
pub(super) fn vector_number(function: &Function) -> Option<usize> {
    if function_name(function)? != VECTOR {
        return None;
    }
    match arguments(function)?.as_slice() {
        [Expr::Value(value)] => value.value.clone().into_string()?.parse().ok(),
        _ => None,
    }
}

/// The measure that a rewritten function stands for.
pub(super) fn measure_of(function: &Function) -> Option<Measure> {
    internal_measure(&function_name(function)?)
}
