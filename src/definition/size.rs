//! Sizes as a definition writes them: `"64 MiB"`, or a number of bytes.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

use crate::base::units::Bytes;

/// A number of bytes, written as `"64 MiB"` or as an integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // The exact number where the short form rounds, so that digests see every byte.
        let shown = Bytes(self.0).to_string();
        if shown.parse() == Ok(Bytes(self.0)) {
            serializer.serialize_str(&shown)
        } else {
            serializer.serialize_u64(self.0)
        }
    }
}

impl JsonSchema for ByteSize {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ByteSize".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "string", "pattern": r"^\s*[0-9]+\s*(|B|[kK]B|[MGT]B|[KMGT]iB)\s*$|\$\{" },
                { "type": "integer", "minimum": 1 },
            ],
        })
    }
}
