//! `tasktally config`: the configuration as it is in effect, examples, and a check of the profiles.

use std::io::Write;
use std::path::Path;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command};
use serde_json::{Map, Value, json};

use super::store_address::data_folder_path;
use super::store_path::store_path;
use super::try_profile::try_profile;
use crate::config::{Config, LocationSource, Profile, Setting, example};
use crate::error::{Error, Result};
use crate::model::text::{agreeing, counted};
use crate::terminal::{escape_hidden, print_line};
use crate::work::preflight;

/// The longest setting, in characters, with which the comments of the others are aligned.
const ALIGNED: usize = 60;

/// The arguments of the command: its subcommands `example` and `check`.
pub(super) fn arguments(command: Command) -> Command {
    let names = example::EXAMPLES.iter().map(|example| example.name);
    command
        .disable_help_subcommand(true)
        .subcommand(
            Command::new("example").about("Print a worker profile for an agent or a script").arg(
                Arg::new("name")
                    .value_name("NAME")
                    .value_parser(PossibleValuesParser::new(names))
                    .default_value("script")
                    .help("Which agent the profile is for"),
            ),
        )
        .subcommand(
            Command::new("check")
                .about(
                    "Check that each profile's program and folders exist; with --run, run each command once",
                )
                .arg(Arg::new("run").long("run").action(ArgAction::SetTrue).help(
                    "Also run each profile's command once, on a made-up item 'check' in a temporary store",
                )),
        )
}

/// Shows the configuration, prints an example, or checks the profiles.
pub(super) fn run(matches: &ArgMatches, db: Option<&Path>, json: bool, out: &mut impl Write) -> Result<u8> {
    match matches.subcommand() {
        Some(("example", matches)) => {
            let name = matches.get_one::<String>("name").map_or("", String::as_str);
            print_example(name, json, out)
        }
        Some(("check", matches)) => {
            let config = Config::load(&[])?;
            let store = store_path(db)?;
            let data = data_folder_path(&store)?;
            check(&config, &data, matches.get_flag("run"), json, out)
        }
        _ => {
            let config = Config::load(&[])?;
            print_line(out, &if json { as_json(&config).to_string() } else { as_text(&config) })?;
            Ok(0)
        }
    }
}

fn print_example(name: &str, json: bool, out: &mut impl Write) -> Result<u8> {
    let example = example::EXAMPLES.iter().find(|example| example.name == name);
    let example = example.ok_or_else(|| Error::invalid(format!("NAME: there is no example '{name}'")))?;
    let text = if json {
        json!({ "success": true, "message": example.description, "example": example.text }).to_string()
    } else {
        example.text.trim_end().to_owned()
    };
    print_line(out, &text)?;
    Ok(0)
}

/// Checks every profile; with `runs`, also runs its command once.
fn check(config: &Config, data: &Path, runs: bool, json: bool, out: &mut impl Write) -> Result<u8> {
    let mut rows = Vec::new();
    let mut failed = 0;
    for profile in config.profiles() {
        let result = preflight::check(profile, data).and_then(|programs| {
            let shown: Vec<_> = programs.iter().map(|program| program.display().to_string()).collect();
            let shown = shown.join(", ");
            if !runs {
                let exist = if programs.len() == 1 { "exists" } else { "exist" };
                return Ok(format!("{shown} {exist} and the folders can be used"));
            }
            announce(profile, &shown);
            Ok(format!("{shown} {}", start_once(profile)?))
        });
        failed += usize::from(result.is_err());
        let success = result.is_ok();
        let message = result.unwrap_or_else(|error| error.to_string());
        rows.push(json!({ "name": profile.name, "success": success, "message": message }));
    }
    let message = match (rows.len(), failed) {
        (0, _) => format!("{}: there are no profiles to check", config.location.path.display()),
        (1, 0) if runs => "1 of 1 profile works".to_owned(),
        (all, 0) if runs => format!("{all} of {all} profiles work"),
        (all, 0) => format!(
            "{all} of {} can be started; no command was run, tasktally config check --run runs each one once",
            counted(all as u64, "profile")
        ),
        (all, failed) => format!(
            "{failed} of {} {} not work",
            counted(all as u64, "profile"),
            agreeing(failed as u64, "does", "do")
        ),
    };
    let text = if json {
        json!({ "success": failed == 0, "message": message, "workers": rows }).to_string()
    } else {
        let lines = rows
            .iter()
            .map(|row| format!("{}: {}\n", text_of(&row["name"]), escape_hidden(text_of(&row["message"]))));
        format!("{}{}", lines.collect::<String>(), escape_hidden(&message))
    };
    print_line(out, &text)?;
    Ok(if failed > 0 { 2 } else { 0 })
}

