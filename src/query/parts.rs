//! Statements in parts, each of which Polars sees as a statement of its own.
//!
//! Polars SQL runs WITH queries, subqueries in FROM and the sides of set operations in contexts
//! that do not know added functions; a WITH inside of a subquery is lost to it, and in a chain of
//! set operations it takes the operator of the last for that of all. So each such part is run
//! first, under a name of its own, and the statement reads it by that name. Nothing is computed
//! before the end: a part is a lazy frame, and the optimiser sees one plan.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use polars::prelude::{
    LazyFrame, PolarsError, PolarsResult, polars_bail, polars_ensure, polars_err,
};
use polars::sql::SQLContext;
use sqlparser::ast::{
    Expr, Ident, Query, SetExpr, Statement, TableAlias, TableFactor, TableWithJoins, VisitorMut,
};
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::Parser;

use super::functions::PREFIX;
use super::order;
use super::rewrite::function_name;
use super::walk::walk;

/// Resolves a rewritten statement to a frame whose order is fixed.
pub(super) fn resolve(context: &mut SQLContext, query: &mut Query) -> PolarsResult<LazyFrame> {
    Parts { context, withs: BTreeMap::new(), made: 0 }.whole(query)
}

struct Parts<'c> {
    context: &'c mut SQLContext,
    /// What the names of WITH mean here.
    withs: BTreeMap<String, LazyFrame>,
    made: usize,
}

impl Parts<'_> {
    /// The frame of a query; names of its WITH mean again what they did before.
    fn whole(&mut self, query: &mut Query) -> PolarsResult<LazyFrame> {
        let outer = self.withs.clone();
        self.flatten(query)?;
        let frame = order::fixed(&self.context.execute(&query.to_string())?);
        for name in self.withs.keys().filter(|name| !outer.contains_key(*name)) {
            self.context.unregister(name);
        }
        for (name, frame) in &outer {
            self.context.register(name, frame.clone());
        }
        self.withs = outer;
        Ok(frame)
    }

    /// Takes the parts out of a query.
    fn flatten(&mut self, query: &mut Query) -> PolarsResult<()> {
        if let Some(with) = query.with.take() {
            polars_ensure!(!with.recursive, SQLInterface: "recursive WITH queries are not supported");
            for mut cte in with.cte_tables {
                let frame = renamed(self.whole(&mut cte.query)?, &cte.alias)?;
                let name = cte.alias.name.value;
                self.context.register(&name, frame.clone());
                self.withs.insert(name, frame);
            }
        }
        if query.order_by.is_some() && matches!(*query.body, SetExpr::SetOperation { .. }) {
            // Polars would sort each side, by names that only the first may have.
            self.side(&mut query.body)?;
        }
        self.body(&mut query.body)?;
        let mut inner = Inner { parts: self, fault: None };
        let _ = walk(query, &mut inner);
        inner.fault.map_or(Ok(()), Err)
    }

    fn body(&mut self, body: &mut SetExpr) -> PolarsResult<()> {
        match body {
            SetExpr::Select(select) => select.from.iter_mut().try_for_each(|from| self.from(from)),
            SetExpr::Query(query) => {
                let frame = self.whole(query)?;
                *body = *self.part(frame)?.body;
                Ok(())
            }
            SetExpr::SetOperation { left, right, .. } => {
                self.side(left)?;
                self.side(right)
            }
            _ => Ok(()),
        }
    }

    fn side(&mut self, side: &mut SetExpr) -> PolarsResult<()> {
        let mut query = select_from(&Ident::new("nothing"))?;
        *query.body = side.clone();
        let frame = self.whole(&mut query)?;
        *side = *self.part(frame)?.body;
        Ok(())
    }

    fn from(&mut self, from: &mut TableWithJoins) -> PolarsResult<()> {
        self.factor(&mut from.relation)?;
        from.joins.iter_mut().try_for_each(|join| self.factor(&mut join.relation))
    }

    fn factor(&mut self, factor: &mut TableFactor) -> PolarsResult<()> {
        match factor {
            TableFactor::Derived { lateral: false, subquery, alias, sample: None } => {
                let mut frame = self.whole(subquery)?;
                if let Some(alias) = &mut *alias {
                    frame = renamed(frame, alias)?;
                    alias.columns.clear();
                }
                let mut alias = alias.take();
                let name = self.add(frame);
                *factor = table(&name)?;
                if let TableFactor::Table { alias: place, .. } = factor {
                    std::mem::swap(place, &mut alias);
                }
                Ok(())
            }
            TableFactor::NestedJoin { table_with_joins, .. } => self.from(table_with_joins),
            _ => Ok(()),
        }
    }

    fn part(&mut self, frame: LazyFrame) -> PolarsResult<Query> {
        let name = self.add(frame);
        select_from(&name)
    }

    /// Registers a part under a name that no table can have.
    fn add(&mut self, frame: LazyFrame) -> Ident {
        self.made += 1;
        let name = format!("clipmill part {}", self.made);
        self.context.register(&name, frame);
        Ident::with_quote('"', name)
    }
}

