//! One walk over statements, for all that look at them or change them.
//!
//! sqlparser's own is some five thousand functions, compiled anew for each type of visitor: with
//! six of them a fifth of this library's code. Through here there is one type, which may change
//! what it sees; those that only look change nothing.

use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, ObjectName, Query, Select, Statement, TableFactor, ValueWithSpan, VisitMut, VisitorMut,
};

/// Leads `visitor` through `node`; whether it broke off. Why, it keeps itself.
pub(super) fn walk(
    node: &mut impl VisitMut,
    visitor: &mut dyn VisitorMut<Break = ()>,
) -> ControlFlow<()> {
    #[expect(clippy::disallowed_methods, reason = "the one walk")]
    node.visit(&mut Led(visitor))
}

/// Hands on every method of [`VisitorMut`]: one that is left out would see nothing.
struct Led<'v>(&'v mut dyn VisitorMut<Break = ()>);

macro_rules! hand_on {
    ($($method:ident: $node:ty),* $(,)?) => {
        impl VisitorMut for Led<'_> {
            type Break = ();

            $(fn $method(&mut self, node: &mut $node) -> ControlFlow<()> {
                self.0.$method(node)
            })*
        }
    };
}

hand_on! {
    pre_visit_query: Query,
    post_visit_query: Query,
    pre_visit_select: Select,
    post_visit_select: Select,
    pre_visit_relation: ObjectName,
    post_visit_relation: ObjectName,
    pre_visit_table_factor: TableFactor,
    post_visit_table_factor: TableFactor,
    pre_visit_expr: Expr,
    post_visit_expr: Expr,
    pre_visit_statement: Statement,
    post_visit_statement: Statement,
    pre_visit_value: ValueWithSpan,
    post_visit_value: ValueWithSpan,
}
