//! Delta Lake tables: parts, commits, snapshots, scans, and contract checks.
//!
//! A [`Store`] is a folder; each table in it is a folder with Parquet parts and a Delta log, which
//! pandas, Polars, DuckDB and Spark read. Rows become visible in two steps:
//!
//! 1. [`PartWriter::finish`] makes a part *durable*: written and synced below the hidden folder
//!    `_clipmill/staged`, with a manifest beside it. A run that dies later finds it again with
//!    [`Store::staged`].
//! 2. [`Store::publish`] checks the contract over the version to be, and makes all parts of a run
//!    *visible* in one commit. If the contract is broken, readers keep the old version and the
//!    parts stay staged.
//!
//! Who writes holds the [`StoreLock`]; who reads holds a [`Snapshot`], which no later commit
//! changes. Every call blocks and may come from any thread, those of rayon included.
//!
//! Deliberately absent: compaction by rewriting, partitions, deletion vectors, remote storage.

mod breach;
mod cache;
mod check;
mod contents;
mod damaged;
mod diff;
mod distance;
mod folder;
mod history;
mod identity;
mod journal;
mod key;
mod loaded;
mod lock;
mod log;
mod lookup;
mod manifest;
mod note;
mod part;
mod publish;
mod read;
mod restore;
mod row_check;
mod runtime;
pub mod schema;
mod snapshot;
mod stats;
pub mod storage;
mod store;
mod sweep;
mod vacuum;
mod verify;
mod verify_old;
mod writer;

pub use breach::{Breach, SHOWN_ROWS};
pub use check::reject_breaches;
pub use diff::{CellDiff, Diff, How, RowDiff};
pub use distance::{Distance, Furthest};
pub use history::PastVersion;
pub use key::{Key, KeyPart};
pub use lock::{Holder, StoreLock};
pub use note::{Commit, CommitNote};
pub use part::{Damage, FORMAT, Part, PartLabel, Seal, StagedPart, TAIL_BYTES, total_rows};
pub use publish::{Change, Outcome};
pub use restore::Restored;
pub use schema::arrow_schema;
pub use snapshot::{Scan, Snapshot};
pub use store::{MARKER, STORE_FORMAT, Store};
pub use vacuum::{OldFile, Vacuumed};
pub use verify::{Fault, Verdict};
pub use writer::PartWriter;
