//! The first bytes that come over a connection, by which one knows who is there.
//!
//! Invariant: a stream of another protocol ends at its first four bytes, whatever follows. As the length of an answer they
//! would be hundreds of megabytes, to be waited for until a deadline.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::pulse::Pulse;

/// Bytes that tell.
const TELLING_BYTES: usize = 4;

/// The first bytes; shared between the stream and whoever connects.
#[derive(Clone, Debug, Default)]
pub(crate) struct Greeting(Arc<Mutex<First>>);

#[derive(Clone, Copy, Debug, Default)]
struct First {
    bytes: [u8; TELLING_BYTES],
    seen: usize,
    /// Set when the other side has ended the stream before that.
    ended: bool,
}

impl Greeting {
    /// Says whether it is one of TLS, which no broker sends where it wants none.
    pub(crate) fn is_tls(&self) -> bool {
        let first = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        matches!(who(&first.bytes[..first.seen]), Who::Tls)
    }

    /// Says what is wrong with it, if it tells.
    pub(crate) fn problem(&self, encrypted: bool) -> Option<String> {
        let first = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let told = match who(&first.bytes[..first.seen]) {
            Who::Tls => {
                "it answers in TLS: this port wants encryption. Set transport.kafka.tls, or name the port of a listener \
                 without it"
            }
            Who::Http => "it answers in HTTP, so no Kafka broker listens on this port; check transport.kafka.brokers",
            Who::Other => {
                "what it answers is not Kafka's protocol, so no broker listens on this port; check transport.kafka.brokers"
            }
            Who::Unknown if first.ended && encrypted => {
                "it ended the connection at the first byte, after the encryption was agreed on. Does this broker want a \
                 certificate (transport.kafka.tls.cert_file), or is this another service's port?"
            }
            Who::Unknown if first.ended => {
                "it ended the connection at the first byte. Does this port want TLS (transport.kafka.tls), or is it another \
                 service's?"
            }
            Who::Unknown => return None,
        };
        Some(told.to_owned())
    }

    /// Takes note of what came; returns `true` once it is known to be a broker's.
    fn note(&self, came: &[u8]) -> io::Result<bool> {
        let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if came.is_empty() {
            first.ended = true;
            return Ok(true);
        }
        let (from, count) = (first.seen, came.len().min(TELLING_BYTES - first.seen));
        first.bytes[from..from + count].copy_from_slice(&came[..count]);
        first.seen += count;
        if matches!(who(&first.bytes[..first.seen]), Who::Unknown) {
            Ok(first.seen == TELLING_BYTES)
        } else {
            Err(io::Error::new(io::ErrorKind::InvalidData, "not Kafka's protocol"))
        }
    }
}

enum Who {
    /// A broker, as far as can be told.
    Unknown,
    Tls,
    Http,
    Other,
}

fn who(first: &[u8]) -> Who {
    match first {
        // An alert or a handshake of TLS 1.x; as a length, over 350 MB.
        [0x15 | 0x16, 0x03, ..] => Who::Tls,
        [b'H', b'T', b'T', b'P'] => Who::Http,
        // The first answer is a list of versions, of a few kilobytes.
        [high, next, _, _] if *high != 0 || *next > 0x0f => Who::Other,
        _ => Who::Unknown,
    }
}

/// A stream whose first bytes are looked at, and whose pulse is told.
#[derive(Debug)]
pub(crate) struct Greeted<S> {
    inner: S,
    /// `None` once it is known.
    greeting: Option<Greeting>,
    pulse: Arc<Pulse>,
}

impl<S> Greeted<S> {
    pub(super) fn new(inner: S, greeting: Greeting, pulse: Arc<Pulse>) -> Self {
        Self { inner, greeting: Some(greeting), pulse }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Greeted<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buffer);
        let is_end = matches!(&polled, Poll::Ready(read) if read.is_err() || buffer.filled().len() == before);
        if is_end && buffer.capacity() > before {
            self.pulse.end();
        } else if buffer.filled().len() > before {
            self.pulse.beat();
        }
        if let (Poll::Ready(Err(_)), Some(greeting)) = (&polled, &self.greeting) {
            // As often as in order, a connection is ended by a reset.
            greeting.note(&[])?;
        }
        if let (Poll::Ready(Ok(())), Some(greeting)) = (&polled, &self.greeting)
            && buffer.capacity() > before
        {
            match greeting.note(&buffer.filled()[before..]) {
                Ok(true) => self.greeting = None,
                Ok(false) => {}
                Err(error) => {
                    // Whoever reports an error has read nothing.
                    buffer.set_filled(before);
                    return Poll::Ready(Err(error));
                }
            }
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Greeted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    /// What is said of a connection that brings `bytes` and ends.
    async fn told(bytes: &[u8]) -> Option<String> {
        let greeting = Greeting::default();
        let mut read = Vec::new();
        // However few bytes come at once.
        for chunk in [1, 3, 1000] {
            read.clear();
            let parts = tokio_test_chunks(bytes, chunk);
            drop(Greeted::new(parts, greeting.clone(), Arc::new(Pulse::new())).read_to_end(&mut read).await);
        }
        greeting.problem(false)
    }

    fn tokio_test_chunks(bytes: &[u8], chunk: usize) -> impl AsyncRead + Unpin {
        let (mut near, far) = tokio::io::duplex(chunk);
        let bytes = bytes.to_vec();
        tokio::spawn(async move {
            let _ = tokio::io::AsyncWriteExt::write_all(&mut near, &bytes).await;
        });
        far
    }

    #[tokio::test]
    async fn whoever_is_no_broker_is_known_by_the_first_bytes() {
        for (bytes, word) in [
            (&b"\x15\x03\x03\x00\x02\x02\x50"[..], "TLS"),
            (b"HTTP/1.1 400 Bad Request\r\n\r\n", "HTTP"),
            (b"SSH-2.0-OpenSSH_9.2\r\n", "not Kafka"),
            (b"", "first byte"),
        ] {
            let told = told(bytes).await.expect("told");
            assert!(told.contains(word), "{bytes:?}: {told}");
        }
    }

    #[tokio::test]
    async fn an_answer_of_a_broker_passes_unchanged() {
        let answer = b"\x00\x00\x01\x02and so on, whatever HTTP it holds".to_vec();
        let mut read = Vec::new();
        let greeting = Greeting::default();
        let pulse = Arc::new(Pulse::new());
        let mut stream = Greeted::new(&answer[..], greeting.clone(), Arc::clone(&pulse));
        stream.read_to_end(&mut read).await.expect("read");
        assert!(!pulse.is_open());
        assert_eq!((read, greeting.problem(false)), (answer, None));
    }
}
