//! Invalid input and full servers: each has a specific error and changes no state.

mod bounds;
mod connection_memory;
mod fields;
mod frames;
mod memory;

use tonic::{Code, Status};

use crate::support::{TestServer, refused};

/// Returns the fields of an INVALID_FIELD error, in order.
#[track_caller]
fn bad_fields(status: &Status) -> Vec<String> {
    let details = refused(status, Code::InvalidArgument, "INVALID_FIELD");
    let violations = &details.bad_request().expect("BadRequest").field_violations;
    assert!(violations.iter().all(|violation| !violation.description.is_empty()), "{violations:?}");
    violations.iter().map(|violation| violation.field.clone()).collect()
}

/// Asserts that the server has no job and no queue, and works.
async fn assert_untouched(server: &TestServer) {
    assert_eq!(server.info().await.jobs, 0);
    server.run_to_end(crate::support::echo("still here")).await.result();
}
