//! Braces in paths, as shells expand them: `{000..031}`, `{a,b}`.

/// Most names that one path may expand to.
const MAX_NAMES: usize = 1_000_000;

/// Every name that `path` stands for, in order; globs are left as they are. `[{]` is a plain `{`
/// and is left for the glob.
///
/// Ranges count up or down and keep the width of a number that begins with 0. Braces may follow
/// each other but not nest.
///
/// # Errors
/// What is wrong with the braces, as a lower-case fragment.
pub fn expand_braces(path: &str) -> Result<Vec<String>, String> {
    let mut names = vec![String::new()];
    let mut rest = path;
    loop {
        let Some(open) = find_open(rest) else {
            if plain(rest).contains('}') {
                return Err("a `}` without its `{`".into());
            }
            names.iter_mut().for_each(|name| name.push_str(rest));
            return Ok(names);
        };
        let (before, after) = rest.split_at(open);
        if plain(before).contains('}') {
            return Err("a `}` without its `{`".into());
        }
        let Some((inside, after)) = after.strip_prefix('{').and_then(|s| s.split_once('}')) else {
            return Err("a `{` without its `}`".into());
        };
        let choices = choices(inside)?;
        if names.len().saturating_mul(choices.len()) > MAX_NAMES {
            return Err(format!("more than {MAX_NAMES} paths"));
        }
        names = names
            .iter()
            .flat_map(|name| choices.iter().map(move |choice| format!("{name}{before}{choice}")))
            .collect();
        rest = after;
    }
}

/// The text without its `[…]` classes, in which braces are plain.
fn plain(text: &str) -> String {
    text.replace("[{]", "").replace("[}]", "")
}

fn find_open(text: &str) -> Option<usize> {
    text.match_indices('{')
        .map(|(at, _)| at)
        .find(|at| !text.get(at.saturating_sub(1)..).is_some_and(|here| here.starts_with("[{]")))
}

fn choices(inside: &str) -> Result<Vec<String>, String> {
    if inside.contains('{') {
        return Err("braces within braces".into());
    }
    if let Some((first, last)) = inside.split_once("..") {
        return range(first, last);
    }
    if inside.contains(',') {
        return Ok(inside.split(',').map(str::to_owned).collect());
    }
    Err(format!("braces with one thing in them: `{{{inside}}}`"))
}

fn range(first: &str, last: &str) -> Result<Vec<String>, String> {
    let number = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse::<u64>().ok().filter(|_| digits);
        number.ok_or_else(|| format!("a range needs two numbers: `{{{first}..{last}}}`"))
    };
    let (from, to) = (number(first)?, number(last)?);
    if from.abs_diff(to) >= MAX_NAMES as u64 {
        return Err(format!("more than {MAX_NAMES} paths"));
    }
    let padded = [first, last].iter().any(|text| text.len() > 1 && text.starts_with('0'));
    let width = if padded { first.len().max(last.len()) } else { 0 };
    let name = |number: u64| format!("{number:0width$}");
    Ok(if from <= to {
        (from..=to).map(name).collect()
    } else {
        (to..=from).rev().map(name).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(path: &str) -> String {
        match expand_braces(path) {
            Ok(names) => names.join(" "),
            Err(problem) => problem,
        }
    }

    #[test]
    fn ranges_and_lists_expand_as_in_a_shell() {
        assert_eq!(expand("a.tar"), "a.tar");
        assert_eq!(expand("{000..003}.tar"), "000.tar 001.tar 002.tar 003.tar");
        assert_eq!(expand("{9..11}"), "9 10 11");
        assert_eq!(expand("{08..10}"), "08 09 10");
        assert_eq!(expand("{2..0}"), "2 1 0");
        assert_eq!(expand("{a,b}/{0..1}.tar"), "a/0.tar a/1.tar b/0.tar b/1.tar");
        assert_eq!(expand("x{,.gz}"), "x x.gz");
        assert_eq!(expand("*.tar"), "*.tar");
        assert_eq!(expand("a[{]b[}]c"), "a[{]b[}]c");
        assert_eq!(expand("ü{a,ß}"), "üa üß");
    }

    #[test]
    fn broken_braces_say_what_is_wrong() {
        assert_eq!(expand("{000..031.tar"), "a `{` without its `}`");
        assert_eq!(expand("000}"), "a `}` without its `{`");
        assert_eq!(expand("{a..}"), "a range needs two numbers: `{a..}`");
        assert_eq!(expand("{+1..2}"), "a range needs two numbers: `{+1..2}`");
        assert_eq!(expand("{a}"), "braces with one thing in them: `{a}`");
        assert_eq!(expand("{a,{b,c}}"), "braces within braces");
        assert_eq!(expand("{0..99999999}"), "more than 1000000 paths");
        assert_eq!(expand("{0..999999}{0..1}"), "more than 1000000 paths");
    }
}
