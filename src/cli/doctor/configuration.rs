//! The operator's configuration, and whether its profiles could be started.

use super::finding::{Finding, or_ok, path_word};
use super::scene::Scene;
use crate::config::{Config, Location};
use crate::error::Result;
use crate::work::ready;

/// Whether the file is read, and every profile's program and folders are there.
pub(super) fn configuration(scene: &Scene) -> Result<Vec<Finding>> {
    let location = Location::find()?;
    let config = match Config::load(&[]) {
        Ok(config) => config,
        Err(error) => {
            let command = format!("${{EDITOR:-vi}} {}", path_word(&location.path));
            return Ok(vec![Finding::problem(error.to_string()).mend(command)]);
        }
    };
    let path = location.path.display();
    if !config.found {
        return Ok(vec![Finding::ok(format!(
            "{path} is not there: all is at its default, without profiles"
        ))]);
    }
    let data = scene.folder();
    let bad = config.profiles().filter_map(|profile| {
        let error = ready::check(profile, &data).err()?;
        let what = format!("profile '{}' cannot be started: {error}", profile.name);
        Some(Finding::problem(what).mend(scene.docket("config check")))
    });
    let well = format!("{path} is read; {} profiles could be started", config.profiles().count());
    Ok(or_ok(bad.collect(), well))
}
