//! The methods of AdminService.

use prost::Message;
use tonic::{Request, Response, Status};

use super::Api;
use super::access::Access;
use super::bounded_list::{BoundedList, bounded_names};
use crate::access::Action;
use crate::error::{Error, ErrorKind};
use crate::job::{QueueName, QueueView, WorkerView, quoted};
use crate::proto::v1::admin_service_server::AdminService;
use crate::proto::{parse, render, v1};

/// Fewest queues that are read from the engine at a time. The caller may list few of them.
const QUEUES_BATCH_MIN: usize = 64;
/// Workers that are read from the engine at a time, however few the caller wants. The kinds and queues of one worker may take 260 KB.
const WORKERS_BATCH: usize = 32;

#[tonic::async_trait]
impl AdminService for Api {
    async fn get_server_info(
        &self,
        request: Request<v1::GetServerInfoRequest>,
    ) -> Result<Response<v1::GetServerInfoResponse>, Status> {
        let access = Access::of(request.extensions());
        access.some(&Action::ALL).map_err(self.status())?;
        let info = self.engine.info().await.map_err(self.status())?;
        let kinds: Vec<_> =
            info.kinds.iter().map(|kind| &**kind).filter(|kind| access.concerns_kind(kind)).collect();
        let mut response = v1::GetServerInfoResponse {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            mode: if self.engine.is_durable() { "disk" } else { "memory" }.to_owned(),
            durability: self.durability().into(),
            limits: Some(self.limits_in_force()),
            start_time: Some(render::timestamp(info.start_time)),
            uptime: Some(render::duration(info.uptime)),
            boot_id: info.boot_id,
            draining: info.draining,
            kinds_total: clamp(kinds.len()),
            ..v1::GetServerInfoResponse::default()
        };
        if access.may_all_queues(Action::Admin) {
            response.log_level = self.log_level.as_ref().map(|control| control.level()).unwrap_or_default();
        }
        if access.may_all_queues(Action::List) || access.may_all_queues(Action::Admin) {
            response.jobs = info.jobs;
            response.watchers = info.watchers;
            response.memory = info.memory.iter().map(render::memory_use).collect();
        }
        response.kinds = bounded_names(kinds, response.encoded_len());
        Ok(Response::new(response))
    }

    async fn list_queues(
        &self,
        request: Request<v1::ListQueuesRequest>,
    ) -> Result<Response<v1::ListQueuesResponse>, Status> {
        let access = Access::of(request.extensions());
        access.some(&[Action::List, Action::Admin]).map_err(self.status())?;
        let v1::ListQueuesRequest { page_size, page_token } = request.into_inner();
        let page_size = parse::page_size(page_size, parse::PAGE_SIZE_DEFAULT).map_err(self.status())?;
        // The token is the last name of the previous page, so every valid name is a valid token.
        if !page_token.is_empty() {
            QueueName::parse("page_token", &page_token).map_err(self.status())?;
        }
        let (queues, more) =
            self.visible_queues(&access, page_token, page_size).await.map_err(self.status())?;
        let mut page = BoundedList::default();
        let fits_all = queues.iter().all(|queue| page.push(render::queue(queue)));
        let queues = page.elements;
        let last = queues.last().filter(|_| more || !fits_all);
        let next_page_token = last.map(|queue| queue.queue.clone()).unwrap_or_default();
        Ok(Response::new(v1::ListQueuesResponse { queues, next_page_token }))
    }

    async fn get_stats(
        &self,
        request: Request<v1::GetStatsRequest>,
    ) -> Result<Response<v1::GetStatsResponse>, Status> {
        let access = Access::of(request.extensions());
        access.some(&[Action::List]).map_err(self.status())?;
        let filter = parse::get_stats(request.into_inner()).map_err(self.status())?;
        let points = self.engine.stats_for(access.principal(), &filter).await.map_err(self.status())?;
        Ok(Response::new(render::stats(&filter.window, &points)))
    }

