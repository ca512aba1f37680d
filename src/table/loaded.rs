//! One version of a table as its log tells it, taken apart once and then shared.

use std::path::Path;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use deltalake_core::DeltaTable;
use deltalake_core::kernel::Metadata;

use super::log;
use super::part::Part;
use crate::base::Result;

/// The table property that names the key's columns, as a JSON list.
pub(super) const KEY_PROPERTY: &str = "clipmill.key";

/// What the log says of one version.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) version: i64,
    /// In the order in which they are scanned.
    pub(super) parts: Arc<[Part]>,
    pub(super) schema: SchemaRef,
    pub(super) key: Arc<[String]>,
    pub(super) delta: Arc<DeltaTable>,
    /// Whether a damaged checkpoint had every commit read.
    pub(super) replayed: bool,
}

impl Loaded {
    /// Takes the state of a table apart; `folder` is for messages.
    pub(super) fn of(folder: &Path, opened: log::Opened) -> Result<Self> {
        let log::Opened { delta, replayed } = opened;
        let state = delta.snapshot().map_err(|cause| log::error(folder, &cause))?;
        #[expect(deprecated, reason = "the one call that gives tags and statistics as written")]
        let mut parts: Vec<Part> =
            state.log_data().iter().map(|file| Part::from_add(&file.add_action())).collect();
        parts.sort_by(|a, b| a.order().cmp(&b.order()));
        let key = state
            .metadata()
            .configuration()
            .get(KEY_PROPERTY)
            .and_then(|text| serde_json::from_str::<Vec<String>>(text).ok())
            .unwrap_or_default();
        let schema = plain(&state.snapshot().arrow_schema());
        let version = i64::try_from(state.version()).unwrap_or(i64::MAX);
        let (parts, key, delta) = (parts.into(), key.into(), Arc::new(delta));
        Ok(Self { version, parts, schema, key, delta, replayed })
    }

    /// The table's metadata at this version.
    pub(super) fn metadata(&self) -> Option<&Metadata> {
        self.delta.snapshot().ok().map(|state| state.metadata())
    }
}

/// Delta keeps each field's metadata as JSON; strings are given as they are.
fn plain(schema: &SchemaRef) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| {
        let metadata = field.metadata().iter().map(|(name, value)| {
            let text = serde_json::from_str::<String>(value).unwrap_or_else(|_| value.clone());
            (name.clone(), text)
        });
        field.as_ref().clone().with_metadata(metadata.collect())
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}
