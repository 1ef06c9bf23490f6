//! The skill for agents: when and how to process many items as a batch.

use std::io::Write;

use super::client::{ClientProgram, Scope};
use super::file;
use super::folders::Folders;
use super::{print, shown, written};
use crate::error::Result;

/// The name of the skill, and of its folder.
const NAME: &str = "batch-processing";

/// The skill, as the plugin has it.
const TEXT: &str = include_str!("../../../packaging/plugin/skills/batch-processing/SKILL.md");

/// Writes the skill into the client's folder of skills, and prints what changed.
///
/// # Errors
/// The file cannot be written, or is a link.
pub(super) fn write_skill(
    client: ClientProgram,
    scope: Scope,
    folders: &Folders,
    out: &mut dyn Write,
) -> Result<()> {
    let target = client.skill_file(scope, NAME, folders)?;
    let (path, before) = target.open()?;
    if before.as_ref().is_some_and(|before| before.text == TEXT) {
        let path = shown(&path);
        return print(out, &format!("{}: the skill is already in {path}, nothing to do\n", client.title()));
    }
    let backup = file::write(&path, before.as_ref(), TEXT)?;
    let verb = if backup.is_some() { "replaced" } else { "added" };
    let file = written(&path, backup.as_deref());
    print(out, &format!("{}: {verb} the skill {NAME} in {file}\n", client.title()))
}
