//! The digest of a job's spec. After a job was removed, it decides whether a repeated submit has the same spec.

use std::hash::Hasher;
use std::time::Duration;

use siphasher::sip128::{Hasher128, SipHasher13};
use smallvec::SmallVec;

use super::{Encoding, JobId, JobOptions, NewJob, Payload, RetryPolicy, Start};

/// The 128-bit digest of a payload's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ContentDigest([u8; 16]);

impl ContentDigest {
    pub(crate) fn of(content: &[u8]) -> Self {
        Self(hash(content))
    }
}

/// The 128-bit digest of a spec as it was submitted, before the server's defaults are applied.
///
/// Two specs have the same digest if a submit with one is idempotent to a job with the other. Different specs have the
/// same digest with probability 2^-128. Logs store digests, so the digest of a spec is the same in every version.
///
/// # The canonical encoding
///
/// The digest is SipHash-1-3-128 with the key 0 over the fields of the spec, in the order of their tags. The key is
/// public: the digest compares specs of one client and authenticates nothing. A field is its tag (one byte) and its
/// value. A field with its default value is omitted, so a field that a later version adds does not change the digests
/// of specs without it. The `job_id` and the trace context are not included: a client that repeats a submit has the same id
/// and may be in another trace.
///
/// | tag | field | value |
/// |---|---|---|
/// | 1 | kind | text |
/// | 2 | queue, also `default` | text |
/// | 3 | payload | encoding (0 data, 1 text, 2 JSON; one byte), length (u64), SipHash-1-3-128 of the content (16 bytes) |
/// | 4 | content type, unless it is the encoding's default | text |
/// | 5 | priority | i8 |
/// | 6 | start time | microseconds since 1970 (i64) |
/// | 7 | start delay | duration |
/// | 8 | attempt timeout | duration |
/// | 9 | timeout | duration |
/// | 10 | retry policy, unless it is the default | max attempts (u32), initial back-off (duration), multiplier (f64), max back-off (duration), jitter (f64), max lost attempts (u32) |
/// | 11 | retention | duration |
/// | 12 | label, one field each, by key | text, text |
/// | 13 | header, one field each, by key | text, text |
/// | 14 | the job that this one retries | 16 bytes |
/// | 15 | the principal that submitted it | text |
///
/// Numbers are little-endian. An f64 is encoded by its bits, -0 as 0. A text is its length in bytes (u32) and its
/// bytes. A duration is seconds (u64) and nanoseconds (u32).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SpecDigest([u8; 16]);

/// The fields that a digest covers: the spec, and its owner, so that the same id from another principal is another job. The payload's content is given by its digest, because the content may be evicted
/// from memory.
pub(crate) struct Spec<'a> {
    pub(crate) kind: &'a str,
    pub(crate) queue: &'a str,
    pub(crate) payload: &'a Payload,
    pub(crate) content_bytes: u64,
    pub(crate) content: ContentDigest,
    pub(crate) priority: i8,
    pub(crate) options: Option<&'a JobOptions>,
    pub(crate) owner: Option<&'a str>,
}

impl SpecDigest {
    /// The digest of the job that this owner submits.
    pub(crate) fn of(job: &NewJob, owner: Option<&str>) -> Self {
        Self::of_spec(&Spec {
            kind: job.kind.as_str(),
            queue: job.queue.as_str(),
            payload: &job.payload,
            content_bytes: job.payload.bytes.len() as u64,
            content: ContentDigest::of(&job.payload.bytes),
            priority: job.priority,
            options: job.options.as_deref(),
            owner,
        })
    }

    pub(crate) fn of_spec(spec: &Spec<'_>) -> Self {
        Self(hash(&canonical(spec)))
    }

    pub(crate) fn from_u128(bits: u128) -> Self {
        Self(bits.to_be_bytes())
    }

    pub(crate) fn as_u128(self) -> u128 {
        u128::from_be_bytes(self.0)
    }
}

fn hash(bytes: &[u8]) -> [u8; 16] {
    let mut hasher = SipHasher13::new();
    hasher.write(bytes);
    hasher.finish128().as_u128().to_be_bytes()
}

/// Builds the canonical encoding. Its inline capacity fits most specs without an allocation.
#[derive(Default)]
struct Canonical(SmallVec<[u8; 256]>);

fn canonical(spec: &Spec<'_>) -> SmallVec<[u8; 256]> {
    let mut fields = Canonical::default();
    fields.tag(1).text(spec.kind);
    fields.tag(2).text(spec.queue);
    let encoding = match spec.payload.encoding {
        Encoding::Data => 0,
        Encoding::Text => 1,
        Encoding::Json => 2,
    };
    fields.tag(3).bytes(&[encoding]).bytes(&spec.content_bytes.to_le_bytes()).bytes(&spec.content.0);
    if let Some(content_type) = spec.payload.explicit_content_type() {
        fields.tag(4).text(content_type);
    }
    if spec.priority != 0 {
        fields.tag(5).bytes(&spec.priority.to_le_bytes());
    }
    if let Some(options) = spec.options {
        fields.options(options);
    }
    if let Some(owner) = spec.owner {
        fields.tag(15).text(owner);
    }
    fields.0
}

impl Canonical {
    fn tag(&mut self, tag: u8) -> &mut Self {
        self.bytes(&[tag])
    }

    fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    fn number(&mut self, number: u32) -> &mut Self {
        self.bytes(&number.to_le_bytes())
    }

    fn text(&mut self, text: &str) -> &mut Self {
        let length = u32::try_from(text.len()).expect("texts of a spec are smaller than 4 GiB");
        self.number(length).bytes(text.as_bytes())
    }

    fn duration(&mut self, duration: Duration) -> &mut Self {
        self.bytes(&duration.as_secs().to_le_bytes()).number(duration.subsec_nanos())
    }

