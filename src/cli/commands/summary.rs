//! What a run did, for people and for scripts.

use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::base::units::count;
use crate::cli::console;
use crate::cli::exit::Code;
use crate::cli::progress::TOLD;
use crate::cli::render::Annotation;
use crate::cli::session::Session;
use crate::cli::shell::CommandLine;
use crate::plan::{Plan, Reason};
use crate::run::clocks::Spent;
use crate::run::{
    Broken, NewReject, NewRejects, REJECTS, Refused, RunReport, StageTime, TableReport,
};
use crate::table::Breach;

use super::drawing;

/// The code of a run that came to its end or to a wish to stop.
#[must_use]
pub(crate) fn code(report: &RunReport) -> Code {
    if report.interrupted {
        Code::Interrupted
    } else if !report.broken.is_empty() {
        Code::Contract
    } else if !report.refused.is_empty() {
        Code::Failure
    } else {
        Code::Success
    }
}

/// Tables, rejects, time; the way on, where something is left to do.
#[must_use]
pub(crate) fn human(report: &RunReport, again: &CommandLine) -> String {
    let mut out = vec![tables(report)];
    if report.is_up_to_date() {
        out.push("Nothing to do: every table is up to date.".to_owned());
    }
    out.extend(rejected(report));
    out.extend(emptied(report));
    if report.new_rejects.rows > 0 {
        out.push(format!("New among them, {}", shown(&report.new_rejects)));
        out.push(format!("All rejects: {}", again.query("SELECT * FROM rejects")));
    }
    for (table, scores) in &report.scores {
        let row = |(name, value): (&String, &f64)| vec![name.clone(), format!("{value:.4}")];
        out.push(drawing::table(&[table, "score"], scores.iter().map(row).collect(), &[1]));
    }
    for (table, found) in &report.fidelity {
        let rows = count(found.rows);
        out.push(format!("{table}, {rows} rows in f32 too: {found}."));
    }
    for (table, rows) in &report.smaller_batches {
        let rows = count(*rows as u64);
        out.push(format!(
            "{table}: the device ran out of memory; the last batches were of {rows}."
        ));
    }
    if report.ignored > 0 {
        let what = if report.ignored == 1 { "member" } else { "members" };
        out.push(format!(
            "Passed over {} {what}: folders, files of other kinds, and what `include` leaves out.",
            count(report.ignored)
        ));
    }
    out.push(times(report));
    out.extend(queues(report));
    if report.interrupted {
        out.push(format!("Stopped on request; what was finished is kept. Go on with: {again}"));
    }
    out.join("\n")
}

/// How many rows were rejected, by class; nothing where none were.
fn rejected(report: &RunReport) -> Option<String> {
    let all: u64 = report.rejects.values().sum();
    let classes = report.rejects.iter().map(|(class, rows)| format!("{class} {}", count(*rows)));
    let classes: Vec<String> = classes.collect();
    let told = || format!("Rejected {}: {}.", count(all), classes.join(", "));
    (!classes.is_empty()).then(told)
}

/// Tables that this run left without a row, where it took rows out of them or refused what they were to
/// hold: legal, and seldom meant.
fn emptied(report: &RunReport) -> Vec<String> {
    let refused = |made: &TableReport| {
        report.new_rejects.first.iter().any(|reject| reject.stage == made.table)
    };
    let emptied = report.tables.iter().filter(|made| {
        let gone = made.counts.get(Reason::Removed);
        made.published && made.rows == 0 && made.table != REJECTS && (gone > 0 || refused(made))
    });
    let line = |made: &TableReport| match (made.counts.get(Reason::Removed), made.version) {
        (gone @ 1.., Some(version)) => format!(
            "`{table}` is empty now: the {} of before went with what they were made of. Mend that and \
             run again; until then `clipmill restore STORE {table} {}` brings them back.",
            match gone {
                1 => "one row".to_owned(),
                gone => format!("{} rows", count(gone)),
            },
            version - 1,
            table = made.table
        ),
        _ => format!("`{}` is empty: nothing of what it was to hold could be used.", made.table),
    };
    emptied.map(line).collect()
}

