//! `tasktally config`: where the configuration is looked for, what it sets and what is left at its default.

use std::io::Write;
use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command};
use serde_json::{Map, Value, json};

use super::open::store_path;
use super::render::{safe, say};
use super::try_profile::try_profile;
use crate::config::{Config, Profile, Setting, example};
use crate::error::{Error, Result};
use crate::work::preflight;

/// Its subcommands, `example` and `check`.
pub(super) fn arguments(command: Command) -> Command {
    let names = example::EXAMPLES.iter().map(|example| example.name);
    command
        .disable_help_subcommand(true)
        .subcommand(
            Command::new("example").about("A worker profile ready to be used").arg(
                Arg::new("name")
                    .value_name("NAME")
                    .value_parser(clap::builder::PossibleValuesParser::new(names))
                    .default_value("script")
                    .help("for which agent"),
            ),
        )
        .subcommand(
            Command::new("check")
                .about("Whether each profile's program is there and its folders can be used"),
        )
}

/// Shows, gives an example, or checks.
pub(super) fn run(
    matches: &ArgMatches,
    db: Option<&std::path::Path>,
    json: bool,
    out: &mut impl Write,
) -> Result<u8> {
    match matches.subcommand() {
        Some(("example", matches)) => {
            let name = matches.get_one::<String>("name").map_or("", String::as_str);
            let found = example::EXAMPLES.iter().find(|example| example.name == name);
            let example =
                found.ok_or_else(|| Error::invalid(format!("name: there is no example '{name}'")))?;
            let reply = json!({ "success": true, "message": example.description, "example": example.text });
            say(out, &if json { reply.to_string() } else { example.text.trim_end().to_owned() })?;
            Ok(0)
        }
        Some(("check", _)) => {
            let config = Config::load(&[])?;
            let store = store_path(db)?;
            let data = store.parent().map_or_else(PathBuf::new, std::path::Path::to_owned);
            check(&config, &data, json, out)
        }
        _ => {
            let config = Config::load(&[])?;
            say(out, &if json { as_json(&config).to_string() } else { as_text(&config) })?;
            Ok(0)
        }
    }
}

fn check(config: &Config, data: &std::path::Path, json: bool, out: &mut impl Write) -> Result<u8> {
    let mut rows = Vec::new();
    let mut failed = 0;
    for profile in config.profiles() {
        let found = preflight::check(profile, data)
            .and_then(|program| Ok(format!("{} {}", program.display(), tried(profile)?)));
        failed += usize::from(found.is_err());
        let message = match &found {
            Ok(told) => told.clone(),
            Err(error) => error.to_string(),
        };
        rows.push(json!({ "name": profile.name, "success": found.is_ok(), "message": message }));
    }
    let message = match (rows.len(), failed) {
        (0, _) => format!("{}: there are no profiles to check", config.location.path.display()),
        (all, 0) => format!("{all} of {all} profiles work"),
        (all, failed) => format!("{failed} of {all} profiles do not work"),
    };
    let text = if json {
        json!({ "success": failed == 0, "message": message, "workers": rows }).to_string()
    } else {
        let lines =
            rows.iter().map(|row| format!("{}: {}\n", text_of(&row["name"]), safe(text_of(&row["message"]))));
        format!("{}{}", lines.collect::<String>(), safe(&message))
    };
    say(out, &text)?;
    Ok(if failed > 0 { 2 } else { 0 })
}

/// What came of starting it, where its folder is known without a batch.
fn tried(profile: &Profile) -> Result<String> {
    if profile.needs_project() {
        return Ok("can be started; it was not, for its folder is named after a batch's project".to_owned());
    }
    try_profile(profile)
}

fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn state(config: &Config) -> String {
    format!(
        "{} (from {}): {}",
        config.location.path.display(),
        config.location.source.as_str(),
        if config.found { "read" } else { "not there, so all is at its default and there are no profiles" }
    )
}

fn as_json(config: &Config) -> Value {
    let listed = |settings: &[Setting]| -> Map<String, Value> {
        settings
            .iter()
            .map(|setting| (setting.name.clone(), json!({ "value": setting.value, "set": setting.is_set })))
            .collect()
    };
    let workers: Map<String, Value> = config
        .profiles()
        .map(|profile| (profile.name.to_string(), Value::Object(listed(profile.settings()))))
        .collect();
    json!({
        "success": true,
        "message": state(config),
        "file": {
            "path": config.location.path.display().to_string(),
            "from": config.location.source.as_str(),
            "found": config.found,
        },
        "settings": listed(&config.settings),
        "workers": workers,
    })
}

fn as_text(config: &Config) -> String {
    let top: Vec<&Setting> = config.settings.iter().collect();
    let mut parts = vec![safe(&state(config)), lines(&top)];
    for profile in config.profiles() {
        parts.push(format!("[worker.{}]\n{}", profile.name, lines(&settings(profile))));
    }
    parts.push(
        "tasktally config example NAME prints a profile ready to be used, tasktally config check tries them."
            .into(),
    );
    parts.join("\n\n")
}

fn settings(profile: &Profile) -> Vec<&Setting> {
    profile.settings().iter().collect()
}

/// A line a setting, as the file would have it.
fn lines(settings: &[&Setting]) -> String {
    let written = |setting: &Setting| match &setting.value {
        Value::Null => format!("{}: not set", setting.name),
        Value::Object(values) => {
            let pairs: Vec<_> =
                values.iter().map(|(name, value)| format!("{name} = {}", text_of(value))).collect();
            format!("{} = {{{}}}", setting.name, pairs.join(", "))
        }
        value => format!("{} = {value}", setting.name),
    };
    let all: Vec<(String, &Setting)> =
        settings.iter().map(|setting| (safe(&written(setting)), *setting)).collect();
    let width =
        all.iter().map(|(text, _)| text.chars().count()).filter(|width| *width <= 60).max().unwrap_or(0);
    let told = |(text, setting): &(String, &Setting)| {
        format!("{text:width$}  # {}", if setting.is_set { "set" } else { "default" })
    };
    all.iter().map(told).collect::<Vec<_>>().join("\n")
}
