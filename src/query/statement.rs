//! Text to statements: splitting, parsing, and which kinds of statement are let through.

use sqlparser::ast::{
    Query, ShowStatementFilter, ShowStatementFilterPosition, ShowStatementOptions, Spanned,
    Statement as Ast,
};
use sqlparser::dialect::GenericDialect;
use sqlparser::parser::{Parser, ParserError, ParserOptions};
use sqlparser::tokenizer::{Token, Tokenizer};

use super::fault::Text;
use super::words;
use crate::base::{Error, Kind, Result};

/// A statement that only reads.
#[derive(Debug)]
pub(super) enum Statement {
    /// `SELECT …`, `WITH …`, `VALUES …`, `TABLE t`.
    Select(Box<Query>),
    /// `EXPLAIN SELECT …`.
    Explain(Box<Query>),
    /// `SHOW TABLES`, or those with names `LIKE` this.
    ShowTables(Option<String>),
    /// `DESCRIBE t`.
    Describe(sqlparser::ast::ObjectName),
}

/// The statements of `sql`, whatever they are.
pub(super) fn syntax(sql: &str) -> std::result::Result<Vec<Ast>, ParserError> {
    // The dialect and options of polars-sql: what it reads again must be what is read here.
    let options = ParserOptions { trailing_commas: true, ..ParserOptions::default() };
    let mut tokens = Tokenizer::new(&GenericDialect, sql).tokenize_with_location()?;
    words::name_columns(&mut tokens);
    Parser::new(&GenericDialect)
        .with_options(options)
        .with_tokens_with_locations(tokens)
        .parse_statements()
}

/// Parses `text`, which holds one statement, with or without a semicolon at its end.
pub(super) fn parse(text: &Text) -> Result<Statement> {
    let statements =
        syntax(text.as_str()).map_err(|cause| text.syntax_error(&cause.to_string()))?;
    let mut statements = statements.into_iter();
    match (statements.next(), statements.next()) {
        (Some(statement), None) => allow(text, statement),
        (None, _) => Err(Error::new(Kind::Query, "there is no statement")
            .help("for example: SELECT count(*) FROM captions")),
        (Some(_), Some(second)) => Err(text.error_at(
            second.span(),
            "more than one statement",
            "a second statement begins here",
            Some("give one statement at a time".into()),
        )),
    }
}

fn allow(text: &Text, statement: Ast) -> Result<Statement> {
    let written = statement.to_string();
    match statement {
        Ast::Query(query) => Ok(Statement::Select(query)),
        Ast::ShowTables { .. } if written == "SHOW TABLES" => Ok(Statement::ShowTables(None)),
        Ast::ShowTables {
            show_options:
                ShowStatementOptions {
                    filter_position:
                        Some(
                            ShowStatementFilterPosition::Infix(ShowStatementFilter::Like(pattern))
                            | ShowStatementFilterPosition::Suffix(ShowStatementFilter::Like(pattern)),
                        ),
                    show_in: None,
                    starts_with: None,
                    limit: None,
                    limit_from: None,
                },
            ..
        } if written.starts_with("SHOW TABLES LIKE ") => Ok(Statement::ShowTables(Some(pattern))),
        _ if written.starts_with("SHOW ") => Err(text.error_at_start(
            "only tables can be shown",
            "this shows something else, or in another way",
            "SHOW TABLES, SHOW TABLES LIKE 'c%' and DESCRIBE captions work",
        )),
        Ast::ExplainTable { table_name, .. } => Ok(Statement::Describe(table_name)),
        Ast::Explain { statement, analyze: false, format: None, options: None, .. } => {
            match allow(text, *statement)? {
                Statement::Select(query) => Ok(Statement::Explain(query)),
                _ => Err(Error::new(Kind::Query, "only a SELECT can be explained")),
            }
        }
        _ => {
            let verb: String =
                written.chars().take_while(|c| c.is_alphabetic()).collect::<String>();
            Err(text.error_at_start(
                &format!("{} statements are not allowed", verb.to_uppercase()),
                "tables are read only here",
                "a query only reads: SELECT, WITH, VALUES, SHOW TABLES, DESCRIBE and EXPLAIN work; \
                 `clipmill run` is what writes tables",
            ))
        }
    }
}

