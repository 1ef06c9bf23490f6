//! Whether this process was started by a package runner, which has not installed the program in `PATH`.

use std::env::VarError;
use std::path::{Component, Path, PathBuf};

use crate::error::{Error, Result};

/// The name under which the program is installed.
pub(super) const PROGRAM_NAME: &str = "tasktally";
/// The variable by which a launcher says which package runner started it, or else which file it is itself.
const VARIABLE: &str = "TASKTALLY_LAUNCHER";

/// A package runner: it downloads a package if necessary and starts its program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PackageRunner {
    /// That of npm.
    Npx,
    /// That of uv.
    Uvx,
}

/// What is known about how a process was started.
struct Start<'a> {
    /// The value of `TASKTALLY_LAUNCHER`.
    launcher: &'a str,
    /// The value of `npm_lifecycle_event`, which npm sets for the programs that it starts.
    npm_event: &'a str,
    /// Whether `UV` is set, which uv does for the programs that it starts.
    has_uv: bool,
    /// The file of this program, without links.
    program: &'a Path,
}

impl PackageRunner {
    /// The package runner that started this process, if one did.
    ///
    /// # Errors
    /// `TASKTALLY_LAUNCHER` names an unknown one and is no absolute path.
    pub(super) fn detect() -> Result<Option<PackageRunner>> {
        let variable = |name| match std::env::var(name) {
            Ok(value) => value,
            Err(VarError::NotPresent) => String::new(),
            Err(VarError::NotUnicode(value)) => value.to_string_lossy().into_owned(),
        };
        let program = std::env::current_exe().and_then(|path| path.canonicalize()).unwrap_or_default();
        PackageRunner::of(&Start {
            launcher: &variable(VARIABLE),
            npm_event: &variable("npm_lifecycle_event"),
            has_uv: !variable("UV").is_empty(),
            program: &program,
        })
    }

    fn of(start: &Start<'_>) -> Result<Option<PackageRunner>> {
        match start.launcher {
            "" => {}
            "npx" => return Ok(Some(PackageRunner::Npx)),
            "uvx" => return Ok(Some(PackageRunner::Uvx)),
            // An installed launcher, which knows that no package runner started it.
            path if Path::new(path).is_absolute() => return Ok(None),
            other => {
                return Err(Error::invalid(format!(
                    "{VARIABLE}: '{}' is not a package runner; allowed: npx, uvx, or the absolute path of a launcher. Unset the variable if neither started this program",
                    crate::model::text::excerpt(other)
                )));
            }
        }
        // Both conditions, because the variables are inherited by programs that these programs start.
        let is_in = |is_folder: fn(&str) -> bool| {
            let names = start.program.components().filter_map(|part| match part {
                Component::Normal(name) => name.to_str(),
                _ => None,
            });
            names.into_iter().any(is_folder)
        };
        Ok(if start.npm_event == "npx" && is_in(|name| name == "node_modules") {
            Some(PackageRunner::Npx)
        } else if start.has_uv && is_in(|name| name.starts_with("archive-v")) {
            Some(PackageRunner::Uvx)
        } else {
            None
        })
    }

    /// The words with which the package runner starts this program.
    pub(super) fn words(self) -> Vec<&'static str> {
        match self {
            PackageRunner::Npx => vec!["npx", "-y", PROGRAM_NAME],
            PackageRunner::Uvx => vec!["uvx", PROGRAM_NAME],
        }
    }
}

/// The file of the launcher that started this process, for example the script of the npm package.
pub(super) fn launcher_file() -> Option<PathBuf> {
    std::env::var_os(VARIABLE).map(PathBuf::from).filter(|path| path.is_absolute())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_runner_is_recognised_by_its_variables_and_its_folder() {
        #[track_caller]
        fn check(
            launcher: &str,
            npm_event: &str,
            has_uv: bool,
            program: &str,
            expected: Option<PackageRunner>,
        ) {
            let start = Start { launcher, npm_event, has_uv, program: Path::new(program) };
            assert_eq!(PackageRunner::of(&start).unwrap(), expected, "{program}");
        }
        let in_npx = "/home/me/.npm/_npx/3f/node_modules/@tasktally/linux-x64/bin/tasktally";
        let in_uv = "/home/me/.cache/uv/archive-v0/eBZJPRhwFk9bvPMo/bin/tasktally";
        check("npx", "", false, "/usr/bin/tasktally", Some(PackageRunner::Npx));
        check("uvx", "npx", false, in_npx, Some(PackageRunner::Uvx));
        check("", "npx", false, in_npx, Some(PackageRunner::Npx));
        check("", "", true, in_uv, Some(PackageRunner::Uvx));
        check("", "", false, "/usr/bin/tasktally", None);
        // Installed globally by npm, and as a tool by uv.
        check("", "", false, "/usr/lib/node_modules/@tasktally/linux-x64/bin/tasktally", None);
        check("", "", false, "/home/me/.local/share/uv/tools/tasktally/bin/tasktally", None);
        let in_npm = "/usr/lib/node_modules/@tasktally/linux-x64/bin/tasktally";
        check("/usr/lib/node_modules/tasktally/launcher.js", "npx", false, in_npm, None);
        // Started by a program that a package runner started.
        check("", "npx", true, "/usr/bin/tasktally", None);
    }

    #[test]
    fn an_unknown_launcher_is_refused() {
        let start = Start { launcher: "bunx", npm_event: "", has_uv: false, program: Path::new("/x") };
        let refusal = PackageRunner::of(&start).unwrap_err().to_string();
        assert!(refusal.contains("'bunx'") && refusal.contains("allowed: npx, uvx, or"), "{refusal}");
    }
}
