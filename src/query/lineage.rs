//! Which table's embeddings an expression carries.
//!
//! A query vector has to be made by the model that made the column it is measured against. The
//! column may come through aliases, joins, subqueries and WITH, so the statement is walked the
//! way SQL binds names, and every column of vectors carries where it comes from.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, GroupByExpr, Ident, JoinConstraint, JoinOperator, OrderByKind, Query, Select, SelectItem,
    SelectItemQualifiedWildcardKind, SetExpr, Spanned, TableAlias, TableFactor, TableWithJoins,
    Value, VisitorMut,
};
use sqlparser::tokenizer::Span;

use super::catalog::Catalog;
use super::fault::{Text, choices};
use super::rewrite::{arguments, measure_of, vector_number};
use super::walk::walk;
use crate::base::Result;

/// Where a vector comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Origin {
    /// A column of that table.
    Table(String),
    /// The `clip_…` call of that number.
    Call(usize),
}

/// Everything that may flow into an expression.
pub(super) type Origins = BTreeSet<Origin>;

/// Two expressions that are measured against each other.
#[derive(Debug)]
pub(super) struct Comparison {
    /// Where the vectors of both sides come from.
    pub(super) origins: Origins,
    /// The place of the measure.
    pub(super) span: Span,
}

/// A name that no table in reach has: wrong if Polars thinks so too.
#[derive(Debug)]
pub(super) struct Suspect {
    pub(super) name: String,
    pub(super) span: Span,
    /// The columns within reach.
    pub(super) there: Vec<String>,
}

/// What a walk over a statement finds.
#[derive(Debug, Default)]
pub(super) struct Lineage {
    pub(super) comparisons: Vec<Comparison>,
    pub(super) suspects: Vec<Suspect>,
}

/// Walks a rewritten statement.
///
/// # Errors
/// For tables that are not there and WITH names that hide a table.
pub(super) fn trace(text: &Text, catalog: &Catalog, query: &Query) -> Result<Lineage> {
    let mut tracing = Walk { text, catalog, withs: Vec::new(), found: Lineage::default() };
    tracing.query(query, None)?;
    Ok(tracing.found)
}

/// Output columns; `None` where they are unknown (a file, an UNNEST).
type Columns = Option<Vec<(String, Origins)>>;

struct Relation {
    name: String,
    columns: Columns,
}

#[derive(Clone, Copy)]
struct Scope<'s> {
    relations: &'s [Relation],
    /// Names given by the SELECT list, which ORDER BY, GROUP BY and HAVING may use.
    given: &'s [(String, Origins)],
    parent: Option<&'s Scope<'s>>,
}

struct Walk<'w> {
    text: &'w Text,
    catalog: &'w Catalog,
    withs: Vec<(String, Columns)>,
    found: Lineage,
}

