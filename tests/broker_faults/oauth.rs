//! Tokens to log in with, of a server of this suite's own on loopback, at a real broker that checks for how long they are good.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use serde_json::json;

use crate::secure::{LOGIN, come};

/// Life of a token in seconds; a broker ends a login with it.
const LIFE: i64 = 4;

/// A server that gives tokens for `thalweg` with the secret `right`, once it has been asked `away` times. Returns its port,
/// and how many it has given.
fn server(away: usize, life: i64) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let given = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&given);
    std::thread::spawn(move || {
        for (nth, stream) in listener.incoming().flatten().enumerate() {
            let mut reader = BufReader::new(&stream);
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).is_ok_and(|read| read > 0) {}
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let mut body = vec![0; length.map_or(0, |length| length.parse().expect("a length"))];
            reader.read_exact(&mut body).expect("a body");
            let body = String::from_utf8(body).expect("a form");
            let (status, answer) = if nth < away {
                ("503 Service Unavailable", "down".to_owned())
            } else if !head.starts_with("POST /token ") {
                ("404 Not Found", "nothing here".to_owned())
            } else if !head.contains(&BASE64_STANDARD.encode("thalweg:right")) {
                (
                    "401 Unauthorized",
                    json!({"error": "invalid_client", "error_description": "no such client"}).to_string(),
                )
            } else if body.contains("scope=wrong") {
                ("400 Bad Request", json!({"error": "invalid_scope"}).to_string())
            } else {
                assert!(body.contains("grant_type=client_credentials"), "{body}");
                counted.fetch_add(1, Ordering::SeqCst);
                ("200 OK", json!({"access_token": token(life), "expires_in": life.max(1)}).to_string())
            };
            write!(&stream, "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{answer}", answer.len()).expect("written");
        }
    });
    (port, given)
}

/// A token that nobody has signed, as the broker's own check takes it (RFC 7515, A.5).
fn token(life: i64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs().cast_signed();
    let claims = json!({"sub": "thalweg", "iat": now - 100, "exp": now + life});
    let [head, claims] = [json!({"alg": "none"}), claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part.to_string()));
    format!("{head}.{claims}.")
}

fn sasl(port: u16, path: &str, secret: &str, more: &str) -> String {
    format!(
        r#"transport.kafka.sasl={{mechanism="oauthbearer",token_url="http://127.0.0.1:{port}/{path}",client_id="thalweg",client_secret="{secret}"{more}}}"#
    )
}

#[test]
fn tokens_of_four_seconds_are_replaced_under_load_and_nobody_notices() {
    let (port, given) = server(0, LIFE);
    let (scene, mut daemon, _) = come(LOGIN, &[sasl(port, "token", "right", r#",extensions=["traceId=7"]"#)]);
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3 * LIFE.cast_unsigned()) {
        assert!(!daemon.has_ended(), "{}", daemon.story());
        daemon.watch(Duration::from_millis(100));
    }
    for trouble in ["worker_interrupted", "broker_unreachable", "token_not_renewed", "stalled", "failed"] {
        assert!(daemon.lines_of(trouble).is_empty(), "{trouble}: {}", daemon.story());
    }
    let given = given.load(Ordering::SeqCst);
    assert!((3..30).contains(&given), "{given} tokens");
    scene.settle(daemon);
}

#[test]
fn a_token_server_that_is_away_is_waited_for_and_told_by_its_name() {
    let (port, _) = server(3, LIFE);
    let (_scene, mut daemon, _) = come(LOGIN, &[sasl(port, "token", "right", "")]);
    let line = daemon.event("broker_unreachable");
    let said = line["error"].as_str().expect("an error");
    assert!(said.contains(&format!("asking http://127.0.0.1:{port}/token for a token")), "{said}");
    assert!(said.contains("503") && !said.contains("broker runs"), "{said}");
    daemon.event("ready");
    assert!(daemon.stop().success(), "{}", daemon.story());
}

#[test]
fn what_the_token_server_or_the_broker_refuses_ends_it_with_the_key_to_change() {
    for (path, secret, life, more, words) in [
        ("token", "wrong", LIFE, "", &["sasl.client_id and client_secret", "no such client"][..]),
        ("token", "right", LIFE, r#",scope="wrong""#, &["transport.kafka.sasl.scope", "invalid_scope"]),
        ("elsewhere", "right", LIFE, "", &["transport.kafka.sasl.token_url", "404"]),
        ("token", "right", -60, "", &["does not take the token", "transport.kafka.sasl.token_url"]),
    ] {
        let (port, _) = server(0, life);
        let (_scene, mut daemon, begun) = come(LOGIN, &[sasl(port, path, secret, more)]);
        let failed = daemon.event("failed");
        let said = failed["error"].as_str().expect("an error");
        assert!(words.iter().all(|word| said.contains(word)), "{said}");
        assert!(!daemon.story().contains(&BASE64_STANDARD.encode(format!("thalweg:{secret}"))), "{}", daemon.story());
        assert_eq!(daemon.wait().code(), Some(78), "{}", daemon.story());
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    }
}
