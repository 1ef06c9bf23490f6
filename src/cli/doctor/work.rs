//! The work: runners, batches that need something, and expired claims.

use std::collections::BTreeMap;

use super::configuration::command_to_edit;
use super::context::DoctorContext;
use super::finding::{Finding, or_ok};
use crate::config::Config;
use crate::error::Result;
use crate::model::batch::BatchStatus;
use crate::model::failures::Failures;
use crate::model::id::TaskId;
use crate::model::text::{counted, excerpt};
use crate::ops::{
    BatchState, Session, batch_state, count_awaiting_decision, failures_of, find_batch, profile_pause,
};
use crate::store::RunnerRecord;
use crate::work::leftovers::has_live_runner;

/// The most findings of one check, and the most chunks or claims that are counted.
const MAX_FINDINGS: usize = 20;
/// How many of the newest batches are checked.
const CHECKED_BATCHES: usize = 1_000;

/// Whether every runner on record is alive.
pub(super) fn check_runners(context: &DoctorContext) -> Result<Vec<Finding>> {
    let Some(session) = context.session() else { return Ok(Vec::new()) };
    let all: Vec<(TaskId, RunnerRecord)> = session.read(|tx| {
        let runners = tx.runners()?.into_iter();
        runners.map(|runner| Ok((tx.task_by_row(runner.batch)?.id, runner))).collect()
    })?;
    let mut findings = Vec::new();
    for (batch, runner) in &all {
        if has_live_runner(session, batch)? {
            continue;
        }
        let state = batch_state(session, batch)?;
        let needs_a_runner = state.status == BatchStatus::Running && state.worker.is_some();
        let fix = if needs_a_runner {
            format!("control-batch {batch} --action start")
        } else {
            "doctor --fix".into()
        };
        let message = format!(
            "the runner of batch {batch} has died (process {} on {}, last heartbeat {})",
            runner.pid,
            excerpt(&runner.host),
            runner.heartbeat_at
        );
        findings.push(Finding::warning(message).with_fix(context.command(&fix)));
    }
    let ok = format!("{} on record, all alive{}", all.len(), by_host(session, &all)?);
    Ok(or_ok(limited(findings), ok))
}

/// How many runners and `tasktally work` processes each machine has, as the end of a message; empty if the store is used by one
/// machine.
fn by_host(session: &Session, runners: &[(TaskId, RunnerRecord)]) -> Result<String> {
    if session.leases().is_none() {
        return Ok(String::new());
    }
    let mut hosts: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for (_, runner) in runners {
        hosts.entry(runner.host.clone()).or_default().0 += 1;
    }
    for (_, holder) in session.read(|tx| tx.work_processes())? {
        hosts.entry(holder.host).or_default().1 += 1;
    }
    let host = |(host, (runners, processes)): (String, (u64, u64))| {
        format!("{}: {}, {processes} tasktally work", excerpt(&host), counted(runners, "runner"))
    };
    let hosts: Vec<String> = hosts.into_iter().map(host).collect();
    Ok(if hosts.is_empty() { String::new() } else { format!("; by host: {}", hosts.join("; ")) })
}

/// Whether every open batch proceeds without a person.
pub(super) fn check_batches(context: &DoctorContext) -> Result<Vec<Finding>> {
    let Some(session) = context.session() else { return Ok(Vec::new()) };
    let open = session.read(|tx| {
        let tasks = tx.open_batches(None, CHECKED_BATCHES)?;
        tasks.into_iter().map(|task| Ok((task.id, tx.batch(task.row)?))).collect::<Result<Vec<_>>>()
    })?;
    // The check of the configuration reports one that cannot be read.
    let config = Config::load(&[]).ok();
    let mut findings = Vec::new();
    for (id, batch) in &open {
        let Some(batch) = batch else { continue };
        let batch = BatchCheck {
            id,
            state: batch_state(session, id)?,
            is_worked: has_live_runner(session, id)?,
            made_by_run: batch.run.is_some(),
            pause_reason: batch.pause_reason.as_deref(),
        };
        findings.extend(batch.check(context, session, config.as_ref())?);
    }
    findings.extend(failed_batches(context, session)?);
    let newest = if open.len() == CHECKED_BATCHES { "the newest " } else { "" };
    Ok(or_ok(limited(findings), format!("{newest}{} open, none needs you", open.len())))
}