    fn float(&mut self, number: f64) -> &mut Self {
        let bits = if number == 0.0 { 0 } else { number.to_bits() };
        self.bytes(&bits.to_le_bytes())
    }

    fn options(&mut self, options: &JobOptions) {
        match options.start {
            Start::Now => {}
            Start::At(time) => {
                self.tag(6).bytes(&time.as_micros().to_le_bytes());
            }
            Start::After(delay) => {
                self.tag(7).duration(delay);
            }
        }
        self.optional_duration(8, options.attempt_timeout);
        self.optional_duration(9, options.timeout);
        if options.retry != RetryPolicy::default() {
            self.retry(&options.retry);
        }
        self.optional_duration(11, options.retention);
        for (tag, pairs) in [(12, &options.labels), (13, &options.headers)] {
            for (key, value) in pairs {
                self.tag(tag).text(key).text(value);
            }
        }
        if let Some(origin) = options.origin {
            self.tag(14).bytes(JobId::as_bytes(&origin));
        }
    }

    fn optional_duration(&mut self, tag: u8, duration: Option<Duration>) {
        if let Some(duration) = duration {
            self.tag(tag).duration(duration);
        }
    }

    fn retry(&mut self, retry: &RetryPolicy) {
        self.tag(10).number(retry.max_attempts).duration(retry.initial_backoff).float(retry.multiplier);
        self.duration(retry.max_backoff).float(retry.jitter).number(retry.max_lost_attempts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{Kind, QueueName, Timestamp, TraceContext};

    fn plain() -> NewJob {
        NewJob::new(Kind::parse("kind", "k").unwrap(), Payload::text("words"))
    }

    fn with(change: impl FnOnce(&mut JobOptions)) -> NewJob {
        let mut job = plain();
        change(job.options_mut());
        job
    }

    fn every_field() -> NewJob {
        NewJob {
            id: Some(JobId::from_bytes([9; 16])),
            queue: QueueName::parse("queue", "q").unwrap(),
            payload: Payload::json_text("{}").with_content_type("a/b"),
            priority: -3,
            ..with(|options| {
                options.start = Start::After(Duration::from_millis(1500));
                options.attempt_timeout = Some(Duration::from_secs(1));
                options.timeout = Some(Duration::from_secs(2));
                options.retry.max_attempts = 4;
                options.retention = Some(Duration::ZERO);
                options.labels.insert("l".to_owned(), "a".to_owned());
                options.headers.insert("h".to_owned(), "b".to_owned());
                options.origin = Some(JobId::from_bytes([1; 16]));
            })
        }
    }

    /// The digest of a job of a principal.
    const OWNED: &str = "ca1b608a2d7085afb7fe4df9bda385e8";

    /// Logs store digests, so their values are fixed.
    #[test]
    fn digests_are_the_same_in_every_version() {
        let digests = [(plain(), None), (every_field(), None), (plain(), Some("billing"))]
            .map(|(job, owner)| format!("{:032x}", SpecDigest::of(&job, owner).as_u128()));
        let expected = ["a302d49a2780ed2c0781cd3d25c12b8b", "12dbfb134e0d39542e66e122d5a4ed7e", OWNED];
        assert_eq!(digests, expected);
    }

    #[test]
    fn equivalent_specs_have_the_same_digest() {
        let own_id = NewJob { id: Some(JobId::from_bytes([7; 16])), ..plain() };
        let trace = TraceContext::parse("", "", "", "tenant=acme").unwrap();
        let traced = with(|options| options.trace = Some(trace.into()));
        let default_type = plain().payload.with_content_type("text/plain; charset=utf-8");
        for same in [own_id, with(|_| {}), traced, NewJob { payload: default_type, ..plain() }] {
            assert_eq!(SpecDigest::of(&same, None), SpecDigest::of(&plain(), None));
        }
        let negative = with(|options| options.retry.jitter = -0.0);
        let positive = with(|options| options.retry.jitter = 0.0);
        assert_eq!(SpecDigest::of(&negative, None), SpecDigest::of(&positive, None));
    }

    #[test]
    fn specs_that_differ_in_any_field_have_different_digests() {
        let label = |key: &str, value: &str| {
            with(|options| drop(options.labels.insert(key.to_owned(), value.to_owned())))
        };
        let second = Duration::from_secs(1);
        let all = [
            plain(),
            every_field(),
            NewJob { kind: Kind::parse("kind", "l").unwrap(), ..plain() },
            NewJob { queue: QueueName::parse("queue", "q").unwrap(), ..plain() },
            NewJob { payload: Payload::text("word"), ..plain() },
            NewJob { payload: Payload::data("words"), ..plain() },
            NewJob { payload: plain().payload.with_content_type("text/html"), ..plain() },
            NewJob { priority: 1, ..plain() },
            with(|options| options.start = Start::At(Timestamp::from_micros(1))),
            with(|options| options.start = Start::After(second)),
            with(|options| options.attempt_timeout = Some(second)),
            with(|options| options.timeout = Some(second)),
            with(|options| options.retention = Some(second)),
            with(|options| options.retry.max_lost_attempts = 1),
            with(|options| options.retry.multiplier = 1.5),
            label("ab", "c"),
            label("a", "bc"),
            with(|options| drop(options.headers.insert("ab".to_owned(), "c".to_owned()))),
            with(|options| options.origin = Some(JobId::from_bytes([1; 16]))),
        ];
        let owners = [None, Some("billing"), Some("mail")];
        let owned = all.iter().flat_map(|job| owners.map(|owner| SpecDigest::of(job, owner).as_u128()));
        let digests: std::collections::HashSet<_> = owned.collect();
        assert_eq!(digests.len(), all.len() * owners.len());
    }
}
