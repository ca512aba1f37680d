//! The exit codes, in one table that `--help` and the README print.

use crate::base::Kind;

/// How a command ended, as scripts see it.
///
/// `plan --detailed-exitcode` needs 2 for "changes pending", as Terraform has it, so a wrong
/// command line is 3 and not the usual 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// Everything that was asked for is done.
    Success = 0,
    /// A definition is wrong, an input is missing or broken, a query or a run failed.
    Failure = 1,
    /// A plan found work to do, with `--detailed-exitcode`; or a definition and its lock differ.
    Pending = 2,
    /// The command line is wrong.
    Usage = 3,
    /// A table would break its contract; readers keep the old version.
    Contract = 4,
    /// Stopped by Ctrl-C or SIGTERM; what was finished is kept.
    Interrupted = 130,
}

impl Code {
    /// All codes, in the order of their numbers.
    pub const ALL: [Self; 6] = [
        Self::Success,
        Self::Failure,
        Self::Pending,
        Self::Usage,
        Self::Contract,
        Self::Interrupted,
    ];

    /// The number that the process exits with.
    #[must_use]
    pub fn number(self) -> u8 {
        self as u8
    }

    /// What the code means, in a few words.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure: a wrong definition, a missing or broken input, a failed run",
            Self::Pending => "changes pending (`plan --detailed-exitcode`, `check --locked`)",
            Self::Usage => "usage: the command line is wrong",
            Self::Contract => "contract broken: readers keep the tables' old versions",
            Self::Interrupted => "interrupted: what was finished is kept",
        }
    }

    /// The code for an error of this kind.
    #[must_use]
    pub fn of(kind: Kind) -> Self {
        match kind {
            Kind::Usage => Self::Usage,
            Kind::Contract => Self::Contract,
            Kind::Interrupted => Self::Interrupted,
            Kind::Definition
            | Kind::MissingInput
            | Kind::BadInput
            | Kind::Device
            | Kind::Store
            | Kind::Busy
            | Kind::Query
            | Kind::Io
            | Kind::Internal => Self::Failure,
        }
    }
}

/// The table as `--help` shows it, one line a code.
#[must_use]
pub fn table() -> String {
    Code::ALL
        .iter()
        .map(|code| format!("  {:>3}  {}", code.number(), code.meaning()))
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_all_are_in_the_table() {
        let table = table();
        let numbers: std::collections::BTreeSet<u8> =
            Code::ALL.iter().map(|code| code.number()).collect();
        assert_eq!(numbers.len(), Code::ALL.len());
        assert_eq!(table.lines().count(), Code::ALL.len());
        assert!(table.contains("    2  changes pending"), "{table}");
        assert!(table.contains("  130  interrupted"), "{table}");
    }
}
