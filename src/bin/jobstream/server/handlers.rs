//! The handlers of a server or worker: programs and HTTP endpoints.

use std::collections::BTreeMap;

use jobstream::worker::{CommandHandler, HttpHandler, Worker};

use super::{commands, endpoints};
use crate::config::ServerConfig;
use crate::error::{Error, Result};

/// Handlers by kind. No kind has two.
pub(crate) struct Handlers {
    programs: BTreeMap<String, CommandHandler>,
    endpoints: BTreeMap<String, HttpHandler>,
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
        match handlers.programs.keys().find(|kind| handlers.endpoints.contains_key(*kind)) {
            Some(kind) => Err(Error::usage(format!(
                "kind {kind} has a program and an HTTP endpoint: remove one of them from the flags or the config file"
            ))),
            None => Ok(handlers),
        }
    }

    /// The kinds that programs run.
    pub(crate) fn programs(&self) -> impl Iterator<Item = &str> {
        self.programs.keys().map(String::as_str)
    }

    /// Each kind with its slots.
    pub(crate) fn slots(&self) -> Vec<(String, u32)> {
        let programs = self.programs.iter().map(|(kind, program)| (kind.clone(), program.slots));
        let endpoints = self.endpoints.iter().map(|(kind, endpoint)| (kind.clone(), endpoint.slots));
        programs.chain(endpoints).collect()
    }

    /// Sets the slots of every kind.
    pub(crate) fn set_slots(&mut self, slots: u32) {
        self.programs.values_mut().for_each(|program| program.slots = slots);
        self.endpoints.values_mut().for_each(|endpoint| endpoint.slots = slots);
    }

    /// Adds all handlers to a worker.
    ///
    /// # Errors
    ///
    /// If the certificate authorities of an endpoint cannot be read.
    pub(crate) fn add_to(self, mut worker: Worker) -> Result<Worker> {
        for (kind, program) in self.programs {
            worker = worker.command(kind, program);
        }
        for (kind, endpoint) in self.endpoints {
            let added = worker.http(kind.clone(), endpoint);
            worker = added.map_err(|error| Error::usage(format!("the endpoint of kind {kind}: {error}")))?;
        }
        Ok(worker)
    }
}
