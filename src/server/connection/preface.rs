//! A socket wrapper that marks the connection once the peer has sent as many bytes as an HTTP/2 preface has.
//!
//! The watchdog closes connections without the mark.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::Shared;

/// Length of the HTTP/2 preface, in bytes. No useful HTTP/1 request is shorter.
const PREFACE_BYTES: usize = 24;

/// Counts received bytes up to [`PREFACE_BYTES`]; after that, a read costs one comparison.
#[derive(Debug)]
pub(super) struct PrefaceReader {
    stream: TcpStream,
    missing: usize,
    shared: Arc<Shared>,
}

impl PrefaceReader {
    pub(super) fn new(stream: TcpStream, shared: Arc<Shared>) -> Self {
        Self { stream, missing: PREFACE_BYTES, shared }
    }

    fn count(&mut self, bytes: usize) {
        self.missing = self.missing.saturating_sub(bytes);
        if self.missing == 0 {
            self.shared.mark_preface_received();
        }
    }
}

impl AsyncRead for PrefaceReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if self.missing > 0 {
            self.count(buffer.filled().len() - before);
        }
        polled
    }
}

impl AsyncWrite for PrefaceReader {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
