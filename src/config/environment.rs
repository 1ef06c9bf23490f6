//! The environment of a worker: a short list of the runner's variables, fixed values, and Tasktally's own variables.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

/// The variables of the runner that every worker gets: the user, language, time zone, and where programs and temporary
/// files are. None of them grants access to anything.
pub const BASE_VARIABLES: [&str; 11] =
    ["HOME", "LANG", "LANGUAGE", "LC_*", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER"];

/// Variables that can be neither passed on nor set: Tasktally's own, and those that make the loader run other code in
/// any program.
const FORBIDDEN: [&str; 5] = ["TASKTALLY_*", "LD_*", "DYLD_*", "GLIBC_TUNABLES", "GCONV_PATH"];
/// Variables that can be set by the operator, but not passed on: they make an interpreter or git run other commands.
const ONLY_SET: [&str; 14] = [
    "BASH_ENV",
    "BASH_FUNC_*",
    "BASHOPTS",
    "ENV",
    "GIT_*",
    "IFS",
    "NODE_OPTIONS",
    "PERL5OPT",
    "PROMPT_COMMAND",
    "PS4",
    "PYTHONHOME",
    "PYTHONSTARTUP",
    "RUBYOPT",
    "SHELLOPTS",
];
/// The longest name of a variable, in bytes.
const MAX_NAME_BYTES: usize = 128;

/// Whether a name matches a pattern, which is a name or a prefix with `*`, for example `AWS_*`.
fn matches(pattern: &str, name: &OsStr) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => name.as_bytes().starts_with(prefix.as_bytes()),
        None => name == pattern,
    }
}

fn check_name(name: &str) -> Result<(), String> {
    let is_valid = name.len() <= MAX_NAME_BYTES
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if is_valid {
        Ok(())
    } else {
        Err(format!(
            "a variable name has 1 to {MAX_NAME_BYTES} letters, digits or '_', and does not start with a digit"
        ))
    }
}

/// Checks a pattern of `env.allow`.
pub(super) fn check_allowed_name(pattern: &str) -> Result<(), String> {
    let name = pattern.strip_suffix('*').unwrap_or(pattern);
    check_name(name)?;
    let overlaps = |closed: &&&str| match (closed.strip_suffix('*'), pattern.ends_with('*')) {
        (Some(prefix), true) => prefix.starts_with(name) || name.starts_with(prefix),
        (None, true) => closed.starts_with(name),
        _ => matches(closed, OsStr::new(name)),
    };
    match FORBIDDEN.iter().chain(&ONLY_SET).find(overlaps) {
        None => Ok(()),
        Some(closed) if FORBIDDEN.contains(closed) => {
            Err(format!("{closed} is never passed on, because {}", why_forbidden(closed)))
        }
        Some(closed) => Err(format!(
            "{closed} is never passed on, because the process that starts the runner could use it to run other commands; give it a fixed value in env.set"
        )),
    }
}

fn why_forbidden(pattern: &str) -> &'static str {
    if pattern == "TASKTALLY_*" {
        "Tasktally itself sets these variables"
    } else {
        "it makes the loader run other code"
    }
}

/// Checks a name of `env.set`.
pub(super) fn check_set_name(name: &str) -> Result<(), String> {
    check_name(name)?;
    match FORBIDDEN.iter().find(|pattern| matches(pattern, OsStr::new(name))) {
        None => Ok(()),
        Some(pattern) => Err(format!("{pattern} cannot be set, because {}", why_forbidden(pattern))),
    }
}

/// The whole environment of a worker: the runner's variables that `allow` names, then `set`, then Tasktally's own. A
/// later value replaces an earlier one.
pub(super) fn build_environment(
    of_runner: impl IntoIterator<Item = (OsString, OsString)>,
    allow: &[String],
    set: Vec<(String, OsString)>,
    own_variables: Vec<(String, OsString)>,
) -> BTreeMap<OsString, OsString> {
    let is_passed_on = |name: &OsStr| {
        let is_allowed = BASE_VARIABLES
            .into_iter()
            .chain(allow.iter().map(String::as_str))
            .any(|pattern| matches(pattern, name));
        is_allowed && !FORBIDDEN.iter().chain(&ONLY_SET).any(|pattern| matches(pattern, name))
    };
    let mut all: BTreeMap<OsString, OsString> =
        of_runner.into_iter().filter(|(name, _)| is_passed_on(name)).collect();
    if let Some(path) = all.get_mut(OsStr::new("PATH")) {
        *path = absolute_folders(path);
    }
    all.extend(set.into_iter().chain(own_variables).map(|(name, value)| (name.into(), value)));
    all
}

