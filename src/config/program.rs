//! Finds a program as a shell does, and checks that the kernel can run its file.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::model::text::excerpt;

/// How much of the first line of a script the kernel reads, in bytes.
const MAX_FIRST_LINE: u64 = 255;
/// What some editors write at the start of a UTF-8 file.
const BYTE_ORDER_MARK: &[u8] = &[0xEF, 0xBB, 0xBF];

/// The file of a program. A name without a path is searched for in the absolute folders of `path`, a list as in `PATH`;
/// a relative path starts at `folder`.
///
/// # Errors
/// Why the program cannot be run, and what to do.
pub fn find_program(name: &OsStr, path: Option<&OsStr>, folder: Option<&Path>) -> Result<PathBuf, String> {
    if name.is_empty() {
        return Err("the program's name is empty; name a program".to_owned());
    }
    let file = if name.as_bytes().contains(&b'/') {
        let file = folder.map_or_else(|| PathBuf::from(name), |folder| folder.join(name));
        if !is_executable(&file) {
            return Err(refusal_of_file(&file, name));
        }
        file
    } else {
        search(name, path, folder)?
    };
    check_kind(&file, &excerpt(&name.to_string_lossy()), path, folder)?;
    Ok(file)
}

fn is_executable(file: &Path) -> bool {
    file.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

/// Searches the folders of `path`. Relative ones start at `folder`; without it they are left out.
fn search(name: &OsStr, path: Option<&OsStr>, folder: Option<&Path>) -> Result<PathBuf, String> {
    let folders: Vec<PathBuf> = std::env::split_paths(path.unwrap_or_default())
        .map(|searched| folder.map_or_else(|| searched.clone(), |folder| folder.join(&searched)))
        .filter(|folder| folder.is_absolute())
        .collect();
    folders.iter().map(|folder| folder.join(name)).find(|file| is_executable(file)).ok_or_else(|| {
        let searched: Vec<_> = folders.iter().map(|folder| folder.display().to_string()).collect();
        let shown = excerpt(&name.to_string_lossy());
        let is_here = folder.is_some_and(|folder| folder.join(name).is_file());
        let remedy = if is_here {
            format!("the folder has a file of this name: write ./{shown}")
        } else {
            "install it, or give its path".to_owned()
        };
        format!("there is no program '{shown}' in PATH ({}); {remedy}", searched.join(":"))
    })
}

fn refusal_of_file(file: &Path, name: &OsStr) -> String {
    let shown = excerpt(&name.to_string_lossy());
    match file.metadata() {
        Ok(found) if found.is_dir() => format!("{shown} is a folder; give the path of a program"),
        Ok(_) => {
            format!("{shown} exists, but cannot be executed; allow it with chmod +x, or name its interpreter")
        }
        Err(error) => format!("{shown} does not exist or cannot be executed ({error}); correct the path"),
    }
}

/// Checks that a file is a program, or a script whose interpreter exists. The kernel reports a missing interpreter as if
/// the script were missing, and does not run a text without one.
fn check_kind(file: &Path, shown: &str, path: Option<&OsStr>, folder: Option<&Path>) -> Result<(), String> {
    // A file that only the kernel may read is left to it.
    let Some(start) = first_bytes(file) else { return Ok(()) };
    if start.is_empty() {
        return Err(format!("{shown} is empty; write the script, or name another program"));
    }
    if start.starts_with(BYTE_ORDER_MARK) {
        return Err(format!(
            "{shown} starts with a byte order mark, so the kernel cannot run it; remove the mark"
        ));
    }
    let line = start.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let Some(words) = line.strip_prefix(b"#!") else {
        let is_text = !start.contains(&0) && std::str::from_utf8(line).is_ok();
        if is_text {
            return Err(format!(
                "{shown} has no interpreter in its first line, so the kernel cannot run it; start it with a line such as #!/bin/sh, or name the interpreter: sh {shown}"
            ));
        }
        return Ok(());
    };
    let mut words = words.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty());
    let Some(interpreter) = words.next() else {
        return Err(format!("{shown}: its first line names no interpreter; write for example #!/bin/sh"));
    };
    // `env NAME` and `env -S NAME …` search for the interpreter.
    let is_env = interpreter.ends_with(b"/env");
    let searched =
        if is_env { words.find(|word| !word.starts_with(b"-") && !word.contains(&b'=')) } else { None };
    let named = OsString::from_vec(searched.unwrap_or(interpreter).to_vec());
    let exists = match searched {
        Some(name) => search(OsStr::from_bytes(name), path, folder).is_ok(),
        None => is_executable(Path::new(&named)),
    };
    if exists {
        return Ok(());
    }
    let named_text = excerpt(&named.to_string_lossy());
    Err(if line.ends_with(b"\r") {
        let plain = excerpt(&String::from_utf8_lossy(named.as_bytes().trim_ascii_end()));
        format!(
            "{shown}: its interpreter '{named_text}' does not exist, because the line ends with a carriage return (CRLF); convert the file to LF line ends, so that its first line names '{plain}'"
        )
    } else {
        format!(
            "{shown}: its interpreter '{named_text}' (first line) does not exist; install it, or correct the first line"
        )
    })
}

