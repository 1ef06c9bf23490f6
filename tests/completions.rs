//! `tasktally completions`: the scripts, as the shells load them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::path::Path;
use std::process::Command;

use support::skip::skip;
use support::store::Store;

fn script(store: &Store, shell: &str) -> std::path::PathBuf {
    let ran = store.tasktally(["completions", shell]).success();
    assert!(!store.file().exists(), "a store was created");
    store.write(&format!("completions.{shell}"), ran.stdout)
}

/// What bash offers for the last of these words.
fn complete_in_bash(script: &Path, words: &[&str]) -> Vec<String> {
    // As bash itself does after a tab: the registered function gets the words in COMP_WORDS.
    let program = r#"
        source "$1" || exit 1
        shift
        COMP_WORDS=("$@")
        COMP_CWORD=$(($# - 1))
        registered=$(complete -p tasktally) || exit 2
        function=$(sed -n 's/.*-F \([^ ]*\) .*/\1/p' <<< "$registered")
        "$function" tasktally "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
        printf '%s\n' "${COMPREPLY[@]}""#;
    let mut bash = Command::new("bash");
    bash.args(["--norc", "-c", program, "bash"]).arg(script).args(words);
    let output = bash.output().unwrap();
    assert!(output.status.success(), "{words:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_options_and_words() {
    let store = Store::new_sqlite();
    let script = script(&store, "bash");
    let offers = |words: &[&str]| complete_in_bash(&script, words);
    assert_eq!(offers(&["tasktally", "get-b"]), ["get-batch"]);
    assert_eq!(offers(&["tasktally", "complet"]), ["completions", "complete-task", "complete-tasks"]);
    assert_eq!(offers(&["tasktally", "run", "--time"]), ["--timeout"]);
    assert!(offers(&["tasktally", "control-batch", "--a"]).contains(&"--action".to_owned()));
    let commands = offers(&["tasktally", ""]);
    assert!(commands.contains(&"watch".to_owned()), "{commands:?}");
    assert!(!commands.contains(&"supervisor-process".to_owned()), "{commands:?}");
}

#[test]
fn the_scripts_of_other_shells_are_read_by_these_shells() {
    let store = Store::new_sqlite();
    for shell in ["zsh", "fish"] {
        let script = script(&store, shell);
        let text = std::fs::read_to_string(&script).unwrap();
        assert!(text.contains("get-batch") && text.contains("timeout"), "{shell}");
        assert!(!text.contains("supervisor-process"), "{shell}");
        match Command::new(shell).arg("-n").arg(&script).output() {
            Ok(output) => assert!(output.status.success(), "{shell}: {output:?}"),
            Err(error) => skip(&format!("{shell} cannot be run: {error}")),
        }
    }
}

/// PowerShell itself is not run: Debian has no package of it.
#[test]
fn the_script_for_powershell_registers_all_commands_and_options() {
    let store = Store::new_sqlite();
    let text = std::fs::read_to_string(script(&store, "powershell")).unwrap();
    assert!(text.contains("Register-ArgumentCompleter -Native -CommandName 'tasktally'"), "{text}");
    for entry in tasktally::ops::ALL {
        assert!(text.contains(&format!("'tasktally;{}' {{", entry.name.replace('_', "-"))), "{}", entry.name);
    }
    assert!(text.contains("'--timeout'") && !text.contains("supervisor-process"), "{text}");
    assert_eq!(text.matches('{').count(), text.matches('}').count());
}

#[test]
fn another_shell_is_refused_with_those_that_are_known() {
    let ran = Store::new_sqlite().tasktally(["completions", "tcsh"]).code(2);
    assert!(
        ran.stderr.contains("'tcsh' is not a valid shell; allowed: bash, zsh, fish, powershell"),
        "{}",
        ran.stderr
    );
}
