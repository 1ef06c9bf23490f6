//! The `sandbox` of a profile: what a worker may write, read and reach.

use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::per::Per;
use super::table_reader::TableReader;
use super::template::{Placeholder, PlaceholderValues, Template};
use crate::error::Result;

/// What stands for the working directory of the worker.
const CWD: &str = "{cwd}";
/// The placeholders of paths.
const PLACEHOLDERS: [Placeholder; 3] = [Placeholder::Batch, Placeholder::Chunk, Placeholder::Project];

/// A path of a sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
enum SandboxPath {
    /// The working directory, or a path below it.
    WorkingDir(PathBuf),
    /// An absolute path.
    Absolute(Template),
}

/// The setting: `[worker.NAME] sandbox = { write = […], read = […], network = … }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SandboxSetting {
    write: Vec<SandboxPath>,
    /// What may be read besides the system's programs and `write`; `None`: everything.
    read: Option<Vec<SandboxPath>>,
    /// Whether it may open and accept TCP connections.
    pub(super) network: bool,
}

/// A sandbox with the paths of one worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sandbox {
    /// The files and folders that the worker may change.
    pub write: Vec<PathBuf>,
    /// What it may read besides the system's programs and `write`; `None`: everything.
    pub read: Option<Vec<PathBuf>>,
    /// Whether it may open and accept TCP connections.
    pub network: bool,
}

impl SandboxSetting {
    /// Reads the table, if there is one.
    pub(super) fn read(from: &mut TableReader<'_>, per: Per, home: Option<&str>) -> Result<Option<Self>> {
        const NAME: &str = "sandbox";
        if !from.contains(NAME) {
            from.record(NAME, serde_json::Value::Null, false);
            return Ok(None);
        }
        if per == Per::Chunk {
            return Err(from.bad_value(
                NAME,
                "only for per = \"item\"; the worker of a chunk starts a server that writes to the store, so it cannot be kept from the store's folder",
            ));
        }
        let mut table = from.table(NAME)?;
        let has_read = table.contains("read");
        let write = read_paths(&mut table, "write", &[CWD], home)?;
        let read = read_paths(&mut table, "read", &[], home)?;
        let network = table.boolean("network", true)?;
        from.finish_table(NAME, table)?;
        Ok(Some(SandboxSetting { write, read: has_read.then_some(read), network }))
    }

    /// The sandbox of a worker in a working directory.
    ///
    /// # Errors
    /// A placeholder has no value, or its value is not a plain name.
    pub(super) fn fill(&self, values: &PlaceholderValues<'_>, working_dir: &Path) -> Result<Sandbox> {
        let fill = |paths: &[SandboxPath]| -> Result<Vec<PathBuf>> {
            paths.iter().map(|path| path.fill(values, working_dir)).collect()
        };
        let mut read = self.read.as_deref().map(fill).transpose()?;
        // A worker has to be able to enter the folder that it starts in.
        read.iter_mut().for_each(|paths| paths.push(working_dir.to_owned()));
        Ok(Sandbox { write: fill(&self.write)?, read, network: self.network })
    }
}

fn read_paths(
    table: &mut TableReader<'_>,
    field: &'static str,
    default: &[&'static str],
    home: Option<&str>,
) -> Result<Vec<SandboxPath>> {
    let mut paths = Vec::new();
    for text in table.strings(field, default)? {
        let path = parse(text, home).map_err(|why| table.bad_value(field, &format!("'{text}': {why}")))?;
        paths.push(path);
    }
    Ok(paths)
}

fn parse(text: &str, home: Option<&str>) -> Result<SandboxPath, String> {
    const EXPECTED: &str =
        "expected {cwd}, a path below it, or an absolute path; start with {cwd}/, {home}/ or /, without ..";
    let has_parent = Path::new(text).components().any(|part| part == Component::ParentDir);
    if has_parent || text.contains('\0') {
        return Err(EXPECTED.to_owned());
    }
    if let Some(rest) = text.strip_prefix(CWD) {
        return match rest.strip_prefix('/') {
            Some(below) => Ok(SandboxPath::WorkingDir(below.into())),
            None if rest.is_empty() => Ok(SandboxPath::WorkingDir(PathBuf::new())),
            None => Err(EXPECTED.to_owned()),
        };
    }
    let template = Template::parse(text, &PLACEHOLDERS, home)?;
    if template.literal_start().starts_with('/') {
        Ok(SandboxPath::Absolute(template))
    } else {
        Err(EXPECTED.to_owned())
    }
}

impl SandboxPath {
    fn fill(&self, values: &PlaceholderValues<'_>, working_dir: &Path) -> Result<PathBuf> {
        match self {
            SandboxPath::WorkingDir(below) => Ok(working_dir.join(below)),
            SandboxPath::Absolute(template) => template.fill(values, None).map(PathBuf::from),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_below_the_working_directory_or_absolute() {
        let below = |path: &str| Ok(SandboxPath::WorkingDir(path.into()));
        assert_eq!(parse("{cwd}", None), below(""));
        assert_eq!(parse("{cwd}/out", None), below("out"));
        assert!(matches!(parse("/srv/{project}", None), Ok(SandboxPath::Absolute(_))));
        assert!(matches!(parse("{home}/x", Some("/home/ann")), Ok(SandboxPath::Absolute(_))));
        for refused in
            ["", "out", "{cwd}x", "{cwd}/../x", "/srv/../etc", "{project}/x", "{nothing}/x", "/a\0"]
        {
            assert!(parse(refused, None).is_err(), "{refused}");
        }
    }
}
