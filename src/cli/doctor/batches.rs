//! The work: who works batches, which wait for somebody, whose claims have run out.

use super::configuration::edit;
use super::context::{DoctorContext, Opened};
use super::finding::{Finding, or_ok};
use crate::config::Config;
use crate::error::Result;
use crate::model::batch::BatchStatus;
use crate::model::id::TaskId;
use crate::model::status::Status;
use crate::model::text::excerpt;
use crate::ops::{Session, batch_state, profile_pause};
use crate::store::{Filter, Runner};
use crate::work::leftovers::has_live_runner;

/// How many batches, runners or claims are told of.
const MOST: usize = 20;
/// How many batches are looked at, the newest first.
const LOOKED_AT: usize = 1_000;

/// Whether every runner on record is alive.
pub(super) fn runners(context: &DoctorContext) -> Result<Vec<Finding>> {
    let Some(Opened { session, .. }) = context.opened() else { return Ok(Vec::new()) };
    let all: Vec<(TaskId, Runner)> = session.read(|tx| {
        let runners = tx.runners()?.into_iter();
        runners.map(|runner| Ok((tx.task_at(runner.batch)?.id, runner))).collect()
    })?;
    let mut found = Vec::new();
    for (batch, runner) in &all {
        if has_live_runner(session, batch)? {
            continue;
        }
        let look = batch_state(session, batch)?;
        let goes_on = look.status == BatchStatus::Running && look.worker.is_some();
        let next =
            if goes_on { format!("control-batch {batch} --action start") } else { "doctor --mend".into() };
        found.push(
            Finding::warning(format!(
                "the runner of batch {batch} has died (process {} on {}, last seen {})",
                runner.pid,
                excerpt(&runner.host),
                runner.seen
            ))
            .mend(context.command(&next)),
        );
    }
    Ok(or_ok(limited(found), format!("{} at work, none of them dead", all.len())))
}

/// Whether every batch that has not ended goes on by itself.
pub(super) fn batches(context: &DoctorContext) -> Result<Vec<Finding>> {
    let Some(Opened { session, .. }) = context.opened() else { return Ok(Vec::new()) };
    let open = session.read(|tx| {
        let tasks = tx.open_batches(None, LOOKED_AT)?;
        tasks.into_iter().map(|task| Ok((task.id, tx.batch(task.row)?))).collect::<Result<Vec<_>>>()
    })?;
    // One that cannot be read is told of elsewhere.
    let config = Config::load(&[]).ok();
    let mut found = Vec::new();
    for (id, batch) in &open {
        let Some(batch) = batch else { continue };
        let is_run = batch.command.is_some();
        found.extend(stands(context, session, id, is_run, batch.paused.as_deref(), config.as_ref())?);
    }
    let newest = if open.len() == LOOKED_AT { "the newest " } else { "" };
    Ok(or_ok(limited(found), format!("{newest}{} open, none of them waits for you", open.len())))
}

/// What is to be done about an open batch, if anything.
fn stands(
    context: &DoctorContext,
    session: &Session,
    id: &TaskId,
    is_run: bool,
    paused: Option<&str>,
    config: Option<&Config>,
) -> Result<Option<Finding>> {
    let look = batch_state(session, id)?;
    let in_review = session.read(move |tx| {
        let chunks = Filter { parent: Some(look.row), status: Some(Status::Review), ..Filter::default() };
        Ok(tx.list(&chunks, None, MOST)?.len())
    })?;
    if let Some((config, profile)) = config.zip(look.worker.as_deref())
        && matches!(look.status, BatchStatus::Paused | BatchStatus::Running)
        && in_review == 0
        && let Err(error) = config.profile(profile)
        && !has_live_runner(session, id)?
    {
        let what = format!("batch {id} cannot be worked in the background: {error}");
        return Ok(Some(Finding::problem(what).mend(edit(&config.location.path))));
    }
    Ok(match look.status {
        BatchStatus::Paused => {
            let profile =
                look.worker.as_deref().map(|name| profile_pause(session, name)).transpose()?.flatten();
            let why = profile.as_deref().or(paused).unwrap_or("no reason given");
            let next = if profile.is_some() { "start" } else { "resume" };
            Some(
                Finding::warning(format!("batch {id} is paused: {}", excerpt(why)))
                    .mend(context.command(&format!("control-batch {id} --action {next}"))),
            )
        }
        status if in_review > 0 || status == BatchStatus::Waiting => Some(
            Finding::warning(format!("batch {id} waits for a person; chunks in review: {in_review}"))
                .mend(context.command(&format!("get-batch {id} --view review"))),
        ),
        BatchStatus::Running if has_live_runner(session, id)? => None,
        BatchStatus::Running if look.worker.is_some() => Some(
            Finding::problem(format!("batch {id} is to be worked in the background, and no runner works it"))
                .mend(context.command(&format!("control-batch {id} --action start"))),
        ),
        BatchStatus::Running if is_run => Some(
            Finding::warning(format!(
                "batch {id} was made by tasktally run, which ended before it was through"
            ))
            .mend(context.command(&format!("run --resume {id}"))),
        ),
        _ => None,
    })
}

/// Whether every claim is live.
pub(super) fn claims(context: &DoctorContext) -> Result<Vec<Finding>> {
    let Some(Opened { session, .. }) = context.opened() else { return Ok(Vec::new()) };
    let expired = session.read(|tx| tx.expired(MOST + 1))?;
    let named: Vec<String> = expired.iter().take(3).map(|task| task.id.to_string()).collect();
    let found = (!expired.is_empty()).then(|| {
        let count =
            if expired.len() > MOST { format!("more than {MOST}") } else { expired.len().to_string() };
        Finding::warning(format!(
            "{count} ran out while somebody held them ({}{}); the next claim takes them back",
            named.join(", "),
            if expired.len() > 3 { ", …" } else { "" }
        ))
        .mend(context.command("reset-stalled-tasks"))
    });
    Ok(or_ok(found.into_iter().collect(), "none has run out"))
}

/// The first findings, and how many more there are.
fn limited(mut found: Vec<Finding>) -> Vec<Finding> {
    let more = found.len().saturating_sub(MOST);
    if more > 0 {
        found.truncate(MOST);
        found.push(Finding::warning("there are more: mend these, then look again"));
    }
    found
}
