//! The shape of each call: whether its request and its response are one message or a stream.
//!
//! The shape decides which deadline a request body has and when a response waits for memory budget.

use crate::api::http;

/// The request of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RequestShape {
    /// One message. Its body has a deadline.
    Unary,
    /// A stream of messages, without a deadline.
    Stream,
}

/// The response of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ResponseShape {
    /// One small message. It never waits for budget.
    Small,
    /// One message that may be large. The call waits for budget before it builds the message.
    Large,
    /// A stream of messages. Each frame waits for budget.
    Stream,
}

/// The shapes of a call's request and response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CallShape {
    pub(super) request: RequestShape,
    pub(super) response: ResponseShape,
}

const fn shape(request: RequestShape, response: ResponseShape) -> CallShape {
    CallShape { request, response }
}

/// A call with a small request and a small response.
const SMALL: CallShape = shape(RequestShape::Unary, ResponseShape::Small);
const LARGE: CallShape = shape(RequestShape::Unary, ResponseShape::Large);
const SERVER_STREAM: CallShape = shape(RequestShape::Unary, ResponseShape::Stream);
const STREAMS: CallShape = shape(RequestShape::Stream, ResponseShape::Stream);

/// The calls whose shape is not the default of their service, by path.
const CALLS: [(&str, CallShape); 11] = [
    ("/jobstream.v1.JobService/SubmitStream", STREAMS),
    ("/jobstream.v1.JobService/Run", SERVER_STREAM),
    ("/jobstream.v1.JobService/WatchResult", SERVER_STREAM),
    ("/jobstream.v1.JobService/WatchJobs", SERVER_STREAM),
    ("/jobstream.v1.JobService/GetResult", LARGE),
    ("/jobstream.v1.JobService/GetJob", LARGE),
    ("/jobstream.v1.JobService/ListJobs", LARGE),
    ("/jobstream.v1.WorkerService/Work", STREAMS),
    ("/jobstream.v1.WorkerService/Lease", LARGE),
    ("/jobstream.v1.AdminService/ListQueues", LARGE),
    ("/jobstream.v1.AdminService/ListWorkers", LARGE),
];

/// The default shape of the calls below a path prefix. Calls of other services may stream.
const SERVICES: [(&str, CallShape); 2] = [("/jobstream.v1.", SMALL), ("/grpc.health.v1.", SMALL)];

impl CallShape {
    /// The shape of a request of the HTTP/JSON interface with this path.
    pub(super) fn of_http(path: &str) -> Self {
        match path {
            http::LIVE_PATH | http::READY_PATH => SMALL,
            path if http::is_stream(path) => SERVER_STREAM,
            _ => LARGE,
        }
    }

    /// The shape of the call with this path.
    pub(super) fn of(path: &str) -> Self {
        let call = CALLS.iter().find(|(call, _)| *call == path);
        let service = || SERVICES.iter().find(|(prefix, _)| path.starts_with(prefix));
        call.or_else(service).map_or(STREAMS, |(_, shape)| *shape)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost::Message;
    use prost_types::FileDescriptorSet;

    use super::*;
    use crate::proto::DESCRIPTORS;

    #[test]
    fn every_call_of_the_api_has_the_shape_of_its_descriptor() {
        let set = FileDescriptorSet::decode(DESCRIPTORS).expect("valid descriptors");
        let mut paths = BTreeSet::new();
        for file in set.file.iter().filter(|file| file.package() == "jobstream.v1") {
            for service in &file.service {
                for method in &service.method {
                    let path = format!("/jobstream.v1.{}/{}", service.name(), method.name());
                    let CallShape { request, response } = CallShape::of(&path);
                    assert_eq!(request == RequestShape::Stream, method.client_streaming(), "{path}");
                    assert_eq!(response == ResponseShape::Stream, method.server_streaming(), "{path}");
                    paths.insert(path);
                }
            }
        }
        for (path, _) in CALLS {
            assert!(paths.contains(path), "{path} is not a call of the API");
        }
    }

    #[test]
    fn a_call_of_another_service_may_stream() {
        assert_eq!(CallShape::of("/grpc.health.v1.Health/Check"), SMALL);
        assert_eq!(CallShape::of("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"), STREAMS);
        assert_eq!(CallShape::of("/"), STREAMS);
    }
}
