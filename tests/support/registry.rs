//! A schema registry as its REST interface is documented, as strict as one: what it does not know it refuses with the codes of that
//! interface.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard},
    thread,
};

#[derive(Default)]
struct Held {
    /// Answers by path.
    answers: HashMap<String, String>,
    /// What it says instead of an answer.
    outage: Option<(u16, String)>,
    /// Value of the header that it wants.
    login: Option<String>,
    /// Paths that were asked for.
    asked: Vec<String>,
    /// Schemas by subject, each with its id.
    subjects: HashMap<String, Vec<(u32, String)>>,
    /// Why no subject takes another schema.
    refusal: Option<String>,
}

impl Held {
    /// Answers who has a schema.
    fn post(&mut self, path: &str, schema: &str) -> (u16, String) {
        let refused = |code: u32, words: &str| format!("{{\"error_code\":{code},\"message\":\"{words}\"}}");
        let words: Vec<&str> = path.trim_start_matches("/base/").split('/').collect();
        let known = |subject: &str| self.subjects.get(subject).cloned().unwrap_or_default();
        let found = |subject: &str| known(subject).into_iter().find(|(_, other)| other == schema);
        match words[..] {
            ["subjects", subject] => match found(subject) {
                Some((id, _)) => (
                    200,
                    serde_json::json!({ "subject": subject, "id": id, "version": 1, "schema": schema }).to_string(),
                ),
                None if known(subject).is_empty() => (404, refused(40401, "Subject not found")),
                None => (404, refused(40403, "Schema not found")),
            },
            ["subjects", _, "versions"] if self.refusal.is_some() => {
                (409, refused(409, self.refusal.as_deref().unwrap_or_default()))
            }
            ["subjects", subject, "versions"] => {
                let of = known(subject);
                let id = found(subject).map_or(100 + of.len() as u32, |(id, _)| id);
                self.subjects.entry(subject.to_owned()).or_default().push((id, schema.to_owned()));
                (200, format!("{{\"id\":{id}}}"))
            }
            ["compatibility", "subjects", _, "versions", "latest"] if self.refusal.is_some() => {
                (200, "{\"is_compatible\":false}".to_owned())
            }
            ["compatibility", "subjects", _, "versions", "latest"] => (404, refused(40401, "Subject not found")),
            _ => (405, refused(405, "HTTP 405 Method Not Allowed")),
        }
    }
}

/// A registry on a port of its own.
#[derive(Clone)]
pub struct Registry {
    pub address: SocketAddr,
    held: Arc<Mutex<Held>>,
}

impl Registry {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let registry = Self { address: listener.local_addr().expect("bound"), held: Arc::default() };
        let server = registry.clone();
        thread::spawn(move || listener.incoming().flatten().for_each(|stream| server.answer(&stream)));
        registry
    }

    /// Its address as a setting, with a path that is part of it.
    pub fn setting(&self) -> String {
        format!("schema.registry.url=http://{}/base/", self.address)
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().expect("nothing panics with it")
    }

    /// Adds the answer to a path, such as `schemas/ids/1`.
    pub fn add(&self, path: &str, schema: &str, kind: &str, references: &serde_json::Value) {
        let mut answer = serde_json::json!({ "schema": schema, "references": references });
        // Avro is what is meant where none is said.
        if kind != "AVRO" {
            answer["schemaType"] = kind.into();
        }
        self.held().answers.insert(format!("/base/{path}"), answer.to_string());
    }

    /// Gives the same answer to all that is asked, or the right ones again.
    pub fn fail_with(&self, outage: Option<(u16, &str)>) {
        self.held().outage = outage.map(|(code, body)| (code, body.to_owned()));
    }

    /// Wants a login from here on.
    pub fn want(&self, login: &str) {
        self.held().login = Some(login.to_owned());
    }

    /// Has no subject take another schema from here on, in these words.
    pub fn refuse(&self, words: &str) {
        self.held().refusal = Some(words.to_owned());
    }

    /// Schemas of a subject, each with its id.
    pub fn registered(&self, subject: &str) -> Vec<(u32, String)> {
        self.held().subjects.get(subject).cloned().unwrap_or_default()
    }

    /// What was asked for so far.
    pub fn asked(&self) -> Vec<String> {
        self.held().asked.clone()
    }

    fn answer(&self, mut stream: &TcpStream) {
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") && reader.read_line(&mut head).is_ok_and(|read| read > 0) {}
        let mut words = head.split(' ');
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let path = target.split('?').next().unwrap_or_default().replace("%2E", ".").replace("%2D", "-");
        let length =
            head.to_ascii_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        let mut posted = vec![0; length.unwrap_or(0)];
        let is_whole = reader.read_exact(&mut posted).is_ok();
        let posted: Option<serde_json::Value> = serde_json::from_slice(&posted).ok().filter(|_| is_whole);
        let mut held = self.held();
        held.asked.push(target.to_owned());
        let refused = |code: u32, words: &str| format!("{{\"error_code\":{code},\"message\":\"{words}\"}}");
        let is_wanted = |header: &String| {
            head.to_ascii_lowercase().contains(&format!("authorization: {}\r\n", header.to_ascii_lowercase()))
        };
        let (status, body) = match held.answers.get(&path) {
            _ if method == "POST" && held.outage.is_none() && held.login.as_ref().is_none_or(is_wanted) => {
                match posted.as_ref().and_then(|posted| posted["schema"].as_str()) {
                    Some(schema) => held.post(&path, schema),
                    None => (422, refused(42201, "Empty schema")),
                }
            }
            _ if !["GET", "POST"].contains(&method) => (405, refused(405, "HTTP 405 Method Not Allowed")),
            _ if !held.login.as_ref().is_none_or(is_wanted) => (401, refused(401, "Unauthorized")),
            _ if let Some(outage) = &held.outage => outage.clone(),
            Some(answer) => (200, answer.clone()),
            None if path.starts_with("/base/schemas/") => (404, refused(40403, "Schema not found")),
            None if path.starts_with("/base/subjects/") => (404, refused(40401, "Subject not found")),
            None => (404, "<html>no such page</html>".to_owned()),
        };
        drop(held);
        let length = body.len();
        // One that has heard enough hangs up.
        let _ = write!(stream, "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
    }
}
