//! Page tokens of ListJobs: the position of the next page, bound to the filter and the boot id of the server.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use crate::error::{Error, Result};
use crate::job::{JobFilter, quoted};

/// The token of the page that begins with the jobs accepted before number `before`.
pub(super) fn write(before: u64, filter: &JobFilter, boot_id: &str) -> String {
    format!("{:016x}{before:016x}", binding(filter, boot_id))
}

/// The position that a token encodes; `None` for an empty token, which selects the first page.
pub(super) fn read(token: &str, filter: &JobFilter, boot_id: &str) -> Result<Option<u64>> {
    const TOKEN_CHARS: usize = 32;
    if token.is_empty() {
        return Ok(None);
    }
    let is_hex = token.len() == TOKEN_CHARS && token.bytes().all(|byte| byte.is_ascii_hexdigit());
    let halves = is_hex.then(|| token.split_at(TOKEN_CHARS / 2));
    let number = |text| u64::from_str_radix(text, 16).ok();
    let Some((bound_to, before)) = halves.and_then(|(bound, before)| number(bound).zip(number(before)))
    else {
        let description = format!("{} is not a page token: use next_page_token unchanged", quoted(token));
        return Err(Error::invalid("page_token", description));
    };
    if bound_to != binding(filter, boot_id) {
        let description = "belongs to a list with other filters or to an earlier start of the server: \
                           begin again without a token";
        return Err(Error::invalid("page_token", description));
    }
    Ok(Some(before))
}

fn binding(filter: &JobFilter, boot_id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (filter, boot_id).hash(&mut hasher);
    hasher.finish()
}
