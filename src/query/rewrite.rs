//! Statements in terms of the internal functions.
//!
//! `clip_text('…')` and `clip_image('…')` become numbered query vectors, the measures get their
//! internal names, and a measure that is selected without an alias is named after itself
//! (Polars would name it after its first argument, a second `embedding`).

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident,
    ObjectName, Query, Select, SelectItem, Spanned, Value, VisitMut, VisitorMut,
};
use sqlparser::tokenizer::Span;

use super::distance::Measure;
use super::fault::Text;
use super::functions::{PREFIX, VECTOR, internal_measure};
use crate::base::{Error, Result};

/// What a `clip_…` call encodes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    /// A text.
    Text(String),
    /// The image in a file.
    Image(String),
}

/// One `clip_…` call; its number is its place in the list.
#[derive(Debug, Clone)]
pub(super) struct Call {
    pub(super) source: Source,
    pub(super) span: Span,
}

/// Rewrites `query` in place and returns its `clip_…` calls.
pub(super) fn rewrite(text: &Text, query: &mut Query) -> Result<Vec<Call>> {
    let mut rewriter = Rewriter { text, calls: Vec::new() };
    match query.visit(&mut rewriter) {
        ControlFlow::Continue(()) => Ok(rewriter.calls),
        ControlFlow::Break(error) => Err(*error),
    }
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
}

impl VisitorMut for Rewriter<'_> {
    type Break = Box<Error>;

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Self::Break> {
        name_columns(&mut select.projection);
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Self::Break> {
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
            Err(error) => ControlFlow::Break(Box::new(error)),
        }
    }
}

impl Rewriter<'_> {
    fn vector(&mut self, name: &str, function: &mut Function, span: Span) -> Result<()> {
        self.plain(name, function, span)?;
        let wrong = || {
            self.text.error_at(
                span,
                &format!("{name} takes one string"),
                "this is something else",
                Some(match name {
                    "clip_text" => "for example clip_text('two dogs on grass')".into(),
                    _ => "for example clip_image('photos/dog.jpg')".into(),
                }),
            )
        };
        let value = match arguments(function).as_deref() {
            Some([Expr::Value(value)]) => value.value.clone().into_string().ok_or_else(wrong)?,
            _ => return Err(wrong()),
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

fn name_columns(items: &mut [SelectItem]) {
    let mut taken: BTreeSet<String> = items
        .iter()
        .filter_map(|item| match item {
            SelectItem::ExprWithAlias { alias, .. } => Some(alias.value.clone()),
            SelectItem::UnnamedExpr(Expr::Identifier(ident)) => Some(ident.value.clone()),
            _ => None,
        })
        .collect();
    for item in items {
        let SelectItem::UnnamedExpr(Expr::Function(function)) = item else { continue };
        let Some(name) = function_name(function) else { continue };
        if Measure::of_name(&name).is_none() && !name.starts_with("clip_") {
            continue;
        }
        let mut alias = name.clone();
        let mut number = 2;
        while !taken.insert(alias.clone()) {
            alias = format!("{name}_{number}");
            number += 1;
        }
        let expr = Expr::Function(function.clone());
        *item = SelectItem::ExprWithAlias { expr, alias: Ident::with_quote('"', alias) };
    }
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
