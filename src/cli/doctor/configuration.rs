//! The operator's configuration, and whether its profiles could be started.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::Access;

use super::context::DoctorContext;
use super::finding::{Finding, or_ok};
use super::permissions::{STICKY, let_in};
use crate::cli::shell::path_word;
use crate::config::{Config, ConfigLocation};
use crate::error::Result;
use crate::work::preflight;

/// Whether the file is read, and every profile's program and folders are there.
pub(super) fn configuration(context: &DoctorContext) -> Result<Vec<Finding>> {
    let location = ConfigLocation::find()?;
    let config = match Config::load(&[]) {
        Ok(config) => config,
        Err(error) => {
            return Ok(vec![Finding::problem(error.to_string()).mend(mend(&location.path))]);
        }
    };
    let path = location.path.display();
    if !config.found {
        return Ok(vec![Finding::ok(format!(
            "{path} is not there: all is at its default, without profiles"
        ))]);
    }
    let data = context.folder();
    let bad = config.profiles().filter_map(|profile| {
        let error = preflight::check(profile, &data).err()?;
        let what = format!("profile '{}' cannot be started: {error}", profile.name);
        Some(Finding::problem(what).mend(context.command("config check")))
    });
    let well = format!("{path} is read; {} profiles could be started", config.profiles().count());
    Ok(or_ok(bad.collect(), well))
}

/// What makes a configuration that was refused one that is read: its mode, or that of a folder above it, else
/// what is written in it.
fn mend(path: &Path) -> String {
    // As it was given, and where links lead to: both decide over what is read.
    let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let open = path.ancestors().chain(real.ancestors()).find(|part| {
        part.metadata().is_ok_and(|metadata| metadata.mode() & 0o022 != 0 && metadata.mode() & STICKY == 0)
    });
    if let Some(open) = open {
        return format!("chmod go-w {}", path_word(open));
    }
    let_in(path).unwrap_or_else(|| match rustix::fs::access(path, Access::READ_OK) {
        Err(rustix::io::Errno::ACCESS) => format!("chmod u+r {}", path_word(path)),
        _ => edit(path),
    })
}

/// The command that lets a person write the configuration.
pub(super) fn edit(path: &Path) -> String {
    format!("${{EDITOR:-vi}} {}", path_word(path))
}
