//! Limits of sources, each a setting of its block.

use schemars::JsonSchema;
use serde::Serialize;

use super::reader::TableReader;
use super::size::ByteSize;

/// Limits on what a source may hold. The defaults let every published data set pass.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SourceCaps {
    /// Largest member of an archive, in bytes.
    #[schemars(default = "member_bytes")]
    pub max_member_bytes: ByteSize,
    /// Most members an archive may have.
    #[schemars(default = "members", range(min = 1))]
    pub max_members: u64,
    /// Longest name of a member, in bytes.
    #[schemars(default = "name_bytes")]
    pub max_name_bytes: ByteSize,
    /// Most bytes that a compressed archive may unpack to.
    #[schemars(default = "unpacked_bytes")]
    pub max_unpacked_bytes: ByteSize,
}

fn member_bytes() -> ByteSize {
    ByteSize(64 << 20)
}

pub(super) fn members() -> u64 {
    20_000_000
}

pub(super) fn name_bytes() -> ByteSize {
    ByteSize(4096)
}

pub(super) fn unpacked_bytes() -> ByteSize {
    ByteSize(1 << 42)
}

/// The default of `max_line_bytes` of caption and split files.
pub(super) fn line_bytes() -> ByteSize {
    ByteSize(1 << 20)
}

/// The default of `max_member_bytes` of caption files, whose one member holds everything: tables of
/// captions have tens of gigabytes.
pub(super) fn text_member_bytes() -> ByteSize {
    ByteSize(256 << 30)
}

impl Default for SourceCaps {
    fn default() -> Self {
        Self {
            max_member_bytes: member_bytes(),
            max_members: members(),
            max_name_bytes: name_bytes(),
            max_unpacked_bytes: unpacked_bytes(),
        }
    }
}

impl SourceCaps {
    pub(super) fn read(table: &mut TableReader<'_, '_>) -> Self {
        Self {
            max_member_bytes: table.or("max_member_bytes", member_bytes()),
            max_members: table.number_or("max_members", members(), 1, u64::MAX),
            max_name_bytes: table.or("max_name_bytes", name_bytes()),
            max_unpacked_bytes: table.or("max_unpacked_bytes", unpacked_bytes()),
        }
    }
}
