//! A swarm of eight servers on one database, compared with bare PostgreSQL and with job queues over PostgreSQL that do the
//! same work on the same cluster.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

use super::super::swarm::{RECEIPTS, Swarm, Taking, create_tasks, work};
use super::super::table::{Table, quantile};
use super::cluster::{Cluster, servers};
use super::job_queues::{self, JobQueue};
use super::{PROCESSES, number, pgbench};

const TURN: Duration = Duration::from_secs(3);
const ROUNDS: usize = 5;
const GOAL: f64 = 0.5;
const GOAL_TO_QUEUES: f64 = 5.0;
/// More tasks than the servers can complete in a turn.
const TASKS: usize = 2_000;

/// Measures all alternately. `TASKTALLY_BENCH_ROUNDS` sets how often.
pub fn measure(folder: &Path, table: &mut Table) -> Result<()> {
    let Some(cluster) = Cluster::start(table)? else { return Ok(()) };
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    let mut queues: Vec<(JobQueue, Vec<f64>)> =
        job_queues::installed().into_iter().map(|queue| (queue, Vec::new())).collect();
    for round in 0..number("TASKTALLY_BENCH_ROUNDS", ROUNDS)? {
        ours.push(tasktally(&cluster, &format!("swarm_{round}"), folder)?);
        let database = format!("bare_{round}");
        bare.extend(pgbench::writes_per_second(&cluster, &database, PROCESSES, TURN, folder)?);
        for (queue, rates) in &mut queues {
            rates.push(queue.tasks_per_second(&cluster, &format!("{}_{round}", queue.database()))?);
        }
    }
    let writes: Vec<f64> = ours.iter().map(|swarm| swarm.rate.writes).collect();
    table.section(
        &format!("{PROCESSES} processes on one database: claim, {RECEIPTS} receipts, completion"),
        "tasktally",
        "other",
    );
    if bare.is_empty() {
        table.note("bare PostgreSQL skipped: pgbench is not installed (`apt install postgresql-contrib`)");
    } else {
        let name = format!("writes/s; bare, a transaction per write (goal: {GOAL})");
        table.row(&name, &shown(&writes), &shown(&bare), &ratios(&writes, &bare));
    }
    let tasks: Vec<f64> = ours.iter().map(|swarm| swarm.tasks).collect();
    for (queue, rates) in &queues {
        let name = format!("tasks/s; {} (goal: {GOAL_TO_QUEUES} to the better)", queue.name);
        table.row(&name, &shown(&tasks), &shown(rates), &ratios(&tasks, rates));
    }
    for (name, how) in job_queues::missing() {
        table.note(&format!("{name} skipped: {how}"));
    }
    let worst = |of: fn(&Swarm) -> f64| quantile(&ours.iter().map(of).collect::<Vec<_>>(), 0.5);
    table.note(&format!(
        "smallest share of the mean {:.2}; longest wait {:.0} ms (medians of the rounds)",
        worst(|swarm| swarm.rate.slowest),
        worst(|swarm| swarm.rate.longest * 1e3)
    ));
    Ok(())
}

fn tasktally(cluster: &Cluster, database: &str, folder: &Path) -> Result<Swarm> {
    let address = cluster.create_store(database)?;
    let mut servers = servers(folder, &address, PROCESSES)?;
    create_tasks(servers.first_mut().context("no worker")?, TASKS)?;
    work(&mut servers, Taking::Given, TURN)
}

fn shown(values: &[f64]) -> String {
    format!("{:.0}", quantile(values, 0.5))
}

fn ratios(ours: &[f64], other: &[f64]) -> Vec<f64> {
    ours.iter().zip(other).map(|(ours, other)| ours / other).collect()
}
