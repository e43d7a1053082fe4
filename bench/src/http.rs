//! HTTP/1.1 calls with little overhead: one kept connection a caller, prepared requests, parsed lengths.

use std::sync::Arc;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::calls::{self, Load, Progress};
use super::child::ServerProcess;
use super::sample::Sample;
use super::{Failed, Result, jobs};

/// Path of the bare JSON echo.
pub(super) const ECHO_PATH: &str = "/echo";
/// Path of Submit.
const SUBMIT_PATH: &str = "/v1/jobs";
/// Largest response, in bytes.
const RESPONSE_BYTES_MAX: usize = 4096;

/// A Submit of an echo job.
pub(super) fn submit() -> Vec<u8> {
    request(SUBMIT_PATH)
}

/// The same body to the bare echo.
pub(super) fn echo() -> Vec<u8> {
    request(ECHO_PATH)
}

fn request(path: &str) -> Vec<u8> {
    let payload = String::from_utf8_lossy(jobs::PAYLOAD);
    let body = format!(r#"{{"kind":"{}","payload":{{"text":"{payload}"}}}}"#, jobs::ECHO_KIND);
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    (head + &body).into_bytes()
}

/// Repeats the request on as many connections as calls are in flight, and measures it after a warm-up.
pub(super) async fn measure(server: &ServerProcess, load: Load, request: Vec<u8>) -> Result<Sample> {
    let (progress, request) = (Arc::new(Progress::default()), Arc::new(request));
    let mut callers = JoinSet::new();
    for _ in 0..load.in_flight {
        let stream = TcpStream::connect(("127.0.0.1", server.port())).await?;
        stream.set_nodelay(true)?;
        callers.spawn(repeat(stream, request.clone(), progress.clone()));
    }
    calls::measure_callers(server, load, &progress, callers).await
}

async fn repeat(mut stream: TcpStream, request: Arc<Vec<u8>>, progress: Arc<Progress>) -> Result<Vec<u64>> {
    let (mut latencies, mut buffer) = (Vec::new(), vec![0; RESPONSE_BYTES_MAX]);
    while progress.is_running() {
        let begin = Instant::now();
        stream.write_all(&request).await?;
        read_response(&mut stream, &mut buffer).await?;
        progress.count(begin, &mut latencies);
    }
    Ok(latencies)
}

/// Reads one response with a length. Fails unless its status is 200 or 201.
async fn read_response(stream: &mut TcpStream, buffer: &mut [u8]) -> Result<()> {
    let mut filled = 0;
    loop {
        let read = stream.read(&mut buffer[filled..]).await?;
        filled += read;
        let text = String::from_utf8_lossy(&buffer[..filled]);
        if read == 0 {
            return Err(Failed::new(format!("the response is incomplete or too large: {text}")).into());
        }
        let Some(head_bytes) = text.find("\r\n\r\n") else { continue };
        if !text.starts_with("HTTP/1.1 20") {
            return Err(Failed::new(format!("the response is {text}")).into());
        }
        let length = text.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
        let length: usize = length.unwrap_or_default().parse()?;
        if filled == head_bytes + 4 + length {
            return Ok(());
        }
    }
}
