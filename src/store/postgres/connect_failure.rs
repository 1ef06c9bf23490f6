//! Why no connection to a server could be made, and what to do.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use tokio_rustls::rustls::{CertificateError, Error as TlsError};

use super::address::Address;
use super::failure::{Failure, server_message};
use super::servers::Server;
use crate::error::{Code, Error};

/// What the client library says of a server without TLS.
const WITHOUT_TLS: &str = "server does not support TLS";

/// The refusal or failure of a server.
pub(super) fn describe_failure(address: &Address, server: &Server, error: &tokio_postgres::Error) -> Failure {
    let place = place(address, server);
    let Some(state) = error.code() else {
        let cause = cause_of(error);
        if let Some(next) = next_step_of_tls(error, &cause) {
            let message =
                format!("{place}: no secure connection to the database can be made ({cause}); {next}");
            return Failure::Refused(Error::new(Code::Forbidden, message));
        }
        let message = format!(
            "{place}: the database cannot be reached ({cause}); check the address and that PostgreSQL runs there"
        );
        return Failure::ConnectionLost(Error::new(Code::Busy, message));
    };
    let said = server_message(error);
    let (code, next) = match state.code() {
        "28000" if said.contains("no encryption") || said.contains("SSL off") => {
            (Code::Forbidden, "it may insist on TLS: set sslmode=require or more")
        }
        "28P01" | "28000" => (
            Code::Forbidden,
            "check the user, and the password in PGPASSFILE, PGPASSWORD or from password_command",
        ),
        "3D000" => (Code::InvalidArgument, "create the database first: createdb NAME"),
        "53300" => (Code::Busy, "it has no connection free; try again, or raise max_connections"),
        "57P01" | "57P02" | "57P03" => (Code::Busy, "try again in a moment"),
        // PgBouncer.
        "08P01" if said.contains("startup parameter") => (
            Code::InvalidArgument,
            "a connection pooler takes no options: leave them out of the address, and set them for the role (ALTER ROLE NAME SET …)",
        ),
        _ => (Code::Internal, "its log has the details"),
    };
    let refused = Error::new(code, format!("{place}: the database refused the connection: {said}; {next}"));
    // The server may accept a connection later.
    if code == Code::Busy { Failure::ConnectionLost(refused) } else { Failure::Refused(refused) }
}

/// The failure of a server that did not answer in time.
pub(super) fn too_slow(address: &Address, server: &Server, limit: Duration) -> Failure {
    let message =
        format!("{}: the database did not answer within {} s", place(address, server), limit.as_secs());
    Failure::ConnectionLost(Error::new(Code::Busy, message))
}

/// The address, and which of its servers.
fn place(address: &Address, server: &Server) -> String {
    if address.servers().all().len() > 1 {
        format!("{address} ({}:{})", server.name(), server.port())
    } else {
        address.to_string()
    }
}

/// The cause that the client library reports.
pub(super) fn cause_of(error: &tokio_postgres::Error) -> String {
    StdError::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

/// What to do if TLS is the reason.
fn next_step_of_tls(error: &tokio_postgres::Error, cause: &str) -> Option<&'static str> {
    if cause == WITHOUT_TLS {
        return Some("switch TLS on there (ssl = on), or use sslmode=disable in a network that you trust");
    }
    let inner = StdError::source(error)?.downcast_ref::<io::Error>()?.get_ref()?;
    Some(match inner.downcast_ref::<TlsError>()? {
        TlsError::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => {
            "the server's certificate is for other names: connect by one of them (subjectAltName), or check that the address is right"
        }
        TlsError::InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            "sslrootcert has to name the certificate that signed the server's, unless another server answered than you meant"
        }
        TlsError::InvalidCertificate(_) => "the server needs another certificate",
        TlsError::AlertReceived(_) => {
            "the server refused this client: it may insist on a certificate (sslcert and sslkey)"
        }
        _ => "check the server's settings that begin with ssl",
    })
}
