//! Paths as a definition names them: the same in a lock on every machine.

use std::path::Path;

use crate::definition::Variable;

/// The name of `path`, which `value` of a definition in `folder` led to: relative to the folder,
/// and with variables as they were written in the block.
pub(super) fn name(path: &Path, value: &str, folder: &Path, variables: &[&Variable]) -> String {
    let relative = if Path::new(value).is_absolute() {
        path
    } else {
        path.strip_prefix(folder).unwrap_or(path)
    };
    let text = relative.to_string_lossy();
    variables
        .iter()
        .filter(|variable| variable.value == value)
        .find_map(|variable| {
            let (written, here) = prefixes(variable)?;
            Some(format!("{written}{}", text.strip_prefix(here)?))
        })
        .unwrap_or_else(|| text.into_owned())
}

/// What stands before the end of a string's last variable, as written and as read.
fn prefixes(variable: &Variable) -> Option<(&str, &str)> {
    let (_, rest) = variable.written.rsplit_once("${")?;
    let (_, rest) = rest.split_once('}')?;
    let written = variable.written.strip_suffix(rest)?;
    // `$${` stands for itself: after it there is nothing to replace.
    let here = variable.value.strip_suffix(rest).filter(|here| !here.is_empty())?;
    Some((written, here))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_relative_and_keep_their_variables() {
        let variable = |written: &str, value: &str| Variable {
            block: String::new(),
            key: "paths".into(),
            written: written.into(),
            value: value.into(),
        };
        let plain = |path: &str, value: &str, folder: &str| {
            name(Path::new(path), value, Path::new(folder), &[])
        };
        assert_eq!(plain("./../data/a.tar", "../data/a.tar", "."), "../data/a.tar");
        assert_eq!(plain("p/../data/a.tar", "../data/*.tar", "p"), "../data/a.tar");
        assert_eq!(plain("/data/a.tar", "/data/a.tar", "/data"), "/data/a.tar");
        let shards = variable("${DATA}/{00..01}.tar", "/mnt/d/{00..01}.tar");
        let named = name(Path::new("/mnt/d/01.tar"), &shards.value, Path::new("p"), &[&shards]);
        assert_eq!(named, "${DATA}/01.tar");
        let inner = variable("../${SET}/${N}.tar", "../flickr/3.tar");
        let named = name(Path::new("p/../flickr/3.tar"), &inner.value, Path::new("p"), &[&inner]);
        assert_eq!(named, "../${SET}/${N}.tar");
    }
}
