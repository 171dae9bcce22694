//! Sorts environment variables: those that are settings, and those that were likely meant as settings.
//!
//! `THALWEG__TRANSPORT__KIND` is `transport.kind`: two underscores stand for each dot, since one may be part of a name.
//! Invariant: a variable that names a setting with too few or too many underscores, or in small letters, is an error
//! and never ignored. Other variables are not ours.

use super::section::Problem;

/// Prefix of environment variables that are settings.
const PREFIX: &str = "THALWEG__";

/// Prefixes of this project's own tools and tests, after `THALWEG_`.
const TOOL_PREFIXES: [&str; 4] = ["KAFKA_", "SOAK_", "SYSTEMD_", "TEST_"];

/// Returns the key's path of a variable that is a setting.
pub(super) fn path(name: &str) -> Option<String> {
    name.strip_prefix(PREFIX).map(|rest| rest.to_lowercase().replace("__", "."))
}

/// Returns true if a variable that is no setting begins like one.
pub(super) fn is_stray(name: &str) -> bool {
    let upper = name.to_uppercase();
    let Some(rest) = upper.strip_prefix("THALWEG_") else { return false };
    let ours = name.starts_with("THALWEG_") && TOOL_PREFIXES.iter().any(|own| rest.starts_with(own));
    !ours && !of_kubernetes(rest)
}

/// Returns true if Kubernetes sets it for a service whose name begins with `thalweg`.
fn of_kubernetes(rest: &str) -> bool {
    let ends = ["SERVICE_HOST", "SERVICE_PORT", "_TCP", "_UDP", "_SCTP", "_ADDR", "_PROTO"];
    rest.ends_with("PORT") || rest.contains("SERVICE_PORT_") || ends.iter().any(|end| rest.ends_with(end))
}

/// Returns the problems with variables, given the known keys: `strays` are not settings, `read` holds name and path of
/// those that are.
pub(super) fn problems<'a>(
    strays: impl Iterator<Item = &'a str>,
    read: impl Iterator<Item = (&'a str, &'a str)>,
    known: &[String],
) -> Vec<Problem> {
    let unknown = read.filter(|(_, path)| !known.iter().any(|key| key == path));
    let candidates = strays.chain(unknown.map(|(name, _)| name));
    let told = candidates.filter_map(|name| {
        let meant = meant(name, known).filter(|meant| meant != name)?;
        let message = format!("is not a setting; sections and keys are set apart by two underscores: {meant}");
        Some(Problem::new(&format!("environment variable {name}"), &message))
    });
    told.collect()
}

/// Returns the variable that was meant: the known path that it begins with, however many underscores it has.
fn meant(name: &str, known: &[String]) -> Option<String> {
    let plain = |text: &str| text.to_lowercase().replace('.', "_").replace("__", "_");
    let wanted = plain(name).strip_prefix("thalweg_")?.to_owned();
    let fits = |key: &&String| {
        let key = plain(key);
        wanted == key || wanted.strip_prefix(&key).is_some_and(|rest| rest.starts_with('_'))
    };
    let longest = known.iter().filter(fits).max_by_key(|key| key.len())?;
    let rest = wanted.strip_prefix(&plain(longest)).unwrap_or_default().trim_start_matches('_');
    let path = if rest.is_empty() { longest.clone() } else { format!("{longest}.{rest}") };
    Some(format!("{PREFIX}{}", path.replace('.', "__").to_uppercase()))
}
