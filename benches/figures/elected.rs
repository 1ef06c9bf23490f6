//! An upper bound for a design with one elected writer: eight processes send their writes over a socket to one process
//! that commits them in groups, compared with eight processes that write themselves. Nothing is elected and nothing is
//! repeated if the writer dies. For Tasktally one server with eight requests in flight is measured, which saves even the
//! socket.

use std::io::{BufRead, BufReader, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use serde_json::json;

use super::bare::{self, Bare, WRITE_MODES};
use super::client::Client;
use super::table::{Table, quantile};
use super::{fill, swarm};

const WORKERS: usize = 8;
const ROUNDS: usize = 5;
const TURN: Duration = Duration::from_secs(1);
const CHILD: &str = "TASKTALLY_BENCH_SENDER";

/// Whether this process sends its writes to the writer.
pub fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// Sends writes one after the other until the time is over. Prints their number.
pub fn child() -> Result<()> {
    let socket = std::env::var_os(CHILD).context("no socket")?;
    let mut stream = UnixStream::connect(socket)?;
    let mut answers = BufReader::new(stream.try_clone()?);
    let (start, mut writes, mut line) = (Instant::now(), 0_u64, String::new());
    while start.elapsed() < TURN {
        stream.write_all(b"- Archived: 2025-11-03 | Ann | Lunch\n")?;
        line.clear();
        answers.read_line(&mut line)?;
        writes += 1;
    }
    println!("{writes}");
    Ok(())
}

/// Measures both alternately.
pub fn measure(folder: &Path, table: &mut Table) -> Result<()> {
    let (mut sent, mut direct, mut in_one, mut each) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let path = |name: &str| folder.join(format!("elected-{round}-{name}.db"));
        sent.push(bare_elected(&path("sent"))?);
        let mut best: f64 = 0.0;
        for (number, (_, mode)) in WRITE_MODES.iter().enumerate().filter(|(_, (_, mode))| mode.group == 1) {
            let path = path(&format!("direct-{number}"));
            best = best.max(bare::swarm(&path, WORKERS, TURN.as_secs_f64(), *mode, None)?.writes);
        }
        direct.push(best);
        in_one.push(one_server(&path("one"))?);
        each.push(swarm::given(&path("each"), WORKERS)?);
    }
    table.section(
        "Handing writes to one writer, a bound (goal to ship it: 2 at 8 processes)",
        "one writer",
        "each its own",
    );
    for (name, ours, other) in [
        ("bare SQLite, 8 processes, writes/s", &sent, &direct),
        ("tasktally, 8 in flight in one process, writes/s", &in_one, &each),
    ] {
        let ratios: Vec<f64> = ours.iter().zip(other).map(|(ours, other)| ours / other).collect();
        let shown = |values: &[f64]| format!("{:.0}", quantile(values, 0.5));
        table.row(name, &shown(ours), &shown(other), &ratios);
    }
    Ok(())
}

fn one_server(path: &Path) -> Result<f64> {
    fill::empty(path)?;
    let mut client = Client::start(path, "bench")?;
    let made = client.call("create_task", json!({"task_title": "Log"}))?;
    let receipt = json!({"id": made["task"]["id"], "body": "- Archived: 2025-11-03 | Ann | Lunch"});
    let call = json!({"name": "update_task", "arguments": receipt});
    client.request_all("tools/call", &call, 3_000)?;
    let start = Instant::now();
    let written = client.keep_asking("tools/call", &call, WORKERS, TURN)?;
    Ok(written as f64 / start.elapsed().as_secs_f64())
}

/// The number of a sender, and its write.
type Sent = (usize, String);

fn bare_elected(path: &Path) -> Result<f64> {
    let mut bare = Bare::open(path, WORKERS as u64)?;
    bare.warm()?;
    let socket = path.with_extension("socket");
    let listener = UnixListener::bind(&socket)?;
    let mut children = Vec::new();
    for _ in 0..WORKERS {
        let mut command = Command::new(std::env::current_exe()?);
        children.push(command.env(CHILD, &socket).stdout(Stdio::piped()).spawn()?);
    }
    std::thread::scope(|scope| {
        let (sender, queue) = channel::<Sent>();
        let mut answers = Vec::new();
        for number in 0..WORKERS {
            let (stream, _) = listener.accept()?;
            answers.push(stream.try_clone()?);
            let sender = sender.clone();
            scope.spawn(move || {
                let lines = BufReader::new(stream).lines().map_while(Result::ok);
                lines.take_while(|line| sender.send((number, line.clone())).is_ok()).count()
            });
        }
        drop(sender);
        let writer = scope.spawn(move || write(&queue, &mut bare, &mut answers));
        let writes = children.iter_mut().map(written_by).sum::<Result<f64>>()?;
        writer.join().map_err(|_| anyhow!("the writer panicked"))??;
        Ok(writes / TURN.as_secs_f64())
    })
}

fn written_by(child: &mut Child) -> Result<f64> {
    let mut line = String::new();
    BufReader::new(child.stdout.take().context("no pipe")?).read_line(&mut line)?;
    child.wait()?;
    Ok(line.trim().parse()?)
}

/// Commits all writes that have arrived and answers them.
fn write(queue: &Receiver<Sent>, bare: &mut Bare, answers: &mut [UnixStream]) -> Result<()> {
    let mut number = 0;
    while let Ok(first) = queue.recv() {
        let group: Vec<Sent> = std::iter::once(first).chain(queue.try_iter()).collect();
        bare.append(1, number, group.len() as i64)?;
        number += group.len() as i64;
        for (sender, _) in group {
            // A sender whose time is over does not read the answer.
            answers.get_mut(sender).context("an unknown sender")?.write_all(b"done\n").ok();
        }
    }
    Ok(())
}
