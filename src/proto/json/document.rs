//! Checks a JSON document before it is converted: its syntax, its depth, its size in values, and that no key is repeated.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use smallvec::SmallVec;

use crate::job::quoted;

/// Most values of one document. Each takes about 1 KB while the document is converted.
pub(crate) const VALUES_MAX: usize = 65_536;
/// Deepest nesting of a document. Payloads have a lower limit of their own.
const DEPTH_MAX: usize = 100;

/// Keys of an object that are compared one by one.
const FEW_KEYS: usize = 8;

/// Checks the syntax and the bounds of a document.
///
/// # Errors
///
/// What is wrong, with its line and column.
pub(super) fn check(text: &[u8]) -> Result<(), String> {
    if text.iter().all(u8::is_ascii_whitespace) {
        return Err("is empty: send a JSON object".to_owned());
    }
    let mut values = 0;
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let check = Check { values: &mut values, depth: 0 };
    check.deserialize(&mut deserializer).and_then(|()| deserializer.end()).map_err(|error| {
        match error.classify() {
            serde_json::error::Category::Data => error.to_string(),
            _ => format!("is not JSON: {error}"),
        }
    })
}

/// The name in an error about an unknown field.
pub(super) fn unknown_field(message: &str) -> Option<&str> {
    let (_, name) = message.split_once("unrecognized field name '")?;
    Some(name.rsplit_once('\'')?.0)
}

/// Visits one value.
struct Check<'a> {
    values: &'a mut usize,
    depth: usize,
}

impl Check<'_> {
    fn count<E: de::Error>(&mut self) -> Result<(), E> {
        *self.values += 1;
        match *self.values <= VALUES_MAX {
            true => Ok(()),
            false => Err(E::custom(format_args!(
                "has more than {VALUES_MAX} values, the limit of a document: send a large payload as text or data"
            ))),
        }
    }

    fn inner(&mut self) -> Check<'_> {
        Check { values: self.values, depth: self.depth + 1 }
    }

    fn check_depth<E: de::Error>(&self) -> Result<(), E> {
        match self.depth < DEPTH_MAX {
            true => Ok(()),
            false => Err(E::custom(format_args!(
                "is nested deeper than {DEPTH_MAX} levels: send a payload as text"
            ))),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Check<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(mut self, deserializer: D) -> Result<(), D::Error> {
        self.count()?;
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Check<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        self.check_depth()?;
        while seq.next_element_seed(self.inner())?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        self.check_depth()?;
        let mut keys = Keys::default();
        while let Some(Key(key)) = map.next_key()? {
            if let Some(repeated) = keys.insert(key) {
                return Err(de::Error::custom(format_args!("has the key {} twice", quoted(&repeated))));
            }
            map.next_value_seed(self.inner())?;
        }
        Ok(())
    }
}

/// The keys of one object. Most objects have few, which are compared without hashing.
#[derive(Default)]
struct Keys<'a> {
    few: SmallVec<[Cow<'a, str>; FEW_KEYS]>,
    many: HashSet<Cow<'a, str>>,
}

impl<'a> Keys<'a> {
    /// Adds a key. Returns it if it is there already.
    fn insert(&mut self, key: Cow<'a, str>) -> Option<Cow<'a, str>> {
        if self.few.contains(&key) {
            return Some(key);
        }
        if self.few.len() < FEW_KEYS {
            self.few.push(key);
            return None;
        }
        self.many.replace(key)
    }
}

/// A key, borrowed from the text unless it has escapes.
#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);
