//! Converts the memory use of the server.

use crate::job::MemoryUse;
use crate::proto::v1;

/// Converts the memory use of one category and its limit.
pub(crate) fn memory_use(memory: &MemoryUse) -> v1::MemoryUse {
    let bytes = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    v1::MemoryUse {
        category: memory.category.to_owned(),
        used_bytes: bytes(memory.used_bytes),
        limit_bytes: bytes(memory.limit_bytes),
    }
}