    async fn pause_queue(
        &self,
        request: Request<v1::PauseQueueRequest>,
    ) -> Result<Response<v1::PauseQueueResponse>, Status> {
        let name = self.queue_name(&request.get_ref().queue)?;
        Access::of(request.extensions()).queue(Action::Admin, name.as_str()).map_err(self.status())?;
        let queue = self.engine.pause_queue(name.as_str()).await.map_err(self.status())?;
        self.audit(request.extensions(), "PauseQueue", name.as_str());
        Ok(Response::new(v1::PauseQueueResponse { queue: Some(render::queue(&queue)) }))
    }

    async fn resume_queue(
        &self,
        request: Request<v1::ResumeQueueRequest>,
    ) -> Result<Response<v1::ResumeQueueResponse>, Status> {
        let name = self.queue_name(&request.get_ref().queue)?;
        Access::of(request.extensions()).queue(Action::Admin, name.as_str()).map_err(self.status())?;
        let queue = self.engine.resume_queue(name.as_str()).await.map_err(self.status())?;
        self.audit(request.extensions(), "ResumeQueue", name.as_str());
        Ok(Response::new(v1::ResumeQueueResponse { queue: Some(render::queue(&queue)) }))
    }

    async fn purge_queue(
        &self,
        request: Request<v1::PurgeQueueRequest>,
    ) -> Result<Response<v1::PurgeQueueResponse>, Status> {
        let name = self.queue_name(&request.get_ref().queue)?;
        Access::of(request.extensions()).queue(Action::Admin, name.as_str()).map_err(self.status())?;
        let purged = self.engine.purge_queue(name.as_str()).await.map_err(self.status())?;
        self.audit(request.extensions(), "PurgeQueue", name.as_str());
        Ok(Response::new(v1::PurgeQueueResponse { purged }))
    }

    async fn list_workers(
        &self,
        request: Request<v1::ListWorkersRequest>,
    ) -> Result<Response<v1::ListWorkersResponse>, Status> {
        let access = Access::of(request.extensions());
        access.some(&[Action::Admin]).map_err(self.status())?;
        let v1::ListWorkersRequest { page_size, page_token } = request.into_inner();
        let page_size = parse::page_size(page_size, parse::PAGE_SIZE_DEFAULT).map_err(self.status())?;
        let after = match page_token.as_str() {
            "" => 0,
            token => token.parse().map_err(|_| self.status()(bad_page_token(token)))?,
        };
        let page = self.page_of_workers(&access, after, page_size).await;
        let (workers, next) = page.map_err(self.status())?;
        let next_page_token = next.map(|number| number.to_string()).unwrap_or_default();
        Ok(Response::new(v1::ListWorkersResponse { workers, next_page_token }))
    }

    async fn drain_worker(
        &self,
        request: Request<v1::DrainWorkerRequest>,
    ) -> Result<Response<v1::DrainWorkerResponse>, Status> {
        let access = Access::of(request.extensions());
        access.some(&[Action::Admin]).map_err(self.status())?;
        let within = parse::drain_worker(request.get_ref()).map_err(self.status())?;
        let worker = &request.get_ref().worker;
        let may_drain = |worker: &WorkerView| is_visible(&access, worker);
        let workers = self.engine.drain_workers_if(worker, within, may_drain).await.map_err(self.status())?;
        self.audit(request.extensions(), "DrainWorker", worker);
        let mut response = BoundedList::default();
        let _ = workers.iter().all(|worker| response.push(render::worker(worker)));
        Ok(Response::new(v1::DrainWorkerResponse { workers: response.elements }))
    }

    async fn set_log_level(
        &self,
        request: Request<v1::SetLogLevelRequest>,
    ) -> Result<Response<v1::SetLogLevelResponse>, Status> {
        Access::of(request.extensions()).all_queues(Action::Admin).map_err(self.status())?;
        parse::set_log_level(request.get_ref()).map_err(self.status())?;
        let control = self.log_level.as_ref().ok_or_else(unknown_log_level).map_err(self.status())?;
        let (previous_level, level) = (control.level(), request.get_ref().level.clone());
        // Before the change, so that a lower level does not suppress it.
        self.audit(request.extensions(), "SetLogLevel", &level);
        control
            .set_level(&level)
            .map_err(|error| Error::new(ErrorKind::Internal, error))
            .map_err(self.status())?;
        Ok(Response::new(v1::SetLogLevelResponse { previous_level, level }))
    }
}