impl Walk<'_> {
    fn query(&mut self, query: &Query, parent: Option<&Scope<'_>>) -> Result<Columns> {
        let depth = self.withs.len();
        if let Some(with) = &query.with {
            for cte in &with.cte_tables {
                let name = &cte.alias.name;
                self.free(name)?;
                let columns = renamed(self.query(&cte.query, parent)?, &cte.alias);
                self.withs.push((name.value.clone(), columns));
            }
        }
        let columns = self.body(&query.body, Some(query), parent)?;
        self.withs.truncate(depth);
        Ok(columns)
    }

    /// Refuses to give the name of a table to something else: Polars would read the table.
    fn free(&self, name: &Ident) -> Result<()> {
        match self.catalog.table(&name.value) {
            None => Ok(()),
            Some(_) => Err(self.text.error_at(
                name.span,
                &format!("'{}' is the name of a table", name.value),
                "choose another name",
                None,
            )),
        }
    }

    /// `ordered` is the query whose ORDER BY belongs to this body.
    fn body(
        &mut self,
        body: &SetExpr,
        ordered: Option<&Query>,
        parent: Option<&Scope<'_>>,
    ) -> Result<Columns> {
        match body {
            SetExpr::Select(select) => self.select(select, ordered, parent),
            SetExpr::Query(query) => self.query(query, parent),
            SetExpr::SetOperation { left, right, .. } => {
                let left = self.body(left, None, parent)?;
                let right = self.body(right, None, parent)?;
                let mut columns = left;
                if let (Some(columns), Some(right)) = (&mut columns, right) {
                    for ((_, origins), (_, more)) in columns.iter_mut().zip(right) {
                        origins.extend(more);
                    }
                }
                if let Some(query) = ordered {
                    let relation = [Relation { name: String::new(), columns: columns.clone() }];
                    self.order_by(query, &Scope { relations: &relation, given: &[], parent })?;
                }
                Ok(columns)
            }
            SetExpr::Table(table) => match &table.table_name {
                Some(name) => self.named(name, Span::empty()),
                None => Ok(None),
            },
            _ => Ok(None),
        }
    }

    fn select(
        &mut self,
        select: &Select,
        ordered: Option<&Query>,
        parent: Option<&Scope<'_>>,
    ) -> Result<Columns> {
        let mut relations = Vec::new();
        let mut conditions = Vec::new();
        for from in &select.from {
            self.from(from, &mut relations, &mut conditions, parent)?;
        }
        let scope = Scope { relations: &relations, given: &[], parent };
        for condition in conditions {
            self.expr(condition, &scope)?;
        }
        let mut columns: Columns = Some(Vec::new());
        for item in &select.projection {
            self.item(item, &scope, &mut columns)?;
        }
        for expr in select.selection.iter().chain(&select.prewhere) {
            self.expr(expr, &scope)?;
        }
        let given = columns.clone().unwrap_or_default();
        let scope = Scope { given: &given, ..scope };
        let groups = match &select.group_by {
            GroupByExpr::Expressions(exprs, _) => exprs.as_slice(),
            GroupByExpr::All(_) => &[],
        };
        for expr in groups.iter().chain(&select.having).chain(&select.qualify) {
            self.no_zero(expr)?;
            self.expr(expr, &scope)?;
        }
        if let Some(query) = ordered {
            self.order_by(query, &scope)?;
        }
        Ok(columns)
    }

    fn order_by(&mut self, query: &Query, scope: &Scope<'_>) -> Result<()> {
        if let Some(order) = &query.order_by
            && let OrderByKind::Expressions(exprs) = &order.kind
        {
            for by in exprs {
                self.no_zero(&by.expr)?;
                self.expr(&by.expr, scope)?;
            }
        }
        Ok(())
    }

    /// Columns are counted from one; Polars would panic.
    fn no_zero(&self, expr: &Expr) -> Result<()> {
        match expr {
            Expr::Value(value) if value.to_string() == "0" => Err(self.text.error_at(
                value.span,
                "there is no column 0",
                "columns are counted from one",
                None,
            )),
            _ => Ok(()),
        }
    }

    fn item(&mut self, item: &SelectItem, scope: &Scope<'_>, out: &mut Columns) -> Result<()> {
        match item {
            SelectItem::UnnamedExpr(expr) => {
                let origins = self.expr(expr, scope)?;
                push(out, output_name(expr), origins);
            }
            SelectItem::ExprWithAlias { expr, alias } => {
                let origins = self.expr(expr, scope)?;
                push(out, alias.value.clone(), origins);
            }
            SelectItem::Wildcard(_) => scope.relations.iter().for_each(|r| spread(r, out)),
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
                let name = last_name(name);
                scope.relations.iter().filter(|r| r.name == name).for_each(|r| spread(r, out));
            }
            _ => *out = None,
        }
        Ok(())
    }

    fn from<'a>(
        &mut self,
        from: &'a TableWithJoins,
        relations: &mut Vec<Relation>,
        conditions: &mut Vec<&'a Expr>,
        parent: Option<&Scope<'_>>,
    ) -> Result<()> {
        self.factor(&from.relation, relations, conditions, parent)?;
        for join in &from.joins {
            self.factor(&join.relation, relations, conditions, parent)?;
            if let Some(JoinConstraint::On(expr)) = constraint(&join.join_operator) {
                conditions.push(expr);
            }
        }
        Ok(())
    }

    fn factor<'a>(
        &mut self,
        factor: &'a TableFactor,
        relations: &mut Vec<Relation>,
        conditions: &mut Vec<&'a Expr>,
        parent: Option<&Scope<'_>>,
    ) -> Result<()> {
        let (name, columns, alias) = match factor {
            TableFactor::Table { name, alias, args: None, .. } => {
                let table = last_name(name);
                let columns = self.named(&table, name.span())?;
                (table, columns, alias)
            }
            TableFactor::Derived { subquery, alias, .. } => {
                (String::new(), self.query(subquery, parent)?, alias)
            }
            TableFactor::NestedJoin { table_with_joins, alias: None } => {
                return self.from(table_with_joins, relations, conditions, parent);
            }
            TableFactor::Table { alias, .. }
            | TableFactor::Function { alias, .. }
            | TableFactor::UNNEST { alias, .. }
            | TableFactor::TableFunction { alias, .. }
            | TableFactor::NestedJoin { alias, .. } => (String::new(), None, alias),
            _ => (String::new(), None, &None),
        };
        if let Some(alias) = alias
            && alias.name.value != name
        {
            self.free(&alias.name)?;
        }
        relations.push(match alias {
            Some(alias) => {
                Relation { name: alias.name.value.clone(), columns: renamed(columns, alias) }
            }
            None => Relation { name, columns },
        });
        Ok(())
    }

    fn named(&self, name: &str, span: Span) -> Result<Columns> {
        if let Some(table) = self.catalog.table(name) {
            let columns = table.columns.iter().map(|column| {
                let origin = column.is_vector().then(|| Origin::Table(table.name.clone()));
                (column.name.clone(), origin.into_iter().collect())
            });
            return Ok(Some(columns.collect()));
        }
        if let Some((_, columns)) = self.withs.iter().rev().find(|(with, _)| with == name) {
            return Ok(columns.clone());
        }
        let tables = self.catalog.tables().iter().map(|table| table.name.as_str());
        let there = tables.chain(self.withs.iter().map(|(name, _)| name.as_str()));
        Err(self.text.error_at(
            span,
            &format!("there is no table '{name}'"),
            "unknown table",
            Some(choices(name, "tables", there)),
        ))
    }

    fn expr(&mut self, expr: &Expr, scope: &Scope<'_>) -> Result<Origins> {
        match expr {
            Expr::Identifier(ident) => Ok(self.column(None, &ident.value, ident.span, scope)),
            Expr::CompoundIdentifier(parts) => Ok(match parts.as_slice() {
                [.., table, column] => {
                    self.column(Some(&table.value), &column.value, column.span, scope)
                }
                _ => Origins::new(),
            }),
            Expr::Function(function) => {
                if let Some(number) = vector_number(function) {
                    return Ok(Origins::from([Origin::Call(number)]));
                }
                let (Some(_), Some(sides)) = (measure_of(function), arguments(function)) else {
                    return self.inside(expr, scope);
                };
                let mut origins = Origins::new();
                for side in sides {
                    origins.extend(self.expr(side, scope)?);
                }
                self.found.comparisons.push(Comparison { origins, span: expr.span() });
                Ok(Origins::new())
            }
            Expr::Subquery(query) => {
                let columns = self.query(query, Some(scope))?.unwrap_or_default();
                Ok(columns.into_iter().next().map(|(_, origins)| origins).unwrap_or_default())
            }
            other => self.inside(other, scope),
        }
    }

    /// What flows out of an expression is what flows into it.
    fn inside(&mut self, expr: &Expr, scope: &Scope<'_>) -> Result<Origins> {
        let mut children = Children::default();
        let _ = walk(&mut expr.clone(), &mut children);
        let mut origins = Origins::new();
        for child in &children.exprs {
            origins.extend(self.expr(child, scope)?);
        }
        for query in &children.queries {
            self.query(query, Some(scope))?;
        }
        Ok(origins)
    }

    fn column(&mut self, of: Option<&str>, name: &str, span: Span, scope: &Scope<'_>) -> Origins {
        let mut there = Vec::new();
        let mut reach = Some(scope);
        while let Some(scope) = reach {
            let mut origins = Origins::new();
            let mut known = true;
            let mut hit = false;
            for relation in scope.relations.iter().filter(|r| of.is_none_or(|of| r.name == of)) {
                let Some(columns) = &relation.columns else {
                    known = false;
                    continue;
                };
                for (column, from) in columns {
                    if column == name {
                        hit = true;
                        origins.extend(from.iter().cloned());
                    }
                }
                there.extend(columns.iter().map(|(column, _)| column.clone()));
            }
            if !hit && of.is_none() {
                for (_, from) in scope.given.iter().filter(|(given, _)| given == name) {
                    hit = true;
                    origins.extend(from.iter().cloned());
                }
            }
            if hit || !known {
                return origins;
            }
            reach = scope.parent;
        }
        self.found.suspects.push(Suspect { name: name.to_owned(), span, there });
        Origins::new()
    }
}

