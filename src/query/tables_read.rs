//! Which tables a statement names.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use sqlparser::ast::{ObjectName, VisitMut, VisitorMut};

use super::statement::{split_statements, syntax};
use super::walk::walk;
use crate::base::{Error, Kind, Result};

/// The tables that the statements of `sql` read or describe, sorted; names of WITH queries are
/// among them, for a statement says not which is which.
///
/// # Errors
/// [`Kind::Query`] when a statement is none.
pub fn tables_read(sql: &str) -> Result<Vec<String>> {
    let split = split_statements(sql);
    let mut names = BTreeSet::new();
    for text in split.statements.iter().chain([&split.rest]) {
        let mut statements = syntax(text).map_err(|cause| {
            Error::new(Kind::Query, "the statement cannot be read").caused_by(cause)
        })?;
        names.extend(relations(&mut statements));
    }
    Ok(names.into_iter().collect())
}

/// The names that a statement, or some, read from.
pub(super) fn relations(statements: &mut impl VisitMut) -> BTreeSet<String> {
    struct Names(BTreeSet<String>);
    impl VisitorMut for Names {
        type Break = ();

        fn pre_visit_relation(&mut self, name: &mut ObjectName) -> ControlFlow<()> {
            let last = name.0.last().and_then(|part| part.as_ident());
            self.0.extend(last.map(|ident| ident.value.clone()));
            ControlFlow::Continue(())
        }
    }
    let mut names = Names(BTreeSet::new());
    let _ = walk(statements, &mut names);
    names.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_found_wherever_they_stand() {
        let sql = "SHOW TABLES; SELECT 1 FROM a JOIN (SELECT * FROM b) x ON true WHERE EXISTS \
                   (SELECT 1 FROM c) UNION SELECT 1 FROM a;";
        assert_eq!(tables_read(sql).unwrap(), ["a", "b", "c"]);
        // As queries themselves are read: `offset` is a column.
        assert_eq!(tables_read("SELECT offset FROM a").unwrap(), ["a"]);
        assert!(tables_read("SELECT 1 FROM").is_err());
    }
}
