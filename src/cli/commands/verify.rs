//! `clipmill verify`: everything is read again.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::base::Result;
use crate::base::files::read_text_capped;
use crate::base::units::{Bytes, count};
use crate::cli::args::{Format, Verify};
use crate::cli::console;
use crate::cli::exit::Code;
use crate::cli::session::Session;
use crate::definition::contract::{TableKind, builtin, for_stage};
use crate::plan::contract::Contract;
use crate::plan::digests::FileDigests;
use crate::plan::{Work, resolve, state_folder};
use crate::run::{METRICS, REJECTS, checkpoints};
use crate::sources;
use crate::table::{Fault, Store, Verdict};

use super::store::{self, Found};
use super::{definition, drawing};

const CONTRACT_CAP_BYTES: u64 = 1 << 20;

/// Reads the tables again and, by a definition, its sources, weights and kept indexes.
///
/// # Errors
/// When there is no store, or a log cannot be read. What is damaged is no error but said, with
/// the exit code 1.
pub(crate) fn perform(args: &Verify, session: &Session) -> Result<Code> {
    let found = store::find(&args.place.store, &args.place.set, session)?;
    let tables = found.tables(args.table.as_deref())?;
    let _watch = session.stop_on_signals()?;
    let mut verdicts = Vec::new();
    for table in tables {
        session.progress.note(&format!("reading {table}"));
        let contract = contract(&found, &table)?;
        let mut verdict = found.store.verify(&table, contract.as_ref(), &session.cancel)?;
        // rows that cannot be read are told of already
        if verdict.faults.is_empty() {
            verdict.faults = gone_checkpoints(&found.store, &table)?;
        }
        verdicts.push((table, verdict));
    }
    let by_definition = !args.place.store.is_dir() && args.table.is_none();
    let inputs = match by_definition {
        true => Some(inputs(args, &found, session)?),
        false => None,
    };
    let faults: Vec<&Fault> = verdicts
        .iter()
        .flat_map(|(_, verdict)| &verdict.faults)
        .chain(inputs.iter().flat_map(|inputs| &inputs.faults))
        .collect();
    let code = if faults.is_empty() { Code::Success } else { Code::Failure };
    match args.place.format {
        Format::Json => {
            console::print(&object(&verdicts, inputs.as_ref(), &faults, code).to_string())?;
        }
        Format::Human => console::print(&human(&verdicts, inputs.as_ref(), &faults))?,
    }
    Ok(code)
}

/// The contract of a table as the definition has it; none where no definition is known.
fn contract(found: &Found, table: &str) -> Result<Option<Contract>> {
    let Some((pipeline, file)) = &found.made_by else { return Ok(None) };
    match table {
        REJECTS => return builtin(TableKind::Rejects).map(Some),
        METRICS => return builtin(TableKind::Metrics).map(Some),
        _ => {}
    }
    let Some(stage) = pipeline.order().find(|stage| stage.table.value == table) else {
        return Ok(None);
    };
    let Some(path) = &stage.contract else { return for_stage(stage, None).map(Some) };
    let path = file.parent().unwrap_or(Path::new(".")).join(&path.value);
    if !path.is_file() {
        // the store may have gone elsewhere without its definition: the key is checked
        return Ok(None);
    }
    let text = read_text_capped(&path, CONTRACT_CAP_BYTES)?;
    for_stage(stage, Some((&path.display().to_string(), &text))).map(Some)
}

/// Checkpoints that the rows of a table name and that are not there.
fn gone_checkpoints(store: &Store, table: &str) -> Result<Vec<Fault>> {
    let Some(snapshot) = store.snapshot(table)? else { return Ok(Vec::new()) };
    let wrong = checkpoints::missing(store, &snapshot)?.into_iter().map(|error| Fault {
        place: error.place().unwrap_or(table).to_owned(),
        what: format!("a checkpoint that `{table}` names {}", error.what()),
        help: "get its folder from a copy of the store, or run the pipeline again: it trains anew"
            .to_owned(),
    });
    Ok(wrong.collect())
}

