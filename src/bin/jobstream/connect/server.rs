//! Which server a command calls, and with which TLS and credentials. A flag overrides a variable, which overrides the
//! current context. A context that a flag names overrides variables.

use std::env::{self, VarError};
use std::path::PathBuf;

use clap::Args;
use jobstream::client::ClientOptions;

use super::address::Source;
use super::{Address, CredentialArgs, TlsArgs};
use crate::contexts::{Context, Contexts};
use crate::error::{Error, Result};
use crate::output::Output;

/// The variables that name the server.
pub(crate) const ADDRESS: &str = "JOBSTREAM_ADDRESS";
pub(crate) const CONTEXT: &str = "JOBSTREAM_CONTEXT";

/// Flags of every command that calls a server, and of workers.
#[derive(Debug, Clone, Args)]
pub(crate) struct ServerArgs {
    /// Server, host:port or https://host:port
    /// [env: JOBSTREAM_ADDRESS] [default: the current context, else
    /// http://127.0.0.1:7070]
    #[arg(long, value_name = "ADDRESS", conflicts_with = "context")]
    address: Option<String>,
    /// Server of a context, see `jobstream context`
    /// [env: JOBSTREAM_CONTEXT]
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    #[command(flatten)]
    tls: TlsArgs,
    #[command(flatten)]
    credentials: CredentialArgs,
}

/// The settings that no flag gives: those of variables and of a context.
#[derive(Debug, Default)]
pub(super) struct Defaults {
    /// The context, if the address is that of a context. Its credentials are sent to no other address.
    pub(super) context: Option<Context>,
    /// Whether it overrides variables, because a flag names it.
    pub(super) is_context_first: bool,
}

impl Defaults {
    /// A file that a variable or the context names.
    pub(super) fn file(
        &self,
        variable: &str,
        of_context: fn(&Context) -> &Option<PathBuf>,
    ) -> Option<PathBuf> {
        let of_context = self.context.as_ref().and_then(|context| of_context(context).clone());
        match self.is_context_first {
            true => of_context.or_else(|| file_of_variable(variable)),
            false => file_of_variable(variable).or(of_context),
        }
    }
}

impl ServerArgs {
    /// The address of the server. The options of the client get its TLS and credentials.
    ///
    /// # Errors
    ///
    /// A usage error if a setting is invalid; `NotFound` if the context does not exist.
    pub(crate) fn apply(&self, options: &mut ClientOptions, output: &Output) -> Result<Address> {
        let (mut address, defaults) = self.server()?;
        self.tls.apply(&mut address, &defaults, options, output)?;
        self.credentials.apply(&mut address, &defaults, options, output)?;
        Ok(address)
    }

    fn server(&self) -> Result<(Address, Defaults)> {
        let address = |text: &str, source| Ok((Address::new(text, source)?, Defaults::default()));
        if let Some(text) = &self.address {
            return address(text, Source::Flag);
        }
        if let Some(name) = &self.context {
            return of_context(&Contexts::load()?, name, true);
        }
        match (variable(ADDRESS)?, variable(CONTEXT)?) {
            (Some(_), Some(_)) => Err(Error::usage(format!(
                "{ADDRESS} and {CONTEXT} are both set, and each names a server: unset one"
            ))),
            (Some(text), None) => address(&text, Source::Variable),
            (None, Some(name)) => of_context(&Contexts::load()?, &name, false),
            (None, None) => {
                let contexts = Contexts::load()?;
                match &contexts.current {
                    Some(name) => of_context(&contexts, name, false),
                    None => Ok((Address::default()?, Defaults::default())),
                }
            }
        }
    }
}

fn of_context(contexts: &Contexts, name: &str, by_flag: bool) -> Result<(Address, Defaults)> {
    let context = contexts.named(name)?.clone();
    let address = Address::new(&context.address, Source::Context { name: name.to_owned(), by_flag })?;
    Ok((address, Defaults { context: Some(context), is_context_first: by_flag }))
}

/// The file that a variable names.
pub(super) fn file_of_variable(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The value of a variable; an empty one counts as unset.
///
/// # Errors
///
/// If it is not UTF-8.
pub(crate) fn variable(name: &str) -> Result<Option<String>> {
    match env::var(name) {
        Err(VarError::NotUnicode(value)) => Err(Error::usage(format!("{value:?} ({name}) is not UTF-8"))),
        value => Ok(value.ok().filter(|value| !value.is_empty())),
    }
}

/// Checks that a client can be made with the settings of a context. It connects to nothing.
///
/// # Errors
///
/// A usage error if a file is unreadable or invalid, a flag does not fit the address, or a token cannot be sent there.
pub(crate) fn check(context: &Context, tls: &TlsArgs, output: &Output) -> Result<()> {
    let mut options = ClientOptions::default();
    let mut address = Address::new(&context.address, Source::Flag)?;
    let defaults = Defaults { context: Some(context.clone()), is_context_first: true };
    tls.apply(&mut address, &defaults, &mut options, output)?;
    CredentialArgs::default().apply(&mut address, &defaults, &mut options, output)?;
    super::lazy(&address, options).map(drop)
}
