//! Everything that would keep a server with a config from starting, without starting one. The data directory is not opened,
//! no address is bound, and no URL is called.

use jobstream::worker::Worker;

use super::{Handlers, exposure, identity, log_level, plain_options, secret_files, tls};
use crate::config::ServerConfig;
use crate::error::{Error, Result};

/// What a check of a config finds.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// A server does not start with these.
    pub(crate) problems: Vec<Error>,
    /// A server logs these.
    pub(crate) warnings: Vec<String>,
}

/// Checks a config with the files that it names. Values are compared with each other only if the config is complete.
pub(crate) fn check(config: &ServerConfig, is_complete: bool) -> Findings {
    let mut found = Findings::default();
    if is_complete {
        found.problems.extend(config.problems());
    }
    found.problems.extend(log_level::filter(&config.log.level).err().map(Error::usage));
    let serve = plain_options(config).serve;
    found.problems.extend(serve.check().err().map(|error| Error::usage(error.to_string())));
    found.problems.extend(tls::problems(&config.tls));
    found.warnings.extend(secret_files::warnings(config));
    found.problems.extend(identity::problems(&config.auth));
    let (handlers, of_handlers) = Handlers::check(config);
    found.problems.extend(of_handlers);
    if is_complete {
        match exposure(&handlers, config) {
            Ok(warning) => found.warnings.extend(warning),
            Err(problem) => found.problems.push(problem),
        }
    }
    found.problems.extend(handlers.add_to(Worker::new()).err());
    found
}

fn exposure(handlers: &Handlers, config: &ServerConfig) -> Result<Option<String>> {
    let addresses: Vec<_> = config.listen.resolve("--listen")?.into_iter().collect();
    exposure::check(&addresses, &handlers.programs(), config)
}