/// Whether `name` is `LIKE` the pattern: `%` is any text, `_` any one character.
pub(super) fn is_like(name: &str, pattern: &str) -> bool {
    let Some(wanted) = pattern.chars().next() else { return name.is_empty() };
    let rest = |text: &str| text.chars().skip(1).collect::<String>();
    match (wanted, name.chars().next()) {
        ('%', None) => is_like(name, &rest(pattern)),
        ('%', Some(_)) => is_like(name, &rest(pattern)) || is_like(&rest(name), pattern),
        (_, None) => false,
        (wanted, Some(found)) => {
            (wanted == '_' || wanted == found) && is_like(&rest(name), &rest(pattern))
        }
    }
}

/// Text cut at its semicolons; what an interactive prompt has been given so far.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Split {
    /// Whole statements, trimmed, without their semicolons and without empty ones.
    pub statements: Vec<String>,
    /// What follows the last semicolon: a statement that is still being typed.
    pub rest: String,
}

/// Cuts `text` at semicolons that are outside of strings, quoted names and comments.
#[must_use]
pub fn split_statements(text: &str) -> Split {
    let mut split = Split::default();
    let mut current = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        current.push(c);
        match c {
            ';' => {
                current.pop();
                let statement = std::mem::take(&mut current);
                if !is_blank(&statement) {
                    split.statements.push(statement.trim().to_owned());
                }
            }
            '\'' | '"' | '`' => {
                // A doubled quote closes and opens again: the same in the end.
                for inner in chars.by_ref() {
                    current.push(inner);
                    if inner == c {
                        break;
                    }
                }
            }
            '-' if chars.peek() == Some(&'-') => {
                for inner in chars.by_ref() {
                    current.push(inner);
                    if inner == '\n' {
                        break;
                    }
                }
            }
            '/' if chars.peek() == Some(&'*') => {
                let mut last = ' ';
                chars.next();
                current.push('*');
                for inner in chars.by_ref() {
                    current.push(inner);
                    if last == '*' && inner == '/' {
                        break;
                    }
                    last = inner;
                }
            }
            _ => {}
        }
    }
    if !is_blank(&current) {
        split.rest = current.trim_start().to_owned();
    }
    split
}

/// Whether there is nothing but spaces and whole comments.
fn is_blank(text: &str) -> bool {
    text.trim().is_empty()
        || Tokenizer::new(&GenericDialect, text)
            .tokenize()
            .is_ok_and(|tokens| tokens.iter().all(|token| matches!(token, Token::Whitespace(_))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_stands_for_names() {
        for (pattern, like) in [
            ("captions", true),
            ("c%", true),
            ("%tion_", true),
            ("%", true),
            ("c%p%s%", true),
            ("", false),
            ("c", false),
            ("caption", false),
            ("C%", false),
            ("_captions", false),
            ("%_captions", false),
        ] {
            assert_eq!(is_like("captions", pattern), like, "{pattern}");
        }
    }

    #[test]
    fn semicolons_in_strings_and_comments_do_not_cut() {
        let split =
            split_statements("SELECT ';', 'it''s;' -- a; b\n; /* ; */ SELECT \";\" ; ; SEL");
        assert_eq!(split.statements, ["SELECT ';', 'it''s;' -- a; b", "/* ; */ SELECT \";\""]);
        assert_eq!(split.rest, "SEL");
    }

    #[test]
    fn an_open_string_is_still_being_typed() {
        assert_eq!(split_statements("SELECT 'a;").rest, "SELECT 'a;");
        assert_eq!(split_statements("-- only a comment").rest, "");
        assert_eq!(
            split_statements("SELECT 1;\n"),
            Split { statements: vec!["SELECT 1".into()], rest: String::new() }
        );
    }
}
