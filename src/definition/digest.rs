//! `sha256`: the digest that a file must have.

use super::findings::Findings;
use super::paths::Paths;
use super::reader::TableReader;
use super::span::Spanned;

/// What a digest looks like, for the JSON schema.
pub(super) const PATTERN: &str = r"^[0-9a-fA-F]{64}$|\$\{";

/// The digest under `key`, in lower case.
pub(super) fn read(table: &mut TableReader<'_, '_>, key: &'static str) -> Option<Spanned<String>> {
    let mut digest: Spanned<String> = table.optional(key)?;
    check(&digest, table.findings);
    digest.value.make_ascii_lowercase();
    Some(digest)
}

/// The digest under `sha256` of the only one of `paths`.
pub(super) fn of_files(
    table: &mut TableReader<'_, '_>,
    paths: Option<&Paths>,
) -> Option<Spanned<String>> {
    let digest = read(table, "sha256")?;
    if let Some(paths) = paths
        && paths.single().is_none()
    {
        table
            .findings
            .add(digest.span, "one SHA-256 for several files")
            .label("expected only where `paths` is one file")
            .help("make a source of each file that has a digest");
    }
    Some(digest)
}

fn check(digest: &Spanned<String>, findings: &mut Findings) {
    let digits = digest.chars().filter(char::is_ascii_hexdigit).count();
    if digits != 64 || digest.len() != 64 {
        findings
            .add(digest.span, "no SHA-256")
            .label("expected 64 hexadecimal digits")
            .help("`sha256sum FILE` prints it");
    }
}
