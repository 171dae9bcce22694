//! Encryption of connections, where the settings name a certificate: the server's side, and that of whoever runs on the same machine
//! with the same settings.

use std::{net::TcpStream, path::Path, sync::Arc};

use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ClientConfig, ClientConnection, DigitallySignedStruct, Error, ServerConfig, SignatureScheme, StreamOwned,
        client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        crypto::{WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature},
        pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
    },
};

use crate::guard::private;

/// A certificate with its key, read.
#[derive(Clone)]
pub struct Identity {
    config: Arc<ServerConfig>,
    chain: Vec<CertificateDer<'static>>,
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Identity(..)")
    }
}

/// Two are equal where their certificates are: keys are not looked at.
impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        self.chain == other.chain
    }
}

impl Identity {
    /// Reads a certificate, with those that vouch for it behind it, and its key, which nobody else may read; both as PEM.
    ///
    /// # Errors
    /// The problem, for people.
    pub fn read(cert: &Path, key: &Path) -> Result<Self, String> {
        let (shown, key_shown) = (cert.display(), key.display());
        let chain = certificates(cert)?;
        private(key)?;
        let key = PrivateKeyDer::from_pem_file(key)
            .map_err(|error| format!("{key_shown} cannot be read as a key in PEM without a password: {error}"))?;
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
        let config = builder.with_no_client_auth().with_single_cert(chain.clone(), key);
        let mut config = config.map_err(|error| format!("{shown} does not fit its key, {key_shown}: {error}"))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { config: Arc::new(config), chain })
    }

    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }
}

/// Reads the certificates of a file, one at least.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let shown = path.display();
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let found = read.map_err(|error| format!("{shown} cannot be read as certificates in PEM: {error}"))?;
    if found.is_empty() { Err(format!("{shown} holds no certificate in PEM")) } else { Ok(found) }
}

/// A connection to a server of the same settings, encrypted.
pub type Encrypted = StreamOwned<ClientConnection, TcpStream>;

/// Encrypts a connection to the server that has the certificate of the file `cert`, and no other. The server's name does not
/// count: whoever runs beside it calls it by its address, for which few certificates are made.
///
/// # Errors
/// The problem with the file, for people. What the server answers is found out when the connection is used.
pub fn encrypt(stream: TcpStream, cert: &Path) -> Result<Encrypted, String> {
    let leaf = certificates(cert)?.swap_remove(0);
    let address = stream.peer_addr().map_err(|error| error.to_string())?;
    let provider = ring::default_provider();
    let pinned = Pinned { leaf, algorithms: provider.signature_verification_algorithms };
    let builder = ClientConfig::builder_with_provider(Arc::new(provider));
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
    let config = builder.dangerous().with_custom_certificate_verifier(Arc::new(pinned)).with_no_client_auth();
    let connection = ClientConnection::new(Arc::new(config), ServerName::IpAddress(address.ip().into()));
    Ok(StreamOwned::new(connection.map_err(|error| error.to_string())?, stream))
}

/// Trusts one certificate, whoever vouches for it.
#[derive(Debug)]
struct Pinned {
    leaf: CertificateDer<'static>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        brought: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if *brought == self.leaf {
            return Ok(ServerCertVerified::assertion());
        }
        Err(Error::General(
            "it has another certificate than http.tls_cert: where that one is new, systemctl reload thalweg has the daemon read it"
                .to_owned(),
        ))
    }

    // That the server has the certificate's key.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, signed, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
