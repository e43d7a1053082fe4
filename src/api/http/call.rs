//! Calls of the unary RPCs with an encoded request message. The response is an encoded message as well.

use std::pin::Pin;

use http::Extensions;
use prost::Message;
use tonic::metadata::MetadataMap;
use tonic::{Request, Status};

use crate::api::grpc::Api;
use crate::proto::codec;
use crate::proto::v1::access_service_server::AccessService;
use crate::proto::v1::admin_service_server::AdminService;
use crate::proto::v1::job_service_server::JobService;
use crate::proto::v1::worker_service_server::WorkerService;

/// A unary RPC.
pub(super) type UnaryCall = fn(Api, Vec<u8>, Extensions) -> CallFuture;
pub(super) type CallFuture = Pin<Box<dyn Future<Output = Result<Vec<u8>, Status>> + Send>>;

/// The request of an RPC, decoded within the limits of lists and JSON values, with the extensions of the HTTP request.
fn request<T: Message + Default>(message: &[u8], extensions: Extensions) -> Result<Request<T>, Status> {
    Ok(with_extensions(codec::decode_request(message)?, extensions))
}

/// The request of an RPC with the extensions of the HTTP request.
pub(super) fn with_extensions<T>(message: T, extensions: Extensions) -> Request<T> {
    Request::from_parts(MetadataMap::new(), extensions, message)
}

/// Defines a function for each RPC.
macro_rules! unary_calls {
    ($($service:ident { $($method:ident),+ })+) => {$($(
        pub(super) fn $method(api: Api, message: Vec<u8>, extensions: Extensions) -> CallFuture {
            Box::pin(async move {
                let response = <Api as $service>::$method(&api, request(&message, extensions)?).await?;
                Ok(response.into_inner().encode_to_vec())
            })
        }
    )+)+};
}

unary_calls! {
    JobService { batch_submit, get_job, list_jobs, cancel, retry, delete }
    WorkerService { lease, report }
    AccessService { who_am_i, mint_token }
    AdminService {
        get_server_info, list_queues, pause_queue, resume_queue, purge_queue, list_workers, drain_worker, set_log_level,
        get_stats
    }
}
