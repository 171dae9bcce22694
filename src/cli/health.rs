//! `thalweg health`: asks a running daemon over HTTP how it is, for whoever has nothing else to ask with, such as a container.

use std::{
    fs,
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, bail};
use thalweg_http::{Config, encrypt};

use crate::settings::Settings;

/// Time to connect, and for each part of the answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bytes of an answer that are read; it is a sentence.
const MAX_ANSWER_BYTES: u64 = 64 << 10;

/// Prints the sentence; fails where the daemon is not well, or does not answer.
pub(super) fn run(settings: &Settings) -> anyhow::Result<()> {
    let Some(http) = &settings.http else {
        bail!("http.listen is empty, so the daemon cannot be asked how it is; set it, e.g. to 127.0.0.1:8391")
    };
    let address = reachable(http.listen);
    if address.port() == 0 {
        bail!("http.listen has port 0, so nobody knows which port the daemon has taken; name one");
    }
    let answer = asked(address, http).with_context(|| {
        format!("no answer from {address} (http.listen); does `thalweg run` run with the same settings?")
    })?;
    let (head, sentence) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let code = head.split(' ').nth(1).unwrap_or("no code");
    if code != "200" {
        bail!("{} (HTTP {code})", sentence.trim());
    }
    println!("{}", sentence.trim());
    Ok(())
}

/// Returns where this machine reaches a server that listens at an address.
fn reachable(mut listen: SocketAddr) -> SocketAddr {
    if listen.ip().is_unspecified() {
        listen.set_ip(if listen.is_ipv4() { IpAddr::V4(Ipv4Addr::LOCALHOST) } else { IpAddr::V6(Ipv6Addr::LOCALHOST) });
    }
    listen
}

fn asked(address: SocketAddr, http: &Config) -> anyhow::Result<String> {
    let token = match &http.token_file {
        Some(file) => {
            let token = fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
            format!("Authorization: Bearer {}\r\n", token.trim())
        }
        None => String::new(),
    };
    let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    match &http.tls {
        Some((cert, _)) => exchanged(encrypt(stream, cert).map_err(anyhow::Error::msg)?, address, &token),
        None => exchanged(stream, address, &token),
    }
}

fn exchanged(mut stream: impl Read + Write, address: SocketAddr, token: &str) -> anyhow::Result<String> {
    write!(stream, "GET /healthz HTTP/1.1\r\nHost: {address}\r\n{token}Connection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(MAX_ANSWER_BYTES).read_to_string(&mut answer)?;
    Ok(answer)
}
