//! Injected bugs of test builds. The crash tests must find them.

/// A rule that the product code breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Planted {
    /// A response does not wait until its records are durable.
    AnswersEarly,
}
