//! Encryption and logins, against a registry that wants them.

use std::path::PathBuf;

use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

use super::*;

fn file(name: &str) -> PathBuf {
    PathBuf::from(format!("{}/../../tests/tls/{name}", env!("CARGO_MANIFEST_DIR")))
}

fn roots(name: &str) -> Arc<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file(name)).expect("a file") {
        roots.add(certificate.expect("a certificate")).expect("usable");
    }
    Arc::new(roots)
}

/// What a registry shows, and what it wants.
#[derive(Clone, Copy, Default)]
struct Wants {
    /// File with its certificate; none for HTTP.
    certificate: Option<&'static str>,
    /// True where it wants a certificate of the client's.
    client: bool,
    /// Header with a login.
    login: Option<&'static str>,
    /// Status of an answer to anybody else.
    refusal: &'static str,
}

impl Wants {
    fn acceptor(self) -> Option<TlsAcceptor> {
        let both = file(self.certificate?);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
        let builder = builder.expect("versions");
        let builder = if self.client {
            let verifier = WebPkiClientVerifier::builder_with_provider(roots("broker/ca.pem"), provider).build();
            builder.with_client_cert_verifier(verifier.expect("a verifier"))
        } else {
            builder.with_no_client_auth()
        };
        let chain =
            CertificateDer::pem_file_iter(&both).expect("a file").map(|it| it.expect("a certificate")).collect();
        let key = PrivateKeyDer::from_pem_file(&both).expect("a key");
        Some(Arc::new(builder.with_single_cert(chain, key).expect("a certificate with its key")).into())
    }

    /// Starts a registry, and returns where it listens.
    async fn start(self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let acceptor = self.acceptor();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                match &acceptor {
                    // Who is refused tries again or does not.
                    Some(acceptor) => match acceptor.accept(socket).await {
                        Ok(encrypted) => self.answer(encrypted).await,
                        Err(_) => continue,
                    },
                    None => self.answer(socket).await,
                }
            }
        });
        address.to_string()
    }

    async fn answer(self, mut stream: impl AsyncRead + AsyncWrite + Unpin) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) if head.starts_with(b"G") || byte == b'G' => head.push(byte),
                // What is no request is answered at once.
                _ => break,
            }
        }
        let head = String::from_utf8_lossy(&head);
        let is_let_in = self.login.is_none_or(|login| head.contains(&format!("authorization: {login}\r\n")));
        let (status, body) = match is_let_in {
            _ if !head.starts_with("GET ") => ("400 Bad Request", ""),
            true => ("200 OK", r#"{"schema":"\"int\""}"#),
            false => (self.refusal, r#"{"error_code":40101,"message":"Unauthorized"}"#),
        };
        let length = body.len();
        let text = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
        // One that has hung up reads no answer.
        let _ = stream.write_all(text.as_bytes()).await;
        let _ = stream.shutdown().await;
    }
}

/// Asks a registry for a schema, as the settings have it; what is wrong, where something is.
async fn asked(wants: Wants, config: impl FnOnce(&mut Config, &str)) -> Result<(), String> {
    let address = wants.start().await;
    let scheme = if wants.certificate.is_some() { "https" } else { "http" };
    let mut settings = Config::of(format!("{scheme}://{address}"));
    config(&mut settings, &address);
    let client = Client::new(settings, &Format::Avro(thalweg_pipeline::decode::Origin::Registry))?;
    match client.schema(SchemaId::Number(1)).await {
        Ok(Answer::Found(_)) => Ok(()),
        Ok(other) => panic!("{other:?}"),
        Err(Away(problem)) => Err(problem),
    }
}

fn encrypted(certificate: &'static str) -> Wants {
    Wants { certificate: Some(certificate), ..Wants::default() }
}

fn trusted(config: &mut Config) {
    config.ca_file = Some(file("broker/ca.pem"));
}

