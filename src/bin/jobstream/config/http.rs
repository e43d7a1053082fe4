//! The `[http.KIND]` tables of a config and the flags beside them: HTTP endpoints that run the jobs of a kind.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use jobstream::worker::HttpHandler;
use serde::{Deserialize, Serialize};

use super::table::table;
use super::{Kind, values};
use crate::error::{Error, Result};

table! {
    /// An HTTP endpoint that runs the jobs of one kind.
    #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    pub(crate) struct HttpConfig {
        /// URL of the endpoint, http or https; --http overrides it
        pub(crate) url: String,
        /// Additional request headers, such as authorization [default: none]
        #[serde(default)]
        pub(crate) headers: BTreeMap<String, String>,
        /// File of the secrets that sign requests, one a line [default: --http-secret-file; without one, no signatures]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub(crate) secret_file: Option<PathBuf>,
        /// File of the certificate authorities that the endpoint is verified with, PEM [default: those of the system]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub(crate) ca_file: Option<PathBuf>,
        /// Timeout of one request [default: the job's attempt timeout]
        #[serde(default, with = "values::optional_span", skip_serializing_if = "Option::is_none")]
        pub(crate) time_limit: Option<Duration>,
        /// Largest result; a larger one fails the job [default: payload_bytes_max]
        #[serde(default, with = "values::optional_size", skip_serializing_if = "Option::is_none")]
        pub(crate) result_bytes_max: Option<u64>,
        /// Concurrent requests of this kind [default: 16]
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pub(crate) slots: Option<NonZeroU32>,
    }
}

/// The flags of `dev`, `serve` and `worker` for HTTP endpoints.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct HttpArgs {
    /// Send the jobs of a kind to an HTTP endpoint, as POST
    /// requests; repeatable
    #[arg(long, value_name = "KIND=URL", value_parser = endpoint)]
    pub(crate) http: Vec<Endpoint>,
    /// Sign these requests with the secrets in a file, one a line
    #[arg(long, value_name = "FILE", env = "JOBSTREAM_HTTP_SECRET_FILE", hide_env_values = true)]
    pub(crate) http_secret_file: Option<PathBuf>,
}

/// The value of `--http`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    kind: Kind,
    url: String,
}

impl HttpArgs {
    /// Sets the URLs of these kinds, and the secrets of all kinds without their own.
    ///
    /// # Errors
    ///
    /// If a kind has two URLs.
    pub(crate) fn apply(&self, tables: &mut BTreeMap<Kind, HttpConfig>) -> Result<()> {
        let mut kinds = BTreeSet::new();
        for Endpoint { kind, url } in &self.http {
            if !kinds.insert(kind) {
                return Err(Error::usage(format!(
                    "--http names kind {} twice: give it one URL",
                    kind.as_str()
                )));
            }
            tables.entry(kind.clone()).or_default().url.clone_from(url);
        }
        for table in tables.values_mut().filter(|table| table.secret_file.is_none()) {
            table.secret_file.clone_from(&self.http_secret_file);
        }
        Ok(())
    }
}

/// Reads `kind=URL`.
fn endpoint(text: &str) -> std::result::Result<Endpoint, String> {
    let Some((kind, url)) = text.split_once('=') else {
        return Err("write kind=URL, such as resize=http://127.0.0.1:9000/resize".to_owned());
    };
    let kind = Kind::try_from(kind.trim().to_owned()).map_err(|error| error.to_string())?;
    let url = url.trim();
    HttpHandler::new(url).map_err(|error| error.to_string())?;
    Ok(Endpoint { kind, url: url.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(endpoints: &[&str], secret_file: Option<&str>) -> HttpArgs {
        let http = endpoints.iter().map(|text| endpoint(text).expect(text)).collect();
        HttpArgs { http, http_secret_file: secret_file.map(PathBuf::from) }
    }

    #[test]
    fn a_flag_overrides_the_url_of_a_table() {
        let mut tables: BTreeMap<Kind, HttpConfig> = toml::from_str(
            "[a]\nurl = 'http://file/'\nslots = 2\nsecret_file = 'own'\n[b]\nurl = 'http://b/'",
        )
        .expect("TOML");
        args(&["a=http://flag/?x=1", "c=http://c/"], Some("shared")).apply(&mut tables).expect("three kinds");
        let shown = tables.iter().map(|(kind, table)| {
            let secret_file = table.secret_file.as_ref().and_then(|path| path.to_str());
            (kind.as_str(), table.url.as_str(), secret_file, table.slots.map(NonZeroU32::get))
        });
        assert_eq!(
            shown.collect::<Vec<_>>(),
            [
                ("a", "http://flag/?x=1", Some("own"), Some(2)),
                ("b", "http://b/", Some("shared"), None),
                ("c", "http://c/", Some("shared"), None),
            ]
        );
    }

    #[test]
    fn a_kind_has_one_url() {
        let error = args(&["a=http://x/", "a=http://y/"], None).apply(&mut BTreeMap::new());
        assert_eq!(error.expect_err("twice").message, "--http names kind a twice: give it one URL");
    }

    #[test]
    fn malformed_values_are_refused() {
        for (text, expected) in [
            ("resize", "write kind=URL"),
            ("=http://x/", "kind: "),
            ("a b=http://x/", "kind: "),
            ("a=ftp://x/", "not http or https"),
            ("a=127.0.0.1:9000", "no scheme"),
        ] {
            let message = endpoint(text).expect_err(text);
            assert!(message.contains(expected), "{message}");
        }
    }
}
