//! Names for the key that completes them.

use super::catalog::Catalog;

/// Functions of this room, with those of Polars that are used most.
pub(super) const FUNCTIONS: &[&str] = &[
    "abs",
    "avg",
    "ceil",
    "clip_image",
    "clip_text",
    "coalesce",
    "concat",
    "cosine",
    "count",
    "dot",
    "floor",
    "l2",
    "length",
    "lower",
    "max",
    "min",
    "replace",
    "round",
    "row_number",
    "sqrt",
    "starts_with",
    "stddev",
    "strpos",
    "substr",
    "sum",
    "trim",
    "upper",
];

const KEYWORDS: &[&str] = &[
    "AND",
    "AS",
    "ASC",
    "BETWEEN",
    "BY",
    "CASE",
    "CAST",
    "CROSS",
    "DESC",
    "DESCRIBE",
    "DISTINCT",
    "ELSE",
    "END",
    "EXCEPT",
    "EXISTS",
    "EXPLAIN",
    "FROM",
    "FULL",
    "GROUP",
    "HAVING",
    "ILIKE",
    "IN",
    "INNER",
    "INTERSECT",
    "IS",
    "JOIN",
    "LEFT",
    "LIKE",
    "LIMIT",
    "NOT",
    "NULL",
    "OFFSET",
    "ON",
    "OR",
    "ORDER",
    "OVER",
    "PARTITION",
    "RIGHT",
    "SELECT",
    "SHOW",
    "TABLES",
    "THEN",
    "UNION",
    "USING",
    "VALUES",
    "WHEN",
    "WHERE",
    "WITH",
];

/// What the word `prefix` may become: tables, then columns, functions and keywords, each sorted.
/// After `table.`, the columns of that table. Letter case is not looked at; a keyword keeps the
/// case of the prefix.
#[must_use]
pub fn complete(catalog: &Catalog, prefix: &str) -> Vec<String> {
    if let Some((table, start)) = prefix.rsplit_once('.') {
        let columns =
            catalog.table(table).map(|table| table.columns.as_slice()).unwrap_or_default();
        let mut found: Vec<String> = columns
            .iter()
            .filter(|column| begins(&column.name, start))
            .map(|column| format!("{table}.{}", column.name))
            .collect();
        found.sort_unstable();
        return found;
    }
    if prefix.is_empty() {
        return Vec::new();
    }
    let lower = prefix.chars().all(|c| !c.is_uppercase());
    let tables = catalog.tables().iter().map(|table| table.name.clone());
    let mut columns: Vec<String> = catalog
        .tables()
        .iter()
        .flat_map(|table| &table.columns)
        .map(|column| column.name.clone())
        .collect();
    columns.sort_unstable();
    let keyword = |word: &&str| if lower { word.to_lowercase() } else { (*word).to_owned() };
    let mut found: Vec<String> = Vec::new();
    for name in tables
        .chain(columns)
        .chain(FUNCTIONS.iter().map(|name| format!("{name}(")))
        .chain(KEYWORDS.iter().map(keyword))
    {
        if begins(&name, prefix) && !found.contains(&name) {
            found.push(name);
        }
    }
    found
}

fn begins(name: &str, prefix: &str) -> bool {
    name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::{ColumnEntry, TableEntry};
    use arrow::datatypes::DataType;

    fn catalog() -> Catalog {
        let column = |name: &str| ColumnEntry {
            name: name.into(),
            kind: DataType::Utf8,
            nullable: false,
            unit: String::new(),
            meaning: String::new(),
        };
        Catalog::new(vec![TableEntry {
            name: "captions".into(),
            version: 0,
            rows: 0,
            parts: Vec::new(),
            columns: vec![column("text"), column("caption_index")],
            model: None,
            made_under: None,
        }])
    }

    #[test]
    fn tables_then_columns_then_functions_then_keywords() {
        assert_eq!(complete(&catalog(), "ca"), ["captions", "caption_index", "case", "cast"]);
        assert_eq!(complete(&catalog(), "CLIP"), ["clip_image(", "clip_text("]);
        assert_eq!(complete(&catalog(), "SEL"), ["SELECT"]);
        assert_eq!(complete(&catalog(), "sel"), ["select"]);
        assert!(complete(&catalog(), "").is_empty());
    }

    #[test]
    fn after_a_dot_come_that_tables_columns() {
        assert_eq!(complete(&catalog(), "captions.te"), ["captions.text"]);
        assert!(complete(&catalog(), "nothing.te").is_empty());
    }

    #[test]
    fn prefixes_that_end_inside_a_character_match_nothing() {
        assert!(complete(&catalog(), "é").is_empty());
    }
}
