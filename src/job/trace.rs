//! W3C Trace Context and Baggage of a job: parsed, valid and within their limits. No spans are made here.

use std::fmt;

use super::quoted;
use crate::error::{Error, Result, Violation};

/// Length of a `traceparent`.
pub const TRACEPARENT_CHARS: usize = 55;
/// Most bytes of a `tracestate`.
pub const TRACESTATE_BYTES_MAX: usize = 512;
/// Most bytes of a `baggage`.
pub const BAGGAGE_BYTES_MAX: usize = 4 * 1024;

/// The flag of a `traceparent` whose spans are recorded.
const SAMPLED: u8 = 1;
/// The version that is written. Of a higher version, the fields that this one has are read.
const VERSION: u8 = 0;
/// The version that is never valid.
const VERSION_INVALID: u8 = 0xff;

/// A parsed `traceparent`: the position of a request in a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    /// The id of the trace; not 0.
    pub trace_id: u128,
    /// The id of the span; not 0.
    pub span_id: u64,
    /// The flags. The lowest bit says whether the trace is sampled.
    pub flags: u8,
}

impl TraceParent {
    /// Parses a `traceparent`, such as `00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01`. `None` if it is malformed.
    pub fn parse(text: &str) -> Option<Self> {
        let is_valid = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f' | b'-');
        if text.len() != TRACEPARENT_CHARS || !text.bytes().all(is_valid) {
            return None;
        }
        let mut parts = text.split('-');
        let mut part = |chars: usize| parts.next().filter(|part| part.len() == chars);
        let version = u8::from_str_radix(part(2)?, 16).ok()?;
        let trace_id = u128::from_str_radix(part(32)?, 16).ok()?;
        let span_id = u64::from_str_radix(part(16)?, 16).ok()?;
        let flags = u8::from_str_radix(part(2)?, 16).ok()?;
        let flags = if version == VERSION { flags } else { flags & SAMPLED };
        (version != VERSION_INVALID && trace_id != 0 && span_id != 0).then_some(Self {
            trace_id,
            span_id,
            flags,
        })
    }

    /// Whether the spans of the trace are recorded.
    pub fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }
}

impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{VERSION:02x}-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, self.flags)
    }
}

/// The trace context and the baggage that a job carries from its submitter to its handler. It is not part of what makes two
/// specs the same.
///
/// ```
/// use jobstream::job::TraceContext;
///
/// # fn main() -> jobstream::error::Result<()> {
/// let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// let context = TraceContext::parse("trace_context", parent, "vendor=1", "tenant=acme")?;
/// assert_eq!(context.traceparent().as_deref(), Some(parent));
/// assert_eq!(context.baggage(), "tenant=acme");
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TraceContext {
    parent: Option<TraceParent>,
    state: Box<str>,
    baggage: Box<str>,
}

impl TraceContext {
    /// Parses the three texts. An empty text is unset. A `tracestate` without a `traceparent` is dropped.
    ///
    /// # Errors
    ///
    /// `InvalidField` with each malformed or too long text; `field` is the path of the context.
    pub fn parse(field: &str, traceparent: &str, tracestate: &str, baggage: &str) -> Result<Self> {
        let parent = TraceParent::parse(traceparent);
        let mut violations = Vec::new();
        let mut add = |name: &str, description| {
            violations.push(Violation { field: format!("{field}.{name}"), description });
        };
        if parent.is_none() && !traceparent.is_empty() {
            add("traceparent", describe_malformed(traceparent));
        }
        for (name, text, bytes_max) in
            [("tracestate", tracestate, TRACESTATE_BYTES_MAX), ("baggage", baggage, BAGGAGE_BYTES_MAX)]
        {
            if text.len() > bytes_max {
                add(name, format!("has {} bytes, the limit is {bytes_max}: leave it out", text.len()));
            } else if !is_printable(text) {
                add(name, "has a character that is not printable ASCII: percent-encode it".to_owned());
            }
        }
        match violations.is_empty() {
            true => Ok(Self::of(parent, tracestate, baggage)),
            false => Err(Error::violations(violations)),
        }
    }

