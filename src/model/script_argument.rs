//! Finds arguments of a command that a program interprets as code. Data must not become part of such an argument.

/// How a program is given code.
enum CodeIn {
    /// In the arguments after an option: the letters of short options, and the names of long ones.
    Options(&'static str, &'static [&'static str]),
    /// In all arguments: the program joins them and passes them to a shell.
    AllArguments,
}

/// Programs that take code as an argument.
const INTERPRETERS: &[(&[&str], CodeIn)] = &[
    (&["sh", "bash", "dash", "zsh", "ksh", "mksh", "ash", "fish"], CodeIn::Options("c", &["command"])),
    (&["python", "pypy"], CodeIn::Options("c", &[])),
    (&["perl"], CodeIn::Options("eE", &[])),
    (&["ruby", "lua", "luajit", "osascript"], CodeIn::Options("e", &[])),
    (&["Rscript", "R"], CodeIn::Options("e", &[])),
    (&["node", "nodejs", "bun"], CodeIn::Options("ep", &["eval", "print"])),
    (&["deno"], CodeIn::Options("", &["eval"])),
    (&["php"], CodeIn::Options("r", &["run"])),
    (&["psql"], CodeIn::Options("c", &["command"])),
    (&["mysql", "mariadb"], CodeIn::Options("e", &["execute"])),
    (&["su", "runuser", "script", "flock"], CodeIn::Options("c", &["command"])),
    (&["env"], CodeIn::Options("S", &["split-string"])),
    (&["ssh", "eval", "watch"], CodeIn::AllArguments),
];

/// The first argument that a program interprets as code and that has `is_wanted`: the name of the program, and the place
/// of the argument.
pub fn find_script_argument(
    words: &[String],
    is_wanted: impl Fn(&str) -> bool,
) -> Option<(&'static str, usize)> {
    // The interpreter may be behind another program: env, nice, timeout, docker exec.
    for (at, word) in words.iter().enumerate() {
        let Some((name, code)) = interpreter(word) else { continue };
        let arguments = || words.iter().enumerate().skip(at + 1);
        let found = match code {
            CodeIn::AllArguments => arguments().find(|(_, word)| is_wanted(word)).map(|(at, _)| at),
            CodeIn::Options(letters, names) => arguments()
                .filter(|(_, word)| is_code_option(word, letters, names))
                .find_map(|(option, _)| wanted_code(words, option, &is_wanted)),
        };
        if let Some(found) = found {
            return Some((name, found));
        }
    }
    None
}

/// The interpreter that a word names, perhaps with a path and a version: `/usr/bin/python3.12`.
fn interpreter(word: &str) -> Option<(&'static str, &'static CodeIn)> {
    let name = word.rsplit('/').next().unwrap_or(word);
    let name = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-');
    INTERPRETERS
        .iter()
        .find_map(|(names, code)| names.iter().find(|known| **known == name).map(|known| (*known, code)))
}

/// Whether a word is an option after which code follows: `-c`, `-ec`, `-c'code'`, `--eval`, `--eval=code`; of deno `eval`.
fn is_code_option(word: &str, letters: &str, names: &[&str]) -> bool {
    if let Some(long) = word.strip_prefix("--") {
        let name = long.split('=').next().unwrap_or(long);
        return names.contains(&name);
    }
    match word.strip_prefix('-') {
        Some(cluster) => cluster.chars().any(|letter| letters.contains(letter)),
        None => letters.is_empty() && names.contains(&word),
    }
}

/// The option itself, or the words after it up to the first one that is no option: the code is among them.
fn wanted_code(words: &[String], option: usize, is_wanted: &impl Fn(&str) -> bool) -> Option<usize> {
    let is_complete = words[option].starts_with("--") && words[option].contains('=');
    let mut end = option + 1;
    if !is_complete {
        end += words[end..].iter().take_while(|word| word.starts_with('-') && word.len() > 1).count() + 1;
    }
    (option..end.min(words.len())).find(|at| is_wanted(&words[*at]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_found_behind_options_and_other_programs() {
        #[track_caller]
        fn check(command: &[&str], expected: Option<(&str, usize)>) {
            let words: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(find_script_argument(&words, |word| word.contains("{}")), expected, "{command:?}");
        }
        check(&["sh", "-c", "rm {}"], Some(("sh", 2)));
        check(&["/bin/bash", "-euc", "rm {}"], Some(("bash", 2)));
        check(&["bash", "-c", "-e", "rm {}"], Some(("bash", 3)));
        check(&["bash", "-c", "--", "rm {}"], Some(("bash", 3)));
        check(&["timeout", "5", "sh", "-c", "rm {}"], Some(("sh", 4)));
        check(&["env", "-S", "sh {}"], Some(("env", 2)));
        check(&["env", "A=1", "python3.12", "-c", "x = '{}'"], Some(("python", 4)));
        check(&["python3", "-cprint('{}')"], Some(("python", 1)));
        check(&["perl", "-pe", "s/a/{}/"], Some(("perl", 2)));
        check(&["node", "--eval=f('{}')"], Some(("node", 1)));
        check(&["node", "-p", "'{}'"], Some(("node", 2)));
        check(&["deno", "eval", "'{}'"], Some(("deno", 2)));
        check(&["ssh", "host", "cat", "{}"], Some(("ssh", 3)));
        check(&["psql", "--command", "SELECT '{}'"], Some(("psql", 2)));
        check(&["su", "nobody", "-c", "cat {}"], Some(("su", 3)));
        // The words after the script are its arguments.
        check(&["sh", "-c", "cat \"$1\"", "sh", "{}"], None);
        check(&["python3", "-c", "import sys", "{}"], None);
        check(&["bash", "script.sh", "{}"], None);
        check(&["python3", "-m", "tool", "{}"], None);
        check(&["node", "--eval=f()", "{}"], None);
        check(&["cat", "{}"], None);
        check(&["grep", "-c", "{}"], None);
        check(&[], None);
    }
}
