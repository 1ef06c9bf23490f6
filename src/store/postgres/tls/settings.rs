//! `sslmode` and the certificates, as PostgreSQL's own programs read them.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_postgres::config::SslMode;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::stream::Connector;
use super::verifier::LenientVerifier;
use crate::error::{Error, Result};

/// The value of `sslrootcert` that stands for the certificates of the operating system.
const SYSTEM: &str = "system";

/// What an address or the variables say about TLS, as text.
#[derive(Default)]
pub(in super::super) struct TlsParameters {
    /// `sslmode`.
    pub(in super::super) mode: Option<String>,
    /// `sslrootcert`.
    pub(in super::super) root_certificates: Option<String>,
    /// `sslcert`.
    pub(in super::super) certificate: Option<String>,
    /// `sslkey`.
    pub(in super::super) key: Option<String>,
    /// The folder of the files that PostgreSQL's programs read if they exist: `~/.postgresql`.
    pub(in super::super) default_folder: Option<PathBuf>,
}

/// How much of a server is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Mode {
    Disable,
    Prefer,
    Require,
    VerifyCa,
    VerifyFull,
}

impl Mode {
    fn parse(text: &str) -> Result<Self> {
        Ok(match text {
            "disable" => Mode::Disable,
            // Without TLS at first, and with it if the server insists: for this program that is no other case.
            "allow" | "prefer" => Mode::Prefer,
            "require" => Mode::Require,
            "verify-ca" => Mode::VerifyCa,
            "verify-full" => Mode::VerifyFull,
            other => {
                return Err(Error::invalid(format!(
                    "sslmode is '{other}'; allowed: disable, prefer, require, verify-ca, verify-full"
                )));
            }
        })
    }
}

/// Whether connections use TLS, and how they check the server.
#[derive(Clone)]
pub(in super::super) struct Tls {
    mode: Mode,
    connector: Connector,
}

impl Tls {
    /// Reads the certificates that the parameters name.
    ///
    /// # Errors
    /// If a parameter is malformed or a file cannot be used.
    pub(in super::super) fn new(parameters: &TlsParameters) -> Result<Self> {
        let is_system = parameters.root_certificates.as_deref() == Some(SYSTEM);
        let mode = match parameters.mode.as_deref() {
            // As in PostgreSQL 16. Anybody has a certificate that the system trusts, for a name of their own.
            None if is_system => Mode::VerifyFull,
            None => Mode::Prefer,
            Some(mode) => Mode::parse(mode)?,
        };
        if is_system && mode != Mode::VerifyFull {
            let given = parameters.mode.as_deref().unwrap_or_default();
            return Err(Error::invalid(format!(
                "sslmode is '{given}' with sslrootcert=system; allowed: verify-full, because anybody can get a certificate that the system trusts"
            )));
        }
        let provider = Arc::new(ring::default_provider());
        let config = client_config(mode, &provider, parameters)?;
        Ok(Tls { mode, connector: Connector(Arc::new(config)) })
    }

    /// Whether the client library asks for TLS. There is none on a socket of the same machine.
    pub(in super::super) fn ssl_mode(&self, is_socket: bool) -> SslMode {
        match self.mode {
            _ if is_socket => SslMode::Disable,
            Mode::Disable => SslMode::Disable,
            Mode::Prefer => SslMode::Prefer,
            Mode::Require | Mode::VerifyCa | Mode::VerifyFull => SslMode::Require,
        }
    }

    /// Makes the TLS part of new connections.
    pub(in super::super) fn connector(&self) -> Connector {
        self.connector.clone()
    }
}

