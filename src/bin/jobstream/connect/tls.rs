//! The TLS flags of commands that talk to a server. They name files in PEM format.

use std::path::{Path, PathBuf};

use clap::Args;
use jobstream::client::ClientOptions;
use jobstream::secret_file;

use super::{Address, Defaults, file_of_variable};
use crate::contexts::Context;
use crate::error::{Error, Result};
use crate::output::Output;

/// The variables of the files.
const CA: &str = "JOBSTREAM_CA";
const CLIENT_CERT: &str = "JOBSTREAM_CLIENT_CERT";
const CLIENT_KEY: &str = "JOBSTREAM_CLIENT_KEY";

/// Flags for addresses that begin with https. A variable has no effect on other addresses, a flag is refused there.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct TlsArgs {
    /// CA of an https server, PEM [env: JOBSTREAM_CA]
    /// [default: the CAs of the system]
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// Certificate of this client, PEM, for a server that requires
    /// one [env: JOBSTREAM_CLIENT_CERT]
    #[arg(long, value_name = "FILE")]
    pub(crate) client_cert: Option<PathBuf>,
    /// Private key of that certificate, PEM
    /// [env: JOBSTREAM_CLIENT_KEY]
    #[arg(long, value_name = "FILE")]
    pub(crate) client_key: Option<PathBuf>,
}

impl TlsArgs {
    /// The flags, else the variables.
    pub(crate) fn or_variables(self) -> Self {
        let of_variable = |flag: Option<PathBuf>, name| flag.or_else(|| file_of_variable(name));
        Self {
            ca: of_variable(self.ca, CA),
            client_cert: of_variable(self.client_cert, CLIENT_CERT),
            client_key: of_variable(self.client_key, CLIENT_KEY),
        }
    }

    /// Reads the files into the options of a client, and warns of a key that other users can use. The address gets the flags
    /// for the commands that messages suggest.
    ///
    /// # Errors
    ///
    /// A usage error if a file cannot be read, or a flag does not fit the address.
    pub(super) fn apply(
        &self,
        address: &mut Address,
        defaults: &Defaults,
        options: &mut ClientOptions,
        output: &Output,
    ) -> Result<()> {
        let flags =
            [("--ca", &self.ca), ("--client-cert", &self.client_cert), ("--client-key", &self.client_key)];
        let given = flags.into_iter().filter_map(|(flag, file)| Some((flag, file.as_deref()?)));
        let given: Vec<(&str, &Path)> = given.collect();
        if !address.is_https() {
            return match given.first() {
                None => Ok(()),
                Some((flag, _)) => {
                    Err(Error::usage(format!("{flag} needs TLS, but the address is {address}"))
                        .hint("write the address as https://host:port"))
                }
            };
        }
        for (flag, file) in given {
            address.add_file(flag, file);
        }
        let file = |flag: &Option<PathBuf>, variable, of_context: fn(&Context) -> &Option<PathBuf>| {
            flag.clone().or_else(|| defaults.file(variable, of_context))
        };
        let ca = file(&self.ca, CA, |context| &context.ca);
        let certificate = file(&self.client_cert, CLIENT_CERT, |context| &context.client_cert);
        let key = file(&self.client_key, CLIENT_KEY, |context| &context.client_key);
        match (&certificate, &key) {
            (Some(_), None) => Err(Error::usage(format!(
                "the client certificate needs its key: --client-key or {CLIENT_KEY}"
            ))),
            (None, Some(_)) => Err(Error::usage(format!(
                "the client key needs its certificate: --client-cert or {CLIENT_CERT}"
            ))),
            _ => {
                let warning = key.as_deref().and_then(|key| secret_file::warning("TLS key", key));
                set(options, ca, certificate.zip(key))?;
                warning.iter().for_each(|warning| output.warning(warning));
                Ok(())
            }
        }
    }
}

#[cfg(feature = "tls")]
fn set(options: &mut ClientOptions, ca: Option<PathBuf>, identity: Option<(PathBuf, PathBuf)>) -> Result<()> {
    if let Some(path) = ca {
        options.tls.set_ca_file(path).map_err(|error| Error::usage(error.message()))?;
    }
    if let Some((certificate, key)) = identity {
        // A worker runs for longer than some certificates are valid.
        options.tls.identity = Some(jobstream::client::ClientIdentity::from_files(certificate, key));
    }
    Ok(())
}

#[cfg(not(feature = "tls"))]
fn set(_: &mut ClientOptions, _: Option<PathBuf>, _: Option<(PathBuf, PathBuf)>) -> Result<()> {
    Err(Error::usage("this jobstream was built without TLS: build it with the feature tls"))
}