    /// The context of these headers of a request. What is malformed or too long is ignored. `None` if nothing is left.
    pub fn of_headers(
        traceparent: Option<&str>,
        tracestate: Option<&str>,
        baggage: Option<&str>,
    ) -> Option<Self> {
        let within = |text: Option<&'_ str>, bytes_max| match text {
            Some(text) if text.len() <= bytes_max && is_printable(text) => text.to_owned(),
            _ => String::new(),
        };
        let parent = traceparent.and_then(TraceParent::parse);
        let (state, baggage) = (within(tracestate, TRACESTATE_BYTES_MAX), within(baggage, BAGGAGE_BYTES_MAX));
        let context = Self::of(parent, &state, &baggage);
        (!context.is_empty()).then_some(context)
    }

    fn of(parent: Option<TraceParent>, state: &str, baggage: &str) -> Self {
        let state = if parent.is_some() { state } else { "" };
        Self { parent, state: state.into(), baggage: baggage.into() }
    }

    /// The same context at another position, for example that of a new span.
    pub fn at(&self, parent: TraceParent) -> Self {
        Self { parent: Some(parent), ..self.clone() }
    }

    /// The position in the trace.
    pub fn parent(&self) -> Option<TraceParent> {
        self.parent
    }

    /// The `traceparent`, if there is one.
    pub fn traceparent(&self) -> Option<String> {
        self.parent.map(|parent| parent.to_string())
    }

    /// The `tracestate`; empty if there is none.
    pub fn tracestate(&self) -> &str {
        &self.state
    }

    /// The `baggage`; empty if there is none.
    pub fn baggage(&self) -> &str {
        &self.baggage
    }

    /// Whether nothing is set.
    pub fn is_empty(&self) -> bool {
        self.parent.is_none() && self.baggage.is_empty()
    }

    /// The headers of W3C that carry the context: the name and the value of each that is set.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, String)> {
        let set = |name, text: &str| (!text.is_empty()).then(|| (name, text.to_owned()));
        let parent = self.traceparent().map(|parent| ("traceparent", parent));
        [parent, set("tracestate", &self.state), set("baggage", &self.baggage)].into_iter().flatten()
    }

    /// Size of the context in bytes, in memory; an upper bound of the bytes of its texts.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + TRACEPARENT_CHARS + self.state.len() + self.baggage.len()
    }
}

fn describe_malformed(traceparent: &str) -> String {
    let mut shown = traceparent.to_owned();
    super::truncate(&mut shown, TRACEPARENT_CHARS);
    format!("is {}: send 00-<32 hex digits>-<16 hex digits>-<2 hex digits> in lower case", quoted(&shown))
}

fn is_printable(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_traceparent_is_parsed_and_displayed() {
        let parsed = TraceParent::parse(PARENT).unwrap();
        assert_eq!((parsed.trace_id, parsed.span_id), (0x4bf92f3577b34da6a3ce929d0e0e4736, 0xf067aa0ba902b7));
        assert!(parsed.is_sampled() && !TraceParent { flags: 2, ..parsed }.is_sampled());
        assert_eq!(parsed.to_string(), PARENT);
        // A higher version is read as this one.
        let higher = TraceParent::parse(&PARENT.replacen("00", "cc", 1).replace("-01", "-ff"));
        assert_eq!(higher, Some(parsed));
    }

    #[test]
    fn a_malformed_traceparent_is_refused() {
        let zeros = "00-00000000000000000000000000000000-00f067aa0ba902b7-01";
        for text in [
            "",
            "00",
            zeros,
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473600f067aa0ba902b7-01-",
            "0-04bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473é-0f067aa0ba902b7-01",
            &format!("{PARENT}-extra"),
        ] {
            assert_eq!(TraceParent::parse(text), None, "{text}");
        }
    }

    #[test]
    fn every_invalid_text_of_a_context_is_named() {
        let (state, baggage) = ("s".repeat(TRACESTATE_BYTES_MAX + 1), "a=\n");
        let error = TraceContext::parse("trace_context", "00-x", &state, baggage).unwrap_err();
        for field in ["trace_context.traceparent", "trace_context.tracestate", "trace_context.baggage"] {
            assert!(error.message().contains(field), "{error}");
        }
    }

    #[test]
    fn invalid_headers_are_ignored() {
        let long = "b".repeat(BAGGAGE_BYTES_MAX + 1);
        assert_eq!(TraceContext::of_headers(Some("00-x"), Some("a=1"), Some(&long)), None);
        let context = TraceContext::of_headers(Some(PARENT), Some("a=1"), Some("\u{7f}")).unwrap();
        assert_eq!(context, TraceContext::parse("", PARENT, "a=1", "").unwrap());
        let headers: Vec<_> = context.headers().collect();
        assert_eq!(headers, [("traceparent", PARENT.to_owned()), ("tracestate", "a=1".to_owned())]);
        assert_eq!(TraceContext::of_headers(None, Some("a=1"), Some("b=2")).unwrap().tracestate(), "");
    }
}