/// How many are refused now and were not before, and the first of each class: what, where, why.
pub(super) fn shown(new: &NewRejects) -> String {
    let all = new.first.len() as u64 == new.rows;
    let which = if all { "" } else { ", the first of each class" };
    let mut lines = vec![format!("{}{which}:", count(new.rows))];
    lines.extend(new.first.iter().map(|one| format!("  {one}")));
    lines.join("\n")
}

/// As [`shown`], for scripts.
pub(super) fn new_rejects(new: &NewRejects) -> Value {
    let first = new.first.iter().map(|NewReject { stage, reject }| {
        json!({
            "stage": stage, "source": *reject.origin.source, "member": *reject.origin.member,
            "offset": reject.origin.offset, "image_id": reject.image_id,
            "class": reject.class.name(), "message": reject.message,
        })
    });
    json!({"rows": new.rows, "first": first.collect::<Vec<_>>()})
}

/// Broken checks for scripts, one by one.
pub(super) fn broken(contracts: &[Broken]) -> Value {
    let checks = contracts.iter().flat_map(|broken| {
        broken.breaches.iter().map(|breach| {
            json!({
                "table": broken.table, "check": breach.check, "column": breach.column,
                "message": breach.message, "rows": breach.rows, "count": breach.count,
            })
        })
    });
    Value::Array(checks.collect())
}

/// A broken check and what breaks it, below the name of its table.
pub(super) fn indented(breach: &Breach) -> String {
    format!("  {}", breach.to_string().replace('\n', "\n  "))
}

/// Tells the log's file what a run did.
pub(crate) fn log(report: &RunReport) {
    for made in &report.tables {
        let version = made.version.map_or_else(|| "none".to_owned(), |version| version.to_string());
        tracing::info!(
            target: TOLD,
            "{}: {}, version {version}, {} rows, {} of them computed, {} taken over",
            made.table,
            outcome(report, made),
            count(made.rows),
            count(made.computed),
            count(made.resumed)
        );
    }
    let lines = rejected(report).into_iter().chain(emptied(report)).chain([times(report)]);
    for line in lines {
        tracing::info!(target: TOLD, "{line}");
    }
    for reject in &report.new_rejects.first {
        tracing::info!(target: TOLD, "rejected: {reject}");
    }
}

fn tables(report: &RunReport) -> String {
    let row = |made: &TableReport| {
        let version = made.version.map_or_else(|| "-".to_owned(), |version| version.to_string());
        vec![
            made.table.clone(),
            version,
            count(made.rows),
            count(made.computed),
            count(made.resumed),
            outcome(report, made).to_owned(),
        ]
    };
    let not_made = report
        .held_back
        .iter()
        .filter(|table| !report.tables.iter().any(|made| made.table == **table))
        .map(|table| {
            let none = || "-".to_owned();
            vec![table.clone(), none(), none(), none(), none(), "held back".to_owned()]
        });
    let rows = report.tables.iter().map(row).chain(not_made).collect();
    let header = ["table", "version", "rows", "computed", "taken over", "outcome"];
    drawing::table(&header, rows, &[1, 2, 3, 4])
}

/// What became of a table, in a word or two.
fn outcome(report: &RunReport, made: &TableReport) -> &'static str {
    if report.broken.iter().any(|broken| broken.table == made.table) {
        "contract broken"
    } else if report.refused.iter().any(|refused| refused.table == made.table) {
        "not in the lock"
    } else if report.held_back.contains(&made.table) {
        "held back"
    } else if made.published {
        "new version"
    } else if report.interrupted && made.computed + made.resumed > 0 {
        "kept aside"
    } else {
        "unchanged"
    }
}

fn times(report: &RunReport) -> String {
    let seconds = report.elapsed.as_secs_f64();
    let mut out = format!("Took {seconds:.1} s");
    if report.images > 0 {
        out.push_str(&format!(
            "; {} images, {:.0} images/s",
            count(report.images),
            report.images_per_second()
        ));
    }
    if let Some(slowest) = report.slowest().filter(|_| !report.is_up_to_date()) {
        let took = |stage: &StageTime| {
            format!("{} {:.1} s", stage.tables.join(" with "), stage.took.as_secs_f64())
        };
        let stages: Vec<String> = report.stages.iter().map(took).collect();
        let slowest = slowest.tables.join(" with ");
        out.push_str(&format!(". Stages: {}; the bottleneck was {slowest}", stages.join(", ")));
    }
    let parts: Vec<String> = report
        .spent
        .iter()
        .filter(|(_, spent)| !spent.busy.is_zero())
        .map(|(part, spent)| format!("{part} {:.1} s", spent.busy.as_secs_f64()))
        .collect();
    if !parts.is_empty() {
        out.push_str(&format!(". Busy: {}", parts.join(", ")));
    }
    if let Some(part) = report.bottleneck.filter(|_| !report.is_up_to_date()) {
        out.push_str(&format!("; the bottleneck was {part}"));
    }
    out.push('.');
    out
}

