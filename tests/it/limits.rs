//! Bad input and full servers: each gets its named error, and nothing changes.

mod bounds;
mod fields;
mod frames;
mod held;
mod memory;

use tonic::{Code, Status};

use crate::support::{TestServer, refused};

/// The fields an INVALID_FIELD names, in its order.
#[track_caller]
fn bad_fields(status: &Status) -> Vec<String> {
    let details = refused(status, Code::InvalidArgument, "INVALID_FIELD");
    let violations = &details.bad_request().expect("BadRequest").field_violations;
    assert!(violations.iter().all(|violation| !violation.description.is_empty()), "{violations:?}");
    violations.iter().map(|violation| violation.field.clone()).collect()
}

/// The server holds no job and no queue, and still works.
async fn assert_untouched(server: &TestServer) {
    assert_eq!(server.info().await.jobs, 0);
    server.run_to_end(crate::support::echo("still here")).await.result();
}
