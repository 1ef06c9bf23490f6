//! `docs/workflow.md` names only tools and commands that exist.

use std::process::Command;

/// The texts between backquotes.
fn quoted(page: &str) -> impl Iterator<Item = &str> {
    page.split('`').skip(1).step_by(2)
}

#[test]
fn the_page_names_only_existing_tools_and_commands() {
    let page = std::fs::read_to_string("docs/workflow.md").unwrap();
    let help = Command::new(env!("CARGO_BIN_EXE_tasktally")).arg("help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let commands: Vec<&str> = help.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let (mut tools_seen, mut commands_seen) = (0, 0);
    for code in quoted(&page) {
        if let Some(command) = code.strip_prefix("tasktally ").and_then(|rest| rest.split(' ').next()) {
            assert!(commands.contains(&command), "`{code}`: tasktally has no command {command}");
            commands_seen += 1;
        } else if let Some((tool, _)) = code.split_once('(') {
            assert!(tasktally::ops::find_operation(tool).is_some(), "`{code}`: there is no tool {tool}");
            tools_seen += 1;
        }
    }
    assert!(tools_seen > 10 && commands_seen > 5, "{tools_seen} tools, {commands_seen} commands");
}
