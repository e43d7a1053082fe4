//! Parses the values of a config: spans (`"30s"`), sizes (`"1MiB"`) and `--exec` programs.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serializer, de};

use crate::units;

/// Checks that the text is `kind=program args`. The program and its arguments are parsed when handlers are made.
pub(crate) fn exec(text: &str) -> Result<String, String> {
    match text.split_once('=') {
        Some((kind, program)) if !kind.trim().is_empty() && !program.trim().is_empty() => Ok(text.to_owned()),
        _ => Err("write kind=program, such as 'upper=tr a-z A-Z'".to_owned()),
    }
}

/// Reads `1MiB`, `64KiB`, `2GiB`, `500kB` or a number of bytes.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '_').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number
        .replace('_', "")
        .parse()
        .map_err(|_| "write a whole number and a unit, such as 1MiB, 64KiB or 500kB".to_owned())?;
    let factor: u64 = match unit.trim() {
        "" | "B" => 1,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        "KiB" | "K" | "k" => 1 << 10,
        "MiB" | "M" => 1 << 20,
        "GiB" | "G" => 1 << 30,
        "TiB" | "T" => 1 << 40,
        unit => return Err(format!("unknown unit {unit:?}: use B, kB, MB, GB, TB, KiB, MiB, GiB or TiB")),
    };
    number.checked_mul(factor).ok_or_else(|| "is too large".to_owned())
}

/// A span in a config file, as text.
pub(crate) mod span {
    use super::{Deserialize, Deserializer, Duration, Serializer, de, units};

    pub(crate) fn serialize<S: Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_duration(*span))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let Span::Text(text) = Span::deserialize(deserializer)?;
        units::duration(&text).map_err(|problem| de::Error::custom(format_args!("{text:?}: {problem}")))
    }

    #[derive(Deserialize)]
    #[serde(untagged, expecting = "write a number and a unit in quotes, such as \"30s\"")]
    enum Span {
        Text(String),
    }
}

/// An optional span in a config file.
pub(crate) mod optional_span {
    use super::{Deserializer, Duration, Serializer, span};

    pub(crate) fn serialize<S: Serializer>(
        span: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match span {
            Some(span) => span::serialize(span, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        span::deserialize(deserializer).map(Some)
    }
}

/// A number of bytes in a config file: text with a unit, or a bare number.
pub(crate) mod size {
    use super::{Deserialize, Deserializer, Serializer, bytes, de};

    #[derive(Deserialize)]
    #[serde(untagged, expecting = "write a size such as \"1MiB\", or a whole number of bytes")]
    enum Size {
        Bytes(u64),
        Text(String),
    }

    pub(crate) fn serialize<S: Serializer>(size: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        let units = [("GiB", 1_u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
        match units.into_iter().find(|(_, unit)| *size > 0 && size.is_multiple_of(*unit)) {
            Some((name, unit)) => serializer.collect_str(&format_args!("{}{name}", size / unit)),
            None => serializer.serialize_u64(*size),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        match Size::deserialize(deserializer)? {
            Size::Bytes(number) => Ok(number),
            Size::Text(text) => {
                bytes(&text).map_err(|problem| de::Error::custom(format_args!("{text:?}: {problem}")))
            }
        }
    }
}

/// An optional number of bytes in a config file.
pub(crate) mod optional_size {
    use super::{Deserializer, Serializer, size};

    pub(crate) fn serialize<S: Serializer>(size: &Option<u64>, serializer: S) -> Result<S::Ok, S::Error> {
        match size {
            Some(size) => size::serialize(size, serializer),
            None => serializer.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
        size::deserialize(deserializer).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        assert_eq!(bytes("1MiB"), Ok(1 << 20));
        assert_eq!(bytes("1_000 kB"), Ok(1_000_000));
        assert_eq!(bytes("42"), Ok(42));
        assert_eq!((bytes("2TiB"), bytes("2TB")), (Ok(2 << 40), Ok(2_000_000_000_000)));
        assert!(bytes("1 parsec").expect_err("no such unit").contains("parsec"));
        assert!(bytes("MiB").is_err());
        assert!(bytes("99999999999GiB").is_err());
    }
}
