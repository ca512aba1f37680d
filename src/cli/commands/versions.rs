//! Which version of which table: `--at captions=3`, `--at 3`, and `3..5`.

use std::collections::BTreeMap;

use crate::base::{Error, Kind, Result};
use crate::query::tables_read;

/// The versions that `--at` names. A number alone is for the one table that `sql` reads.
///
/// # Errors
/// [`Kind::Usage`] when one is no version, or it is unclear of which table.
pub(crate) fn of(
    at: &[String],
    sql: Option<&str>,
    tables: &[String],
) -> Result<BTreeMap<String, i64>> {
    let mut versions = BTreeMap::new();
    for text in at {
        let (table, number) = match text.split_once('=') {
            Some((table, number)) => (table.trim().to_owned(), number),
            None => (the_only_table(text, sql, tables)?, text.as_str()),
        };
        let version = version(number).ok_or_else(|| {
            Error::new(Kind::Usage, format!("--at wants TABLE=VERSION, got `{text}`"))
                .help("for example --at captions=3; `clipmill history` lists versions")
        })?;
        if versions.insert(table.clone(), version).is_some() {
            return Err(Error::new(Kind::Usage, format!("--at names `{table}` twice")));
        }
    }
    Ok(versions)
}

fn the_only_table(text: &str, sql: Option<&str>, tables: &[String]) -> Result<String> {
    let read: Vec<String> = match sql {
        Some(sql) => tables_read(sql)?.into_iter().filter(|name| tables.contains(name)).collect(),
        None => Vec::new(),
    };
    match read.as_slice() {
        [only] => Ok(only.clone()),
        [] => Err(Error::new(Kind::Usage, format!("of which table is version {text}?"))
            .help(format!("name it: --at {}={text}", tables.first().map_or("t", |t| t)))),
        [first, ..] => Err(Error::new(
            Kind::Usage,
            format!("the statement reads {}: version {text} of which?", read.join(" and ")),
        )
        .help(format!("name it: --at {first}={text}"))),
    }
}

fn version(text: &str) -> Option<i64> {
    text.trim().parse::<i64>().ok().filter(|version| *version >= 0)
}

/// The two versions of `3..5`; the second is none in `3..`.
///
/// # Errors
/// [`Kind::Usage`] when it is no such range.
pub(crate) fn range(text: &str) -> Result<(i64, Option<i64>)> {
    let wrong = || {
        Error::new(Kind::Usage, format!("expected two versions such as 3..5, got `{text}`"))
            .help("`3..` compares with the newest; `clipmill history` lists versions")
    };
    let (from, to) = text.split_once("..").ok_or_else(wrong)?;
    let from = version(from).ok_or_else(wrong)?;
    if to.trim().is_empty() {
        return Ok((from, None));
    }
    Ok((from, Some(version(to).ok_or_else(wrong)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_alone_is_for_the_one_table_that_is_read() {
        let tables = ["captions".to_owned(), "images".to_owned()];
        let at = |at: &[&str], sql: &str| {
            let at: Vec<String> = at.iter().map(|text| (*text).to_owned()).collect();
            of(&at, Some(sql), &tables)
        };
        let one = "SELECT COUNT(*) FROM captions WHERE text IN (SELECT text FROM captions)";
        assert_eq!(at(&["3"], one).unwrap(), BTreeMap::from([("captions".to_owned(), 3)]));
        let two = "SELECT 1 FROM captions c JOIN images i ON c.image_id = i.image_id";
        assert!(at(&["3"], two).unwrap_err().what().contains("captions and images"));
        let both = at(&["captions=3", "images=0"], two).unwrap();
        assert_eq!(both.len(), 2);
        for wrong in [&["captions=x"][..], &["captions=-1"], &["captions=1", "captions=2"]] {
            assert_eq!(at(wrong, one).unwrap_err().kind(), Kind::Usage);
        }
        assert_eq!(of(&["3".to_owned()], None, &tables).unwrap_err().kind(), Kind::Usage);
    }

    #[test]
    fn ranges_have_two_ends_or_one() {
        assert_eq!(range("3..5").unwrap(), (3, Some(5)));
        assert_eq!(range("5..3").unwrap(), (5, Some(3)));
        assert_eq!(range("3..").unwrap(), (3, None));
        for wrong in ["3", "..5", "a..b", "3..-1", "3...5"] {
            assert!(range(wrong).is_err(), "{wrong}");
        }
    }
}
