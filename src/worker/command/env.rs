//! The environment of a program: who contributes, who wins, and names for headers. Nothing is read from our
//! own.

use std::collections::{BTreeMap, HashSet};

use super::spec::CommandSpec;

/// The variable that carries this header: `trace-id` becomes `JOBSTREAM_HEADER_TRACE_ID`.
///
/// ASCII letters are raised, digits kept, every other character is one underscore, so any name is safe to
/// pass and none can shadow a variable outside the prefix.
pub fn header_env_name(header: &str) -> String {
    let safe = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    "JOBSTREAM_HEADER_".chars().chain(header.chars().map(safe)).collect()
}

/// Environment pairs for these headers. Of two headers that share a variable, the first one is kept.
pub fn header_env<N, V>(headers: impl IntoIterator<Item = (N, V)>) -> Vec<(String, String)>
where
    N: AsRef<str>,
    V: Into<String>,
{
    let mut taken = HashSet::new();
    let named = headers.into_iter().map(|(name, value)| (header_env_name(name.as_ref()), value.into()));
    named.filter(|(name, _)| taken.insert(name.clone())).collect()
}

/// Everything the program will see: inherited and allowed, then the spec's pairs, then the attempt's; later
/// ones win.
///
/// # Errors
///
/// A message if a name or value cannot be passed to a process.
pub(super) fn environment(
    spec: &CommandSpec,
    attempt: &[(String, String)],
) -> Result<BTreeMap<String, String>, String> {
    let allowed = spec.inherited_env.iter().filter(|(name, _)| spec.env_allowlist.contains(name));
    let mut environment = BTreeMap::new();
    for (name, value) in allowed.chain(&spec.env).chain(attempt) {
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(format!(
                "environment name {name:?} cannot be passed: use letters, digits and underscores"
            ));
        }
        if value.contains('\0') {
            return Err(format!(
                "environment variable {name} holds a NUL byte, which no process can receive: use the payload"
            ));
        }
        environment.insert(name.clone(), value.clone());
    }
    Ok(environment)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    #[test]
    fn header_names_become_safe_variables() {
        assert_eq!(header_env_name("trace-id.2"), "JOBSTREAM_HEADER_TRACE_ID_2");
        assert_eq!(header_env_name("a=b\0é$(x)"), "JOBSTREAM_HEADER_A_B____X_");
    }

    #[test]
    fn first_of_two_headers_with_one_variable_is_kept() {
        let pairs = header_env([("a-b", "first"), ("a_b", "second")]);
        assert_eq!(pairs, [pair("JOBSTREAM_HEADER_A_B", "first")]);
    }

    #[test]
    fn later_contributors_win_and_unlisted_names_stay_out() {
        let mut spec = CommandSpec::new("x");
        spec.inherited_env = vec![pair("PATH", "/bin"), pair("TOKEN", "secret"), pair("LANG", "C")];
        spec.env = vec![pair("LANG", "de_DE"), pair("MODE", "spec")];
        let environment = environment(&spec, &[pair("MODE", "attempt")]).expect("valid");
        let pairs: Vec<_> = environment.into_iter().collect();
        assert_eq!(pairs, [pair("LANG", "de_DE"), pair("MODE", "attempt"), pair("PATH", "/bin")]);
    }

    #[test]
    fn what_no_process_can_receive_is_refused() {
        let spec = CommandSpec::new("x");
        for bad in [pair("", "v"), pair("A=B", "v"), pair("A", "v\0w")] {
            assert!(environment(&spec, std::slice::from_ref(&bad)).is_err(), "{bad:?}");
        }
    }
}
