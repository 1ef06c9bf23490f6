//! TLS to the database, by rustls.
//!
//! - `settings`: `sslmode` and the certificates, as PostgreSQL's own programs read them
//! - `verifier`: how the certificate of a server is checked
//! - `stream`: the connection that the client library uses
//! - `end_point`: the hash that binds a password exchange (SCRAM) to the server's certificate

mod end_point;
mod settings;
mod stream;
mod verifier;

pub(super) use settings::{Tls, TlsParameters};
