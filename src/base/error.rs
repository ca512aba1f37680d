//! The error of every room: what failed, where, and what to do about it.

use std::fmt;

/// What an error asks of the user; each has an exit code (see the README).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The command line is wrong.
    Usage,
    /// A definition or a contract file is wrong.
    Definition,
    /// An input that the definition names is not there.
    MissingInput,
    /// An input is there and cannot be used: a broken archive, an odd weight file.
    BadInput,
    /// The device or numeric type that was asked for is not there.
    Device,
    /// The store is damaged or of another format.
    Store,
    /// Another run holds the store, or changed it meanwhile.
    Busy,
    /// A table would break its contract.
    Contract,
    /// A query is wrong.
    Query,
    /// Stopped on request; what was finished is kept.
    Interrupted,
    /// The operating system said no: disk full, permission.
    Io,
    /// A fault of clipmill itself.
    Internal,
}

/// An error with its place, its cause and a way out.
///
/// `what` is a lower-case fragment that fits after "failed to …" or stands alone.
pub struct Error(Box<Inner>);

struct Inner {
    kind: Kind,
    what: String,
    place: Option<String>,
    help: Option<String>,
    apart_from_rows: bool,
    others: Vec<Error>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
    report: Option<super::diagnostic::Report>,
}

/// A result with this house's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `kind` that says `what` went wrong.
    pub fn new(kind: Kind, what: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            what: what.into(),
            place: None,
            help: None,
            apart_from_rows: false,
            others: Vec::new(),
            source: None,
            report: None,
        }))
    }

    /// An error about a definition, with every finding and its span.
    #[must_use]
    pub fn from_report(kind: Kind, report: super::diagnostic::Report) -> Self {
        let mut error = Self::new(kind, report.summary());
        error.0.report = Some(report);
        error
    }

    /// Puts all that is wrong into one error: the first, with the [`others`](Self::others) beside it.
    /// What is said twice is kept once.
    ///
    /// # Errors
    /// Where there is an error among them.
    pub fn all(errors: impl IntoIterator<Item = Self>) -> Result<()> {
        errors.into_iter().reduce(Self::with).map_or(Ok(()), Err)
    }

    /// The error, with another and its [`others`](Self::others) beside it, but for what it says itself.
    #[must_use]
    pub fn with(mut self, mut other: Self) -> Self {
        let more = std::mem::take(&mut other.0.others);
        for one in std::iter::once(other).chain(more) {
            let said = one.to_string();
            let known = self.to_string() == said
                || self.0.others.iter().any(|known| known.to_string() == said);
            if !known {
                self.0.others.push(one);
            }
        }
        self
    }

    /// An error of the operating system about `place`.
    pub fn io(what: impl Into<String>, place: impl fmt::Display, source: std::io::Error) -> Self {
        let help = match source.kind() {
            std::io::ErrorKind::StorageFull => {
                Some("the disk is full: make space and run again; what is committed is safe")
            }
            std::io::ErrorKind::PermissionDenied => {
                Some("check who owns it and what its permissions are")
            }
            _ => None,
        };
        let error = Self::new(Kind::Io, what).at(place).caused_by(source);
        match help {
            Some(help) => error.help(help),
            None => error,
        }
    }

    /// Says where: a file, a member, a table, a row.
    #[must_use]
    pub fn at(mut self, place: impl fmt::Display) -> Self {
        self.0.place = Some(place.to_string());
        self
    }

    /// Says what the user can do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.0.help = Some(help.into());
        self
    }

    /// Says that damaged rows of a table cannot have led to it, so that nobody looks for any.
    #[must_use]
    pub fn apart_from_rows(mut self) -> Self {
        self.0.apart_from_rows = true;
        self
    }

    /// Keeps the error that caused this one.
    #[must_use]
    pub fn caused_by(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// What the error asks of the user.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// Whether damaged rows of a table may have led to it: it is of [`Kind::Store`], and nobody said
    /// that it is [`apart_from_rows`](Self::apart_from_rows).
    #[must_use]
    pub fn may_be_damaged_rows(&self) -> bool {
        self.kind() == Kind::Store && !self.0.apart_from_rows
    }

    /// What went wrong, without place and cause.
    #[must_use]
    pub fn what(&self) -> &str {
        &self.0.what
    }

    /// What else is wrong and was found with it.
    #[must_use]
    pub fn others(&self) -> &[Self] {
        &self.0.others
    }

    /// Where it went wrong.
    #[must_use]
    pub fn place(&self) -> Option<&str> {
        self.0.place.as_deref()
    }

    /// What the user can do.
    #[must_use]
    pub fn help_text(&self) -> Option<&str> {
        self.0.help.as_deref()
    }

    /// Findings with spans, where the error is about a text.
    #[must_use]
    pub fn report(&self) -> Option<&super::diagnostic::Report> {
        self.0.report.as_ref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.0.place {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.0.what)?;
        let mut source: Option<&(dyn std::error::Error + 'static)> =
            self.0.source.as_deref().map(|s| s as _);
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.0.kind)?;
        if let Some(help) = &self.0.help {
            write!(f, " (help: {help})")?;
        }
        Ok(())
    }
}

// `source` is not exposed: Display already prints the whole chain, once.
impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_names_place_and_cause() {
        let error = Error::io("cannot read", "a.tar", std::io::Error::other("boom"));
        assert_eq!(error.to_string(), "a.tar: cannot read: boom");
    }

    #[test]
    fn only_a_store_may_have_damaged_rows() {
        let of = |kind| Error::new(kind, "failed").at("images").help("look");
        assert!(of(Kind::Store).may_be_damaged_rows());
        let others = [Kind::Busy, Kind::Contract, Kind::Io, Kind::Internal];
        assert!(others.iter().all(|kind| !of(*kind).may_be_damaged_rows()));
        let apart = Error::new(Kind::Store, "failed").apart_from_rows().at("images").help("look");
        assert!(!apart.may_be_damaged_rows());
    }

    #[test]
    fn all_that_is_wrong_is_one_error_that_says_nothing_twice() {
        let of = |place: &str| Error::new(Kind::BadInput, "is broken").at(place);
        assert!(Error::all([]).is_ok());
        let some = Error::all([of("b.tar"), of("c.tar")]).unwrap_err();
        let all = Error::all([of("a.tar"), some, of("c.tar"), of("a.tar")]).unwrap_err();
        assert_eq!(all.to_string(), "a.tar: is broken");
        let others: Vec<_> = all.others().iter().map(ToString::to_string).collect();
        assert_eq!(others, ["b.tar: is broken", "c.tar: is broken"]);
        assert!(all.others().iter().all(|one| one.others().is_empty()));
    }

    #[test]
    fn a_full_disk_says_so() {
        let error =
            Error::io("cannot write", "p", std::io::Error::from(std::io::ErrorKind::StorageFull));
        assert!(error.help_text().unwrap().contains("make space"));
    }
}
