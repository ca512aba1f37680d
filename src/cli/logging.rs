//! The log: to standard error between the bars, and to a file when one is asked for.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::sync::Mutex;

use clap::ValueEnum;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use crate::base::{Error, Kind, Result};

use super::args::{Global, LogLevel};
use super::console::Console;
use super::progress::{Screen, TOLD};

/// The level on standard error: `--log-level`, else `-q` and `-v`, else warnings.
fn terminal_level(global: &Global) -> LevelFilter {
    match global.log_level {
        Some(level) => filter(level),
        None if global.quiet => LevelFilter::ERROR,
        None => match global.verbose {
            0 => LevelFilter::WARN,
            1 => LevelFilter::INFO,
            2 => LevelFilter::DEBUG,
            _ => LevelFilter::TRACE,
        },
    }
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Off => LevelFilter::OFF,
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

/// The flags that make another process log as this one does.
pub(crate) fn flags(global: &Global) -> Vec<OsString> {
    let mut flags: Vec<OsString> = Vec::new();
    if global.quiet {
        flags.push("--quiet".into());
    }
    flags.extend((0..global.verbose).map(|_| "--verbose".into()));
    if let Some(name) = global.log_level.and_then(|level| level.to_possible_value()) {
        flags.extend(["--log-level".into(), name.get_name().into()]);
    }
    if let Some(file) = &global.log_file {
        flags.extend(["--log-file".into(), file.clone().into_os_string()]);
    }
    flags
}

/// Our own lines at `level`; other crates' at `others`.
fn targets(level: LevelFilter, others: LevelFilter) -> Targets {
    Targets::new().with_default(others).with_target(env!("CARGO_CRATE_NAME"), level)
}

/// What other crates may say on standard error: warnings, to those who asked for more than ours.
/// What of theirs matters, our own lines say in our words.
fn others(level: LevelFilter) -> LevelFilter {
    if level > LevelFilter::WARN { LevelFilter::WARN } else { LevelFilter::OFF }
}

/// Starts the log.
///
/// # Errors
/// When the log's file cannot be opened, or a log was started before.
pub(crate) fn start(global: &Global, console: Console, screen: &Screen) -> Result<()> {
    let level = terminal_level(global);
    let terminal = fmt::layer()
        .with_writer(BetweenBars(screen.clone()))
        .with_ansi(console.err_color)
        .with_target(level >= LevelFilter::DEBUG)
        .without_time()
        // Who looks at the terminal has been told.
        .with_filter(targets(level, others(level)).with_target(TOLD, LevelFilter::OFF));
    let file = match &global.log_file {
        None => None,
        Some(path) => {
            let file = File::options()
                .create(true)
                .append(true)
                .open(path)
                .map_err(|cause| Error::io("cannot open the log", path.display(), cause))?;
            let level = global.log_level.map_or(LevelFilter::INFO, filter).max(level);
            let layer = fmt::layer()
                .with_writer(Mutex::new(file))
                .with_ansi(false)
                .with_target(level >= LevelFilter::DEBUG);
            Some(layer.with_filter(targets(level, level.min(LevelFilter::WARN))))
        }
    };
    tracing_subscriber::registry()
        .with(terminal)
        .with(file)
        .try_init()
        .map_err(|cause| Error::new(Kind::Internal, "a log was started before").caused_by(cause))
}

/// Tells the log's file what the terminal is told of an error.
pub(crate) fn fault(error: &Error) {
    tracing::error!(target: TOLD, "{error}");
    if let Some(report) = error.report() {
        for finding in &report.findings {
            let text = report.text_of(finding);
            let (line, column) = text.line_column(finding.span.start);
            tracing::error!(target: TOLD, "{}:{line}:{column}: {}", text.name, finding.message);
        }
    }
    if let Some(help) = error.help_text() {
        tracing::info!(target: TOLD, "help: {help}");
    }
    error.others().iter().for_each(fault);
}

/// Writes lines to standard error while the bars stand aside.
#[derive(Debug, Clone)]
struct BetweenBars(Screen);

impl<'a> MakeWriter<'a> for BetweenBars {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Write for BetweenBars {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.aside(|| io::stderr().write_all(bytes)).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        global: Global,
    }

    fn level(args: &[&str]) -> LevelFilter {
        let args = std::iter::once("x").chain(args.iter().copied());
        terminal_level(&Only::parse_from(args).global)
    }

    #[test]
    fn the_level_follows_the_flags() {
        assert_eq!(level(&[]), LevelFilter::WARN);
        assert_eq!(level(&["-q"]), LevelFilter::ERROR);
        assert_eq!(level(&["-vv"]), LevelFilter::DEBUG);
        assert_eq!(level(&["-v", "--log-level", "off"]), LevelFilter::OFF);
    }
}
