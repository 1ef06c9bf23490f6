//! The password file of PostgreSQL's programs: a line `host:port:database:user:password` for each, `*` for any; see "The
//! Password File" in PostgreSQL's documentation.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::servers::Server;
use crate::error::{Error, Result};

/// The password for a server, if the file has one.
///
/// # Errors
/// If the file exists and cannot be read. A file that others may read is not used, and a warning says so.
pub(super) fn find_password(file: &Path, server: &Server) -> Result<Option<String>> {
    let found = match std::fs::metadata(file) {
        Ok(found) if found.is_file() => found,
        Ok(_) => return Ok(None),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(file, error)),
    };
    if found.permissions().mode() & 0o077 != 0 {
        tracing::warn!(file = %file.display(), "the password file is not used: others may read it; chmod 600 it");
        return Ok(None);
    }
    let text = std::fs::read_to_string(file).map_err(|error| unreadable(file, error))?;
    let config = server.config();
    let (host, port) = (server.name_in_files(), server.port().to_string());
    let wanted =
        [&host, &port, config.get_dbname().unwrap_or_default(), config.get_user().unwrap_or_default()];
    Ok(text.lines().filter(|line| !line.starts_with('#')).find_map(|line| password_of(line, &wanted)))
}

fn unreadable(file: &Path, error: std::io::Error) -> Error {
    Error::invalid(format!("the password file {} cannot be read", file.display())).caused_by(error)
}

/// The password of a line, if its first four fields match.
fn password_of(line: &str, wanted: &[&str; 4]) -> Option<String> {
    let mut fields = vec![String::new()];
    let mut characters = line.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => fields.last_mut()?.extend(characters.next()),
            ':' if fields.len() < 5 => fields.push(String::new()),
            other => fields.last_mut()?.push(other),
        }
    }
    let matches = fields.iter().zip(wanted).all(|(field, wanted)| field == "*" || field == wanted);
    (fields.len() == 5 && matches).then(|| fields.swap_remove(4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_matches_by_its_fields_and_may_contain_escapes() {
        let wanted = ["db.example", "5432", "tasks", "ada"];
        assert_eq!(password_of("db.example:5432:tasks:ada:secret", &wanted).as_deref(), Some("secret"));
        assert_eq!(password_of("*:*:*:ada:a\\:b\\\\c:d", &wanted).as_deref(), Some("a:b\\c:d"));
        assert_eq!(password_of("other:5432:tasks:ada:secret", &wanted), None);
        assert_eq!(password_of("db.example:5432:tasks:ada", &wanted), None);
    }
}
