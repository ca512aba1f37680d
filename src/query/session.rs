//! Statements over one state of a store.

use std::sync::Arc;

use polars::prelude::{DataFrame, IntoColumn, NamedFrom, PlSmallStr, Series};
use polars::sql::SQLContext;
use sqlparser::ast::{ObjectName, Query, Spanned};

use super::answer::Answer;
use super::binding;
use super::catalog::Catalog;
use super::distance::Measure;
use super::fault::{Text, choices};
use super::functions::{Functions, PREFIX};
use super::guard::{internal, outside_runtimes};
use super::lineage::{self, Lineage};
use super::rewrite::Call;
use super::statement::{Statement, is_like, parse};
use super::tables_read::relations;
use super::vectors::VectorSource;
use super::{damage, parts, refusal, rewrite, scan};
use crate::base::Result;

/// Answers statements over the tables of a catalog, which never change under it.
pub struct Session {
    catalog: Catalog,
    vectors: Arc<dyn VectorSource>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("catalog", &self.catalog).finish_non_exhaustive()
    }
}

impl Session {
    /// A session over these tables.
    #[must_use]
    pub fn over(catalog: Catalog, vectors: Arc<dyn VectorSource>) -> Self {
        Self { catalog, vectors }
    }

    /// The tables that it sees.
    #[must_use]
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Answers one statement; may be called from any thread, also one of a tokio runtime, which
    /// it blocks.
    ///
    /// # Errors
    /// [`crate::base::Kind::Query`] with the place in the text for a statement that is wrong or
    /// would write; what the [`VectorSource`] says; [`crate::base::Kind::Store`] for a part that
    /// cannot be read.
    pub fn sql(&self, statement: &str) -> Result<Answer> {
        let text = Text::new(statement);
        match parse(&text)? {
            Statement::Select(query) => self.run(&text, *query, false),
            Statement::Explain(query) => self.run(&text, *query, true),
            Statement::ShowTables(like) => self.show_tables(like.as_deref()),
            Statement::Describe(name) => self.describe(&text, &name),
        }
    }

    /// The plan by which a SELECT would be answered; other statements have none and are answered.
    ///
    /// # Errors
    /// As [`Session::sql`].
    pub fn explain(&self, statement: &str) -> Result<Answer> {
        let text = Text::new(statement);
        match parse(&text)? {
            Statement::Select(query) | Statement::Explain(query) => self.run(&text, *query, true),
            _ => self.sql(statement),
        }
    }

    fn run(&self, text: &Text, mut query: Query, explain: bool) -> Result<Answer> {
        let calls = rewrite::rewrite(text, &mut query)?;
        let lineage = lineage::trace(text, &self.catalog, &query)?;
        let vectors = binding::bind(text, &self.catalog, &lineage, &calls, self.vectors.as_ref())?;
        outside_runtimes(|| {
            let explained = explain.then_some(calls.as_slice());
            let frame = self.collect(text, &lineage, &mut query, vectors, explained)?;
            Ok(Answer::new(frame))
        })
    }

    fn collect(
        &self,
        text: &Text,
        lineage: &Lineage,
        query: &mut Query,
        vectors: Vec<Vec<f32>>,
        explained: Option<&[Call]>,
    ) -> Result<DataFrame> {
        let names = relations(query);
        let conditions = refusal::conditions(query);
        let written = if explained.is_some() { query.to_string() } else { String::new() };
        let mut measures = Measure::ALL.to_vec();
        measures.retain(|measure| written.contains(&format!("{PREFIX}{}(", measure.name())));
        let refused = |cause| {
            let read = self.catalog.tables().iter().filter(|table| names.contains(&table.name));
            damage::explain(read, cause)
                .unwrap_or_else(|cause| refusal::explain(text, lineage, &conditions, cause))
        };
        let mut context =
            SQLContext::new().with_function_registry(Arc::new(Functions::new(vectors)));
        for table in self.catalog.tables() {
            let frame = scan::frame(table).map_err(|cause| {
                damage::explain(std::iter::once(table), cause)
                    .unwrap_or_else(|cause| refusal::unreadable(table, cause))
            })?;
            context.register(&table.name, frame);
        }
        let frame = parts::resolve(&mut context, query).map_err(refused)?;
        if let Some(calls) = explained {
            let plan = frame.describe_optimized_plan().map_err(refused)?;
            let plan = self.readable(plan, calls, &measures);
            return texts(vec![("plan", plan.lines().map(str::to_owned).collect())]);
        }
        frame.collect().map_err(refused)
    }

