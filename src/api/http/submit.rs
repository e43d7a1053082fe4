//! Submit and GetResult over HTTP: their statuses, waiting in one request, and Idempotency-Key.

use axum::response::Response;
use http::header::{LOCATION, RETRY_AFTER};
use http::{Extensions, HeaderValue, StatusCode};
use serde_json::{Map, Value};
use tonic::Status;

use super::problem::Problem;
use super::request::{BoundRequest, transcode};
use super::{call, idempotency, query, response};
use crate::api::grpc::Api;
use crate::error::Error;
use crate::proto::v1::job_service_server::JobService;
use crate::proto::v1::{
    Disposition, Durability, GetResultRequest, GetResultResponse, JobState, SubmitRequest, SubmitResponse,
    WaitReason,
};

/// The query parameter that waits for the result.
const WAIT: &str = "wait";
/// When a client may ask for an unfinished result again, in seconds.
const POLL_AFTER: HeaderValue = HeaderValue::from_static("1");

/// Submits a job. 201 if it is new, 200 if it existed or was only validated.
pub(super) async fn submit(api: Api, request: BoundRequest<'_>) -> Result<Response, Problem> {
    let parameters = query::pairs(request.parts.uri.query())?;
    let (wait, parameters): (Vec<_>, Vec<_>) = parameters.into_iter().partition(|(name, _)| name == WAIT);
    let mut message = request.message_with(&parameters)?;
    idempotency::apply(&api, &request, &mut message).await?;
    let message: SubmitRequest = transcode(&message)?;
    let wait = match wait.as_slice() {
        [] => None,
        [(_, text)] => Some(query::duration(WAIT, text)?),
        _ => return Err(Error::invalid(WAIT, "is given twice: give it once").into()),
    };
    let validate_only = message.validate_only;
    let extensions = request.parts.extensions.clone();
    let rpc = call::with_extensions(message, extensions.clone());
    let submitted = JobService::submit(&api, rpc).await?.into_inner();
    let is_created = submitted.disposition() == Disposition::Created && !validate_only;
    let status = if is_created { StatusCode::CREATED } else { StatusCode::OK };
    let body = submitted_json(&submitted);
    let body = match wait.filter(|_| !validate_only) {
        None => body,
        Some(wait) => {
            let result = GetResultRequest { job_id: submitted.job_id.clone(), wait: Some(wait) };
            let result = get_result(&api, result, extensions).await;
            let mut answer = Map::from_iter([("submit".to_owned(), body)]);
            // The job is submitted in any case. Its result can be asked for again.
            if let Ok(result) = result {
                answer.insert("result".to_owned(), response::render("GetResultResponse", &result)?);
            }
            Value::Object(answer)
        }
    };
    let mut response = response::respond(status, &body);
    if !validate_only && let Ok(location) = HeaderValue::try_from(format!("/v1/jobs/{}", submitted.job_id)) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

/// The result of a job: 200 if it has finished, 202 if not yet.
pub(super) async fn result(api: Api, request: BoundRequest<'_>) -> Result<Response, Problem> {
    let message = transcode(&request.message()?)?;
    let result = get_result(&api, message, request.parts.extensions).await?;
    let body = response::render("GetResultResponse", &result)?;
    if result.outcome.is_some() {
        return Ok(response::respond(StatusCode::OK, &body));
    }
    let mut response = response::respond(StatusCode::ACCEPTED, &body);
    response.headers_mut().insert(RETRY_AFTER, POLL_AFTER);
    Ok(response)
}

/// Calls GetResult.
pub(super) async fn get_result(
    api: &Api,
    request: GetResultRequest,
    extensions: Extensions,
) -> Result<GetResultResponse, Status> {
    let rpc = call::with_extensions(request, extensions);
    Ok(JobService::get_result(api, rpc).await?.into_inner())
}

/// A SubmitResponse as JSON. A conversion by the descriptors would take a quarter of the time of a submit.
pub(super) fn submitted_json(submitted: &SubmitResponse) -> Value {
    let mut json = Map::new();
    let mut field = |name: &str, value: Value| drop(json.insert(name.to_owned(), value));
    field("jobId", submitted.job_id.as_str().into());
    field("disposition", submitted.disposition().as_str_name().into());
    // After validate_only there is no job.
    if submitted.state() != JobState::Unspecified {
        field("state", submitted.state().as_str_name().into());
    }
    if submitted.durability() != Durability::Unspecified {
        field("durability", submitted.durability().as_str_name().into());
    }
    field("sequence", submitted.sequence.into());
    if submitted.wait_reason() != WaitReason::Unspecified {
        field("waitReason", submitted.wait_reason().as_str_name().into());
    }
    Value::Object(json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_submit_response_has_the_json_of_its_descriptor() {
        let mut validated = SubmitResponse::default();
        validated.set_disposition(Disposition::Validated);
        let generic = response::render("SubmitResponse", &validated).expect("a form in JSON");
        assert_eq!(submitted_json(&validated).to_string(), generic.to_string());

        let mut submitted = SubmitResponse { job_id: "some".into(), sequence: 3, ..Default::default() };
        submitted.set_disposition(Disposition::Existing);
        submitted.set_state(JobState::Queued);
        submitted.set_durability(Durability::Disk);
        for reason in [WaitReason::Unspecified, WaitReason::NoWorker] {
            submitted.set_wait_reason(reason);
            let generic = response::render("SubmitResponse", &submitted).expect("a form in JSON");
            assert_eq!(submitted_json(&submitted).to_string(), generic.to_string());
        }
    }
}
