//! Arbitrary text as a definition, a contract and a `--set` argument.

use clipmill::base::environment::Environment;
use clipmill::definition;

/// Must not panic, whatever `data` is; every refusal says why.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let env = Environment::default();
    for outcome in [
        definition::parse("fuzz.toml", text, &env, &[]).map(drop),
        definition::parse("fuzz.toml", "", &env, &[(text.to_owned(), text.to_owned())]).map(drop),
        definition::contract::parse("fuzz.toml", text).map(drop),
    ] {
        if let Err(error) = outcome {
            assert!(error.report().is_some_and(|report| !report.plain().is_empty()));
        }
    }
    drop(definition::braces::expand_braces(text));
}
