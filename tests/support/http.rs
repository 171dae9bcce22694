//! A client that speaks HTTP as no library would.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use super::daemon::Daemon;

/// An answer, as it came.
pub struct Answer {
    pub code: u16,
    /// In small letters.
    pub head: String,
    pub body: String,
}

/// Sends bytes and reads what comes until the other side hangs up.
pub fn exchange(address: SocketAddr, request: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).expect("connected");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    stream.write_all(request).expect("written");
    let mut answer = Vec::new();
    // One that refuses early may reset what it has not read.
    match stream.read_to_end(&mut answer) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("{error}"),
        _ => {}
    }
    let text = String::from_utf8(answer).expect("text");
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    Answer { code, head: head.to_ascii_lowercase(), body: body.to_owned() }
}

pub fn get_with(address: SocketAddr, path: &str, headers: &str) -> Answer {
    exchange(address, format!("GET {path} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n").as_bytes())
}

pub fn get(address: SocketAddr, path: &str) -> Answer {
    get_with(address, path, &format!("Host: {address}\r\n"))
}

/// Where a daemon answers, once it does.
pub fn address(daemon: &mut Daemon) -> SocketAddr {
    daemon.event("http_listening")["address"].as_str().expect("an address").parse().expect("an address")
}

/// Where a daemon answers, once its transport is open.
pub fn ready(daemon: &mut Daemon) -> SocketAddr {
    let address = address(daemon);
    daemon.event("ready");
    address
}

/// Posts a body of some type.
pub fn post(address: SocketAddr, path: &str, kind: &str, body: &[u8]) -> Answer {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    exchange(address, &[head.as_bytes(), body].concat())
}
