//! `clipmill demo`: draws a data set, runs its pipeline, shows what came out.

use std::path::Path;
use std::time::Instant;

use serde_json::{Map, Value, json};

use crate::base::Result;
use crate::base::units::count;
use crate::cli::args::{Demo, Format};
use crate::cli::console;
use crate::cli::demo::{Contents, DEFINITION, Recipe, prepare};
use crate::cli::exit::Code;
use crate::cli::session::Session;
use crate::cli::shell::{self, CommandLine};
use crate::definition::model::Device;
use crate::query::TableStyle;
use crate::run::RunReport;

use super::demo_truth::{self, Truth};
use super::{definition, drawing, run, store, summary};

const COUNT_SQL: &str = "SELECT split, COUNT(DISTINCT image_id) AS images, COUNT(*) AS captions \
                         FROM captions GROUP BY split ORDER BY captions DESC, split";
/// In the words and the punctuation of the captions: a CLIP so small knows no others.
const SEARCH_SQL: &str = "SELECT image_id, cosine(embedding, \
                          clip_text('A large red star in the middle .')) AS score \
                          FROM image_features ORDER BY score DESC, image_id LIMIT 3";

/// What `--set` would say for all models of the definition to be on a device.
fn on_device(device: Option<Device>, file: &Path, session: &Session) -> Result<Vec<String>> {
    let Some(device) = device else { return Ok(Vec::new()) };
    let models = definition::read(file, &[], session)?.models;
    Ok(models.iter().map(|model| format!("models.{}.device={device}", model.name.value)).collect())
}

/// Makes and runs the demo.
///
/// # Errors
/// When the folder is not a demo's, writing fails, or the run does.
pub(crate) fn perform(args: &Demo, session: &Session) -> Result<Code> {
    let begun = Instant::now();
    let asked = Recipe::new(args.seed, args.images);
    let contents = {
        let _watch = session.stop_on_signals()?;
        prepare(&args.dir, (asked, !args.untrained), &super::schema::text()?, &session.cancel)?
    };
    told(&contents, asked, &args.dir, session);
    let definition = args.dir.join(DEFINITION);
    let sets = on_device(args.device, &definition, session)?;
    let wishes = run::Wishes { sets: &sets, ..run::Wishes::default() };
    let (plan, report) = run::carry_out(&definition, wishes, session)?;
    let code = summary::code(&report);
    let clock = std::sync::Arc::clone(&session.clock);
    let truth = demo_truth::measure(&plan, &contents.recipe, clock)?;
    match args.format {
        Format::Json => {
            let seconds = begun.elapsed().as_secs_f64();
            console::print(&object(&args.dir, &report, &truth, seconds).to_string())?;
        }
        Format::Human if !session.quiet => {
            let again = CommandLine::new("run", &definition).each("--set", &sets);
            console::print(&summary::human(&report, &again))?;
            if code == Code::Success {
                show(&definition, &truth, session)?;
            }
        }
        Format::Human => {}
    }
    summary::complain(&report, session);
    Ok(code)
}

/// What was drawn and what was there.
fn told(contents: &Contents, asked: Recipe, dir: &Path, session: &Session) {
    let place = dir.display();
    if !contents.written.is_empty() {
        session.say(&format!(
            "{place}: wrote {} ({} scenes, seed {})",
            contents.written.join(", "),
            count(contents.recipe.images.into()),
            contents.recipe.seed
        ));
    }
    if !contents.kept.is_empty() {
        session.say(&format!("{place}: kept {} as they are", contents.kept.join(", ")));
    }
    if contents.recipe != asked {
        session.say(&format!(
            "{place}: was drawn with {} scenes and seed {}; for others name another --dir",
            count(contents.recipe.images.into()),
            contents.recipe.seed
        ));
    }
}

fn show(definition: &Path, truth: &Truth, session: &Session) -> Result<()> {
    let tables = store::open(definition, &[], session)?;
    for sql in [COUNT_SQL, SEARCH_SQL] {
        let answer = tables.sql(sql)?;
        console::print(&format!("\n> {sql}\n{}", drawing::answer(&answer, TableStyle::default())))?;
    }
    console::print(&match truth.told() {
        Some(told) => format!("\n{told}\n"),
        None => "(The demo's CLIP has random weights: its scores are computed as any model's, and \
                 mean nothing.)\n"
            .to_owned(),
    })?;
    let file = shell::word(&definition.display().to_string());
    console::print(&format!(
        "Next:\n  \
         clipmill query {file} \"SELECT image_id, text FROM captions LIMIT 5\"\n  \
         clipmill query {file}          # a prompt\n  \
         clipmill run {file}            # again: nothing to do\n  \
         edit {file}, or replace the archives beside it, and run it again"
    ))
}

/// The closing object: its keys never change, only grow.
fn object(dir: &Path, report: &RunReport, truth: &Truth, seconds: f64) -> Value {
    let tables: Map<String, Value> = report
        .tables
        .iter()
        .map(|made| (made.table.clone(), json!({"version": made.version, "rows": made.rows})))
        .collect();
    let rejects: Map<String, Value> =
        report.rejects.iter().map(|(class, rows)| (class.to_string(), json!(rows))).collect();
    json!({"command": "demo", "dir": dir, "tables": tables, "rejects": rejects,
           "attributes_exact": truth.attributes_exact, "recall_at_1": truth.recall_at_1,
           "exit_code": summary::code(report).number(), "seconds": seconds})
}
