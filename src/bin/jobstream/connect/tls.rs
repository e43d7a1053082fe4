//! The TLS flags of commands that talk to a server. They name files in PEM format.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use clap::Args;
use jobstream::client::ClientOptions;

use super::Address;
use crate::error::{Error, Result};

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
    ca: Option<PathBuf>,
    /// Certificate of this client, PEM, for a server that requires
    /// one [env: JOBSTREAM_CLIENT_CERT]
    #[arg(long, value_name = "FILE")]
    client_cert: Option<PathBuf>,
    /// Private key of that certificate, PEM
    /// [env: JOBSTREAM_CLIENT_KEY]
    #[arg(long, value_name = "FILE")]
    client_key: Option<PathBuf>,
}

impl TlsArgs {
    /// Reads the files into the options of a client. The address gets the flags for the commands that messages suggest.
    ///
    /// # Errors
    ///
    /// A usage error if a file cannot be read, or a flag does not fit the address.
    pub(crate) fn apply(&self, address: &mut Address, options: &mut ClientOptions) -> Result<()> {
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
            address.add_flag(flag, file);
        }
        let certificate = read("client certificate", &self.client_cert, CLIENT_CERT)?;
        let key = read("client key", &self.client_key, CLIENT_KEY)?;
        let ca = read("CA certificate", &self.ca, CA)?;
        match (&certificate, &key) {
            (Some(_), None) => Err(Error::usage(format!(
                "the client certificate needs its key: --client-key or {CLIENT_KEY}"
            ))),
            (None, Some(_)) => Err(Error::usage(format!(
                "the client key needs its certificate: --client-cert or {CLIENT_CERT}"
            ))),
            _ => set(options, ca, certificate.zip(key)),
        }
    }
}

/// The content of the file of the flag, else of the variable.
fn read(what: &str, flag: &Option<PathBuf>, variable: &str) -> Result<Option<Vec<u8>>> {
    let named = || env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from);
    let Some(path) = flag.clone().or_else(named) else { return Ok(None) };
    let content = fs::read(&path)
        .map_err(|error| Error::usage(format!("cannot read the {what} {}: {error}", path.display())))?;
    Ok(Some(content))
}

#[cfg(feature = "tls")]
fn set(options: &mut ClientOptions, ca: Option<Vec<u8>>, identity: Option<(Vec<u8>, Vec<u8>)>) -> Result<()> {
    options.tls.ca = ca;
    options.tls.identity =
        identity.map(|(certificate, key)| jobstream::client::ClientIdentity::new(certificate, key));
    Ok(())
}

#[cfg(not(feature = "tls"))]
fn set(_: &mut ClientOptions, _: Option<Vec<u8>>, _: Option<(Vec<u8>, Vec<u8>)>) -> Result<()> {
    Err(Error::usage("this jobstream was built without TLS: build it with the feature tls"))
}
