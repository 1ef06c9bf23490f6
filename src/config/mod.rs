//! The operator's configuration: the commands that background workers run, and the bounds of it all.
//!
//! It comes from one file, and only where that is the operator's alone (`file.rs`). Agents name a profile;
//! nothing that they say becomes a command, a variable or a folder. Knows `model` and the error type.

mod environment;
pub mod example;
mod file;
mod place;
mod profile;
mod reader;
mod template;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use environment::BASIC;
pub use file::{Location, Origin};
pub use place::Place;
pub use profile::{Per, Profile, ProfileName};
pub use reader::Setting;
use reader::{Reader, Whole};
use template::Template;

use crate::error::{Error, Result};
use crate::model::id::TaskId;

/// What a worker is started for.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// The batch.
    pub batch: &'a TaskId,
    /// The chunk.
    pub chunk: &'a TaskId,
    /// The batch's project.
    pub project: Option<&'a str>,
}

/// Bounds over all batches of one store: `[limits]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// The most workers at once.
    pub max_parallel: usize,
    /// With less free disk than this, in MiB, no worker is started; 0 never looks.
    pub min_free_disk_mb: u64,
    /// With less free memory than this, in MiB, no worker is started; 0 never looks.
    pub min_free_memory_mb: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { max_parallel: 8, min_free_disk_mb: 512, min_free_memory_mb: 256 }
    }
}

impl Limits {
    fn read(from: &mut Reader<'_>) -> Result<Self> {
        let default = Limits::default();
        let parallel =
            Whole { range: 1..=64, unit: "workers at once", default: Some(default.max_parallel as u64) };
        let free =
            |default| Whole { range: 0..=1_000_000_000, unit: "MiB; 0 never looks", default: Some(default) };
        Ok(Limits {
            max_parallel: from
                .whole("max_parallel", &parallel)?
                .map_or(default.max_parallel, |most| most as usize),
            min_free_disk_mb: from
                .whole("min_free_disk_mb", &free(default.min_free_disk_mb))?
                .unwrap_or(default.min_free_disk_mb),
            min_free_memory_mb: from
                .whole("min_free_memory_mb", &free(default.min_free_memory_mb))?
                .unwrap_or(default.min_free_memory_mb),
        })
    }
}

/// The whole configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the file is looked for.
    pub location: Location,
    /// Whether it is there.
    pub found: bool,
    /// What is set outside the profiles: `limits.max_parallel`, `paths.roots`.
    pub settings: Vec<Setting>,
    limits: Limits,
    profiles: BTreeMap<String, Profile>,
}

impl Config {
    /// Reads the file from where it is looked for; without one, nothing is set and there are no profiles.
    ///
    /// `closed` are the folders that agents write to, as the caller knows them: for a server its current
    /// folder and its item roots, for a person none. A file beneath one of them is refused.
    ///
    /// # Errors
    /// A file that isn't the operator's alone, and what is wrong in it, with file, line, setting, value, limit.
    pub fn load(closed: &[PathBuf]) -> Result<Self> {
        let location = Location::find()?;
        let Some((text, way)) = file::read(&location.path, closed)? else {
            let text = reader::Text { path: location.path.clone(), text: String::new() };
            return Config::parse(location, &text, &[]);
        };
        Config::parse(location, &text, &way)
    }

    /// `way` is all that leads to the file; nothing, where there is none.
    fn parse(location: Location, text: &reader::Text, way: &[PathBuf]) -> Result<Self> {
        let home = std::env::home_dir().filter(|home| home.is_absolute());
        let home = home.as_deref().and_then(Path::to_str);
        let document = text.parse()?;
        let mut top = Reader::top(text, &document);
        let mut limits_table = top.table("limits")?;
        let limits = Limits::read(&mut limits_table)?;
        top.take_in("limits", limits_table)?;
        let mut paths = top.table("paths")?;
        let roots = roots(&mut paths, home)?;
        top.take_in("paths", paths)?;
        let mut profiles = BTreeMap::new();
        for (name, table) in top.table("worker")?.each()? {
            profiles.insert(name.to_owned(), Profile::read(name, table, &roots, &limits, home)?);
        }
        file::beneath(way, &roots, "one of [paths] roots, where workers write")?;
        Ok(Config { location, found: !way.is_empty(), settings: top.end()?, limits, profiles })
    }

    /// The profile of a name.
    ///
    /// # Errors
    /// `invalid_argument`, naming those that there are and where they are written.
    pub fn profile(&self, name: &str) -> Result<&Profile> {
        self.profiles.get(name).ok_or_else(|| {
            let path = self.location.path.display();
            let name = crate::model::text::excerpt(name);
            let names: Vec<&str> = self.profiles.keys().map(String::as_str).collect();
            Error::invalid(if names.is_empty() {
                format!(
                    "worker: there is no profile '{name}', nor any other; the operator writes [worker.{name}] into {path} (tasktally config example shows how)"
                )
            } else {
                format!("worker: there is no profile '{name}' in {path}; there are {}", names.join(", "))
            })
        })
    }

    /// Every profile, by name.
    pub fn profiles(&self) -> impl Iterator<Item = &Profile> {
        self.profiles.values()
    }

    /// The bounds over all batches of one store.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }
}

fn roots(from: &mut Reader<'_>, home: Option<&str>) -> Result<Vec<PathBuf>> {
    let mut roots = Vec::new();
    for text in from.texts("roots", &[])? {
        let template = Template::parse(text, &[], home).map_err(|why| from.wrong("roots", &why))?;
        let path = PathBuf::from(template.start());
        let plain = path.is_absolute() && !text.contains('\0') && path.parent().is_some();
        if !plain {
            let why = "a root is the absolute path of a folder, not / itself; begin with / or {home}/";
            return Err(from.wrong("roots", why));
        }
        roots.push(path);
    }
    Ok(roots)
}
