//! The flags and variables of the server commands. They override the config file.

use clap::{ArgMatches, Args, Command, FromArgMatches};

use super::ServerConfig;

/// Flags of every server command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Server")]
pub(crate) struct ServerArgs {
    #[command(flatten)]
    overrides: Overrides,
    /// Print the effective config as TOML and exit
    #[arg(long, help_heading = "Server")]
    pub(crate) print_config: bool,
}

impl ServerArgs {
    /// Overrides the config with the given flags and variables.
    pub(crate) fn apply(&self, config: &mut ServerConfig) {
        self.overrides.apply(config);
    }
}

/// The given flags and variables of a [`ServerConfig`].
#[derive(Debug, Clone)]
pub(crate) struct Overrides(ArgMatches);

impl Overrides {
    /// Overrides the config with the given flags and variables.
    pub(crate) fn apply(&self, config: &mut ServerConfig) {
        config.update_from_arg_matches(&self.0).expect("every flag has the type of its key");
    }
}

impl Args for Overrides {
    fn augment_args(command: Command) -> Command {
        // No flag is required: the config has a value for each.
        ServerConfig::augment_args_for_update(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        ServerConfig::augment_args_for_update(command)
    }
}

impl FromArgMatches for Overrides {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self(matches.clone()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0 = matches.clone();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::Duration;

    use clap::Parser;

    use super::super::LogFormat;
    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        server: ServerArgs,
    }

    #[test]
    fn given_flags_override_the_config_and_no_others() {
        let file = "slots = 1\ndemo = true\nallowed_hosts = ['a']\n[log]\nlevel = 'warn'\n[limits]\nretention = '2h'";
        let mut config: ServerConfig = toml::from_str(file).expect("TOML");
        let flags =
            ["serve", "--slots", "3", "--log-format", "json", "--worker-lease", "1m", "--jobs-max", "7"];
        Line::try_parse_from(flags).expect("flags").server.apply(&mut config);
        let mut expected: ServerConfig = toml::from_str(file).expect("TOML");
        expected.slots = NonZeroU32::new(3).expect("three");
        expected.log.format = LogFormat::Json;
        expected.worker.lease = Duration::from_secs(60);
        expected.limits.jobs_max = NonZeroU32::new(7);
        assert_eq!(config, expected);
        let flags = ["serve", "--demo", "false", "--allowed-host", "b,c", "--allowed-host", "d"];
        Line::try_parse_from(flags).expect("flags").server.apply(&mut config);
        assert_eq!((config.demo, config.allowed_hosts), (false, ["b", "c", "d"].map(String::from).to_vec()));
    }
}
