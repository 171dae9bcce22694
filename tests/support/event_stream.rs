//! A client of server-sent events.

use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::Value;

/// An event as it came.
#[derive(Debug)]
pub struct Sent {
    pub kind: String,
    pub id: Option<String>,
    pub data: Value,
}

/// A stream that is open.
pub struct EventStream {
    lines: BufReader<TcpStream>,
}

impl EventStream {
    /// Opens a path; `headers` come with the request.
    pub fn open(address: SocketAddr, path: &str, headers: &str) -> Self {
        let mut stream = TcpStream::connect(address).expect("connected");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
        // By HTTP/1.0 the body comes as it is, without chunks.
        let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).expect("written");
        let mut lines = BufReader::new(stream);
        let mut line = String::new();
        lines.read_line(&mut line).expect("a status line");
        assert!(line.contains(" 200 "), "{line}");
        while line.trim_end() != "" {
            line.clear();
            lines.read_line(&mut line).expect("a header");
        }
        Self { lines }
    }

    /// The next event; `None` where the other side has hung up.
    pub fn next(&mut self) -> Option<Sent> {
        let (mut kind, mut id, mut data) = (None, None, None);
        loop {
            let mut line = String::new();
            self.lines.read_line(&mut line).ok()?;
            // Also one that is cut.
            if !line.ends_with('\n') {
                return None;
            }
            let line = line.trim_end();
            if let Some(text) = line.strip_prefix("data: ") {
                data = Some(serde_json::from_str(text).expect("JSON"));
            } else if let Some(name) = line.strip_prefix("event: ") {
                kind = Some(name.to_owned());
            } else if let Some(text) = line.strip_prefix("id: ") {
                id = Some(text.to_owned());
            } else if let (true, Some(kind), Some(data)) = (line.is_empty(), kind.take(), data.take()) {
                return Some(Sent { kind, id, data });
            }
        }
    }

    /// The next event of a kind.
    pub fn next_of(&mut self, kind: &str) -> Sent {
        loop {
            let sent = self.next().expect("the stream goes on");
            if sent.kind == kind {
                return sent;
            }
        }
    }
}
