//! `jobstream context show`: shows the settings of a context.

use std::path::Path;

use clap::Args;
use serde_json::{Map, Value};

use crate::connect::{self, ADDRESS, CONTEXT};
use crate::contexts::{Context, Contexts};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::output::table::Field;
use crate::output::{Format, GlobalArgs, Output};

const EXAMPLES: &str = "\
A stored token is not shown.

Examples:
  jobstream context show
  jobstream context show prod -o json";

/// Show a context
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Show {
    /// Name of the context
    /// [env: JOBSTREAM_CONTEXT] [default: the current one]
    name: Option<String>,
    /// Format of data: json, jsonl, table
    /// [default: table; tab-separated into a pipe]
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    #[arg(env = "JOBSTREAM_OUTPUT", hide_env_values = true, hide_possible_values = true)]
    output: Option<Format>,
}

impl Show {
    /// Runs the command.
    pub(super) fn run(self, global: GlobalArgs) -> Result<Exit> {
        let output = Output::new(global, self.output);
        let contexts = Contexts::load()?;
        let by_name = self.name.is_some();
        let name = match self.name {
            Some(name) => Some(name),
            None => connect::variable(CONTEXT)?,
        };
        let Some(name) = name.or_else(|| contexts.current.clone()) else {
            let error = Error::new(Exit::NotFound, "no context is the current one");
            return Err(error.hint("choose one with `jobstream context use NAME`"));
        };
        let pairs = pairs(&name, contexts.named(&name)?);
        let fields: Vec<_> = pairs.iter().map(|(key, value)| (*key, Field::from(value))).collect();
        output.object(&fields, || Ok(object(&pairs)))?;
        if let (false, Some(address)) = (by_name, connect::variable(ADDRESS)?) {
            output.notice(&format!("{ADDRESS}={address} is set: calls do not use the context"));
        }
        Ok(Exit::Ok)
    }
}

fn pairs(name: &str, context: &Context) -> Vec<(&'static str, String)> {
    let mut pairs = vec![("name", name.to_owned()), ("address", context.address.clone())];
    let mut file = |key, path: &Option<_>| {
        pairs.extend(path.as_deref().map(|path: &Path| (key, path.display().to_string())));
    };
    file("ca", &context.ca);
    file("client cert", &context.client_cert);
    file("client key", &context.client_key);
    file("token file", &context.token_file);
    if context.token.is_some() {
        pairs.push(("token", "stored".to_owned()));
    }
    if context.insecure_token {
        pairs.push(("insecure token", "yes".to_owned()));
    }
    pairs
}

/// The pairs as JSON, with keys such as `clientCert`.
fn object(pairs: &[(&'static str, String)]) -> Value {
    let key = |words: &str| match words.split_once(' ') {
        Some((first, second)) => format!("{first}{}{}", second[..1].to_uppercase(), &second[1..]),
        None => words.to_owned(),
    };
    Value::Object(
        pairs.iter().map(|(words, value)| (key(words), value.clone().into())).collect::<Map<_, _>>(),
    )
}