fn push(out: &mut Columns, name: String, origins: Origins) {
    if let Some(out) = out {
        out.push((name, origins));
    }
}

/// A relation's columns in a `*`; Polars calls the second of a name `name:relation`.
fn spread(relation: &Relation, out: &mut Columns) {
    match (&relation.columns, out.as_mut()) {
        (Some(columns), Some(all)) => {
            for (name, origins) in columns {
                let name = match all.iter().any(|(other, _)| other == name) {
                    true => format!("{name}:{}", relation.name),
                    false => name.clone(),
                };
                all.push((name, origins.clone()));
            }
        }
        _ => *out = None,
    }
}

fn renamed(mut columns: Columns, alias: &TableAlias) -> Columns {
    if let Some(columns) = &mut columns {
        for ((name, _), given) in columns.iter_mut().zip(&alias.columns) {
            given.name.value.clone_into(name);
        }
    }
    columns
}

fn output_name(expr: &Expr) -> String {
    match expr {
        Expr::Identifier(ident) => ident.value.clone(),
        Expr::CompoundIdentifier(parts) => {
            parts.last().map(|ident| ident.value.clone()).unwrap_or_default()
        }
        Expr::Nested(inner) => output_name(inner),
        other => other.to_string(),
    }
}

fn last_name(name: &sqlparser::ast::ObjectName) -> String {
    let ident = name.0.last().and_then(|part| part.as_ident());
    ident.map_or_else(|| name.to_string(), |ident| ident.value.clone())
}

