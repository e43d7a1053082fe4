//! Bugs that tests plant, to see that they are found. No build but that of the tests has them.

/// A rule that is broken where it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Planted {
    /// An answer does not wait for the disk.
    AnswersEarly,
    /// Whoever once had an attempt of a job may end it.
    EndsUnfenced,
    /// A job that ended may be submitted once more under its id.
    ForgetsIds,
    /// A checkpoint does not write tombstones.
    DropsTombstones,
}