/// How long the parts waited for each other, and how full the queues between them were; nothing
/// where nothing went through them.
fn queues(report: &RunReport) -> Option<String> {
    if report.queues.is_empty() || report.is_up_to_date() {
        return None;
    }
    let waits = report.spent.iter().filter_map(|(part, spent)| {
        let waits = [(spent.starved, "for input"), (spent.blocked, "for room")];
        let waits = waits.iter().filter(|(time, _)| !time.is_zero());
        let waits: Vec<_> =
            waits.map(|(time, what)| format!("{:.1} s {what}", time.as_secs_f64())).collect();
        (!waits.is_empty()).then(|| format!("{part} {}", waits.join(" and ")))
    });
    let queues = report.queues.iter().map(|(queue, depth)| {
        format!("{queue} {:.1} of {}, at most {}", depth.mean, depth.capacity, depth.highest)
    });
    let (waits, queues): (Vec<_>, Vec<_>) = (waits.collect(), queues.collect());
    Some(format!("Waited: {}. Queues: {}.", waits.join(", "), queues.join("; ")))
}

/// `{command, tables, rejects, …}`: one object, its keys fixed.
#[must_use]
pub(crate) fn json(command: &str, report: &RunReport) -> Value {
    let tables: Map<String, Value> = report
        .tables
        .iter()
        .map(|made| {
            let value = json!({
                "version": made.version,
                "rows": made.rows,
                "computed": made.computed,
                "resumed": made.resumed,
                "published": made.published,
            });
            (made.table.clone(), value)
        })
        .collect();
    let rejects: Map<String, Value> =
        report.rejects.iter().map(|(class, rows)| (class.to_string(), json!(rows))).collect();
    let seconds = |of: fn(&Spent) -> Duration| -> Map<String, Value> {
        let parts = report.spent.iter();
        parts.map(|(part, spent)| ((*part).to_owned(), json!(of(spent).as_secs_f64()))).collect()
    };
    let stages: Vec<Value> = report
        .stages
        .iter()
        .map(|stage| json!({"tables": stage.tables, "seconds": stage.took.as_secs_f64()}))
        .collect();
    let queues: Map<String, Value> = report
        .queues
        .iter()
        .map(|(queue, depth)| {
            let value = json!({
                "capacity": depth.capacity, "mean": depth.mean, "highest": depth.highest,
            });
            ((*queue).to_owned(), value)
        })
        .collect();
    let refused: Vec<Value> = report
        .refused
        .iter()
        .map(|refused| {
            json!({"table": refused.table, "locked": refused.expected, "found": refused.found,
                   "kept_back": refused.kept_back})
        })
        .collect();
    json!({
        "command": command,
        "pipeline": report.pipeline,
        "tables": tables,
        "rejects": rejects,
        "new_rejects": new_rejects(&report.new_rejects),
        "ignored": report.ignored,
        "broken": broken(&report.broken),
        "held_back": report.held_back,
        "scores": report.scores,
        "fidelity": report.fidelity,
        "smaller_batches": report.smaller_batches,
        "refused": refused,
        "interrupted": report.interrupted,
        "images_per_second": report.images_per_second(),
        "stages": stages,
        "slowest_stage": report.slowest().filter(|_| !report.is_up_to_date()).map(|s| &s.tables),
        "busy_seconds": seconds(|spent| spent.busy),
        "starved_seconds": seconds(|spent| spent.starved),
        "blocked_seconds": seconds(|spent| spent.blocked),
        "queues": queues,
        "bottleneck": report.bottleneck.filter(|_| !report.is_up_to_date()),
        "seconds": report.elapsed.as_secs_f64(),
        "exit_code": code(report).number(),
    })
}

