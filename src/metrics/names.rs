//! Sets of label values with a bound: the first names have series of their own, later ones share one.

use std::collections::BTreeSet;

/// Most names of a set that have series of their own.
pub(crate) const NAMES_MAX: usize = 200;
/// The label value of all other names.
pub(crate) const OTHER: &str = "_other";

/// The names that have series of their own. A name stays in the set, so that its series does not end.
#[derive(Debug, Default)]
pub(crate) struct NameSet<T>(BTreeSet<T>);

impl<T: Ord + Clone> NameSet<T> {
    /// Whether the name is in the set, to which it is added if there is space.
    pub(crate) fn admit(&mut self, name: &T) -> bool {
        if self.0.contains(name) {
            return true;
        }
        let has_space = self.0.len() < NAMES_MAX;
        if has_space {
            self.0.insert(name.clone());
        }
        has_space
    }

    /// The names, in their order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }
}