    /// A plan with `table/file` in place of the files' whole paths, and with the calls that the
    /// numbered query vectors stand for. Polars writes no name of an added function: that of the
    /// measure is known where the statement has one only.
    fn readable(&self, mut plan: String, calls: &[Call], measures: &[Measure]) -> String {
        if let [measure] = measures {
            plan = plan.replace(".([", &format!(".{}([", measure.name()));
        }
        for (number, call) in calls.iter().enumerate() {
            plan = plan.replace(&format!("\"{number}\".()"), &call.source.to_string());
        }
        for table in self.catalog.tables() {
            for part in &table.parts {
                if let (Some(path), Some(file)) = (part.to_str(), part.file_name()) {
                    let short = format!("{}/{}", table.name, file.to_string_lossy());
                    plan = plan.replace(path, &short);
                }
            }
        }
        plan
    }

    fn show_tables(&self, like: Option<&str>) -> Result<Answer> {
        let tables = self.catalog.tables().iter();
        let tables: Vec<_> =
            tables.filter(|table| like.is_none_or(|like| is_like(&table.name, like))).collect();
        let numbers = |name: &str, of: fn(&super::TableEntry) -> i64| {
            Series::new(name.into(), tables.iter().map(|table| of(table)).collect::<Vec<_>>())
                .into_column()
        };
        let names: Vec<&str> = tables.iter().map(|table| table.name.as_str()).collect();
        let columns = vec![
            Series::new("name".into(), names).into_column(),
            numbers("version", |table| table.version),
            numbers("rows", |table| i64::try_from(table.rows).unwrap_or(i64::MAX)),
            numbers("columns", |table| i64::try_from(table.columns.len()).unwrap_or(i64::MAX)),
        ];
        internal("list the tables", DataFrame::new_infer_height(columns)).map(Answer::new)
    }

    fn describe(&self, text: &Text, name: &ObjectName) -> Result<Answer> {
        let written = name.0.last().and_then(|part| part.as_ident()).map(|i| i.value.as_str());
        let Some(table) = written.and_then(|name| self.catalog.table(name)) else {
            let there = self.catalog.tables().iter().map(|table| table.name.as_str());
            return Err(text.error_at(
                name.span(),
                &format!("there is no table '{name}'"),
                "unknown table",
                Some(choices(&name.to_string(), "tables", there)),
            ));
        };
        let text_of = |name: &str, what: fn(&super::ColumnEntry) -> String| {
            let values: Vec<String> = table.columns.iter().map(what).collect();
            Series::new(name.into(), values).into_column()
        };
        let nullable: Vec<bool> = table.columns.iter().map(|column| column.nullable).collect();
        let columns = vec![
            text_of("column", |column| column.name.clone()),
            text_of("type", super::ColumnEntry::type_name),
            Series::new("nullable".into(), nullable).into_column(),
            text_of("unit", |column| column.unit.clone()),
            text_of("meaning", |column| column.meaning.clone()),
        ];
        internal("describe the table", DataFrame::new_infer_height(columns)).map(Answer::new)
    }
}

fn texts(columns: Vec<(&str, Vec<String>)>) -> Result<DataFrame> {
    let columns = columns
        .into_iter()
        .map(|(name, values)| Series::new(PlSmallStr::from_str(name), values).into_column())
        .collect();
    internal("make a table of texts", DataFrame::new_infer_height(columns))
}
