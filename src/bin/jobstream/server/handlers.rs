//! The handlers of a server or worker: programs and HTTP endpoints.

use std::collections::BTreeMap;

use jobstream::worker::{CommandHandler, Worker};

use super::commands;
use super::endpoints::{self, Endpoint, Endpoints};
use crate::config::ServerConfig;
use crate::error::{Error, Result};

/// Handlers by kind. No kind has two.
pub(crate) struct Handlers {
    programs: BTreeMap<String, CommandHandler>,
    endpoints: BTreeMap<String, Endpoint>,
}

impl Handlers {
    /// The handlers of a config.
    ///
    /// # Errors
    ///
    /// If a handler is invalid, or a kind has a program and an endpoint.
    pub(crate) fn new(config: &ServerConfig) -> Result<Self> {
        let endpoints = endpoints::handlers(config)?;
        let handlers = Self { programs: commands::handlers(config)?, endpoints };
        handlers.kinds_with_two().into_iter().next().map_or(Ok(handlers), Err)
    }

    /// The valid handlers of a config, which cannot run, and every problem.
    pub(super) fn check(config: &ServerConfig) -> (Self, Vec<Error>) {
        let (endpoints, mut problems) = endpoints::check(config);
        let (programs, of_programs) = commands::check(config);
        let handlers = Self { programs, endpoints };
        problems.extend(of_programs);
        problems.extend(handlers.kinds_with_two());
        (handlers, problems)
    }

    /// The problems of kinds with a program and an endpoint.
    fn kinds_with_two(&self) -> Vec<Error> {
        let both = self.programs.keys().filter(|kind| self.endpoints.contains_key(*kind));
        let problem = |kind: &String| {
            Error::usage(format!(
                "kind {kind} has a program and an HTTP endpoint: remove one of them from the flags or the config file"
            ))
        };
        both.map(problem).collect()
    }

    /// The kinds that programs run.
    pub(crate) fn programs(&self) -> Vec<&str> {
        self.programs.keys().map(String::as_str).collect()
    }

    /// Each kind with its slots.
    pub(crate) fn slots(&self) -> Vec<(String, u32)> {
        let programs = self.programs.iter().map(|(kind, program)| (kind.clone(), program.slots));
        let endpoints = self.endpoints.iter().map(|(kind, endpoint)| (kind.clone(), endpoint.handler.slots));
        programs.chain(endpoints).collect()
    }

    /// Sets the slots of every kind.
    pub(crate) fn set_slots(&mut self, slots: u32) {
        self.programs.values_mut().for_each(|program| program.slots = slots);
        self.endpoints.values_mut().for_each(|endpoint| endpoint.handler.slots = slots);
    }

    /// Adds all handlers to a worker. Returns its endpoints as well.
    ///
    /// # Errors
    ///
    /// If the certificate authorities of an endpoint cannot be read.
    pub(crate) fn add_to(self, mut worker: Worker) -> Result<(Worker, Endpoints)> {
        for (kind, program) in self.programs {
            worker = worker.command(kind, program);
        }
        let endpoints = Endpoints::new(self.endpoints)?;
        Ok((endpoints.add_to(worker), endpoints))
    }
}
