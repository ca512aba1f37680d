//! The command line, as the user typed it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::definition::model::Device;

use super::captioner_args::{Caption, Evaluate, ExportCheckpoint, ImportCheckpoint, Train};
pub use super::format::Format;

/// Turns image-caption archives into CLIP feature tables, and answers SQL over them.
#[derive(Debug, Parser)]
#[command(name = "clipmill", version, arg_required_else_help = true, max_term_width = 100)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Settings that every command takes.
    #[command(flatten)]
    pub global: Global,
}

/// Settings that every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Say only what went wrong: no progress, no notes
    #[arg(short, long, global = true, hide_short_help = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Log more: -v info, -vv debug, -vvv trace
    #[arg(short, long, global = true, hide_short_help = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Log level; wins over -q and -v
    #[arg(long, global = true, hide_short_help = true, value_name = "LEVEL")]
    pub log_level: Option<LogLevel>,
    /// Append the log to this file too (at level info, or --log-level)
    #[arg(long, global = true, hide_short_help = true, value_name = "FILE")]
    pub log_file: Option<PathBuf>,
    /// Colours in messages; auto looks at the terminal and at NO_COLOR
    #[arg(
        long,
        global = true,
        hide_short_help = true,
        value_name = "WHEN",
        default_value = "auto"
    )]
    pub color: Color,
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// Nothing.
    Off,
    /// Only what failed.
    Error,
    /// And what is suspicious.
    Warn,
    /// And what is done.
    Info,
    /// And how.
    Debug,
    /// And every detail.
    Trace,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Draw a small data set, run its pipeline, and show what came out
    Demo(Demo),
    /// Check definitions; needs no data, no weights and no network
    Check(Check),
    /// Say what a run would do, by table and reason; computes and changes nothing
    Plan(Plan),
    /// Say of one image what its rows were made from, and what a run would do with them
    Explain(Explain),
    /// Carry a definition out: read, decode, encode, and write the tables
    Run(Run),
    /// Train a definition's captioner; goes on where an earlier training stopped
    Train(Train),
    /// Caption image files with a definition's captioner
    Caption(Caption),
    /// Score a captioner's captions against those of people
    Evaluate(Evaluate),
    /// Take over a captioner that was trained by a PyTorch project
    ImportCheckpoint(ImportCheckpoint),
    /// Write a captioner as one file, for other programs
    ExportCheckpoint(ExportCheckpoint),
    /// Compute units of another process's run
    #[command(hide = true)]
    Work(Work),
    /// Write down what definitions are and made, in clipmill.lock beside them
    Lock(Lock),
    /// Answer SQL over a store's tables
    Query(Query),
    /// List a table's versions: when, what was done, which rows, why
    History(History),
    /// Show which rows differ between two versions of a table
    Diff(Diff),
    /// Make a new version of a table that equals an old one
    Restore(Restore),
    /// Delete files that no recent version of a table needs
    Vacuum(Vacuum),
    /// Read everything again and say what is damaged
    Verify(Verify),
    /// Print a completion script for a shell
    Completions(Completions),
    /// Print the JSON schema of definitions, for editors
    Schema,
}

/// How a command that continuous integration runs says what it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Report {
    /// Text for people.
    #[default]
    Human,
    /// One JSON object on standard output; progress stays on standard error.
    Json,
    /// Text for people, and on standard output GitHub's annotations (`::error file=…::…`).
    Github,
}

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub struct Demo {
    /// Folder to write the demo to; made when it is not there
    #[arg(long, value_name = "DIR", default_value = "clipmill-demo")]
    pub dir: PathBuf,
    /// How many pictures to draw
    #[arg(long, value_name = "N", default_value_t = 2000,
          value_parser = clap::value_parser!(u32).range(8..=100_000))]
    pub images: u32,
    /// Seed of the drawings and of the model's weights
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Leave training out: features of a CLIP of random weights, and no captioner; takes seconds
    #[arg(long)]
    pub untrained: bool,
    /// What all models run on in this run, in place of what the definition says: cpu, cuda, cuda:N
    /// or auto
    #[arg(long, value_name = "DEVICE")]
    pub device: Option<Device>,
    /// How the result is said
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub format: Format,
}

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct Check {
    /// Definitions to check
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Replace a value before the check: --set stages.images.source=photos
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Also compare with clipmill.lock, and tell what a run would make anew; exits with 2 when
    /// they differ. Needs no data, no weights and no store
    #[arg(long)]
    pub locked: bool,
    /// Write the result to this file too, as JUnit XML
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// How the result is said
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub format: Report,
}

/// Arguments of `lock`.
#[derive(Debug, Args)]
pub struct Lock {
    /// Definitions to lock; those of one folder share its clipmill.lock
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// How the result is said
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub format: Format,
}

