//! One walk over statements, for all that look at them or change them.
//!
//! sqlparser's own is some five thousand functions, compiled anew for each type that is led along:
//! six of them were a sixth of what the compiler had to do for this library. Here it is one.

use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, ObjectName, Query, Select, Statement, TableFactor, ValueWithSpan, VisitMut, VisitorMut,
};

/// Leads `visitor` through `node`; whether it broke off. Why, it keeps itself.
pub(super) fn walk(
    node: &mut impl VisitMut,
    visitor: &mut dyn VisitorMut<Break = ()>,
) -> ControlFlow<()> {
    node.visit(&mut Led(visitor))
}

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