/// The batches that ended with failures which nobody has retried or accepted.
fn failed_batches(context: &DoctorContext, session: &Session) -> Result<Vec<Finding>> {
    let failed: Vec<(TaskId, Failures)> = session.read(|tx| {
        let tasks = tx.failed_batches(None, MAX_FINDINGS + 1)?.into_iter();
        let batches = tasks.map(|task| {
            let (task, batch) = find_batch(tx, &task.id)?;
            let failures = failures_of(tx, &task, &batch)?;
            Ok((task.id, failures))
        });
        batches.collect()
    })?;
    let finding = |(id, failures): (TaskId, Failures)| {
        let summary = failures.summary();
        let message = format!("batch {id} ended with failures that nobody retried or accepted: {summary}");
        Finding::warning(message).with_fix(context.command(&format!("get-batch {id} --view failures")))
    };
    Ok(failed.into_iter().map(finding).collect())
}

/// A batch that has not ended.
struct BatchCheck<'a> {
    id: &'a TaskId,
    state: BatchState,
    /// Whether a runner works on it.
    is_worked: bool,
    /// Whether `tasktally run` made it.
    made_by_run: bool,
    pause_reason: Option<&'a str>,
}

impl BatchCheck<'_> {
    /// What a person has to do for the batch, if anything.
    fn check(
        &self,
        context: &DoctorContext,
        session: &Session,
        config: Option<&Config>,
    ) -> Result<Option<Finding>> {
        let (id, status) = (self.id, self.state.status);
        let in_review = self.chunks_in_review(session)?;
        if in_review == 0
            && let Some(finding) = config.and_then(|config| self.check_profile(config))
        {
            return Ok(Some(finding));
        }
        let control = |action: &str| context.command(&format!("control-batch {id} --action {action}"));
        Ok(match status {
            BatchStatus::Paused => {
                let profile = self.state.worker.as_deref();
                let profile_reason = profile.map(|name| profile_pause(session, name)).transpose()?.flatten();
                let reason = profile_reason.as_deref().or(self.pause_reason).unwrap_or("no reason given");
                let action = if profile_reason.is_some() { "start" } else { "resume" };
                let message = format!("batch {id} is paused: {}", excerpt(reason));
                Some(Finding::warning(message).with_fix(control(action)))
            }
            status if in_review > 0 || status == BatchStatus::Waiting => {
                let message = format!("batch {id} waits for a person; chunks in review: {in_review}");
                Some(
                    Finding::warning(message)
                        .with_fix(context.command(&format!("get-batch {id} --view review"))),
                )
            }
            BatchStatus::Running if self.is_worked => None,
            BatchStatus::Running if self.state.worker.is_some() => {
                let message = format!("batch {id} has a worker profile, but no runner works on it");
                Some(Finding::problem(message).with_fix(control("start")))
            }
            BatchStatus::Running if self.made_by_run => {
                let message = format!(
                    "batch {id} was made by tasktally run, which ended before the batch was finished"
                );
                Some(Finding::warning(message).with_fix(context.command(&format!("run --resume {id}"))))
            }
            _ => None,
        })
    }

    /// The problem with the batch's worker profile, if it can no longer be started.
    fn check_profile(&self, config: &Config) -> Option<Finding> {
        if self.is_worked || !matches!(self.state.status, BatchStatus::Paused | BatchStatus::Running) {
            return None;
        }
        let error = config.profile(self.state.worker.as_deref()?).err()?;
        let message = format!("batch {} cannot be worked on in the background: {error}", self.id);
        Some(Finding::problem(message).with_fix(command_to_edit(&config.location.path)))
    }

    fn chunks_in_review(&self, session: &Session) -> Result<u64> {
        let id = self.id.clone();
        session.read(move |tx| {
            let (task, batch) = find_batch(tx, &id)?;
            count_awaiting_decision(tx, &task, &batch)
        })
    }
}

/// Whether every claim is live.
pub(super) fn check_claims(context: &DoctorContext) -> Result<Vec<Finding>> {
    let Some(session) = context.session() else { return Ok(Vec::new()) };
    let expired = session.read(|tx| tx.expired_claims(MAX_FINDINGS + 1))?;
    if expired.is_empty() {
        return Ok(vec![Finding::ok("none has expired")]);
    }
    let count = if expired.len() > MAX_FINDINGS {
        format!("more than {MAX_FINDINGS}")
    } else {
        expired.len().to_string()
    };
    let named: Vec<String> = expired.iter().take(3).map(|task| task.id.to_string()).collect();
    let more = if expired.len() > 3 { ", …" } else { "" };
    let message = format!(
        "{count} expired before their holders released them ({}{more}); the next claim releases them",
        named.join(", ")
    );
    Ok(vec![Finding::warning(message).with_fix(context.command("reset-stalled-tasks"))])
}

/// The first findings, and a note if there are more.
fn limited(mut findings: Vec<Finding>) -> Vec<Finding> {
    if findings.len() > MAX_FINDINGS {
        findings.truncate(MAX_FINDINGS);
        findings.push(Finding::warning("there are more: fix these, then run this command again"));
    }
    findings
}
