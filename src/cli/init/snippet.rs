//! The configuration of one client, to be printed.

use super::client::{ClientProgram, ConfigFormat};
use super::server::ServerEntry;
use super::{json, toml};
use crate::error::{Error, Result};

/// The client's whole file, if it held nothing but this server.
pub(super) fn snippet(client: ClientProgram, server: &ServerEntry) -> Result<String> {
    let merged = match client.format() {
        ConfigFormat::Json { list, typed } => json::merge("", list, &server.fields(typed)),
        ConfigFormat::Toml => toml::merge("", server),
    };
    match merged {
        Ok(Some(merged)) => Ok(merged.text),
        Ok(None) => Ok(String::new()),
        Err(reason) => Err(Error::invalid(reason)),
    }
}