/// What a definition reads.
struct Inputs {
    files: u64,
    archives: u64,
    members: u64,
    faults: Vec<Fault>,
}

fn inputs(args: &Verify, found: &Found, session: &Session) -> Result<Inputs> {
    let file = &args.place.store;
    let pipeline = definition::read(file, &args.place.set, session)?;
    let state = state_folder(found.store.root());
    session.progress.note("reading weights and other files with kept digests");
    // before the plan is resolved, which takes digests that are kept for granted
    let (files, wrong) = FileDigests::open(&state).verify(&session.cancel)?;
    let forged = wrong.into_iter().map(|path| Fault {
        place: path.display().to_string(),
        what: "its bytes are others than its kept digest says, though size, times and inode are \
               the same"
            .to_owned(),
        help: format!(
            "delete {} so that all digests are taken anew, then run again",
            state.join("digests.json").display()
        ),
    });
    let mut inputs = Inputs { files, archives: 0, members: 0, faults: forged.collect() };
    let plan = resolve(&pipeline, file)?;
    for stage in &plan.stages {
        let Work::IndexImages(work) = &stage.work else { continue };
        session.progress.note(&format!("reading {}", work.source.name));
        for verdict in sources::verify(&work.source, &state.join("index"), &session.cancel)? {
            inputs.archives += 1;
            inputs.members += verdict.members;
            let Some(index) = verdict.index else { continue };
            inputs.faults.extend(verdict.faults.into_iter().map(|what| Fault {
                place: verdict.path.display().to_string(),
                what: format!("its kept index is wrong: {what}"),
                help: format!("delete {} and run again", index.display()),
            }));
        }
    }
    Ok(inputs)
}

fn human(verdicts: &[(String, Verdict)], inputs: Option<&Inputs>, faults: &[&Fault]) -> String {
    let rows = verdicts.iter().map(|(table, verdict)| {
        vec![
            table.clone(),
            verdict.version.map_or_else(|| "-".to_owned(), |version| version.to_string()),
            count(verdict.parts),
            count(verdict.old_parts),
            count(verdict.rows),
            Bytes(verdict.size_bytes).to_string(),
            count(verdict.faults.len() as u64),
        ]
    });
    let header = ["table", "version", "parts", "old parts", "rows", "size", "faults"];
    let mut out = vec![drawing::table(&header, rows.collect(), &[1, 2, 3, 4, 5, 6])];
    if let Some(inputs) = inputs {
        out.push(format!(
            "Read again: {} files with kept digests, {} archives with {} indexed members.",
            count(inputs.files),
            count(inputs.archives),
            count(inputs.members)
        ));
    }
    for fault in faults {
        let help = fault.help.replace('\n', "\n  ");
        out.push(format!(
            "{}\n  {}\n  help: {help}",
            fault.place,
            fault.what.replace('\n', "\n  ")
        ));
    }
    out.push(match faults.len() {
        0 => "Everything is as it was written.".to_owned(),
        1 => "1 fault.".to_owned(),
        more => format!("{} faults.", count(more as u64)),
    });
    out.join("\n")
}

fn object(
    verdicts: &[(String, Verdict)],
    inputs: Option<&Inputs>,
    faults: &[&Fault],
    code: Code,
) -> Value {
    let told =
        |fault: &Fault| json!({"place": fault.place, "what": fault.what, "help": fault.help});
    let tables: Map<String, Value> = verdicts
        .iter()
        .map(|(table, verdict)| {
            let value = json!({
                "version": verdict.version, "parts": verdict.parts,
                "old_parts": verdict.old_parts, "rows": verdict.rows,
                "size_bytes": verdict.size_bytes, "faults": verdict.faults.len(),
            });
            (table.clone(), value)
        })
        .collect();
    let inputs = inputs.map(|inputs| {
        json!({
            "files": inputs.files, "archives": inputs.archives, "members": inputs.members,
            "faults": inputs.faults.len(),
        })
    });
    json!({
        "command": "verify", "tables": tables, "inputs": inputs,
        "faults": faults.iter().map(|fault| told(fault)).collect::<Vec<_>>(),
        "exit_code": code.number(),
    })
}
