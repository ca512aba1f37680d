//! Sizes as a definition writes them: `"64 MiB"`, or a number of bytes.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};

use super::findings::Findings;
use super::reader::{Setting, wrong_type};
use super::tree::{Node, Value};
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

impl Setting for ByteSize {
    const EXPECTED: &'static str = "a size such as `\"64 MiB\"`";

    fn read(node: &Node, findings: &mut Findings) -> Option<Self> {
        let size = match &node.value {
            Value::Text(text) => text.parse::<Bytes>().ok().map(|bytes| bytes.0),
            Value::Integer(bytes) => u64::try_from(*bytes).ok(),
            _ => {
                wrong_type(node, Self::EXPECTED, findings);
                return None;
            }
        };
        let size = size.filter(|bytes| *bytes > 0).map(Self);
        if size.is_none() {
            findings
                .add(node.span, "no size")
                .label(format!("expected {}, above 0", Self::EXPECTED))
                .help("units: B, kB, MB, GB, TB (thousands); KiB, MiB, GiB, TiB (1024s)");
        }
        size
    }
}
