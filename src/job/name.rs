//! Validated job ids, kinds, queue names and timestamps.

use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use uuid::Uuid;

use crate::error::{Error, Result};

/// Most characters of a kind or queue name.
pub(crate) const NAME_CHARS_MAX: usize = 128;

/// The id of a job: a UUID that is also the job's idempotency key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(Uuid);

impl JobId {
    /// Generates an id: a UUID v7, so ids sort by the millisecond of their creation. The other bits are random, so an
    /// id reveals nothing about other ids.
    pub fn mint() -> Self {
        Self(Uuid::new_v7(uuid::Timestamp::now(uuid::NoContext)))
    }

    /// The id with these bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// The id's bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// The id with these last four bytes. A generated id stays unique: 42 of its other bits are random.
    pub(crate) fn with_tail(self, tail: u32) -> Self {
        let mut bytes = *self.as_bytes();
        bytes[12..].copy_from_slice(&tail.to_be_bytes());
        Self::from_bytes(bytes)
    }

    /// The last four bytes.
    pub(crate) fn tail(self) -> u32 {
        self.0.as_u128() as u32
    }

    /// Parses a UUID in any of its usual formats.
    ///
    /// # Errors
    ///
    /// `InvalidField` for `field` if the text is not a UUID or is the nil UUID.
    pub fn parse(field: &str, text: &str) -> Result<Self> {
        match Uuid::try_parse(text) {
            Ok(id) if !id.is_nil() => Ok(Self(id)),
            parsed => Err(Error::invalid(field, describe_bad_id(text, parsed.is_ok()))),
        }
    }
}

/// How to get a UUID from a name.
const ID_OF_NAME: &str =
    "derive one from a name with UUIDv5, as in `uuidgen --sha1 --namespace @dns --name order-123`";

fn describe_bad_id(text: &str, is_nil: bool) -> String {
    match text {
        "" => "is required: a UUID such as 0190c0de-0000-7000-8000-000000000001".to_owned(),
        _ if is_nil => format!("{} is the nil UUID, which is not a job id: use another UUID", quoted(text)),
        _ => format!("{} is not a job id: it must be a UUID; {ID_OF_NAME}", quoted(text)),
    }
}

impl From<JobId> for String {
    fn from(id: JobId) -> Self {
        id.0.hyphenated().encode_lower(&mut Uuid::encode_buffer()).to_owned()
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The kind of a job, which selects its handler.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Kind(Arc<str>);

/// The name of a queue.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct QueueName(Arc<str>);

impl Kind {
    /// Parses a kind: 1 to 128 characters of `[A-Za-z0-9._:/-]`.
    ///
    /// # Errors
    ///
    /// `InvalidField` for `field` if the text is not a valid kind.
    pub fn parse(field: &str, text: &str) -> Result<Self> {
        check_name(field, text)?;
        Ok(Self(text.into()))
    }

    /// The kind as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn from_shared(text: Arc<str>) -> Self {
        Self(text)
    }
}

impl QueueName {
    /// The queue of jobs without a queue name.
    pub const DEFAULT: &'static str = "default";

    /// Parses a queue name: 1 to 128 characters of `[A-Za-z0-9._:/-]`.
    ///
    /// # Errors
    ///
    /// `InvalidField` for `field` if the text is not a valid queue name.
    pub fn parse(field: &str, text: &str) -> Result<Self> {
        check_name(field, text)?;
        Ok(Self(text.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn from_shared(text: Arc<str>) -> Self {
        Self(text)
    }
}

impl Default for QueueName {
    fn default() -> Self {
        static DEFAULT: LazyLock<Arc<str>> = LazyLock::new(|| QueueName::DEFAULT.into());
        Self(DEFAULT.clone())
    }
}

fn check_name(field: &str, text: &str) -> Result<()> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._:/-".contains(&byte);
    if text.is_empty() {
        return Err(Error::invalid(field, "is required: 1 to 128 characters of [A-Za-z0-9._:/-]"));
    }
    if text.len() > NAME_CHARS_MAX {
        let description =
            format!("has {} bytes, the limit is {NAME_CHARS_MAX}: use a shorter name", text.len());
        return Err(Error::invalid(field, description));
    }
    if !text.bytes().all(allowed) {
        let description = format!("{} has a character outside [A-Za-z0-9._:/-]", quoted(text));
        return Err(Error::invalid(field, description));
    }
    Ok(())
}

/// Quotes untrusted text for an error message. The text is escaped and truncated, which prevents log injection.
pub(crate) fn quoted(text: &str) -> String {
    const SHOWN_CHARS_MAX: usize = 64;
    let mut shown: String = text.chars().take(SHOWN_CHARS_MAX).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN_CHARS_MAX).is_some() {
        shown.push('…');
    }
    format!("\"{shown}\"")
}

/// A wall clock time, in microseconds since the Unix epoch. It is within the years 1 to 9999, as in protobuf and JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// 0001-01-01T00:00:00Z.
    pub const MIN: Self = Self(-62_135_596_800_000_000);
    /// 9999-12-31T23:59:59.999999Z.
    pub const MAX: Self = Self(253_402_300_799_999_999);

    /// The time this many microseconds after the Unix epoch. Saturates at [`MIN`](Self::MIN) and [`MAX`](Self::MAX).
    pub const fn from_micros(micros: i64) -> Self {
        if micros < Self::MIN.0 {
            Self::MIN
        } else if micros > Self::MAX.0 {
            Self::MAX
        } else {
            Self(micros)
        }
    }

    /// Microseconds since the Unix epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// The time this much later. Saturates at [`MAX`](Self::MAX).
    pub fn plus(self, by: Duration) -> Self {
        Self::from_micros(self.0.saturating_add(i64::try_from(by.as_micros()).unwrap_or(i64::MAX)))
    }

    /// The duration since `earlier`; zero if this time is not later.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use std::time::Duration;

    use super::{JobId, Timestamp};

    #[test]
    fn no_time_leaves_the_years_1_to_9999() {
        let text = |time: Timestamp| {
            let (seconds, micros) =
                (time.as_micros().div_euclid(1_000_000), time.as_micros().rem_euclid(1_000_000));
            prost_types::Timestamp { seconds, nanos: micros as i32 * 1_000 }.to_string()
        };
        assert_eq!(text(Timestamp::from_micros(i64::MAX)), "9999-12-31T23:59:59.999999Z");
        assert_eq!(text(Timestamp::from_micros(i64::MIN)), "0001-01-01T00:00:00Z");
        assert_eq!(Timestamp::from_micros(0).plus(Duration::MAX), Timestamp::MAX);
        assert_eq!(Timestamp::MAX.plus(Duration::from_micros(1)), Timestamp::MAX);
    }

    #[test]
    fn generated_ids_are_unique_without_their_last_four_bytes() {
        let ids: HashSet<_> = (0..100_000).map(|_| JobId::mint().with_tail(7)).collect();
        assert_eq!(ids.len(), 100_000);
        assert!(ids.iter().all(|id| id.tail() == 7 && id.to_string().ends_with("00000007")));
        assert!(ids.iter().all(|id| String::from(*id) == id.to_string()));
    }
}
