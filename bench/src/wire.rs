//! A gRPC client with little overhead over the `h2` crate: headers and frames are prepared once, answers are checked.

use std::error::Error;
use std::fmt;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use prost::Message;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{Failed, Result, tls};

/// Flow control window, large enough that the server never waits for it.
const WINDOW_BYTES: u32 = 64 << 20;
/// Bytes before each gRPC message: a flag and its length.
const FRAME_HEAD_BYTES: usize = 5;
/// Requests the client opens before it has read the server's own limit.
const EARLY_STREAMS: usize = 1_000;

/// A prepared call that can be repeated.
#[derive(Clone)]
pub(super) struct Call {
    uri: Uri,
    headers: HeaderMap,
    message: Bytes,
}

impl Call {
    /// A call of this method with this message.
    pub(super) fn new(path: &str, message: &impl Message) -> Result<Self> {
        let mut headers = HeaderMap::new();
        headers.insert("te", HeaderValue::from_static("trailers"));
        headers.insert("content-type", HeaderValue::from_static("application/grpc"));
        let uri = Uri::builder().scheme("http").authority("localhost").path_and_query(path).build()?;
        Ok(Self { uri, headers, message: framed(message) })
    }

    fn request(&self) -> Request<()> {
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        request
    }
}

/// A message with its gRPC head.
pub(super) fn framed(message: &impl Message) -> Bytes {
    let mut frame = BytesMut::with_capacity(FRAME_HEAD_BYTES + message.encoded_len());
    put_head(&mut frame, message.encoded_len());
    message.encode_raw(&mut frame);
    frame.freeze()
}

/// The head of a message of this length.
pub(super) fn put_head(frame: &mut BytesMut, message_bytes: usize) {
    frame.put_u8(0);
    frame.put_u32(message_bytes as u32);
}

async fn connect(port: u16) -> Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// An HTTP/2 connection; clones share it.
#[derive(Clone)]
pub(super) struct Connection {
    sender: SendRequest<Bytes>,
    /// The credential of every call.
    authorization: Option<HeaderValue>,
}

impl Connection {
    /// Connects to a server of this machine.
    pub(super) async fn open(port: u16) -> Result<Self> {
        Self::over(connect(port).await?).await
    }

    /// Connects to a server of this machine over TLS.
    pub(super) async fn open_tls(port: u16, connector: &TlsConnector) -> Result<Self> {
        Self::over(tls::connect(connector, connect(port).await?).await?).await
    }

    async fn over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<Self> {
        let (sender, connection) = h2::client::Builder::new()
            .initial_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .initial_max_send_streams(EARLY_STREAMS)
            .enable_push(false)
            .handshake(stream)
            .await?;
        // Every open call sees its error.
        tokio::spawn(async { connection.await.ok() });
        Ok(Self { sender, authorization: None })
    }

    /// Several connections.
    pub(super) async fn open_many(port: u16, count: usize) -> Result<Vec<Self>> {
        let mut connections = Vec::with_capacity(count);
        for _ in 0..count {
            connections.push(Self::open(port).await?);
        }
        Ok(connections)
    }

    /// The same connection, whose calls have this token.
    pub(super) fn with_token(self, token: &'static str) -> Self {
        Self { authorization: Some(HeaderValue::from_static(token)), ..self }
    }

    fn send(&mut self, call: &Call) -> Result<(ResponseFuture, SendStream<Bytes>)> {
        let mut request = call.request();
        if let Some(authorization) = &self.authorization {
            request.headers_mut().insert(AUTHORIZATION, authorization.clone());
        }
        Ok(self.sender.send_request(request, false)?)
    }

    /// Makes a call and answers the bytes of its response, once it ended with status OK.
    pub(super) async fn call(&mut self, call: &Call) -> Result<Bytes> {
        let (response, mut send) = self.send(call)?;
        send.send_data(call.message.clone(), true)?;
        Answer::of(response).await?.rest().await
    }

    /// Makes a call and leaves its response to be read.
    pub(super) async fn begin(&mut self, call: &Call) -> Result<Answer> {
        let (response, mut send) = self.send(call)?;
        send.send_data(call.message.clone(), true)?;
        Answer::of(response).await
    }

