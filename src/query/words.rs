//! Words that are both of SQL and names of our columns.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan};

/// Makes `offset` the column of that name wherever it cannot be the clause `OFFSET n`, so that
/// `SELECT member, offset FROM images` is read as it is meant.
pub(super) fn name_columns(tokens: &mut [TokenWithSpan]) {
    for at in 0..tokens.len() {
        let (before, rest) = tokens.split_at_mut(at);
        let Some((TokenWithSpan { token: Token::Word(word), .. }, after)) = rest.split_first_mut()
        else {
            continue;
        };
        if word.keyword != Keyword::OFFSET || word.quote_style.is_some() {
            continue;
        }
        let qualified = before.last().is_some_and(|token| token.token == Token::Period);
        let next = after.iter().map(|t| &t.token).find(|t| !matches!(t, Token::Whitespace(_)));
        let clause = matches!(
            next,
            Some(Token::Number(..) | Token::Placeholder(_) | Token::LParen | Token::Colon)
        );
        if qualified || !clause {
            word.quote_style = Some('"');
            word.keyword = Keyword::NoKeyword;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fault::Text;
    use super::super::statement::{Statement, parse};

    fn read(sql: &str) -> String {
        match parse(&Text::new(sql)).unwrap() {
            Statement::Select(query) => query.to_string(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn offset_is_a_column_where_it_can_be_no_clause() {
        assert_eq!(
            read("SELECT member, offset, r.offset FROM images r WHERE offset > 5 ORDER BY offset"),
            "SELECT member, \"offset\", r.\"offset\" FROM images r WHERE \"offset\" > 5 ORDER BY \"offset\""
        );
        assert_eq!(
            read("SELECT 1 FROM t ORDER BY offset LIMIT 2 OFFSET 3"),
            "SELECT 1 FROM t ORDER BY \"offset\" LIMIT 2 OFFSET 3"
        );
        assert_eq!(read("SELECT \"offset\" FROM t"), "SELECT \"offset\" FROM t");
    }
}
