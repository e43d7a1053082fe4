//! Assertions on the code, the reason and the details of errors.

use jobstream::proto::v1;
use jobstream::proto::v1::submit_result::Result as Submitted;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, RpcStatusExt, StatusExt};

/// Asserts the code and the reason of an error, and the properties of every error. Returns its details.
#[track_caller]
pub(crate) fn refused(status: &Status, code: Code, reason: &str) -> ErrorDetails {
    let details = status.get_error_details();
    assert_eq!(status.code(), code, "{status:?}");
    let info = details.error_info().unwrap_or_else(|| panic!("no ErrorInfo: {status:?}"));
    assert_eq!((info.reason.as_str(), info.domain.as_str()), (reason, "jobstream"), "{status:?}");
    assert!(!status.message().is_empty(), "{status:?}");
    let pause = details.retry_info().and_then(|info| info.retry_delay);
    if matches!(code, Code::Unavailable | Code::ResourceExhausted) {
        let pushback = status.metadata().get("grpc-retry-pushback-ms").expect("a pushback");
        let pause = pause.expect("how long to wait").as_millis().to_string();
        assert_eq!(pushback.to_str().expect("text"), pause, "{status:?}");
    } else {
        assert_eq!(pause, None, "{status:?}");
    }
    details
}

/// Like [`refused`] for one job of a batch. Returns the message.
#[track_caller]
pub(crate) fn refused_in_batch(result: &v1::SubmitResult, code: Code, reason: &str) -> String {
    let Some(Submitted::Error(error)) = &result.result else { panic!("not refused: {result:?}") };
    assert_eq!(Code::from(error.code), code, "{error:?}");
    let info = error.get_details_error_info().expect("ErrorInfo");
    assert_eq!((info.reason.as_str(), info.domain.as_str()), (reason, "jobstream"), "{error:?}");
    error.message.clone()
}
