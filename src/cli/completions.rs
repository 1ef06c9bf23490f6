//! `tasktally completions`: a script with which a shell completes commands and options.

use std::io::Write;

use clap_complete::Shell;

use super::command_line::visible_command;
use crate::error::Result;
use crate::terminal::print_line;

word_enum!(
    /// A shell for which a script can be printed.
    CompletionShell, "shell" {
        /// GNU bash.
        Bash = "bash",
        /// zsh.
        Zsh = "zsh",
        /// fish.
        Fish = "fish",
        /// PowerShell.
        PowerShell = "powershell",
    }
);

/// Print a script with which a shell completes commands and options.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
To load the script in every new shell:
  bash  echo 'source <(tasktally completions bash)' >> ~/.bashrc
  zsh   echo 'source <(tasktally completions zsh)' >> ~/.zshrc (after compinit)
  fish  tasktally completions fish > ~/.config/fish/completions/tasktally.fish
  powershell  add this line to the file in $PROFILE:
        tasktally completions powershell | Out-String | Invoke-Expression")]
pub(super) struct Completions {
    /// The shell: bash, zsh, fish or powershell
    #[arg(value_name = "SHELL")]
    shell: CompletionShell,
}

/// Prints the script.
///
/// # Errors
/// The output cannot be written.
pub(super) fn run(options: &Completions, out: &mut impl Write) -> Result<u8> {
    let shell = match options.shell {
        CompletionShell::Bash => Shell::Bash,
        CompletionShell::Zsh => Shell::Zsh,
        CompletionShell::Fish => Shell::Fish,
        CompletionShell::PowerShell => Shell::PowerShell,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut visible_command(), "tasktally", &mut script);
    print_line(out, String::from_utf8_lossy(&script).trim_end()).map(|()| 0)
}
