//! Same statement, same rows, same order.
//!
//! Polars leaves the order of groups, joined, distinct and equally sorted rows to chance unless
//! it is asked to keep it; its SQL does not ask. So it is asked for in the finished plan: groups
//! and distinct rows come in the order of their first row, joined rows in that of the left table
//! and then the right one, and rows that ORDER BY finds equal stay in the order they had.

use std::sync::Arc;

use polars::prelude::{DslPlan, JoinType, LazyFrame, MaintainOrderJoin};

/// The same frame with the order of its rows fixed.
pub(super) fn fixed(frame: &LazyFrame) -> LazyFrame {
    let options = frame.get_current_optimizations();
    LazyFrame::from_logical_plan(plan(&frame.logical_plan), options)
}

fn below(input: &mut Arc<DslPlan>) {
    *input = Arc::new(plan(input));
}

fn plan(plan_: &DslPlan) -> DslPlan {
    let mut fixed = match plan_ {
        // A plan that was already resolved keeps the text of it; that one is changed.
        DslPlan::IR { dsl, .. } => return plan(dsl),
        other => other.clone(),
    };
    match &mut fixed {
        DslPlan::GroupBy { input, maintain_order, .. } => {
            *maintain_order = true;
            below(input);
        }
        DslPlan::Distinct { input, options } => {
            options.maintain_order = true;
            options.keep_strategy = first(options.keep_strategy);
            below(input);
        }
        DslPlan::Sort { input, sort_options, .. } => {
            sort_options.maintain_order = true;
            below(input);
        }
        DslPlan::Union { inputs, args } => {
            args.maintain_order = true;
            inputs.iter_mut().for_each(|input| *input = plan(input));
        }
        DslPlan::Join { input_left, input_right, options, .. } => {
            let options = Arc::make_mut(options);
            options.args.maintain_order = match options.args.how {
                JoinType::Right => MaintainOrderJoin::RightLeft,
                _ => MaintainOrderJoin::LeftRight,
            };
            below(input_left);
            below(input_right);
        }
        DslPlan::HConcat { inputs, .. } => {
            inputs.iter_mut().for_each(|input| *input = plan(input));
        }
        DslPlan::Filter { input, .. }
        | DslPlan::Cache { input, .. }
        | DslPlan::Select { input, .. }
        | DslPlan::HStack { input, .. }
        | DslPlan::MatchToSchema { input, .. }
        | DslPlan::Slice { input, .. }
        | DslPlan::MapFunction { input, .. }
        | DslPlan::ExtContext { input, .. } => below(input),
        // Scans are in the order of their parts; the rest is not made by SQL.
        _ => {}
    }
    fixed
}

fn first(strategy: polars::prelude::UniqueKeepStrategy) -> polars::prelude::UniqueKeepStrategy {
    use polars::prelude::UniqueKeepStrategy;
    match strategy {
        UniqueKeepStrategy::Any => UniqueKeepStrategy::First,
        other => other,
    }
}
