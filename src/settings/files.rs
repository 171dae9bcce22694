//! Checks the files that settings name: that they exist and hold what they should.
//!
//! Separate from reading the settings, since a grid or a replay needs none of them. Nothing is left behind.

use std::{fs, fs::OpenOptions, io, path::Path};

use thalweg_kafka::{Oauth, Sasl, Tls};
use thalweg_pipeline::decode::{Format, Origin};

use super::{Errors, Predictions, Problem, Registration, Settings, Transport};

impl Settings {
    /// Checks that certificates and keys can be read, are valid, and fit together.
    ///
    /// # Errors
    /// Returns every problem at once.
    pub fn check_files(&self) -> Result<(), Errors> {
        let mut problems = Vec::new();
        if let Some(registry) = &self.registry
            && let Err(problem) = thalweg_registry::Client::new(registry.clone(), &self.schema.format)
        {
            problems.push(Problem::new("schema.registry", &problem));
        }
        // One that both need would only be reported twice.
        if let (Predictions::Avro(Some(Registration { registry, .. })), None) = (&self.predictions, &self.registry)
            && let Err(problem) = thalweg_registry::Client::new(registry.clone(), &Format::Avro(Origin::Registry))
        {
            problems.push(Problem::new("schema.registry", &problem));
        }
        problems.extend(self.check_transport_files());
        if problems.is_empty() { Ok(()) } else { Err(problems.into()) }
    }

    fn check_transport_files(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let config = match &self.transport {
            Transport::Embedded(_) => return problems,
            Transport::Kafka(config) => config,
        };
        if let Some(Sasl::Oauth(Oauth { ca_file: Some(ca_file), .. })) = &config.sasl
            && let Err(problem) = thalweg_kafka::check_tls(&Tls { ca_file: Some(ca_file.clone()), identity: None })
        {
            problems.push(Problem::new("transport.kafka.sasl.ca_file", &problem));
        }
        if let Some(tls) = &config.tls {
            problems.extend(check_tls(tls));
        }
        problems
    }

    /// Describes where topics are and how the connection is secured, in lines.
    pub fn places(&self) -> Vec<String> {
        let config = match &self.transport {
            Transport::Embedded(_) => return vec!["tables of the state file".to_owned()],
            Transport::Kafka(config) => config,
        };
        let brokers = format!("Kafka at {}, which is not asked here (--connect does)", config.brokers.join(", "));
        let tls = config.tls.as_ref().map(|tls| {
            let ca =
                tls.ca_file.as_ref().map_or("the system's certificates".to_owned(), |file| file.display().to_string());
            let own = tls.identity.as_ref().map_or(String::new(), |own| {
                format!("; we show {} with {}", own.cert_file.display(), own.key_file.display())
            });
            format!("TLS, the broker vouched for by {ca}{own}")
        });
        [brokers].into_iter().chain(tls).collect()
    }

    /// Describes how samples are written, and where their schemas are from; `None` where they are JSON.
    pub fn written(&self) -> Option<String> {
        let (name, origin) = match &self.schema.format {
            Format::Json => return None,
            Format::Avro(origin) => ("Avro", origin),
            Format::Protobuf(origin) => ("Protocol Buffers", origin),
        };
        let from = match (origin, &self.registry) {
            (Origin::File(definition), _) => format!("the schema in schema.file ({} bytes)", definition.size()),
            (Origin::Registry, registry) => {
                let url = registry.as_ref().map_or("", |registry| registry.url.as_str());
                format!("schemas of the registry at {url}, which is not asked here (--connect does)")
            }
        };
        Some(format!("{name}, by {from}"))
    }

    /// Describes how predictions are written; `None` where they are JSON.
    pub fn published(&self) -> Option<String> {
        match &self.predictions {
            Predictions::Json => None,
            Predictions::Avro(Some(Registration { registry, subject })) => Some(format!(
                "Avro, registered as `{subject}` at {}, which is not asked here (--connect does)",
                registry.url
            )),
            Predictions::Avro(None) => {
                Some("Avro, single objects by the schema that `thalweg schema` prints".to_owned())
            }
        }
    }

    /// Checks that the state file can be written; returns `true` if it exists already.
    ///
    /// # Errors
    /// The reason why it cannot.
    pub fn check_state(&self) -> Result<bool, Errors> {
        let path = &self.state.path;
        let wrong = |problem: String| Errors::one("state.path", &problem);
        if path.is_dir() {
            return Err(wrong(format!("{} is a folder; name a file in it", path.display())));
        }
        let folders = path.ancestors().skip(1);
        // The first folder that exists; missing ones below it are made at the start.
        let folder =
            folders.map(|it| if it.as_os_str().is_empty() { Path::new(".") } else { it }).find(|it| it.exists());
        let folder = folder.unwrap_or(Path::new("."));
        let written = tempfile::tempfile_in(folder).and_then(|_| {
            let there = path.exists();
            if there {
                OpenOptions::new().append(true).open(path)?;
            }
            Ok(there)
        });
        written.map_err(|error| {
            let (path, folder) = (path.display(), folder.display());
            wrong(format!("{path} cannot be written ({error}); let this user write to it and to {folder}"))
        })
    }
}

/// Returns what is wrong with the certificates and the key that `[transport.kafka.tls]` names.
fn check_tls(tls: &Tls) -> Vec<Problem> {
    let (chain, key) = tls.identity.as_ref().map(|own| (&own.cert_file, &own.key_file)).unzip();
    let named = [("ca_file", tls.ca_file.as_ref()), ("cert_file", chain), ("key_file", key)];
    let mut problems = Vec::new();
    for (name, file) in named {
        if let Some(file) = file
            && let Err(error) = readable(file)
        {
            let at = format!("transport.kafka.tls.{name}");
            problems.push(Problem::new(&at, &format!("{} cannot be read: {error}", file.display())));
        }
    }
    // A file that cannot be read would only be reported twice.
    if problems.is_empty()
        && let Err(problem) = thalweg_kafka::check_tls(tls)
    {
        problems.push(Problem::new("transport.kafka.tls", &problem));
    }
    problems
}

fn readable(file: &Path) -> io::Result<()> {
    fs::read(file).map(drop)
}