    /// Opens a call whose messages are sent one by one.
    pub(super) fn open_stream(&mut self, call: &Call) -> Result<(ResponseFuture, SendStream<Bytes>)> {
        self.send(call)
    }
}

/// A response that is being read.
pub(super) struct Answer {
    body: RecvStream,
    unread: BytesMut,
}

impl Answer {
    /// Waits for the response to begin.
    pub(super) async fn of(response: ResponseFuture) -> Result<Self> {
        let (head, body) = response.await?.into_parts();
        if head.status != http::StatusCode::OK {
            return Err(Failed::new(format!("HTTP status {}", head.status)).into());
        }
        // A call that fails at once has its trailers in its head.
        if head.headers.contains_key("grpc-status") {
            check_status(&head.headers)?;
        }
        Ok(Self { body, unread: BytesMut::new() })
    }

    /// The next bytes of the body, `None` after its end.
    async fn chunk(&mut self) -> Result<Option<Bytes>> {
        let Some(chunk) = self.body.data().await else { return Ok(None) };
        let chunk = chunk?;
        self.body.flow_control().release_capacity(chunk.len())?;
        Ok(Some(chunk))
    }

    /// Waits for more; false after the end, which was OK.
    pub(super) async fn read(&mut self) -> Result<bool> {
        match self.chunk().await? {
            Some(chunk) => self.unread.extend_from_slice(&chunk),
            None => {
                self.check_trailers().await?;
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The next whole message that was read.
    pub(super) fn next_message(&mut self) -> Option<BytesMut> {
        let length = message_bytes(&self.unread)?;
        if self.unread.len() < FRAME_HEAD_BYTES + length {
            return None;
        }
        self.unread.advance(FRAME_HEAD_BYTES);
        Some(self.unread.split_to(length))
    }

    /// Everything up to the end, which was OK.
    async fn rest(mut self) -> Result<Bytes> {
        let Some(first) = self.chunk().await? else {
            self.check_trailers().await?;
            return Ok(Bytes::new());
        };
        let mut all: Option<BytesMut> = None;
        while let Some(chunk) = self.chunk().await? {
            all.get_or_insert_with(|| BytesMut::from(&first[..])).extend_from_slice(&chunk);
        }
        self.check_trailers().await?;
        Ok(all.map_or(first, BytesMut::freeze))
    }

    async fn check_trailers(&mut self) -> Result<()> {
        match self.body.trailers().await? {
            Some(trailers) => check_status(&trailers),
            None => Err(Failed::new("the response has no trailers").into()),
        }
    }
}

/// A call that ended with another status than OK.
#[derive(Debug)]
pub(super) struct Refused {
    status: String,
    message: String,
}

impl Refused {
    /// Whether the server refused it for lack of capacity.
    pub(super) fn is_for_capacity(&self) -> bool {
        self.status.parse() == Ok(tonic::Code::ResourceExhausted as i32)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "grpc-status {}: {}", self.status, self.message)
    }
}

impl Error for Refused {}

fn check_status(headers: &HeaderMap) -> Result<()> {
    match headers.get("grpc-status") {
        Some(status) if status == "0" => Ok(()),
        status => {
            let text = |value: Option<&HeaderValue>| {
                value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).unwrap_or_default()
            };
            Err(Refused { status: text(status), message: text(headers.get("grpc-message")) }.into())
        }
    }
}

fn message_bytes(frame: &[u8]) -> Option<usize> {
    let length = frame.get(1..FRAME_HEAD_BYTES)?;
    Some(u32::from_be_bytes([length[0], length[1], length[2], length[3]]) as usize)
}

/// The last message of a whole response body.
pub(super) fn last_message(body: &[u8]) -> Result<&[u8]> {
    let (mut rest, mut last) = (body, None);
    while let Some(length) = message_bytes(rest) {
        let end = FRAME_HEAD_BYTES + length;
        last = Some(rest.get(FRAME_HEAD_BYTES..end).ok_or(Failed::new("a message is cut off"))?);
        rest = &rest[end..];
    }
    last.ok_or_else(|| Failed::new("the response has no message").into())
}
