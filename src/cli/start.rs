//! From the process's arguments to its exit code.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::FromArgMatches;
use clap::error::ErrorKind;
use serde_json::json;

use crate::base::Error;
use crate::base::environment::Environment;
use crate::nn::keep_cores_free;
use crate::query;

use super::args::{Arguments, Command, Format, Report, Rows};
use super::commands;
use super::console::{self, Console};
use super::exit::Code;
use super::grammar::grammar;
use super::logging;
use super::progress::{Screen, TOLD};
use super::render;
use super::session::Session;
use super::shell;

/// Does what the command line asks, says what failed, and gives the exit code.
#[must_use]
pub fn main(args: Vec<OsString>, environment: &Environment) -> ExitCode {
    // Before there is a second thread.
    keep_cores_free(environment);
    mute_queries();
    let typed = typed(&args);
    let parsed = grammar()
        .try_get_matches_from(args)
        .and_then(|matches| Arguments::from_arg_matches(&matches));
    let code = match parsed {
        Ok(arguments) => perform(&arguments, &typed, environment),
        Err(wrong) => explain_usage(&wrong),
    };
    ExitCode::from(code.number())
}

/// Polars panics on some statements. That becomes an error with a place and a help; what the hook
/// would print beside it, a file of Polars and a backtrace's hint, helps nobody.
fn mute_queries() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if std::thread::current().name() != Some(query::THREAD) {
            hook(info);
        }
    }));
}

/// Help and version are answers; everything else clap says is a wrong command line.
fn explain_usage(wrong: &clap::Error) -> Code {
    // Nobody is left to tell when the stream is gone.
    let _gone = wrong.print();
    match wrong.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Code::Success,
        _ => Code::Usage,
    }
}

/// The command line, as a shell reads it back.
fn typed(args: &[OsString]) -> String {
    let words = args.iter().skip(1).map(|word| shell::word(&word.to_string_lossy()));
    words.collect::<Vec<_>>().join(" ")
}

fn perform(arguments: &Arguments, typed: &str, environment: &Environment) -> Code {
    let global = &arguments.global;
    let console = Console::new(global.color, environment);
    let screen = Screen::new(console.err_terminal && !global.quiet);
    let session = Session::new(global, console, &screen, environment);
    // What a process does for a run is in that run's story.
    let helps = matches!(arguments.command, Command::Work(_));
    let result = logging::start(global, console, &screen).and_then(|()| {
        if !helps {
            let version = env!("CARGO_PKG_VERSION");
            tracing::info!(target: TOLD, "clipmill {version} begins: {typed}");
        }
        commands::perform(&arguments.command, &session)
    });
    let code = match result {
        Ok(code) => code,
        Err(error) => {
            logging::fault(&error);
            screen.aside(|| console::complain(&render::error_human(&error, console.err_color)));
            if let Some(name) = json_name(&arguments.command) {
                explain_json(name, &error);
            }
            if let Command::Run(run) = &arguments.command
                && run.format == Report::Github
                && let Err(second) = console::print(&render::error_github(&error, &run.file))
            {
                console::complain(&render::error_human(&second, false));
            }
            Code::of(error.kind())
        }
    };
    if !helps {
        tracing::info!(target: TOLD, "ends with exit code {}", code.number());
    }
    code
}

/// The command's name, where its output was to be a JSON object.
fn json_name(command: &Command) -> Option<&'static str> {
    let (name, json) = match command {
        Command::Demo(demo) => ("demo", demo.format == Format::Json),
        Command::Check(check) => ("check", check.format == Report::Json),
        Command::Lock(lock) => ("lock", lock.format == Format::Json),
        Command::Plan(plan) => ("plan", plan.format == Format::Json),
        Command::Explain(explain) => ("explain", explain.format == Format::Json),
        Command::Run(run) => ("run", run.format == Report::Json),
        Command::Train(train) => ("train", train.format == Format::Json),
        Command::Caption(caption) => ("caption", caption.format == Format::Json),
        Command::Evaluate(evaluate) => ("evaluate", evaluate.format == Format::Json),
        Command::ImportCheckpoint(import) => ("import-checkpoint", import.format == Format::Json),
        Command::History(history) => ("history", history.place.format == Format::Json),
        Command::Diff(diff) => ("diff", diff.place.format == Format::Json),
        Command::Restore(restore) => ("restore", restore.place.format == Format::Json),
        Command::Vacuum(vacuum) => ("vacuum", vacuum.place.format == Format::Json),
        Command::Verify(verify) => ("verify", verify.place.format == Format::Json),
        Command::Query(query) => ("query", query.format == Rows::Json),
        Command::Work(_)
        | Command::ExportCheckpoint(_)
        | Command::Completions(_)
        | Command::Schema => return None,
    };
    json.then_some(name)
}

/// A script that reads standard output learns there what failed.
fn explain_json(name: &str, error: &Error) {
    let object = json!({
        "command": name,
        "error": render::error_json(error),
        "exit_code": Code::of(error.kind()).number(),
    });
    if let Err(second) = console::print(&object.to_string()) {
        console::complain(&render::error_human(&second, false));
    }
}