/// The start of a file; `None` if the file cannot be read.
fn first_bytes(file: &Path) -> Option<Vec<u8>> {
    let mut start = Vec::new();
    File::open(file).ok()?.take(MAX_FIRST_LINE).read_to_end(&mut start).ok()?;
    Some(start)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

    use super::*;

    #[test]
    fn a_program_is_found_and_what_keeps_the_kernel_from_running_it_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str, mode: u32| {
            let file = folder.path().join(name);
            std::fs::write(&file, text).unwrap();
            std::fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        };
        write("good", "#!/bin/sh\n", 0o755);
        write("env", "#!/usr/bin/env sh\n", 0o755);
        write("env-options", "#!/usr/bin/env -S A=b sh -e\n", 0o755);
        write("spaces", "#! /bin/sh -e\n", 0o755);
        write("binary", "\u{7f}ELF\u{2}\u{0}", 0o755);
        write("empty", "", 0o755);
        write("text", "echo\n", 0o755);
        write("bom", "\u{feff}#!/bin/sh\n", 0o755);
        write("missing", "#!/no/such/python\n", 0o755);
        write("missing-env", "#!/usr/bin/env no-such-python\n", 0o755);
        write("crlf", "#!/bin/sh\r\necho\r\n", 0o755);
        write("crlf-env", "#!/usr/bin/env sh\r\n", 0o755);
        write("nothing", "#!\n", 0o755);
        write("not-executable", "#!/bin/sh\n", 0o644);
        std::fs::create_dir(folder.path().join("folder")).unwrap();
        let path = OsString::from(format!("relative:{}:/usr/bin:/bin", folder.path().display()));
        let check = |name: &str, expected: Result<(), &[&str]>| {
            let found = find_program(OsStr::new(name), Some(&path), Some(folder.path()));
            match (found, expected) {
                (Ok(_), Ok(())) => {}
                (Err(why), Err(parts)) => {
                    parts.iter().for_each(|part| assert!(why.contains(part), "{name}: no {part:?} in {why}"));
                }
                (found, _) => panic!("{name}: {found:?}"),
            }
        };
        for good in ["good", "./good", "env", "./env-options", "spaces", "binary", "sh", "/bin/sh"] {
            check(good, Ok(()));
        }
        check("no-such-program", Err(&["no program 'no-such-program' in PATH", "/usr/bin"]));
        check("./no-such-file", Err(&["./no-such-file does not exist or cannot be executed"]));
        check("./not-executable", Err(&["chmod +x"]));
        check("./folder", Err(&["is a folder"]));
        check("./missing", Err(&["'/no/such/python'", "does not exist"]));
        check("missing-env", Err(&["'no-such-python'"]));
        check("./crlf", Err(&["'/bin/sh\\u{d}'", "CRLF", "names '/bin/sh'"]));
        check("./crlf-env", Err(&["'sh\\u{d}'", "CRLF"]));
        check("", Err(&["is empty"]));
        check("./empty", Err(&["./empty is empty"]));
        check("./text", Err(&["no interpreter in its first line", "sh ./text"]));
        check("./bom", Err(&["byte order mark"]));
        check("./nothing", Err(&["names no interpreter"]));
    }
}