fn refusal(refused: &Refused) -> String {
    let expected = refused.expected.map_or_else(|| "nothing".to_owned(), |digest| digest.short());
    let found = refused.found.short();
    let table = &refused.table;
    if refused.kept_back {
        format!("{table} would hold {found}, the lock says {expected}; it was not published")
    } else {
        format!("{table} holds {found}, the lock says {expected}")
    }
}

/// An annotation for each broken check and each refused table, on its stage.
#[must_use]
pub(crate) fn github(report: &RunReport, plan: &Plan, definition: &Path) -> Vec<Annotation> {
    let annotation = |table: &str, title: String, message: String| Annotation {
        file: definition.display().to_string(),
        place: plan.places.get(table).copied(),
        title,
        message,
    };
    let broken = report.broken.iter().flat_map(|broken| {
        broken.breaches.iter().map(|breach| {
            let title = format!("contract broken: {}", broken.table);
            annotation(&broken.table, title, breach.to_string())
        })
    });
    let refused = report
        .refused
        .iter()
        .map(|refused| annotation(&refused.table, "not in the lock".to_owned(), refusal(refused)));
    broken.chain(refused).collect()
}

/// Shows broken contracts on standard error, offending rows and all.
pub(crate) fn complain(report: &RunReport, session: &Session) {
    let (red, off) = if session.console.err_color { ("\x1b[1;31m", "\x1b[0m") } else { ("", "") };
    for broken in &report.broken {
        console::complain(&format!("{red}contract broken{off}: {}", broken.table));
        for breach in &broken.breaches {
            let rows = count(breach.count);
            tracing::error!(
                target: TOLD,
                "contract broken: {}: {}: {}; {rows} offend",
                broken.table,
                breach.check,
                breach.message
            );
            console::complain(&indented(breach));
        }
    }
    if !report.broken.is_empty() {
        console::complain(
            "help: readers keep the old version, and what was computed is kept for the next run; \
             mend the data or the contract and run again",
        );
    }
    for refused in &report.refused {
        tracing::error!(target: TOLD, "not in the lock: {}", refusal(refused));
        console::complain(&format!("{red}not in the lock{off}: {}", refusal(refused)));
    }
    if !report.refused.is_empty() {
        console::complain(
            "help: readers keep the old versions, and what was computed is kept for the next run; \
             if it is meant, run without --locked, then `clipmill lock`",
        );
    }
    if !report.held_back.is_empty() {
        console::complain(&format!("not made because of that: {}", report.held_back.join(", ")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_each_stage_is_told_and_images_have_a_rate_of_their_own() {
        let stage = |tables: &[&str], seconds| StageTime {
            tables: tables.iter().map(|table| (*table).to_owned()).collect(),
            took: Duration::from_secs(seconds),
            images: tables.contains(&"images"),
        };
        let mut report = RunReport { images: 100, ..RunReport::default() };
        report.elapsed = Duration::from_secs(51);
        report.stages = vec![stage(&["images", "image_features"], 10), stage(&["captions"], 40)];
        report.interrupted = true;
        let said = times(&report);
        let expected = "Took 51.0 s; 100 images, 10 images/s. Stages: images with image_features \
                        10.0 s, captions 40.0 s; the bottleneck was captions.";
        assert_eq!(said, expected);
        let json = json("run", &report);
        assert_eq!(json["images_per_second"], 10.0);
        assert_eq!(json["stages"][0]["tables"], json!(["images", "image_features"]));
        assert_eq!(json["stages"][1]["seconds"], 40.0);
        assert_eq!(json["slowest_stage"], json!(["captions"]));
    }

    #[test]
    fn a_batch_that_was_halved_is_told_to_people_and_scripts() {
        let mut report = RunReport::default();
        report.smaller_batches.insert("image_features".to_owned(), 16);
        let said = human(&report, &CommandLine::new("run", Path::new("pipeline.toml")));
        let line = "image_features: the device ran out of memory; the last batches were of 16.";
        assert!(said.lines().any(|said| said == line), "{said}");
        assert_eq!(json("run", &report)["smaller_batches"], json!({"image_features": 16}));
    }
}