/// Says which command is run before it runs, because it may change something.
fn announce(profile: &Profile, programs: &str) {
    let is_command = |setting: &&Setting| setting.name == "command" || setting.name.ends_with(".command");
    let commands = profile.settings().iter().filter(is_command).map(|setting| setting.value.to_string());
    let commands = commands.collect::<Vec<_>>().join(", then ");
    let commands = if commands.is_empty() { programs.to_owned() } else { commands };
    let text = escape_hidden(&format!("{}: runs {commands} on the item 'check'", profile.name));
    // A closed standard error does not keep the check from running.
    writeln!(std::io::stderr().lock(), "{text}").ok();
}

/// Starts the profile once, unless its folder depends on a batch.
fn start_once(profile: &Profile) -> Result<String> {
    if profile.needs_project() {
        return Ok("exists; it was not started, because its folder depends on a batch's project".to_owned());
    }
    try_profile(profile)
}

fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Which file is in effect.
fn state(config: &Config) -> String {
    if config.location.source == LocationSource::NoHome {
        return "There is no home folder, and TASKTALLY_CONFIG is not set, so every setting has its default and there are no profiles".to_owned();
    }
    format!(
        "{} (from {}): {}",
        config.location.path.display(),
        config.location.source.as_str(),
        if config.found {
            "in effect"
        } else {
            "does not exist, so every setting has its default and there are no profiles"
        }
    )
}

fn as_json(config: &Config) -> Value {
    let fields = |settings: &[Setting]| -> Map<String, Value> {
        settings
            .iter()
            .map(|setting| (setting.name.clone(), json!({ "value": setting.value, "set": setting.is_set })))
            .collect()
    };
    let workers: Map<String, Value> = config
        .profiles()
        .map(|profile| (profile.name.to_string(), Value::Object(fields(profile.settings()))))
        .collect();
    json!({
        "success": true,
        "message": state(config),
        "file": {
            "path": config.location.path.display().to_string(),
            "from": config.location.source.as_str(),
            "found": config.found,
        },
        "settings": fields(&config.settings),
        "workers": workers,
    })
}

fn as_text(config: &Config) -> String {
    let mut parts = vec![escape_hidden(&state(config)), lines(&config.settings)];
    for profile in config.profiles() {
        parts.push(format!("[worker.{}]\n{}", profile.name, lines(profile.settings())));
    }
    parts.push(
        "tasktally config example NAME prints a profile to copy, tasktally config check looks whether each can be started."
            .into(),
    );
    parts.join("\n\n")
}

/// One line per setting, as the file would have it, with its origin as a comment.
fn lines(settings: &[Setting]) -> String {
    let lines: Vec<(String, &Setting)> =
        settings.iter().map(|setting| (escape_hidden(&assignment(setting)), setting)).collect();
    let widths = lines.iter().map(|(text, _)| text.chars().count());
    let width = widths.filter(|width| *width <= ALIGNED).max().unwrap_or(0);
    let commented = lines.iter().map(|(text, setting)| {
        format!("{text:width$}  # {}", if setting.is_set { "set" } else { "default" })
    });
    commented.collect::<Vec<_>>().join("\n")
}

fn assignment(setting: &Setting) -> String {
    match &setting.value {
        Value::Null => format!("{}: not set", setting.name),
        Value::Object(values) => {
            let pairs: Vec<_> =
                values.iter().map(|(name, value)| format!("{name} = {}", text_of(value))).collect();
            format!("{} = {{{}}}", setting.name, pairs.join(", "))
        }
        value => format!("{} = {value}", setting.name),
    }
}
