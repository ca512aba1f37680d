//! SQL over the tables of a store.
//!
//! A [`Session`] answers statements over one state of a store: each table at one version, read
//! from exactly that version's Parquet parts. The SQL is that of Polars, with vectors:
//!
//! | function | value |
//! |---|---|
//! | `cosine(a, b)` | cosine of the angle, −1 to 1; NULL for a vector of zeros |
//! | `dot(a, b)` | dot product |
//! | `l2(a, b)` | Euclidean distance |
//! | `clip_text('two dogs on grass')` | the text as a vector of the model of the column that it is measured against |
//! | `clip_image('photo.jpg')` | the same for an image file |
//!
//! Each measure takes columns, query vectors or lists like `[0.1, 0.2]`, sums in double precision
//! ([`Measure`]) and returns a 64-bit float. NULL in, or a NULL inside of a vector, is NULL out;
//! vectors of different widths are an error, and so are embeddings of different models. A text is
//! encoded once for each table that it is measured against, however often it is written. Where no
//! column says which model is meant, the store's only model is.
//!
//! `SHOW TABLES`, `DESCRIBE t` and `EXPLAIN SELECT …` work too. Statements that write are refused.
//!
//! # Order
//!
//! The same statement over the same versions returns the same rows in the same order: without
//! ORDER BY that of the tables, groups in that of their first row, joined rows in that of the left
//! table, and ties of ORDER BY in the order they had.
//!
//! # Limits of the SQL
//!
//! What Polars does not have, or has otherwise than expected:
//!
//! - no recursive WITH, no LATERAL, no NATURAL joins over differing types, no GROUPING SETS, ROLLUP
//!   or CUBE, no `UNION BY NAME`, no window frames other than `ROWS`;
//! - `x = (SELECT …)` is refused, and a subquery among the columns: write `x IN (SELECT …)`, or join;
//! - ON holds equations of columns: a condition on one table belongs in WHERE, or in a subquery that is
//!   joined;
//! - HAVING takes aggregates; a condition on a group's key belongs in WHERE;
//! - after a join, a column that both tables have must be written with its table, also in ORDER BY;
//! - a WITH name or an alias must not be the name of another table;
//! - names are case-sensitive, functions and keywords are not;
//! - integer division gives a float, and division by zero an infinity;
//! - timestamps of tables are in UTC and compare with other such columns; to compare with a literal
//!   write `CAST(first_seen AS TIMESTAMP) > TIMESTAMP '2026-01-31 00:00:00'`;
//! - NULLs come last in ascending order and first in descending order, as in PostgreSQL;
//! - in a correlated subquery, the vector functions do not work: join instead;
//! - `read_parquet('file')` and `read_ipc('file')` read other files, as tables of FROM.
//!
//! # Panics of Polars
//!
//! A statement that makes Polars panic becomes an error; see [`THREAD`].

mod answer;
mod binding;
mod catalog;
mod cell;
mod complete;
mod damage;
mod distance;
mod encoders;
mod fault;
mod functions;
mod guard;
mod lineage;
mod order;
mod parts;
mod refusal;
mod rewrite;
mod scan;
mod session;
mod statement;
mod store;
mod tables_read;
mod vectors;
mod walk;
mod write;
mod words;

pub use answer::{Answer, AnswerColumn, Preview, TableStyle};
pub use catalog::{Catalog, ColumnEntry, TableEntry};
pub use complete::complete;
pub use distance::Measure;
pub use encoders::{Encoders, ImageInput};
pub use guard::THREAD;
pub use session::Session;
pub use statement::{Split, split_statements};
pub use tables_read::tables_read;
pub use vectors::{QueryVector, VectorSource};
pub use write::Format;
