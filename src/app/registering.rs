//! Has the schema of predictions registered before anything is published by it.
//!
//! Invariant: a registry that is away is waited for, as a broker is; whatever waits in the samples topic stays there. One that does not
//! take the schema ends the start.

use std::time::Duration;

use super::{Error, observer::Observer, report};
use thalweg_pipeline::{
    decode::{Format, Origin},
    form::{Form, Frame, SCHEMA},
    registry::Away,
};
use thalweg_registry::{Client, Outlook, Registered};
use thalweg_settings::{Predictions, Registration, Settings};
use thalweg_store::{Backoff, RateLimit};

/// First and longest wait before a registry that is away is asked again.
const INITIAL_WAIT: Duration = Duration::from_millis(200);
const MAX_WAIT: Duration = Duration::from_secs(5);

/// Returns the form in which predictions are published, once whoever reads them can know it.
///
/// # Errors
/// The registry does not take the schema, or cannot be asked as the settings say.
pub(super) async fn form(settings: &Settings, observer: Option<&Observer>) -> Result<Form, Error> {
    let registration = match &settings.predictions {
        Predictions::Json => return Ok(Form::Json),
        Predictions::Avro(None) => return Ok(Form::Avro(Frame::SingleObject)),
        Predictions::Avro(Some(registration)) => registration,
    };
    let Registration { subject, registry } = registration;
    let client = client(registration).map_err(Error::Registry)?;
    let mut backoff = Backoff::new(INITIAL_WAIT, MAX_WAIT);
    let mut limit = RateLimit::default();
    loop {
        let Away(problem) = match client.register(subject, SCHEMA).await {
            Ok(Registered::As(id)) => {
                if limit.has_spoken() {
                    tracing::info!(event = "registry_answers", subject, "the schema registry answers again");
                }
                tracing::info!(
                    event = "schema_registered",
                    subject,
                    schema = id,
                    "predictions are published by this schema of the registry"
                );
                if let Some(observer) = observer {
                    observer.waits_for_registry(false);
                }
                return Ok(Form::Avro(Frame::Registered(id)));
            }
            Ok(Registered::Refused(problem)) => return Err(Error::Subject { subject: subject.clone(), problem }),
            Err(away) => away,
        };
        if let Some(observer) = observer {
            observer.waits_for_registry(true);
        }
        report::tell_systemd_status(&format!("waiting for the schema registry at {}", registry.url));
        let wait = backoff.next_wait();
        if !limit.has_spoken() && limit.is_due() {
            tracing::warn!(
                event = "registry_away", subject, problem, next_try = ?wait,
                "waiting for the schema registry, which has to know the schema of predictions before one is published; records wait \
                 in the topic, and none is lost"
            );
        }
        tokio::time::sleep(wait).await;
    }
}

fn client(registration: &Registration) -> Result<Client, String> {
    Client::new(registration.registry.clone(), &Format::Avro(Origin::Registry))
}

/// What a start would find.
#[derive(Debug)]
pub enum Prospect {
    /// It would register the schema, or find it.
    Good(String),
    /// It would wait.
    Away(String),
    /// It would end.
    Refused(String),
}

/// Asks what would become of the schema of predictions under its subject, which is returned, too; `None` where none is registered.
pub async fn prospect(settings: &Settings) -> Option<(&str, Prospect)> {
    let Predictions::Avro(Some(registration)) = &settings.predictions else { return None };
    let subject = &registration.subject;
    let looked = match client(registration) {
        Ok(client) => client.outlook(subject, SCHEMA).await,
        Err(problem) => Err(Away(problem)),
    };
    let prospect = match looked {
        Ok(Outlook::Is(id)) => Prospect::Good(format!("has the schema of predictions, as number {id}")),
        Ok(Outlook::Welcome) => {
            Prospect::Good("takes the schema of predictions, which the first start registers".to_owned())
        }
        Ok(Outlook::Refused) => {
            let problem = "it contradicts the latest schema there".to_owned();
            Prospect::Refused(Error::Subject { subject: subject.clone(), problem }.to_string())
        }
        Err(Away(problem)) => Prospect::Away(problem),
    };
    Some((subject, prospect))
}
