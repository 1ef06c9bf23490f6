//! The operator's configuration, and whether its profiles could be started.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::Access;

use super::context::DoctorContext;
use super::finding::{Finding, or_ok};
use super::permissions::{STICKY, command_to_open_folder};
use crate::config::{Config, ConfigLocation};
use crate::error::Result;
use crate::model::text::counted;
use crate::terminal::shell_path;
use crate::work::preflight;

/// Whether the file can be read, and the program and the folders of every profile exist.
pub(super) fn check_configuration(context: &DoctorContext) -> Result<Vec<Finding>> {
    let location = ConfigLocation::find()?;
    let config = match Config::load(&[]) {
        Ok(config) => config,
        Err(error) => {
            return Ok(vec![Finding::problem(error.to_string()).with_fix(fix_for(&location.path))]);
        }
    };
    let path = location.path.display();
    if !config.found {
        return Ok(vec![Finding::ok(format!(
            "{path} does not exist: every setting has its default, and there are no profiles"
        ))]);
    }
    let data = context.folder();
    let bad = config.profiles().filter_map(|profile| {
        let error = preflight::check(profile, &data).err()?;
        let message = format!("profile '{}' cannot be started: {error}", profile.name);
        Some(Finding::problem(message).with_fix(context.command("config check")))
    });
    let profiles = counted(config.profiles().count() as u64, "profile");
    let ok = format!("{path} is in effect; {profiles} could be started");
    Ok(or_ok(bad.collect(), ok))
}

/// The command that makes a refused configuration acceptable: it corrects the permissions of the file or of a
/// folder above it, or else opens the file in an editor.
fn fix_for(path: &Path) -> String {
    // Folders on the path as given and on the path that links lead to are both checked when it is read.
    let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let writable_by_others = path.ancestors().chain(real.ancestors()).find(|part| {
        part.metadata().is_ok_and(|metadata| metadata.mode() & 0o022 != 0 && metadata.mode() & STICKY == 0)
    });
    if let Some(part) = writable_by_others {
        return format!("chmod go-w {}", shell_path(part));
    }
    command_to_open_folder(path).unwrap_or_else(|| match rustix::fs::access(path, Access::READ_OK) {
        Err(rustix::io::Errno::ACCESS) => format!("chmod u+r {}", shell_path(path)),
        _ => command_to_edit(path),
    })
}

/// The command that opens the configuration in the person's editor.
pub(super) fn command_to_edit(path: &Path) -> String {
    format!("${{EDITOR:-vi}} {}", shell_path(path))
}