/// Subqueries in expressions: only those that Polars could not run in place are taken out, for it
/// knows how to run correlated ones and a part is run alone.
struct Inner<'p, 'c> {
    parts: &'p mut Parts<'c>,
    /// Why the walk broke off.
    fault: Option<PolarsError>,
}

impl VisitorMut for Inner<'_, '_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let query = match expr {
            Expr::Subquery(query) => query,
            Expr::InSubquery { subquery, .. } | Expr::Exists { subquery, .. } => subquery,
            _ => return ControlFlow::Continue(()),
        };
        if !needs_parts(query) {
            return ControlFlow::Continue(());
        }
        match self.parts.whole(query).and_then(|frame| self.parts.part(frame)) {
            Ok(part) => {
                **query = part;
                ControlFlow::Continue(())
            }
            Err(cause) => {
                self.fault = Some(cause);
                ControlFlow::Break(())
            }
        }
    }
}

/// Whether a query has a WITH or one of our functions anywhere.
fn needs_parts(query: &mut Query) -> bool {
    struct Search;
    impl VisitorMut for Search {
        type Break = ();

        fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
            if query.with.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        }

        fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            match expr {
                Expr::Function(function)
                    if function_name(function).is_some_and(|name| name.starts_with(PREFIX)) =>
                {
                    ControlFlow::Break(())
                }
                _ => ControlFlow::Continue(()),
            }
        }
    }
    walk(query, &mut Search).is_break()
}

/// The columns under the names of `AS t(a, b)`.
fn renamed(mut frame: LazyFrame, alias: &TableAlias) -> PolarsResult<LazyFrame> {
    if alias.columns.is_empty() {
        return Ok(frame);
    }
    let old: Vec<String> = frame.collect_schema()?.iter_names().map(ToString::to_string).collect();
    let new: Vec<String> = alias.columns.iter().map(|column| column.name.value.clone()).collect();
    if old.len() != new.len() {
        polars_bail!(
            SQLSyntax: "'{}' names {} columns, but there are {}", alias.name.value, new.len(), old.len()
        );
    }
    Ok(frame.rename(old, new, true))
}

/// `SELECT * FROM name`.
fn select_from(name: &Ident) -> PolarsResult<Query> {
    let text = format!("SELECT * FROM {name}");
    let statements = Parser::parse_sql(&GenericDialect, &text)
        .map_err(|cause| polars_err!(SQLInterface: "{cause}"))?;
    match statements.into_iter().next() {
        Some(Statement::Query(query)) => Ok(*query),
        _ => polars_bail!(SQLInterface: "'{text}' is no query"),
    }
}

fn table(name: &Ident) -> PolarsResult<TableFactor> {
    let SetExpr::Select(mut select) = *select_from(name)?.body else {
        polars_bail!(SQLInterface: "a table has no name")
    };
    let factor = select.from.pop().map(|from| from.relation);
    factor.ok_or_else(|| polars_err!(SQLInterface: "a table has no name"))
}
