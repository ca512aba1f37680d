//! Locked runs: tables hold what the lock says, or stay as they are.

use crate::base::Result;
use crate::plan::contract::Contract;
use crate::table::Change;

use super::context::Context;
use super::report::Refused;

/// Whether a lock forbids this change of `table`; without a change, what the table holds now.
pub(super) fn refusal(
    ctx: &Context<'_>,
    table: &str,
    contract: &Contract,
    change: Option<&Change>,
) -> Result<Option<Refused>> {
    let Some(locked) = &ctx.plan.locked else { return Ok(None) };
    let found = match change {
        Some(change) => ctx.store.content_after(table, contract, change)?,
        None => match ctx.store.snapshot(table)? {
            Some(snapshot) => snapshot.content_digest()?,
            None => return Ok(None),
        },
    };
    let expected = locked.get(table).copied();
    Ok((expected != Some(found)).then(|| Refused {
        table: table.to_owned(),
        expected,
        found,
        kept_back: change.is_some(),
    }))
}
