//! gRPC-Web as browsers send it: an HTTP/1.1 request, frames in the body, and the status as the last frame.

use jobstream::proto::v1;
use prost::Message;

use crate::support::{TestServer, echo, frame, http1, new_id, text, watch_request};

/// The frames of a response body: messages, and the trailers as text.
struct WebAnswer {
    messages: Vec<Vec<u8>>,
    trailers: String,
}

/// Decodes the chunked transfer coding.
fn unchunked(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    loop {
        let line = body.windows(2).position(|pair| pair == b"\r\n").expect("a chunk size");
        let size =
            usize::from_str_radix(std::str::from_utf8(&body[..line]).expect("text"), 16).expect("a size");
        if size == 0 {
            return whole;
        }
        whole.extend_from_slice(&body[line + 2..][..size]);
        body = &body[line + 2 + size + 2..];
    }
}

async fn call(server: &TestServer, method: &str, message: &impl Message) -> WebAnswer {
    let body = frame(0, &message.encode_to_vec());
    let head = format!(
        "POST /jobstream.v1.JobService/{method} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\
         content-type: application/grpc-web+proto\r\nx-grpc-web: 1\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let answer = http1(server.address, &[head.as_bytes(), &body].concat()).await;
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("the end of the head");
    let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
    assert!(head.starts_with("http/1.1 200") && head.contains("application/grpc-web+proto"), "{head}");
    let body = &answer[end + 4..];
    let mut body = if head.contains("chunked") { unchunked(body) } else { body.to_vec() };
    let mut web = WebAnswer { messages: Vec::new(), trailers: head };
    while !body.is_empty() {
        let rest = body.split_off(5);
        let length = u32::from_be_bytes(body[1..5].try_into().expect("four bytes")) as usize;
        match body[0] {
            0 => web.messages.push(rest[..length].to_vec()),
            0x80 => web.trailers = String::from_utf8(rest[..length].to_vec()).expect("text"),
            flag => panic!("an unknown frame: {flag}"),
        }
        body = rest[length..].to_vec();
    }
    web
}

#[tokio::test]
async fn a_web_client_submits_and_watches_a_job() {
    let server = TestServer::start().await;
    let spec = v1::JobSpec { job_id: new_id(), ..echo("from a page") };
    let request = v1::SubmitRequest { job: Some(spec.clone()), validate_only: false };
    let answer = call(&server, "Submit", &request).await;
    assert!(answer.trailers.contains("grpc-status:0"), "{}", answer.trailers);
    let submitted = v1::SubmitResponse::decode(&answer.messages[0][..]).unwrap();
    assert_eq!(submitted.job_id, spec.job_id);

    let answer = call(&server, "WatchResult", &watch_request(&spec.job_id, 0)).await;
    assert!(answer.trailers.contains("grpc-status:0"), "{}", answer.trailers);
    let events = answer.messages.iter().map(|message| {
        match v1::WatchResultResponse::decode(&message[..]).unwrap().message.unwrap() {
            v1::watch_result_response::Message::Event(event) => event,
            other => panic!("not an event: {other:?}"),
        }
    });
    assert_eq!(events.collect::<Vec<_>>(), server.watch_all(&spec.job_id, 0).await.events);
    assert_eq!(server.end(&spec.job_id).await.result(), &text("from a page"));
}

#[tokio::test]
async fn a_web_client_gets_the_same_errors() {
    let server = TestServer::start().await;
    let answer = call(&server, "WatchResult", &watch_request(&new_id(), 0)).await;
    assert!(answer.messages.is_empty());
    let trailers = answer.trailers.replace(": ", ":");
    assert!(
        trailers.contains("grpc-status:5") && trailers.contains("grpc-status-details-bin:"),
        "{trailers}"
    );
}
