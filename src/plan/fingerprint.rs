//! What, besides its input bytes, a row was computed from.

use std::collections::BTreeMap;

use crate::base::Digest;
use crate::base::digest::Digester;

use super::reason::Reason;

/// The fact that names how a model's files are laid out.
pub const LAYOUT: &str = "layout";
/// The fact that says whether vectors are scaled to an L2 norm of one.
pub const NORMALIZE: &str = "settings.normalize";
/// The fact that says whether images are turned as their EXIF orientation says.
pub const ORIENTATION: &str = "settings.apply_orientation";

/// Everything that could change a stage's numbers, by name: `operator`, `weights`,
/// `tokenizer`, `preprocessing`, `dtype`, `settings.normalize`, …
///
/// Batch size, workers and device are never in it (invariant 2).
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Fingerprint {
    parts: BTreeMap<String, String>,
}

impl Fingerprint {
    /// Starts with the operator and the version of its code.
    #[must_use]
    pub fn new(operator: &str, version: u32) -> Self {
        Self { parts: BTreeMap::from([("operator".to_owned(), format!("{operator}/{version}"))]) }
    }

    /// Adds one fact.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        self.parts.insert(name.to_owned(), value.to_string());
        self
    }

    /// The digest that stands beside each row.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let mut digester = Digester::new();
        for (name, value) in &self.parts {
            digester.field(name, value.as_bytes());
        }
        digester.finish()
    }

    /// One fact; none where there is none of that name.
    #[must_use]
    pub fn part(&self, name: &str) -> Option<&str> {
        self.parts.get(name).map(String::as_str)
    }

    /// The facts, sorted by name.
    #[must_use]
    pub fn parts(&self) -> &BTreeMap<String, String> {
        &self.parts
    }

    /// What of it decides whether an image's bytes can be decoded: neither weights nor what becomes of
    /// pixels do. Limits are in no fingerprint.
    #[must_use]
    pub fn of_decoding(&self) -> Self {
        let decides = |name: &str| ["operator", "settings.apply_orientation"].contains(&name);
        let parts = self.parts.iter().filter(|(name, _)| decides(name));
        Self { parts: parts.map(|(name, value)| (name.clone(), value.clone())).collect() }
    }

    /// A fact as the definition calls and writes it. The names here stay what they are: rows of
    /// every store hang on them.
    #[must_use]
    pub fn as_defined<'f>(name: &'f str, value: &'f str) -> (&'f str, &'f str) {
        match (name, value) {
            (ORIENTATION, "false") => ("settings.orientation", "ignore"),
            (ORIENTATION, "true") => ("settings.orientation", "apply"),
            fact => fact,
        }
    }

    /// Which code made the rows: the operator, and what of it has a version of its own.
    fn operators(&self) -> impl Iterator<Item = (&String, &String)> {
        self.parts.iter().filter(|(name, _)| name.starts_with("operator"))
    }

    /// Why rows made under `self` are stale under `now`; the gravest difference is named.
    #[must_use]
    pub fn stale_because(&self, now: &Self) -> Reason {
        let differs = |name: &str| self.parts.get(name) != now.parts.get(name);
        if ["weights", "config", "tokenizer"].into_iter().any(differs) {
            Reason::WeightsChanged
        } else if differs("operator")
            // another type has its own version, which says nothing of this one's
            || (!differs("dtype") && self.operators().ne(now.operators()))
        {
            Reason::OperatorChanged
        } else {
            Reason::SettingsChanged
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fact_is_shown_as_the_definition_writes_it() {
        let shown = |name, value| Fingerprint::as_defined(name, value);
        assert_eq!(shown("settings.apply_orientation", "true"), ("settings.orientation", "apply"));
        assert_eq!(shown("settings.normalize", "true"), ("settings.normalize", "true"));
    }

    #[test]
    fn decoding_hangs_on_the_operator_and_the_orientation() {
        let of = |weights, version, turned| {
            Fingerprint::new("embed_images", version)
                .with("weights", weights)
                .with("settings.normalize", weights)
                .with("settings.apply_orientation", turned)
                .of_decoding()
                .digest()
        };
        assert_eq!(of(1, 1, false), of(2, 1, false));
        assert_ne!(of(1, 1, false), of(1, 2, false));
        assert_ne!(of(1, 1, false), of(1, 1, true));
        let index = Fingerprint::new("index_images", 1);
        assert_eq!(index.of_decoding(), index);
    }

    #[test]
    fn names_the_gravest_difference() {
        let base = Fingerprint::new("embed_images", 1).with("weights", "a").with("dtype", "f32");
        assert_eq!(
            base.stale_because(&base.clone().with("dtype", "bf16")),
            Reason::SettingsChanged
        );
        assert_eq!(base.stale_because(&base.clone().with("weights", "b")), Reason::WeightsChanged);
        let versioned = base.clone().with("operator.bf16", 2);
        assert_eq!(base.stale_because(&versioned), Reason::OperatorChanged);
        assert_eq!(
            base.stale_because(&versioned.clone().with("dtype", "bf16")),
            Reason::SettingsChanged
        );
        let newer = Fingerprint::new("embed_images", 2).with("weights", "a").with("dtype", "f32");
        assert_eq!(base.stale_because(&newer), Reason::OperatorChanged);
        assert_ne!(base.digest(), newer.digest());
    }

    #[test]
    fn order_of_facts_does_not_matter() {
        let a = Fingerprint::new("x", 1).with("a", 1).with("b", 2);
        let b = Fingerprint::new("x", 1).with("b", 2).with("a", 1);
        assert_eq!(a.digest(), b.digest());
    }
}
