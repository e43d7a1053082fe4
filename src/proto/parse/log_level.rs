//! The parser of SetLogLevel.

use super::Violations;
use crate::error::Result;
use crate::job::quoted;
use crate::proto::v1;

/// Most bytes of a level.
pub(crate) const LOG_LEVEL_BYTES_MAX: usize = 1_024;
/// The levels of a log.
pub(crate) const LOG_LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Checks a SetLogLevelRequest: a list of `LEVEL` and `TARGET=LEVEL`.
///
/// # Errors
///
/// `InvalidField` naming `level`.
pub(crate) fn set_log_level(request: &v1::SetLogLevelRequest) -> Result<()> {
    let (level, mut found) = (request.level.as_str(), Violations::default());
    if level.len() > LOG_LEVEL_BYTES_MAX {
        found.add("level", format!("has {} bytes, the limit is {LOG_LEVEL_BYTES_MAX}", level.len()));
    } else if let Some(part) = level.split(',').find(|part| !is_valid(part)) {
        let levels = LOG_LEVELS.join(", ");
        let description = format!(
            "{} is not a level: use one of {levels}, or TARGET=LEVEL for one target, such as jobstream::jobs=debug",
            quoted(part)
        );
        found.add("level", description);
    }
    found.finish(|| Some(()))
}

fn is_valid(part: &str) -> bool {
    let (target, level) = part.split_once('=').unwrap_or(("jobstream", part));
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    LOG_LEVELS.contains(&level) && target.split("::").all(is_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_a_list_of_levels_and_of_targets_with_levels() {
        let check = |level: &str| set_log_level(&v1::SetLogLevelRequest { level: level.to_owned() });
        for level in ["off", "trace", "info,jobstream::jobs=debug", "jobstream=warn,h2=off,error"] {
            assert!(check(level).is_ok(), "{level}");
        }
        let long = "info,".repeat(250) + "info";
        for level in
            ["", "loud", "INFO", "info,", "info, warn", "a=b=info", "=info", "a::=info", "x[y]=info", &long]
        {
            let error = check(level).expect_err(level);
            assert!(error.message().starts_with("level: "), "{error}");
        }
        let error = check("info,loud").expect_err("no level");
        assert!(error.message().contains("\"loud\" is not a level: use one of off, error,"), "{error}");
    }
}
