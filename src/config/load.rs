//! Loads the whole configuration.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::database::DatabaseSettings;
use super::limits::Limits;
use super::location::{ConfigLocation, LocationSource};
use super::path_checks::check_outside_folders;
use super::profile::Profile;
use super::review::ReviewSettings;
use super::table_reader::{ConfigText, Setting, TableReader};
use super::template::Template;
use super::trusted_file::read_trusted;
use crate::error::{Error, Result};
use crate::model::text::excerpt;

/// The whole configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// The path of the file.
    pub location: ConfigLocation,
    /// Whether the file exists.
    pub found: bool,
    /// The settings outside the profiles, for example `limits.max_parallel`.
    pub settings: Vec<Setting>,
    limits: Limits,
    review: ReviewSettings,
    database: DatabaseSettings,
    profiles: BTreeMap<String, Profile>,
}

impl Config {
    /// Reads the file. If it does not exist, there are no profiles and every limit has its default.
    ///
    /// `agent_folders` are the folders that agents may write to, as far as the caller knows them: for a server its
    /// current folder and its item roots, for a person none. A file inside one of them is refused.
    ///
    /// # Errors
    /// Another user than the operator can write to the file, or a setting is wrong. The message has the file, line,
    /// setting, value and what is allowed.
    pub fn load(agent_folders: &[PathBuf]) -> Result<Self> {
        let location = ConfigLocation::find()?;
        let trusted = match location.source {
            LocationSource::NoHome => None,
            _ => read_trusted(&location.path, agent_folders)?,
        };
        let Some((text, paths)) = trusted else {
            let text = ConfigText { path: location.path.clone(), text: String::new() };
            return Config::parse(location, &text, &[]);
        };
        Config::parse(location, &text, &paths)
    }

    /// Parses the file. `paths` are its path, the links to it and its real path; empty if the file does not exist.
    fn parse(location: ConfigLocation, text: &ConfigText, paths: &[PathBuf]) -> Result<Self> {
        // Without links, because the paths of a sandbox must not contain any, and on some systems /home is one.
        let home = std::env::home_dir().filter(|home| home.is_absolute());
        let home = home.map(|home| std::fs::canonicalize(&home).unwrap_or(home));
        let home = home.as_deref().and_then(Path::to_str);
        let document = text.parse()?;
        let mut top = TableReader::top(text, &document);
        let mut limits_table = top.table("limits")?;
        let limits = Limits::read(&mut limits_table)?;
        top.finish_table("limits", limits_table)?;
        let mut review_table = top.table("review")?;
        let review = ReviewSettings::read(&mut review_table)?;
        top.finish_table("review", review_table)?;
        let mut database_table = top.table("database")?;
        let database = DatabaseSettings::read(&mut database_table)?;
        top.finish_table("database", database_table)?;
        let mut paths_table = top.table("paths")?;
        let roots = read_roots(&mut paths_table, home)?;
        top.finish_table("paths", paths_table)?;
        let mut profiles = BTreeMap::new();
        for (name, table) in top.table("worker")?.named_tables()? {
            profiles.insert(name.to_owned(), Profile::read(name, table, &roots, &limits, home)?);
        }
        check_outside_folders(paths, &roots, "one of [paths] roots, where workers write")?;
        Ok(Config {
            location,
            found: !paths.is_empty(),
            settings: top.finish()?,
            limits,
            review,
            database,
            profiles,
        })
    }

    /// The profile with a name.
    ///
    /// # Errors
    /// `invalid_argument`, with the names of the profiles and the path of the file.
    pub fn profile(&self, name: &str) -> Result<&Profile> {
        self.profiles.get(name).ok_or_else(|| {
            let path = self.location.path.display();
            let name = excerpt(name);
            let names: Vec<&str> = self.profiles.keys().map(String::as_str).collect();
            Error::invalid(if names.is_empty() {
                format!(
                    "worker: there is no profile '{name}', because {path} has no profiles; the operator adds [worker.{name}] to that file"
                )
            } else {
                format!("worker: there is no profile '{name}' in {path}; the profiles are {}", names.join(", "))
            })
        })
    }

    /// Every profile, sorted by name.
    pub fn profiles(&self) -> impl Iterator<Item = &Profile> {
        self.profiles.values()
    }

    /// Whose decisions count.
    pub fn review(&self) -> ReviewSettings {
        self.review
    }

    /// How to sign in to a database.
    pub fn database(&self) -> &DatabaseSettings {
        &self.database
    }

    /// The limits over all batches of one store.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }
}

/// `[paths] roots`: the folders inside which workers may be started.
fn read_roots(from: &mut TableReader<'_>, home: Option<&str>) -> Result<Vec<PathBuf>> {
    let mut roots = Vec::new();
    for text in from.strings("roots", &[])? {
        let template = Template::parse(text, &[], home).map_err(|why| from.bad_value("roots", &why))?;
        let path = PathBuf::from(template.literal_start());
        let is_valid = path.is_absolute() && !text.contains('\0') && path.parent().is_some();
        if !is_valid {
            let why = "a root is the absolute path of a folder, not / itself; start with / or {home}/";
            return Err(from.bad_value("roots", why));
        }
        roots.push(path);
    }
    Ok(roots)
}
