//! `jobstream context ls`: lists the contexts.

use clap::Args;
use serde_json::json;

use crate::contexts::{Context, Contexts};
use crate::error::Result;
use crate::exit::Exit;
use crate::output::table::{Column, Columns, Field};
use crate::output::{Format, GlobalArgs, Output};

const EXAMPLES: &str = "\
Columns: name, * for the current one, address, token (FILE or STORED). Tokens
are not shown.

Examples:
  jobstream context ls
  jobstream context ls -o json | jq '.[] | select(.current).name'";

/// List contexts
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Ls {
    /// Format of data: json, jsonl, table
    /// [default: table; tab-separated into a pipe]
    #[arg(short, long, value_enum, value_name = "FORMAT")]
    #[arg(env = "JOBSTREAM_OUTPUT", hide_env_values = true, hide_possible_values = true)]
    output: Option<Format>,
}

impl Ls {
    /// Runs the command.
    pub(super) fn run(self, global: GlobalArgs) -> Result<Exit> {
        let output = Output::new(global, self.output);
        let Contexts { current, contexts } = Contexts::load()?;
        let is_current = |name: &String| current.as_ref() == Some(name);
        let mut columns = Columns::new([
            Column::new("NAME"),
            Column::new("CURRENT"),
            Column::new("ADDRESS"),
            Column::new("TOKEN"),
        ]);
        for (name, context) in &contexts {
            let mark = if is_current(name) { "*" } else { "" };
            columns.row([
                Field::from(name),
                mark.into(),
                Field::from(&context.address),
                token(context).into(),
            ]);
        }
        let values = contexts.iter().map(|(name, context)| {
            let (address, token) = (&context.address, token(context));
            Ok(json!({ "name": name, "current": is_current(name), "address": address, "token": token }))
        });
        output.list(&columns, values)?;
        if contexts.is_empty() {
            output.notice("there are no contexts");
            output.tip("add one with `jobstream context add NAME --address ADDRESS`");
        }
        Ok(Exit::Ok)
    }
}

/// Where the token of a context is, never the token.
fn token(context: &Context) -> &'static str {
    match (&context.token, &context.token_file) {
        (Some(_), _) => "STORED",
        (None, Some(_)) => "FILE",
        (None, None) => "",
    }
}
