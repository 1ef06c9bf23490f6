//! What a worker finds in its environment: a short list from the runner's, fixed values, and what Tasktally tells it.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

/// What is passed on from the runner's environment whatever a profile says: who and where the user is,
/// which language and time zone, where programs and temporary files lie. Nothing in it opens a door.
pub const BASIC: [&str; 11] =
    ["HOME", "LANG", "LANGUAGE", "LC_*", "LOGNAME", "PATH", "SHELL", "TERM", "TMPDIR", "TZ", "USER"];

/// Never fixed and never passed on: what Tasktally itself says, and what the loader runs inside any program.
const CLOSED: [&str; 5] = ["TASKTALLY_*", "LD_*", "DYLD_*", "GLIBC_TUNABLES", "GCONV_PATH"];
/// Fixed by the operator at will, but never passed on: what has an interpreter or git run more than its command.
const FIXED_ONLY: [&str; 14] = [
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
/// The longest name, in bytes.
const MAX_NAME: usize = 128;

/// A name, or names that begin alike: `AWS_*`.
fn matches(pattern: &str, name: &OsStr) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.as_bytes().starts_with(start.as_bytes()),
        None => name == pattern,
    }
}

fn check_name(name: &str) -> Result<(), String> {
    let fits = name.len() <= MAX_NAME
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if fits {
        Ok(())
    } else {
        Err(format!("a variable's name has at most {MAX_NAME} letters, digits or '_', the first no digit"))
    }
}

/// Holds a name, or a beginning with `*`, to what may be passed on.
pub(super) fn check_allowed(pattern: &str) -> Result<(), String> {
    let name = pattern.strip_suffix('*').unwrap_or(pattern);
    check_name(name)?;
    let overlaps = |closed: &&&str| match (closed.strip_suffix('*'), pattern.ends_with('*')) {
        (Some(start), true) => start.starts_with(name) || name.starts_with(start),
        (None, true) => closed.starts_with(name),
        _ => matches(closed, OsStr::new(name)),
    };
    match CLOSED.iter().chain(&FIXED_ONLY).find(overlaps) {
        None => Ok(()),
        Some(closed) if CLOSED.contains(closed) => {
            Err(format!("{closed} is never passed on: {}", why_closed(closed)))
        }
        Some(closed) => Err(format!(
            "{closed} is never passed on: whoever starts the runner could have another command run with it; give it a fixed value in env.set"
        )),
    }
}

fn why_closed(closed: &str) -> &'static str {
    if closed == "TASKTALLY_*" {
        "such names are Tasktally's own"
    } else {
        "it has the loader run other code"
    }
}

/// Holds a name to what may have a fixed value.
pub(super) fn check_set(name: &str) -> Result<(), String> {
    check_name(name)?;
    match CLOSED.iter().find(|closed| matches(closed, OsStr::new(name))) {
        None => Ok(()),
        Some(closed) => Err(format!("{closed} cannot be set: {}", why_closed(closed))),
    }
}

/// The whole environment of a worker. Later ones win: what `allow` lets through of the runner's, `set`, `told`.
pub(super) fn environment(
    runner: impl IntoIterator<Item = (OsString, OsString)>,
    allow: &[String],
    set: Vec<(String, OsString)>,
    told: Vec<(String, OsString)>,
) -> BTreeMap<OsString, OsString> {
    let passes = |name: &OsStr| {
        let open =
            BASIC.into_iter().chain(allow.iter().map(String::as_str)).any(|pattern| matches(pattern, name));
        open && !CLOSED.iter().chain(&FIXED_ONLY).any(|closed| matches(closed, name))
    };
    let mut all: BTreeMap<OsString, OsString> = runner.into_iter().filter(|(name, _)| passes(name)).collect();
    if let Some(path) = all.get_mut(OsStr::new("PATH")) {
        *path = absolute_only(path);
    }
    all.extend(set.into_iter().chain(told).map(|(name, value)| (name.into(), value)));
    all
}

/// `PATH` without relative folders: a worker starts where agents write, and would find their programs first.
fn absolute_only(path: &OsStr) -> OsString {
    let folders = path.as_bytes().split(|&b| b == b':').filter(|folder| folder.starts_with(b"/"));
    OsString::from(OsStr::from_bytes(&folders.collect::<Vec<_>>().join(&b':')))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(allow: &[&str], set: &[(&str, &str)], told: &[(&str, &str)]) -> Vec<String> {
        let runner = [
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
        let own = |pairs: &[(&str, &str)]| -> Vec<(String, OsString)> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect()
        };
        let allow: Vec<String> = allow.iter().map(|name| (*name).to_owned()).collect();
        environment(runner.map(|(name, value)| (name.into(), value.into())), &allow, own(set), own(told))
            .into_iter()
            .map(|(name, value)| format!("{}={}", name.to_string_lossy(), value.to_string_lossy()))
            .collect()
    }

    #[test]
    fn only_the_basic_variables_pass_by_themselves() {
        assert_eq!(made(&[], &[], &[]), ["HOME=/home/me", "LC_ALL=C.UTF-8", "PATH=/usr/bin:/bin"]);
    }

    #[test]
    fn what_is_allowed_passes_what_is_set_replaces_it_and_tasktally_has_the_last_word() {
        let all = made(
            &["AWS_*"],
            &[("AWS_SECRET", "other"), ("HOME", "/nowhere")],
            &[("TASKTALLY_TASK", "b1.02"), ("HOME", "/told")],
        );
        assert_eq!(
            all,
            [
                "AWS_REGION=here",
                "AWS_SECRET=other",
                "HOME=/told",
                "LC_ALL=C.UTF-8",
                "PATH=/usr/bin:/bin",
                "TASKTALLY_TASK=b1.02"
            ]
        );
    }

    #[test]
    fn closed_names_pass_by_no_pattern() {
        for allow in [["LD_PRELOAD"], ["TASKTALLY_TASK"], ["BASH_ENV"], ["LD*"], ["D*"]] {
            let all = made(&allow, &[], &[]);
            assert_eq!(all.len(), 3, "{allow:?}: {all:?}");
        }
    }

    #[test]
    fn names_are_held_to_what_may_be_passed_on_and_set() {
        #[track_caller]
        fn check(name: &str, allowed: bool, set: bool) {
            assert_eq!((check_allowed(name).is_ok(), check_set(name).is_ok()), (allowed, set), "{name}");
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