/// Arguments of `plan`.
#[derive(Debug, Args)]
pub struct Plan {
    /// The definition
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Replace a value first: --set models.clip.dtype=bf16
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Look only at this table, and those it is made from; may be given more than once
    #[arg(long, value_name = "TABLE")]
    pub only: Vec<String>,
    /// As if the run tried again what was refused before
    #[arg(long)]
    pub retry_rejects: bool,
    /// Exit with 2 when a run would change something
    #[arg(long)]
    pub detailed_exitcode: bool,
    /// How the result is said
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub format: Format,
}

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub struct Explain {
    /// The definition
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The image
    #[arg(value_name = "IMAGE_ID")]
    pub image_id: String,
    /// Of its captions only this one
    #[arg(long, value_name = "N")]
    pub caption: Option<i32>,
    /// Replace a value first
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// How the result is said
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub format: Format,
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct Run {
    /// The definition
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Replace a value first: --set stages.image_features.batch_size=8
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Make only this table, and those it is made from; may be given more than once
    #[arg(long, value_name = "TABLE")]
    pub only: Vec<String>,
    /// Try again what was refused before
    #[arg(long)]
    pub retry_rejects: bool,
    /// Wait for another run on the same store instead of failing
    #[arg(long)]
    pub wait: bool,
    /// Processes that compute; the rows do not depend on their number. Where models ask for `cuda`
    /// or `auto`, and for no certain GPU, the processes take the GPUs in turn
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub jobs: u16,
    /// Refuse what clipmill.lock does not name: other definitions, inputs or weights before any
    /// work, and tables with other rows than the lock says
    #[arg(long)]
    pub locked: bool,
    /// Write the contracts' checks to this file too, as JUnit XML
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// How the result is said
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub format: Report,
}

/// Arguments of `work`.
#[derive(Debug, Args)]
pub struct Work {
    /// File with an order as JSON, `{"unit": {…}}`; `-` takes orders from standard input, one a line
    #[arg(value_name = "ORDER")]
    pub order: PathBuf,
}

/// Arguments of `query`.
#[derive(Debug, Args)]
pub struct Query {
    /// A definition, or a store's folder
    #[arg(value_name = "STORE_OR_FILE")]
    pub store: PathBuf,
    /// The statement; `-` reads it from standard input; without one a prompt opens
    #[arg(value_name = "SQL", allow_hyphen_values = true)]
    pub sql: Option<String>,
    /// Replace a value of the definition first
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// How the rows are written
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub format: Rows,
    /// Read an old version: --at captions=3, or --at 3 where the statement reads one table
    #[arg(long, value_name = "[TABLE=]VERSION")]
    pub at: Vec<String>,
    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Show how the statement would be carried out, and do not carry it out
    #[arg(long)]
    pub explain: bool,
}

/// A store, named by its folder or by the definition that makes it.
#[derive(Debug, Clone, Args)]
pub struct Place {
    /// A definition, or a store's folder
    #[arg(value_name = "STORE_OR_FILE")]
    pub store: PathBuf,
    /// Replace a value of the definition first
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// How the result is said
    #[arg(long, value_name = "FORMAT", default_value = "human")]
    pub format: Format,
}

/// Arguments of `history`.
#[derive(Debug, Args)]
pub struct History {
    /// Where the tables are.
    #[command(flatten)]
    pub place: Place,
    /// The table; all without it
    #[arg(value_name = "TABLE")]
    pub table: Option<String>,
    /// Show only the newest versions
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
}

/// Arguments of `diff`.
#[derive(Debug, Args)]
pub struct Diff {
    /// Where the table is.
    #[command(flatten)]
    pub place: Place,
    /// The table
    #[arg(value_name = "TABLE")]
    pub table: String,
    /// Two versions, as 3..5; `3..` goes to the newest
    #[arg(value_name = "FROM..TO")]
    pub versions: String,
    /// Rows that are shown; JSON has all without it
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
}

/// Arguments of `restore`.
#[derive(Debug, Args)]
pub struct Restore {
    /// Where the table is.
    #[command(flatten)]
    pub place: Place,
    /// The table
    #[arg(value_name = "TABLE")]
    pub table: String,
    /// The version whose rows the new one has
    #[arg(value_name = "VERSION")]
    pub version: i64,
}

/// Arguments of `vacuum`.
#[derive(Debug, Args)]
pub struct Vacuum {
    /// Where the tables are.
    #[command(flatten)]
    pub place: Place,
    /// The table; all without it
    #[arg(value_name = "TABLE")]
    pub table: Option<String>,
    /// Keep what was in use within this time: 30m, 12h, 7d, 2w
    #[arg(long, value_name = "AGE", default_value = "7d", value_parser = super::age::parse)]
    pub older_than: std::time::Duration,
    /// Only say what would be deleted
    #[arg(long)]
    pub dry_run: bool,
}

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// Where the tables are.
    #[command(flatten)]
    pub place: Place,
    /// The table; everything without it
    #[arg(value_name = "TABLE")]
    pub table: Option<String>,
}

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Rows {
    /// A drawn table.
    #[default]
    Table,
    /// One JSON array of row objects.
    Json,
    /// One JSON object a line.
    Jsonl,
    /// RFC 4180, with a header.
    Csv,
    /// A Parquet file.
    Parquet,
    /// An Arrow IPC file.
    Arrow,
}

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: clap_complete::Shell,
}
