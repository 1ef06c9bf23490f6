//! The operator's configuration: the commands that background workers run, and their limits.
//!
//! It is one file, and it is read only if the operator alone can write to it (`trusted_file`). Agents name a
//! profile. Nothing that an agent writes becomes a command, a variable or a folder. This module uses `model` and the
//! error type, and nothing else of the crate.
//!
//! - `load`: the whole configuration
//! - `location`, `trusted_file`, `path_checks`: where the file is, and whether it may be used
//! - `table_reader`, `setting_values`: settings with ranges, defaults and error messages
//! - `profile`, `profile_settings`, `per`: a worker command with its limits, and what one run of it processes
//! - `program`: whether a program can be run
//! - `environment`, `work_dir`, `template`, `item_argument`: what a worker is started with
//! - `database`: how to sign in to the database of a store
//! - `sandbox`: what it may write, read and reach

mod database;
mod environment;
pub mod example;
mod item_argument;
mod limits;
mod load;
mod location;
mod path_checks;
mod per;
mod profile;
mod profile_name;
mod profile_settings;
mod program;
mod review;
mod sandbox;
mod setting_values;
mod table_reader;
mod template;
mod trusted_file;
mod trusted_program;
mod work_dir;

pub use database::DatabaseSettings;
pub use environment::{BASE_VARIABLES, absolute_folders};
pub use item_argument::{ItemArgument, check_placeholders};
pub use limits::Limits;
pub use load::Config;
pub use location::{ConfigLocation, LocationSource};
pub use per::Per;
pub use profile::Profile;
pub use profile_name::ProfileName;
pub use program::find_program;
pub use review::ReviewSettings;
pub use sandbox::Sandbox;
pub use table_reader::Setting;
pub use template::PlaceholderValues;
pub use trusted_program::check_program;
pub use work_dir::WorkDir;
