//! Reads the format of samples, the file with their schema, and `[schema.registry]`, which may be for predictions alone.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
    time::Duration,
};

use super::{choices::choices, section::Section};
use thalweg_pipeline::decode::{Definition, Format, MAX_DEFINITION_BYTES, Origin, Writer, with_imports};
use thalweg_registry::{Config, Credential, Login};

/// A format as people choose it.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Json,
    Avro,
    Protobuf,
}

impl Kind {
    fn format(self, origin: Origin) -> Format {
        match self {
            Kind::Json => Format::Json,
            Kind::Avro => Format::Avro(origin),
            Kind::Protobuf => Format::Protobuf(origin),
        }
    }
}

/// What was read.
pub(super) struct Written {
    pub(super) format: Format,
    /// The registry that is asked for the schemas of samples.
    pub(super) asked: Option<Config>,
    /// The registry, whatever it is for.
    pub(super) registry: Option<Config>,
}

/// Reads the format, and the registry where there is one; with `registers` predictions may have a use for it where samples have none.
pub(super) fn read(section: &mut Section, registers: bool) -> Written {
    let kind =
        section.one_of("format", Kind::Json, &choices!(Kind { "json": Json, "avro": Avro, "protobuf": Protobuf }));
    let file = section.optional_text("file");
    let message = section.optional_text("message");
    let registry = registry(section);
    if message.is_some() && (kind != Kind::Protobuf || file.is_none()) {
        section.problem(
            "message",
            "goes with format = \"protobuf\" and schema.file; a registry's records name their message",
        );
    }
    if kind == Kind::Json {
        for (key, is_set) in [("file", file.is_some()), ("registry", registry.is_some() && !registers)] {
            if is_set {
                section.problem(key, "says nothing with format = \"json\", which is read without its schema");
            }
        }
        return Written { format: Format::Json, asked: None, registry };
    }
    let (format, asked) = match (file, &registry) {
        (Some(_), Some(_)) if !registers => {
            section.problem("file", "contradicts schema.registry: records have their schemas from one or the other");
            (Format::Json, None)
        }
        (Some(file), _) => (from_file(section, kind, Path::new(&file), message), None),
        (None, Some(registry)) => (kind.format(Origin::Registry), Some(registry.clone())),
        (None, None) => {
            section
                .problem("format", "needs a schema: set schema.registry.url, or schema.file where records have no ids");
            (Format::Json, None)
        }
    };
    Written { format, asked, registry }
}

/// Reads the schema in a file.
fn from_file(section: &Section, kind: Kind, file: &Path, message: Option<String>) -> Format {
    let folder = file.parent().unwrap_or(Path::new("")).to_owned();
    let read = bounded(file).map_err(|error| format!("cannot be read: {error}"));
    let defined = read.and_then(|body| {
        if kind != Kind::Protobuf {
            return Ok(Definition { body, ..Definition::default() });
        }
        // Imports are beside it, as for `protoc` in its folder.
        with_imports(body, message, move |name| bounded(&folder.join(name)).ok())
    });
    let definition = match defined {
        Ok(definition) => definition,
        Err(problem) => {
            section.problem("file", &format!("{}: {problem}", file.display()));
            return Format::Json;
        }
    };
    let format = kind.format(Origin::File(definition.clone()));
    if let Err(error) = Writer::new(&format, &definition) {
        section.problem("file", &format!("{} holds no schema that can be used: {error}", file.display()));
    }
    format
}

/// Reads a file that is no larger than a schema may be.
fn bounded(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(file)?.take(MAX_DEFINITION_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > MAX_DEFINITION_BYTES {
        return Err(io::Error::other(format!("it has more than {MAX_DEFINITION_BYTES} bytes")));
    }
    Ok(bytes)
}

fn registry(section: &mut Section) -> Option<Config> {
    if !section.has("registry") {
        section.holds(
            "registry",
            &[
                "url",
                "username",
                "password",
                "password_file",
                "token",
                "token_file",
                "ca_file",
                "cert_file",
                "key_file",
                "cache",
            ],
        );
        return None;
    }
    let mut section = section.section("registry");
    let url = section.optional_text("url");
    if url.is_none() {
        section.problem("url", "is missing");
    }
    let login = login(&mut section);
    let ca_file = section.optional_text("ca_file").map(Into::into);
    let (cert, key) = (section.optional_text("cert_file"), section.optional_text("key_file"));
    if cert.is_none() && key.is_some() {
        section.problem("cert_file", "is missing; it goes with key_file");
    }
    let identity = cert.map(|cert| (cert.clone().into(), key.unwrap_or(cert).into()));
    let cache = section.duration("cache", Duration::from_secs(300), Duration::from_secs(1));
    let config = Config { login, ca_file, identity, cache, ..Config::of(url?) };
    if let Err(problem) = config.check_url() {
        section.problem("url", problem);
    }
    Some(config)
}

fn login(section: &mut Section) -> Option<Login> {
    let username = section.optional_text("username");
    let password = credential(section, "password", "password_file");
    let token = credential(section, "token", "token_file");
    match (username, password, token) {
        (None, None, None) => None,
        (None, None, Some(token)) => Some(Login::Token(token)),
        (Some(username), Some(password), None) => Some(Login::Password { username, password }),
        (Some(_), None, None) => {
            section.problem("password", "is missing; it goes with username, or password_file does");
            None
        }
        (None, Some(_), None) => {
            section.problem("username", "is missing; it goes with the password");
            None
        }
        _ => {
            section.problem("token", "contradicts username and password: one of them logs in");
            None
        }
    }
}

/// Reads a secret, or the name of its file.
fn credential(section: &mut Section, key: &str, file_key: &str) -> Option<Credential> {
    let (text, file) = (section.secret(key), section.optional_text(file_key));
    if text.is_some() && file.is_some() {
        section.problem(file_key, &format!("contradicts {key}: one of them holds it"));
    }
    text.map(Credential::new).or(file.map(|file| Credential::File(file.into())))
}
