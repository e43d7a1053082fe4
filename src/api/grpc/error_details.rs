//! Adds error details to the errors of tonic.
//!
//! tonic refuses malformed and too large requests before a service method runs. Those statuses get the same details as
//! other errors.

use http::Response;
use tonic::body::Body;
use tonic::{Code, Status};

use crate::error::{Error, ErrorKind, Violation};
use crate::proto::status::to_status;

/// Adds details to an error response without them. Other responses are returned unchanged. `limit` is the largest message
/// that the services read.
pub(crate) fn add_details_to_response(response: Response<Body>, limit: usize) -> Response<Body> {
    // Most errors have details already, and this check is cheaper than parsing the status.
    if response.headers().contains_key(Status::GRPC_STATUS_DETAILS) {
        return response;
    }
    match Status::from_header_map(response.headers()) {
        Some(status) if status.code() != Code::Ok => add_details(status, limit).into_http(),
        _ => response,
    }
}

/// Adds details to a status of tonic. Statuses of the services have details and are returned unchanged.
pub(super) fn add_details(status: Status, limit: usize) -> Status {
    if !status.details().is_empty() {
        return status;
    }
    let error = match status.code() {
        Code::Internal => malformed(status.message()),
        // The message exceeds the limit as received, or after decompression.
        Code::OutOfRange | Code::ResourceExhausted => too_large(status.message(), limit),
        _ => return status,
    };
    to_status(&error, "")
}

fn malformed(what: &str) -> Error {
    let description = format!("the request is not a well-formed message: {what}");
    let violation = Violation { field: String::new(), description: description.clone() };
    Error::new(ErrorKind::InvalidField(vec![violation]), description)
}

fn too_large(what: &str, limit: usize) -> Error {
    // tonic has the size only in its text, and no size for a compressed message, whose decompression stops at the limit.
    let size = what.split(' ').find_map(|word| word.parse::<usize>().ok());
    let size = size.unwrap_or_default().max(limit + 1);
    let message = format!(
        "the request has {size} bytes or more, the limit is {limit}: send fewer jobs at once, or store the content \
         elsewhere and send a reference"
    );
    Error::new(ErrorKind::PayloadTooLarge { field: String::new(), size, limit }, message)
}
