//! Long churn: eight processes create batches and work on them, while the sizes of tables and indexes are sampled.
//! `TASKTALLY_BENCH_CHURN=5000000` sets the number of writes.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use postgres::Client as Sql;
use serde_json::{Value, json};

use super::super::client::{Client, succeeded};
use super::super::table::{Table, quantile};
use super::cluster::{Cluster, servers};
use super::{PROCESSES, number};

const WRITES: usize = 20_000;
const INTERVALS: u64 = 10;
const CHUNK: usize = 10;
const BATCH: usize = 100;

/// Tables whose rows are updated in place: they must not grow with the number of writes.
const HOT: [&str; 4] = ["counter", "task_count", "writer", "lease"];
/// Tables that hold what was written: their size per row must not grow.
const GROWING: [&str; 7] = ["batch", "category_count", "task", "chunk", "item", "receipt", "batch_receipt"];

/// A worker's writes in an interval, in milliseconds.
type Times = Vec<Vec<f64>>;

/// Prints the sizes and times of each interval.
pub fn measure(folder: &Path, table: &mut Table) -> Result<()> {
    let Some(cluster) = Cluster::start(table)? else { return Ok(()) };
    let writes = number("TASKTALLY_BENCH_CHURN", WRITES)? as u64;
    let address = cluster.create_store("churn")?;
    let mut servers = servers(folder, &address, PROCESSES)?;
    let mut sql = cluster.sql("churn")?;
    let done = AtomicU64::new(0);
    let interval = |done: u64| (done * INTERVALS / writes).min(INTERVALS - 1) as usize;
    let start = Instant::now();
    let (done, interval) = (&done, &interval);
    let (times, samples) = std::thread::scope(|scope| -> Result<(Vec<Times>, Vec<Sample>)> {
        let threads: Vec<_> = (servers.iter_mut())
            .map(|client| {
                // The others end, too, if one fails.
                let stop = move |_: &anyhow::Error| done.store(writes, Ordering::Relaxed);
                scope.spawn(move || churn(client, writes, done, interval).inspect_err(stop))
            })
            .collect();
        let mut samples = Vec::new();
        for number in 1..=INTERVALS {
            while done.load(Ordering::Relaxed) < writes * number / INTERVALS {
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
            samples.push(sample(&mut sql, start)?);
        }
        let times =
            threads.into_iter().map(|thread| thread.join().map_err(|_| anyhow!("a worker panicked"))?);
        Ok((times.collect::<Result<_>>()?, samples))
    })?;
    let times: Times = (0..INTERVALS as usize)
        .map(|interval| times.iter().filter_map(|times| times.get(interval)).flatten().copied().collect())
        .collect();
    report(writes, &times, &samples, table);
    updates(&mut sql, table)
}

/// The state of the tables at the end of an interval.
struct Sample {
    seconds: f64,
    /// KiB of each table of [`HOT`], with its indexes.
    hot: Vec<f64>,
    /// Bytes per row of each table of [`GROWING`], with its indexes.
    growing: Vec<f64>,
}

fn sample(sql: &mut Sql, start: Instant) -> Result<Sample> {
    let mut of = |table: &str, rows: &str| -> Result<f64> {
        let query = format!("SELECT pg_total_relation_size('{table}')::float8 / {rows}");
        Ok(sql.query_one(&query, &[])?.get(0))
    };
    let hot = HOT.iter().map(|table| of(table, "1024")).collect::<Result<_>>()?;
    let growing = (GROWING.iter())
        .map(|table| of(table, &format!("greatest(1, (SELECT count(*) FROM {table}))")))
        .collect::<Result<_>>()?;
    Ok(Sample { seconds: start.elapsed().as_secs_f64(), hot, growing })
}

/// Works until all processes together have written enough.
fn churn(
    client: &mut Client,
    writes: u64,
    done: &AtomicU64,
    interval: &(impl Fn(u64) -> usize + Sync),
) -> Result<Times> {
    let mut times: Times = vec![Vec::new(); INTERVALS as usize];
    let mut timed = |client: &mut Client, tool: &str, arguments: Value| -> Result<Value> {
        let asked = Instant::now();
        let reply = client.try_call(tool, arguments)?;
        if succeeded(&reply) {
            let number = done.fetch_add(1, Ordering::Relaxed);
            if let Some(times) = times.get_mut(interval(number)) {
                times.push(asked.elapsed().as_secs_f64() * 1e3);
            }
        }
        Ok(reply)
    };
    while done.load(Ordering::Relaxed) < writes {
        let claimed = timed(client, "claim_task", json!({"worker": "churn"}))?;
        let Some(id) = claimed.pointer("/task/id").cloned() else {
            let items: Vec<Value> =
                (0..BATCH).map(|number| json!({"key": format!("mail-{number:03}")})).collect();
            let batch = json!({"title": "Archive mail", "instructions": "Archive each mail.", "items": items,
                               "split": {"by": "size"}, "max_chunk": CHUNK});
            let made = timed(client, "create_batch", batch)?;
            anyhow::ensure!(succeeded(&made), "create_batch was refused: {made}");
            continue;
        };
        let token = claimed.pointer("/claim/token").cloned().context("no token")?;
        for item in claimed.get("items").and_then(Value::as_array).context("no items")? {
            let key = item.get("key").context("no key")?;
            let receipt = json!({"id": id, "claim": token, "body": "- Archived: Ann | Lunch", "item": key,
                                 "outcome": "done", "category": "newsletter"});
            let written = timed(client, "update_task", receipt)?;
            anyhow::ensure!(succeeded(&written), "a receipt was refused: {written}");
        }
        let ended = timed(client, "complete_task", json!({"id": id, "claim": token}))?;
        anyhow::ensure!(succeeded(&ended), "a completion was refused: {ended}");
    }
    Ok(times)
}

fn report(writes: u64, times: &Times, samples: &[Sample], table: &mut Table) {
    table.note(&format!(
        "{writes} writes by {PROCESSES} processes: batches of {BATCH} items in chunks of {CHUNK}"
    ));
    table.note(&format!(
        "KiB with indexes: {}; bytes per row with indexes: {}",
        HOT.join(", "),
        GROWING.join(", ")
    ));
    let mut earlier = 0.0;
    for (times, sample) in times.iter().zip(samples) {
        let rate = times.len() as f64 / (sample.seconds - earlier).max(1e-9);
        earlier = sample.seconds;
        let numbers =
            |values: &[f64]| values.iter().map(|value| format!("{value:.0}")).collect::<Vec<_>>().join(" ");
        table.note(&format!(
            "{:>7.0} s {rate:>6.0} writes/s, p50 {:>5.1} ms, p99 {:>6.1} ms | {} | {}",
            sample.seconds,
            quantile(times, 0.5),
            quantile(times, 0.99),
            numbers(&sample.hot),
            numbers(&sample.growing)
        ));
    }
    let (Some(first), Some(last)) = (times.get(1), times.last()) else { return };
    table.section("The last tenth, against the second (goal: levels out)", "last", "second");
    let mut row = |name: &str, last: f64, second: f64| {
        table.row(name, &format!("{last:.1}"), &format!("{second:.1}"), &[last / second]);
    };
    row("p99 of a write, ms", quantile(last, 0.99), quantile(first, 0.99));
    let (Some(second), Some(last)) = (samples.get(1), samples.last()) else { return };
    for (number, name) in HOT.iter().enumerate() {
        if let (Some(last), Some(second)) = (last.hot.get(number), second.hot.get(number)) {
            row(&format!("KiB of {name}"), *last, *second);
        }
    }
    for (number, name) in GROWING.iter().enumerate() {
        if let (Some(last), Some(second)) = (last.growing.get(number), second.growing.get(number)) {
            row(&format!("bytes per row of {name}"), *last, *second);
        }
    }
}

/// Whether the free space of the pages suffices: an update outside of its page adds to every index.
fn updates(sql: &mut Sql, table: &mut Table) -> Result<()> {
    sql.batch_execute("SELECT pg_stat_force_next_flush()")?;
    let rows = sql.query(
        "SELECT relname::text, n_tup_upd, n_tup_hot_upd, n_dead_tup, autovacuum_count FROM pg_stat_user_tables
          WHERE n_tup_upd > 0 ORDER BY n_tup_upd DESC",
        &[],
    )?;
    for row in rows {
        let (name, updates, hot, dead, vacuums): (String, i64, i64, i64, i64) =
            (row.get(0), row.get(1), row.get(2), row.get(3), row.get(4));
        table.note(&format!(
            "{name}: {updates} updates, {:.0} % in their page; {dead} dead rows; autovacuum ran {vacuums} times",
            hot as f64 / updates as f64 * 100.0
        ));
    }
    Ok(())
}