/// `PATH` without relative folders. A worker starts in a folder that agents write to, and would find their programs
/// there first.
pub fn absolute_folders(path: &OsStr) -> OsString {
    let folders = path.as_bytes().split(|&b| b == b':').filter(|folder| folder.starts_with(b"/"));
    OsString::from(OsStr::from_bytes(&folders.collect::<Vec<_>>().join(&b':')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(allow: &[&str], set: &[(&str, &str)], own_variables: &[(&str, &str)]) -> Vec<String> {
        let of_runner = [
            ("PATH", ".:/usr/bin::bin:/bin"),
            ("HOME", "/home/me"),
            ("LC_ALL", "C.UTF-8"),
            ("AWS_REGION", "here"),
            ("AWS_SECRET", "s"),
            ("SSH_AUTH_SOCK", "/run/agent"),
            ("LD_PRELOAD", "/tmp/x.so"),
            ("BASH_ENV", "/tmp/x"),
            ("TASKTALLY_TASK", "forged"),
            ("TASKTALLY_DB", "/x"),
        ];
        let owned = |pairs: &[(&str, &str)]| -> Vec<(String, OsString)> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect()
        };
        let of_runner = of_runner.map(|(name, value)| (name.into(), value.into()));
        let allow: Vec<String> = allow.iter().map(|name| (*name).to_owned()).collect();
        build_environment(of_runner, &allow, owned(set), owned(own_variables))
            .into_iter()
            .map(|(name, value)| format!("{}={}", name.to_string_lossy(), value.to_string_lossy()))
            .collect()
    }

    #[test]
    fn only_the_base_variables_are_passed_on_by_default() {
        assert_eq!(environment(&[], &[], &[]), ["HOME=/home/me", "LC_ALL=C.UTF-8", "PATH=/usr/bin:/bin"]);
    }

    #[test]
    fn set_values_replace_allowed_ones_and_own_variables_replace_both() {
        let all = environment(
            &["AWS_*"],
            &[("AWS_SECRET", "other"), ("HOME", "/nowhere")],
            &[("TASKTALLY_TASK", "b1.02"), ("HOME", "/own")],
        );
        assert_eq!(
            all,
            [
                "AWS_REGION=here",
                "AWS_SECRET=other",
                "HOME=/own",
                "LC_ALL=C.UTF-8",
                "PATH=/usr/bin:/bin",
                "TASKTALLY_TASK=b1.02"
            ]
        );
    }

    #[test]
    fn no_pattern_passes_on_a_forbidden_variable() {
        for allow in [["LD_PRELOAD"], ["TASKTALLY_TASK"], ["BASH_ENV"], ["LD*"], ["D*"]] {
            let all = environment(&allow, &[], &[]);
            assert_eq!(all.len(), 3, "{allow:?}: {all:?}");
        }
    }

    #[test]
    fn names_that_may_not_be_passed_on_or_set_are_refused() {
        #[track_caller]
        fn check(name: &str, allowed: bool, set: bool) {
            assert_eq!(
                (check_allowed_name(name).is_ok(), check_set_name(name).is_ok()),
                (allowed, set),
                "{name}"
            );
        }
        check("ANTHROPIC_API_KEY", true, true);
        check("AWS_*", true, false);
        check("LANG", true, true);
        for name in ["NODE_OPTIONS", "BASH_ENV", "GIT_DIR", "ENV"] {
            check(name, false, true);
        }
        for name in ["LD_PRELOAD", "DYLD_INSERT_LIBRARIES", "TASKTALLY_JOB", "GLIBC_TUNABLES"] {
            check(name, false, false);
        }
        for pattern in ["*", "L*", "LD_*", "LD_X*", "D*", "GIT_S*", "E*", "NODE_*", "BASH_FUNC_x*"] {
            check(pattern, false, false);
        }
        for name in ["", "1A", "A-B", "A B", "A=B", "A\0", "Ä", &"A".repeat(129)] {
            check(name, false, false);
        }
    }
}
