//! A plan, the run it foretells, and what is left to do after it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use clipmill::base::Cancel;
use clipmill::base::clock::SystemClock;
use clipmill::base::environment::Environment;
use clipmill::base::progress::Silent;
use clipmill::plan::{Counts, Plan, Reason};
use clipmill::run::{Options, RunReport, Survey};

use super::house::{House, told};

pub fn options() -> Options {
    Options {
        cancel: Cancel::new(),
        progress: Arc::new(Silent),
        clock: Arc::new(SystemClock),
        retry_rejects: false,
        only: Vec::new(),
        wait: false,
    }
}

pub fn resolve(file: &Path) -> Plan {
    let text = clipmill::base::files::read_text_capped(file, 1 << 20).unwrap();
    let name = file.display().to_string();
    let pipeline = clipmill::definition::parse(&name, &text, &Environment::default(), &[]);
    let pipeline = pipeline.unwrap_or_else(|error| panic!("{error:?}"));
    clipmill::plan::resolve(&pipeline, file).unwrap()
}

/// The definition of a house; one that was renamed wins.
pub fn definition(house: &House) -> Plan {
    let renamed = house.path("other.toml");
    let mut plan = resolve(&if renamed.exists() { renamed } else { house.path("pipeline.toml") });
    let raised = std::fs::read_to_string(house.path(RAISED)).unwrap_or_default();
    for stage in plan.stages.iter_mut().filter(|stage| stage.work.name() == raised) {
        let version = format!("{raised}/99");
        stage.fingerprint = std::mem::take(&mut stage.fingerprint).with("operator", version);
    }
    plan
}

/// A file of a house that names the operator of which a newer clipmill computes other numbers.
pub const RAISED: &str = "raised";

/// What a house would do and what it then did.
pub struct Step {
    pub foreseen: Survey,
    pub report: RunReport,
}

/// Plans and runs; whatever else is tested, the two must agree, and nothing is left to do.
pub fn step(house: &House) -> Step {
    step_with(house, &options())
}

pub fn step_with(house: &House, options: &Options) -> Step {
    let step = plan_and_run(house, options);
    let plain = |table: &str| table != "rejects";
    assert_eq!(
        foreseen(&step.foreseen, plain),
        done(&step.report, plain),
        "the plan differs from the run"
    );
    step
}

/// As [`step_with`], without comparing the two. What was published is told as it is.
pub fn plan_and_run(house: &House, options: &Options) -> Step {
    let before = tree(&house.path("store"));
    let versions = told::versions(house);
    let plan = definition(house);
    let foreseen = clipmill::run::survey(&plan, options).unwrap();
    assert_eq!(tree(&house.path("store")), before, "a plan changed the store");
    let report = clipmill::run::run(&plan, options).unwrap();
    assert!(report.broken.is_empty(), "{:?}", report.broken);
    told::check(house, &versions);
    assert_eq!(foreseen.is_pending(), !report.is_up_to_date(), "{foreseen:?}\n{report:?}");
    // As the next command sees it: with the models that were trained.
    let plan = definition(house);
    let settled = clipmill::run::survey(&plan, &self::options()).unwrap();
    assert!(!settled.is_pending(), "something is left to do: {settled:?}");
    // The short cut says what a look at every row says.
    let kept = house.path("store").join("_clipmill/settled.json");
    let _ = std::fs::remove_file(&kept);
    let looked = clipmill::run::survey(&plan, &self::options()).unwrap();
    assert_eq!(looked.tables, settled.tables);
    let _ = std::fs::remove_file(&kept);
    let again = clipmill::run::run(&plan, &self::options()).unwrap();
    assert!(again.is_up_to_date(), "a second run did something: {again:?}");
    assert_eq!(again.images, 0, "a second run read images");
    Step { foreseen, report }
}

pub fn foreseen(survey: &Survey, of: impl Fn(&str) -> bool) -> BTreeMap<String, String> {
    let tables = survey.tables.iter().filter(|table| of(&table.table));
    tables.map(|table| (table.table.clone(), all(&table.counts))).collect()
}

pub fn done(report: &RunReport, of: impl Fn(&str) -> bool) -> BTreeMap<String, String> {
    let tables = report.tables.iter().filter(|table| of(&table.table));
    tables.map(|table| (table.table.clone(), all(&table.counts))).collect()
}

/// Every reason with rows: `new 3, up_to_date 5`.
pub fn all(counts: &Counts) -> String {
    let some: Vec<_> = counts.iter().filter(|(_, rows)| *rows > 0).collect();
    let words: Vec<_> = some.iter().map(|(r, rows)| format!("{} {rows}", r.name())).collect();
    words.join(", ")
}

/// What was not up to date: `captions new 2; examples new 2`, and of `rejects`, too.
pub fn changes(report: &RunReport) -> String {
    let mut words = Vec::new();
    for table in &report.tables {
        for (reason, rows) in table.counts.iter() {
            if rows > 0 && reason != Reason::UpToDate {
                words.push(format!("{} {} {rows}", table.table, reason.name()));
            }
        }
    }
    words.join("; ")
}

/// Names, sizes and times of all files below a folder but the caches of digests.
fn tree(root: &Path) -> Vec<(String, u64, std::time::SystemTime)> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else { continue };
        for entry in entries {
            let entry = entry.unwrap();
            let path = entry.path();
            let meta = entry.metadata().unwrap();
            if path == root.join("_clipmill") {
                continue;
            }
            if meta.is_dir() {
                folders.push(path);
            } else {
                let name = path.display().to_string();
                found.push((name, meta.len(), meta.modified().unwrap()));
            }
        }
    }
    found.sort();
    found
}