fn client_config(
    mode: Mode,
    provider: &Arc<CryptoProvider>,
    parameters: &TlsParameters,
) -> Result<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::internal("TLS cannot be used", error))?;
    let builder = match (mode, root_certificates(mode, parameters)?) {
        (Mode::VerifyFull, Some(roots)) => builder.with_root_certificates(roots),
        (Mode::Require | Mode::VerifyCa, Some(roots)) => {
            let chain =
                WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
            let chain = chain.map_err(|error| {
                Error::invalid("sslrootcert: its certificates cannot be used").caused_by(error)
            })?;
            let verifier = LenientVerifier::of_chain(provider.clone(), chain);
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
        }
        _ => {
            let verifier = LenientVerifier::of_nothing(provider.clone());
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
        }
    };
    let Some((chain, key)) = own_certificate(mode, parameters)? else {
        return Ok(builder.with_no_client_auth());
    };
    builder
        .with_client_auth_cert(chain, key)
        .map_err(|error| Error::invalid("sslcert and sslkey do not belong together").caused_by(error))
}

/// The certificates that sign those of servers; none if anybody may sign.
fn root_certificates(mode: Mode, parameters: &TlsParameters) -> Result<Option<RootCertStore>> {
    if mode < Mode::Require {
        return Ok(None);
    }
    let default = parameters.default_folder.as_ref().map(|folder| folder.join("root.crt"));
    let file = match parameters.root_certificates.as_deref() {
        Some(SYSTEM) => return system_certificates().map(Some),
        Some(file) => PathBuf::from(file),
        None => match default.filter(|file| file.exists()) {
            Some(file) => file,
            None if mode == Mode::Require => return Ok(None),
            None => {
                return Err(Error::invalid(
                    "sslmode=verify-ca and verify-full need the certificate of who signed the server's: name its file with sslrootcert=FILE (or PGSSLROOTCERT), or sslrootcert=system for those that the operating system trusts",
                ));
            }
        },
    };
    let mut roots = RootCertStore::empty();
    for certificate in certificates_of("sslrootcert", &file)? {
        roots.add(certificate).map_err(|error| unusable("sslrootcert", &file).caused_by(error))?;
    }
    Ok(Some(roots))
}

fn system_certificates() -> Result<RootCertStore> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let error = Error::invalid(
            "sslrootcert=system: the operating system has no certificates (Debian: apt install ca-certificates); name a file instead",
        );
        return Err(match found.errors.into_iter().next() {
            Some(cause) => error.caused_by(cause),
            None => error,
        });
    }
    Ok(roots)
}

/// The certificate by which the server knows this client, with its key.
fn own_certificate(
    mode: Mode,
    parameters: &TlsParameters,
) -> Result<Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>> {
    if mode == Mode::Disable {
        return Ok(None);
    }
    let default = |name| parameters.default_folder.as_ref().map(|folder| folder.join(name));
    let named = parameters.certificate.as_ref().map(PathBuf::from);
    let Some(file) = named.or_else(|| default("postgresql.crt").filter(|file| file.exists())) else {
        return Ok(None);
    };
    let named = parameters.key.as_ref().map(PathBuf::from);
    let key = named.or_else(|| default("postgresql.key")).ok_or_else(|| {
        Error::invalid(
            "sslcert is set without sslkey; name the file of the certificate's key with sslkey=FILE",
        )
    })?;
    let chain = certificates_of("sslcert", &file)?;
    let found = std::fs::metadata(&key).map_err(|error| unusable("sslkey", &key).caused_by(error))?;
    if found.permissions().mode() & 0o077 != 0 {
        return Err(Error::invalid(format!(
            "sslkey: {} can be read by others; run chmod 600 on it",
            key.display()
        )));
    }
    let read = PrivateKeyDer::from_pem_file(&key);
    // The cause may quote the file, which is a secret.
    let key = read.map_err(|_| unusable("sslkey", &key))?;
    Ok(Some((chain, key)))
}

fn certificates_of(parameter: &str, file: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let read =
        CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>);
    let found = read.map_err(|error| unusable(parameter, file).caused_by(error))?;
    if found.is_empty() { Err(unusable(parameter, file)) } else { Ok(found) }
}

fn unusable(parameter: &str, file: &Path) -> Error {
    Error::invalid(format!("{parameter}: {} cannot be used; it has to be a PEM file", file.display()))
}
