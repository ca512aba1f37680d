//! The one door to Polars.
//!
//! Polars panics when its blocking calls run on a thread of a tokio runtime, and some statements
//! (a lone `ORDER BY 0` was one) make its SQL front end panic. So it is called on a thread of
//! its own, which no runtime owns, and a panic there becomes an error here. The process's panic
//! hook still sees the panic; a program that wants a quiet terminal may leave out threads called
//! [`THREAD`].

use std::panic::{AssertUnwindSafe, catch_unwind};

use polars::prelude::PolarsResult;

use crate::base::{Error, Kind, Result};

/// The name of the threads that call Polars.
pub const THREAD: &str = "clipmill-query";

/// Deeply nested expressions recurse in Polars; its optimiser takes about 10 KiB a level in
/// unoptimised builds.
const STACK_BYTES: usize = 64 << 20;

/// Runs `work` on a thread of its own; a panic becomes an error.
///
/// # Errors
/// What `work` returns, or its panic.
pub(super) fn outside_runtimes<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    std::thread::scope(|scope| {
        std::thread::Builder::new()
            .name(THREAD.into())
            .stack_size(STACK_BYTES)
            .spawn_scoped(scope, || catch_unwind(AssertUnwindSafe(work)))
            .map_err(|cause| Error::io("cannot start a thread", "query", cause))?
            .join()
            .and_then(|result| result)
            .unwrap_or_else(|payload| Err(of_panic(payload.as_ref())))
    })
}

fn of_panic(payload: &(dyn std::any::Any + Send)) -> Error {
    let said = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("no message");
    let first = said.lines().next().unwrap_or_default();
    Error::new(Kind::Query, format!("Polars cannot run this statement and gave up: {first}"))
        .help("write it another way; the limits of the SQL are listed in `clipmill::query`")
}

/// A Polars call that no text of a user can make fail.
pub(super) fn internal<T>(what: &str, result: PolarsResult<T>) -> Result<T> {
    result.map_err(|cause| Error::new(Kind::Internal, what.to_owned()).caused_by(cause))
}