#[tokio::test]
async fn encryption_that_fails_says_which_key_to_change() {
    let right = encrypted("broker/right.pem");
    assert_eq!(asked(right, |config, _| trusted(config)).await, Ok(()));
    let mutual = Wants { client: true, ..right };
    let ours = |config: &mut Config, cert: &str, key: &str| {
        trusted(config);
        config.identity = Some((file(cert), file(key)));
    };
    assert_eq!(asked(mutual, |config, _| ours(config, "broker/client.pem", "broker/client.pem")).await, Ok(()));
    let other = |config: &mut Config, _: &str| config.ca_file = Some(file("ca.pem"));
    for (found, wanted) in [
        (asked(right, other).await, "in schema.registry.ca_file"),
        (asked(right, |_, _| ()).await, "in schema.registry.ca_file"),
        (asked(encrypted("broker/elsewhere.pem"), |config, _| trusted(config)).await, "in schema.registry.url"),
        (asked(encrypted("broker/expired.pem"), |config, _| trusted(config)).await, "needs a new one"),
        (asked(mutual, |config, _| trusted(config)).await, "set schema.registry.cert_file and key_file"),
        (
            asked(mutual, |config, _| ours(config, "client.pem", "client.key")).await,
            "check schema.registry.cert_file and key_file",
        ),
        (asked(mutual, |config, _| ours(config, "client.pem", "other.key")).await, "cert_file: "),
        (asked(mutual, |config, _| ours(config, "client.pem", "nowhere.key")).await, "key_file: "),
        (asked(right, |config, _| config.ca_file = Some(file("nowhere.pem"))).await, "ca_file: "),
        (asked(right, |config, _| config.ca_file = Some(file("client.key"))).await, "ca_file: "),
        (asked(right, |config, at| config.url = format!("http://{at}")).await, "schema.registry.url: https://"),
        (
            asked(Wants::default(), |config, at| config.url = format!("https://{at}")).await,
            "schema.registry.url: http://",
        ),
    ] {
        let told = found.expect_err(wanted);
        assert!(told.contains(wanted), "{wanted}: {told}");
    }
}

#[tokio::test]
async fn a_login_that_is_refused_says_which_key_to_change_and_no_secret() {
    let folder = std::env::temp_dir();
    let login = |username: &str, password: Credential| Some(Login::Password { username: username.into(), password });
    let secret = || Credential::new("s3cret:word".to_owned());
    let written = folder.join(format!("thalweg-registry-{}", std::process::id()));
    std::fs::write(&written, "s3cret:word\n").expect("written");
    let in_file = || Credential::File(written.clone());
    // Of "meter:s3cret:word".
    let basic =
        Wants { login: Some("Basic bWV0ZXI6czNjcmV0OndvcmQ="), refusal: "401 Unauthorized", ..Wants::default() };
    let bearer = Wants { login: Some("Bearer s3cret:word"), ..basic };
    let over_tls = Wants { certificate: Some("broker/right.pem"), ..bearer };
    let forbidden = Wants { refusal: "403 Forbidden", ..basic };
    for (wants, right) in [
        (basic, login("meter", secret())),
        (basic, login("meter", in_file())),
        (bearer, Some(Login::Token(secret()))),
        (over_tls, Some(Login::Token(in_file()))),
    ] {
        let as_told = |config: &mut Config, _: &str| {
            trusted(config);
            config.login = right;
        };
        assert_eq!(asked(wants, as_told).await, Ok(()));
    }
    let other = || Credential::new("s3cret".to_owned());
    let nowhere = || Credential::File(folder.join("nowhere/s3cret"));
    for (wants, wrong, wanted) in [
        (basic, None, "set schema.registry.username and password, or token"),
        (basic, login("meter", other()), "check schema.registry.username and password"),
        (basic, login("other", in_file()), "check schema.registry.username and password_file"),
        (basic, Some(Login::Token(secret())), "check schema.registry.token"),
        (bearer, Some(Login::Token(other())), "check schema.registry.token"),
        (bearer, login("meter", secret()), "check schema.registry.username and password"),
        (over_tls, Some(Login::Token(other())), "check schema.registry.token"),
        (forbidden, None, "schema.registry.username and password, or token"),
        (forbidden, login("meter", other()), "needs the right to read all schemas"),
        (basic, login("meter", nowhere()), "schema.registry.password_file: "),
        (bearer, Some(Login::Token(nowhere())), "schema.registry.token_file: "),
        (bearer, Some(Login::Token(Credential::new("a\ns3cret".to_owned()))), "what no header can"),
    ] {
        let mut shown = String::new();
        let as_told = |config: &mut Config, _: &str| {
            trusted(config);
            config.login = wrong;
            let client = Client::new(config.clone(), &Format::Json);
            shown = format!("{config:?} {client:?}");
        };
        let told = asked(wants, as_told).await.expect_err(wanted);
        assert!(told.contains(wanted), "{wanted}: {told}");
        let is_secret = |text: &str| text.replace("nowhere/s3cret", "").contains("s3cret") || text.contains("czNjcmV0");
        assert!(!is_secret(&told) && !is_secret(&shown), "{told} {shown}");
    }
    std::fs::remove_file(&written).expect("it is there");
}
