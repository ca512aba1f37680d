//! `clipmill plan`: what a run would do, by table and reason.

use serde_json::{Map, Value, json};

use crate::base::Result;
use crate::base::units::count;
use crate::cli::args::{Format, Plan};
use crate::cli::console;
use crate::cli::exit::Code;
use crate::cli::session::Session;
use crate::cli::shell::CommandLine;
use crate::plan::{Reason, resolve_only};
use crate::run::{Options, Survey};

use super::{definition, drawing, run, summary};

/// Surveys a definition and says what was found.
///
/// # Errors
/// As a run before its first row: a wrong definition, missing inputs, a broken store.
pub(crate) fn perform(args: &Plan, session: &Session) -> Result<Code> {
    let pipeline = definition::read(&args.file, &args.set, session)?;
    let plan = resolve_only(&pipeline, &args.file, &args.only)?;
    let _watch = session.stop_on_signals()?;
    let options = Options {
        retry_rejects: args.retry_rejects,
        only: args.only.clone(),
        ..run::options(session)
    };
    let survey = crate::run::survey(&plan, &options)?;
    let code =
        if args.detailed_exitcode && survey.is_pending() { Code::Pending } else { Code::Success };
    match args.format {
        Format::Human => {
            survey.notes.iter().for_each(|note| session.say(note));
            if !session.quiet {
                console::print(&human(&survey, args))?;
            }
        }
        Format::Json => console::print(&object(&survey, code).to_string())?,
    }
    Ok(code)
}

/// One line a table and reason; tables without changes in one line.
fn human(survey: &Survey, args: &Plan) -> String {
    let mut rows = Vec::new();
    for table in &survey.tables {
        for (reason, n) in table.counts.iter().filter(|(_, n)| *n > 0) {
            rows.push(vec![table.table.clone(), reason.to_string(), count(n), what(reason).into()]);
        }
        let mut other = |why: &str, n: u64, then: &str| {
            rows.push(vec![table.table.clone(), why.to_owned(), count(n), then.to_owned()]);
        };
        let unchanged = !table.counts.has_changes();
        let stay = table.counts.get(Reason::UpToDate);
        // Rows that are computed are held against the new contract anyway.
        if table.contract_changed && (stay > 0 || unchanged) {
            other("under another contract", stay, "holds them against the new one");
        } else if table.pending && unchanged {
            match table.version {
                None => other("no version yet", 0, "makes an empty one"),
                Some(_) => other("part missing or damaged", 0, "makes the version anew"),
            }
        }
    }
    let drawn = drawing::table(&["table", "rows that are", "rows", "a run"], rows, &[2]);
    let broken = survey.broken.iter().map(|broken| {
        let checks: Vec<String> = broken.breaches.iter().map(summary::indented).collect();
        format!("\ncontract broken: {}\n{}", broken.table, checks.join("\n"))
    });
    let broken: String = broken.collect();
    let end = if survey.tables.iter().any(|table| table.pending) {
        let line = CommandLine::new("run", &args.file)
            .each("--set", &args.set)
            .each("--only", &args.only)
            .flag("--retry-rejects", args.retry_rejects);
        format!("Carry it out with: {line}")
    } else if !survey.broken.is_empty() {
        "Nothing to make, and a run ends with 4 until the data or the contract is mended."
            .to_owned()
    } else {
        "Nothing to do: every table is up to date.".to_owned()
    };
    let refused = match &survey.new_rejects {
        none if none.rows == 0 => String::new(),
        new => format!("\nWould be rejected, and was not before, {}", summary::shown(new)),
    };
    let took = survey.elapsed.as_secs_f64();
    format!("{drawn}{refused}{broken}\n{end}\nPlanned in {took:.2} s.")
}

/// What a run does with rows of this reason.
fn what(reason: Reason) -> &'static str {
    match reason {
        reason if reason.computes() => "computes them",
        Reason::Moved => "rewrites where they are from",
        Reason::Resumed => "takes over what an earlier run computed",
        Reason::Removed => "removes them",
        Reason::RejectedEarlier => "does not try them again",
        _ => "leaves them as they are",
    }
}

/// `{command, tables: {name: {reason: rows}}, …}`.
fn object(survey: &Survey, code: Code) -> Value {
    let tables = survey.tables.iter().map(|table| {
        let counts = table.counts.iter();
        let counts: Map<_, _> = counts.map(|(r, n)| (r.name().to_owned(), json!(n))).collect();
        (table.table.clone(), Value::Object(counts))
    });
    let pending = survey.tables.iter().filter(|table| table.pending);
    let changed = survey.tables.iter().filter(|table| table.contract_changed);
    json!({
        "command": "plan",
        "pipeline": survey.pipeline,
        "pending": survey.is_pending(),
        "tables": tables.collect::<Map<_, _>>(),
        "contract_changed": changed.map(|table| &table.table).collect::<Vec<_>>(),
        "broken": summary::broken(&survey.broken),
        "pending_tables": pending.map(|table| &table.table).collect::<Vec<_>>(),
        "notes": survey.notes,
        "new_rejects": summary::new_rejects(&survey.new_rejects),
        "seconds": survey.elapsed.as_secs_f64(),
        "exit_code": code.number(),
    })
}