fn constraint(operator: &JoinOperator) -> Option<&JoinConstraint> {
    match operator {
        JoinOperator::Join(c)
        | JoinOperator::Inner(c)
        | JoinOperator::Left(c)
        | JoinOperator::LeftOuter(c)
        | JoinOperator::Right(c)
        | JoinOperator::RightOuter(c)
        | JoinOperator::FullOuter(c)
        | JoinOperator::CrossJoin(c)
        | JoinOperator::Semi(c)
        | JoinOperator::LeftSemi(c)
        | JoinOperator::RightSemi(c)
        | JoinOperator::Anti(c)
        | JoinOperator::LeftAnti(c)
        | JoinOperator::RightAnti(c) => Some(c),
        _ => None,
    }
}

/// The expressions and queries right below an expression, whatever its kind.
#[derive(Default)]
struct Children {
    depth: usize,
    queries_open: usize,
    exprs: Vec<Expr>,
    queries: Vec<Query>,
}

impl VisitorMut for Children {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        self.depth += 1;
        if self.depth == 2 && self.queries_open == 0 {
            // Taken, so that the walk ends here: what is further down is not asked for.
            self.exprs.push(std::mem::replace(expr, Expr::value(Value::Null)));
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, _: &mut Expr) -> ControlFlow<()> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if self.depth == 1 && self.queries_open == 0 {
            self.queries.push(query.clone());
        }
        self.queries_open += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.queries_open -= 1;
        ControlFlow::Continue(())
    }
}
