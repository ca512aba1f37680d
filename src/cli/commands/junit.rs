//! Results as JUnit XML, which build servers show as tests.

use std::io::Write;
use std::path::Path;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use crate::base::files::write_named;
use crate::base::{Error, Kind, Result};
use crate::cli::render;
use crate::plan::Plan;
use crate::run::{METRICS, REJECTS, RunReport};

/// How one case ended.
pub(super) enum Ended {
    Well,
    /// A short message, and everything that is known.
    Badly(String, String),
    /// Not tried, and why.
    Skipped(String),
}

/// One suite of cases, to be written as a file.
pub(super) struct Cases {
    suite: TestSuite,
}

impl Cases {
    pub(super) fn new(suite: &str) -> Self {
        Self { suite: TestSuite::new(suite) }
    }

    pub(super) fn add(&mut self, class: &str, name: &str, ended: Ended) {
        let status = match ended {
            Ended::Well => TestCaseStatus::success(),
            Ended::Badly(message, everything) => {
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                status.set_message(message).set_description(everything);
                status
            }
            Ended::Skipped(why) => {
                let mut status = TestCaseStatus::skipped();
                status.set_message(why);
                status
            }
        };
        let mut case = TestCase::new(name, status);
        case.set_classname(class);
        self.suite.add_test_case(case);
    }

    /// An error as a case that ended badly.
    pub(super) fn fault(&mut self, class: &str, name: &str, error: &Error) {
        let everything = render::error_human(error, false);
        self.add(class, name, Ended::Badly(error.to_string(), everything));
    }

    /// # Errors
    /// When the file cannot be written.
    pub(super) fn write(self, path: &Path) -> Result<()> {
        let mut report = Report::new("clipmill");
        report.add_test_suite(self.suite);
        let text = report.to_string().map_err(|cause| {
            Error::new(Kind::Internal, "cannot write JUnit XML").at(path.display()).caused_by(cause)
        })?;
        write_named(path, |to| {
            to.write_all(text.as_bytes())
                .map_err(|cause| Error::io("cannot write", path.display(), cause))
        })
    }
}

/// The checks of every table's contract, one case each.
pub(super) fn contracts(plan: &Plan, report: &RunReport) -> Cases {
    let mut cases = Cases::new("contracts");
    let stages = plan.stages.iter().map(|stage| (stage.table.as_str(), &stage.contract));
    let others = [(REJECTS, &plan.rejects), (METRICS, &plan.metrics)];
    for (table, contract) in stages.chain(others) {
        let broken = report.broken.iter().find(|broken| broken.table == table);
        let refused = report.refused.iter().any(|refused| refused.table == table);
        let seen = broken.is_some() || report.tables.iter().any(|made| made.table == table);
        // Where nothing was measured, nothing is said of it.
        if table == METRICS && !seen {
            continue;
        }
        let skipped = if refused {
            Some("the lock says otherwise: the table was not published")
        } else if report.held_back.iter().any(|held| held == table) || !seen {
            Some("the table was not made")
        } else {
            None
        };
        for check in &contract.checks {
            let breach = broken.and_then(|b| b.breaches.iter().find(|x| x.check == check.name));
            let ended = match (breach, skipped) {
                (Some(breach), _) => Ended::Badly(breach.message.clone(), breach.to_string()),
                (None, Some(why)) => Ended::Skipped(why.to_owned()),
                (None, None) => Ended::Well,
            };
            cases.add(table, &check.name, ended);
        }
        if refused {
            let why = "it would hold other rows than the lock says";
            cases.add(table, "lock", Ended::Badly(why.to_owned(), why.to_owned()));
        }
    }
    cases
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::environment::Environment;
    use crate::base::files::read_text_capped;
    use crate::plan::resolve;
    use crate::run::Broken;
    use crate::table::Breach;

    const DEFINITION: &str = r#"
        [pipeline]
        name = "small"
        store = "store"

        [sources.photos.folder]
        paths = "photos"

        [stages.images.index_images]
        source = "photos"
    "#;

    #[test]
    fn a_broken_contract_of_metrics_is_a_case_that_failed_and_none_measured_is_no_case() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("photos")).unwrap();
        let file = dir.path().join("pipeline.toml");
        let environment = Environment::default();
        let pipeline = crate::definition::parse("p", DEFINITION, &environment, &[]).unwrap();
        let plan = resolve(&pipeline, &file).unwrap();
        let xml = |report: &RunReport| {
            contracts(&plan, report).write(&dir.path().join("run.xml")).unwrap();
            read_text_capped(&dir.path().join("run.xml"), 1 << 20).unwrap()
        };
        assert!(!xml(&RunReport::default()).contains(METRICS));

        let breach = Breach {
            check: "value_is_finite".to_owned(),
            column: Some("value".to_owned()),
            message: "`value` is NaN or infinite".to_owned(),
            rows: Vec::new(),
            count: 1,
        };
        let broken = vec![Broken { table: METRICS.to_owned(), breaches: vec![breach] }];
        let xml = xml(&RunReport { broken, ..RunReport::default() });
        assert!(xml.contains("failures=\"1\""), "{xml}");
        let case = "<testcase name=\"value_is_finite\" classname=\"metrics\"";
        let (_, after) = xml.split_once(case).unwrap();
        assert!(after.trim_start_matches('>').trim_start().starts_with("<failure"), "{xml}");
    }
}
