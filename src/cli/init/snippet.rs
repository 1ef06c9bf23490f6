//! The configuration of one client, to be printed.

use super::client::{Client, Format};
use super::server::Server;
use super::{json, toml};
use crate::error::{Error, Result};

/// The client's whole file, if it held nothing but this server.
pub(super) fn snippet(client: Client, server: &Server) -> Result<String> {
    let merged = match client.format() {
        Format::Json { list, typed } => json::merge("", list, &server.fields(typed)),
        Format::Toml => toml::merge("", server),
    };
    match merged {
        Ok(Some(merged)) => Ok(merged.text),
        Ok(None) => Ok(String::new()),
        Err(reason) => Err(Error::invalid(reason)),
    }
}
