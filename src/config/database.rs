//! `[database]`: how to sign in to the database of a store.

use std::ffi::OsStr;
use std::path::PathBuf;

use super::environment::absolute_folders;
use super::program::find_program;
use super::table_reader::TableReader;
use super::trusted_program::check_program;
use crate::error::{Error, Result};

/// How to sign in to the database of a store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DatabaseSettings {
    password_command: Vec<String>,
}

impl DatabaseSettings {
    pub(super) fn read(from: &mut TableReader<'_>) -> Result<Self> {
        let words = from.strings("password_command", &[])?;
        if let Some(program) = words.first()
            && (program.is_empty() || program.contains('/') && !program.starts_with('/'))
        {
            return Err(from.bad_value(
                "password_command",
                "the program is a name to search for in PATH, or an absolute path; a relative path could lead to a file that an agent wrote",
            ));
        }
        if words.iter().any(|word| word.contains('\0')) {
            return Err(from.bad_value("password_command", "a command has no NUL"));
        }
        Ok(DatabaseSettings { password_command: words.into_iter().map(str::to_owned).collect() })
    }

    /// The program of the command that prints the password, and its arguments; none without such a command. `agent_folders` are
    /// the folders that agents may write to, as far as the caller knows them.
    ///
    /// # Errors
    /// If the program does not exist, or others could change it.
    pub fn password_command(&self, agent_folders: &[PathBuf]) -> Result<Option<(PathBuf, Vec<String>)>> {
        let Some((program, arguments)) = self.password_command.split_first() else { return Ok(None) };
        let path = std::env::var_os("PATH").map(|path| absolute_folders(&path));
        let file = find_program(OsStr::new(program), path.as_deref(), None)
            .map_err(|why| Error::invalid(format!("[database] password_command: {why}")))?;
        check_program(&file, agent_folders, "where agents write")?;
        Ok(Some((file, arguments.to_vec())))
    }
}