impl Api {
    /// Up to `limit` queues after this name that the caller may list, and whether there are more.
    async fn visible_queues(
        &self,
        access: &Access,
        mut after: String,
        limit: usize,
    ) -> crate::error::Result<(Vec<QueueView>, bool)> {
        let may_list = |queue: &QueueView| {
            access.may_queue(Action::List, &queue.name) || access.may_queue(Action::Admin, &queue.name)
        };
        let mut visible = Vec::new();
        loop {
            let batch = QUEUES_BATCH_MIN.max(limit + 1 - visible.len());
            let (queues, more) = self.engine.queues(&after, batch).await?;
            after = queues.last().map(|queue| (*queue.name).to_owned()).unwrap_or_default();
            visible.extend(queues.into_iter().filter(may_list));
            let has_more = visible.len() > limit;
            if has_more || !more {
                visible.truncate(limit);
                return Ok((visible, has_more));
            }
        }
    }

    fn queue_name(&self, text: &str) -> Result<QueueName, Status> {
        QueueName::parse("queue", text).map_err(self.status())
    }

    /// A page of the workers after this number, and the number of its last worker if there are more.
    async fn page_of_workers(
        &self,
        access: &Access,
        mut after: u64,
        page_size: usize,
    ) -> crate::error::Result<(Vec<v1::Worker>, Option<u64>)> {
        let mut page = BoundedList::default();
        loop {
            let (workers, more) = self.engine.workers(after, WORKERS_BATCH).await?;
            for worker in &workers {
                if is_visible(access, worker)
                    && (page.elements.len() == page_size || !page.push(render::worker(worker)))
                {
                    return Ok((page.elements, Some(after)));
                }
                after = worker.number;
            }
            if !more {
                return Ok((page.elements, None));
            }
        }
    }

    fn limits_in_force(&self) -> v1::Limits {
        let options = self.engine.options();
        let core = &options.core;
        v1::Limits {
            payload_bytes_max: clamp(core.payload_bytes_max),
            message_bytes_max: clamp(self.message_bytes_max),
            jobs_max: core.jobs_max,
            job_bytes_max: i64::try_from(core.job_bytes_max).unwrap_or(i64::MAX),
            retention: Some(render::duration(core.retention)),
            retention_bytes_max: i64::try_from(core.retention_bytes_max).unwrap_or(i64::MAX),
            event_ring_bytes_max: clamp(core.event_ring_bytes_max),
            batch_jobs_max: clamp(parse::BATCH_JOBS_MAX),
            result_wait_max: Some(render::duration(parse::RESULT_WAIT_MAX)),
            watchers_max: options.watchers_max,
            idempotency_window: Some(render::duration(core.idempotency_window)),
            idempotency_ids_max: core.idempotency_ids_max,
            connection_bytes_max: clamp_signed(self.connections.bytes_max),
            connections_bytes_max: clamp_signed(self.connections.all_bytes_max),
            connections_max: clamp(self.connections.max),
            connections_per_address_max: clamp(self.connections.per_address_max.unwrap_or(0)),
            queues_max: core.queues_max,
            memory_bytes_max: options
                .memory
                .map_or(0, |budget| i64::try_from(budget.bytes()).unwrap_or(i64::MAX)),
        }
    }
}

/// Whether the caller may administer all queues of a worker.
fn is_visible(access: &Access, worker: &WorkerView) -> bool {
    let has_more = worker.queues_total > worker.queues.len();
    match worker.queues.as_slice() {
        [] => access.may_all_queues(Action::Admin),
        _ if has_more => access.may_all_queues(Action::Admin),
        queues => queues.iter().all(|queue| access.may_queue(Action::Admin, queue)),
    }
}

fn unknown_log_level() -> Error {
    let message = "the level of the log is not the server's to change: set it in the program that the server is part of";
    Error::new(ErrorKind::Unsupported, message)
}

fn bad_page_token(token: &str) -> Error {
    let description =
        format!("{} is not a page token: send the next_page_token of the previous page", quoted(token));
    Error::invalid("page_token", description)
}

fn clamp_signed(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn clamp(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
