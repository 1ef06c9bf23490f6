//! Trivial commands, eight in parallel: `tasktally run`, with every outcome durable, compared with GNU parallel with its
//! job log and with xargs, which records nothing; and with a background profile.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::table::Table;

/// The number of commands.
const COMMANDS: usize = 2_000;
/// The number of rounds.
const BLOCKS: usize = 5;

fn tasktally(store: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tasktally"));
    command.arg("--db").arg(store).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn timed(mut command: Command) -> Result<Duration> {
    let start = Instant::now();
    let status = command.status().with_context(|| format!("{command:?} does not start"))?;
    if !status.success() {
        bail!("{command:?} ended with {status}");
    }
    Ok(start.elapsed())
}

fn run(folder: &Path, block: usize) -> Result<Duration> {
    let mut command = tasktally(&folder.join(format!("run-{block}.db")));
    command.args(["run", "--quiet", "--workers", "8", "--items"]).arg(folder.join("items.jsonl"));
    command.args(["--", "true"]);
    timed(command)
}

/// The time from the request to the end of the batch, with a profile and its runner.
fn background(folder: &Path, block: usize) -> Result<Duration> {
    let config = folder.join("config/config.toml");
    let store = folder.join(format!("background-{block}.db"));
    let start = Instant::now();
    let mut create = tasktally(&store);
    create.env("TASKTALLY_CONFIG", &config).arg("--json");
    create.args(["create-batch", "Commands", "--instructions", "run", "--worker", "trivial", "--source"]);
    create.arg(folder.join("items.jsonl")).stdout(Stdio::piped());
    let plan: Value = serde_json::from_slice(&create.output()?.stdout)?;
    let id = plan.pointer("/batch/id").and_then(Value::as_str).context("no batch was made")?;
    loop {
        let mut poll = tasktally(&store);
        poll.args(["--json", "get-batch", id]).stdout(Stdio::piped());
        let reply: Value = serde_json::from_slice(&poll.output()?.stdout)?;
        if reply.pointer("/batch/status").and_then(Value::as_str) == Some("done") {
            return Ok(start.elapsed());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn others(folder: &Path, block: usize, program: &str) -> Result<Duration> {
    let mut command = Command::new(program);
    match program {
        "parallel" => {
            command.args(["--will-cite", "-j8", "--joblog"]).arg(folder.join(format!("{block}.joblog")));
            command.args(["true", "{}"]);
        }
        _ => {
            command.args(["-P8", "-n1", "true"]);
        }
    }
    command.stdin(File::open(folder.join("keys"))?).stdout(Stdio::null()).stderr(Stdio::null());
    timed(command)
}

/// Measures all of them alternately.
pub fn measure(folder: &Path, table: &mut Table) -> Result<()> {
    let folder = &folder.join("commands");
    private(&folder.join("config"))?;
    let keys: Vec<String> = (1..=COMMANDS).map(|number| format!("item-{number}")).collect();
    std::fs::write(folder.join("keys"), keys.join("\n") + "\n")?;
    let items: Vec<String> = keys.iter().map(|key| format!("{{\"key\":\"{key}\"}}\n")).collect();
    std::fs::write(folder.join("items.jsonl"), items.concat())?;
    let profile = "[worker.trivial]\nper = \"item\"\ncommand = [\"true\"]\n";
    std::fs::write(folder.join("config/config.toml"), profile)?;
    let has_parallel =
        Command::new("parallel").arg("--version").output().is_ok_and(|output| output.status.success());
    table.section(
        &format!("{COMMANDS} trivial commands, 8 at once (seconds; the ratio is theirs to ours: above 1 we are faster)"),
        "tasktally run",
        "other",
    );
    let mut ours = Vec::new();
    let mut theirs: Vec<(&str, Vec<f64>)> = vec![
        ("xargs -P8, records nothing", Vec::new()),
        ("tasktally, by a profile in the background", Vec::new()),
    ];
    if has_parallel {
        theirs.push(("GNU parallel --joblog", Vec::new()));
    }
    for block in 0..BLOCKS {
        ours.push(run(folder, block)?.as_secs_f64());
        for (name, taken) in &mut theirs {
            let took = match *name {
                "GNU parallel --joblog" => others(folder, block, "parallel")?,
                "xargs -P8, records nothing" => others(folder, block, "xargs")?,
                _ => background(folder, block)?,
            };
            taken.push(took.as_secs_f64());
        }
    }
    let middle = |values: &[f64]| format!("{:.2} s", super::table::quantile(values, 0.5));
    for (name, taken) in &theirs {
        let ratios: Vec<f64> = taken.iter().zip(&ours).map(|(theirs, ours)| theirs / ours).collect();
        table.row(name, &middle(&ours), &middle(taken), &ratios);
    }
    if !has_parallel {
        table.note("GNU parallel is not installed (Debian: parallel)");
    }
    Ok(())
}

/// Writes a configuration with mode 0600, because others must not be able to write to it.
fn private(folder: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    Ok(())
}
