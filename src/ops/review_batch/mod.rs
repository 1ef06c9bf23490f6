//! `review_batch`: a person's decision at a checkpoint.

pub(super) mod elicit;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::lifecycle::decision::{Review, chunks_in_review};
use super::lifecycle::expire_leases::open_reviews_of_doubt;
use super::lifecycle::reviewer::Reviewer;
use super::request::lookup::{find_batch, find_chunks};
use super::runners::start::start_runner;
use super::views::batch_reply::BatchReply;
use super::views::chunk_files::write_chunk;
use super::{Effect, Operation, Session};
use crate::error::{Code, Error, Result};
use crate::model::batch::{Batch, Chunk};
use crate::model::chunk_names::ChunkList;
use crate::model::id::TaskId;
use crate::model::status::Status;
use crate::model::step::Decision;
use crate::model::task::Task;
use crate::model::text::{LineText, ReceiptText};
use crate::store::{StoreRead, StoreWrite};

/// The most chunks that a refusal names.
const NAMED_CHUNKS: usize = 10;

/// The request.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct ReviewBatch {
    /// Batch id
    #[arg(long)]
    id: TaskId,
    /// Chunk id, or several: 1,3-5; default: all in review
    #[schemars(description = "Several: 1,3-5; default all in review")]
    #[arg(long, help = "Chunk id or number, or several: 1,2,5 or 1-5 [default: all chunks in review]")]
    chunk: Option<ChunkList>,
    /// reject: final; redo: worked again. Default: ask the user
    #[arg(
        long,
        help = "What the person decided. approve: the chunks are done, or go on to their next step; in a batch that has ended with failures, the failures are accepted. reject: the chunks stay as they are, and nobody works on them again. redo: workers get them again"
    )]
    decision: Option<Decision>,
    /// With redo: only these
    #[serde(default)]
    #[arg(long, help = "With redo: only items of these categories", value_delimiter = ',')]
    categories: Vec<LineText>,
    /// Needed for reject and redo
    #[arg(
        long,
        help = "What the person says about it, recorded with every decision. Needed for reject and redo: with redo, the next worker reads it"
    )]
    note: Option<ReceiptText>,
    /// Who decided
    #[arg(
        long,
        help = "The name of the person who decided, if that is not you. It is recorded as your statement, because nothing checks it"
    )]
    reviewer: Option<LineText>,
}

impl Operation for ReviewBatch {
    const NAME: &'static str = "review_batch";
    const TITLE: &'static str = "Review chunks at a checkpoint";
    const DESCRIPTION: &'static str =
        "Record a person's decision on chunks in review. Never decide yourself.";
    const EFFECT: Effect = Effect::Destructive;
    const POSITIONAL: &'static str = "id";
    const SECOND_POSITIONAL: Option<&'static str> = Some("decision");
    const HELP_END: &'static str = "\
The decision is a person's. An agent may run this command once the person has
told it the decision, with --reviewer and the person's name. A command that is
not run at a terminal is recorded as relayed by an agent.

To accept the failures of a batch that has ended:
  tasktally review-batch ID approve --reviewer NAME --note WHY";
    type Reply = BatchReply;

    fn run(self, session: &Session) -> Result<BatchReply> {
        let Some(decision) = self.decision else {
            return Err(Error::invalid(format!(
                "decision: missing, and no person can be asked through this client; show a person get_batch(id=\"{}\", view=\"review\") and pass their decision: approve, or reject or redo with a note",
                self.id
            )));
        };
        let review = Review {
            decision,
            categories: self.categories.clone(),
            note: self.note.clone(),
            reviewer: Reviewer::caller(session, self.reviewer.as_ref().and_then(LineText::non_empty))?,
        };
        review.validate()?;
        self.open_reviews_of_doubt(session)?;
        if let Some(reply) = self.accept_failures(session, &review)? {
            return Ok(reply);
        }
        let id = self.id.clone();
        apply_review(session, review, &id, move |tx| {
            let (task, batch) = find_batch(tx, &self.id)?;
            self.selected_chunks(tx, &task, &batch)
        })
    }
}

impl ReviewBatch {
    /// Puts chunks that an expired claim left in doubt into review. A decision on all that wait is about those that were
    /// in review before, if there are any: nobody may have seen the others.
    fn open_reviews_of_doubt(&self, session: &Session) -> Result<()> {
        let (id, names_chunks) = (self.id.clone(), self.chunk.is_some());
        let opens = session.read(move |tx| {
            let (_, batch) = find_batch(tx, &id)?;
            Ok(names_chunks || chunks_in_review(tx, &batch)?.is_empty())
        })?;
        if opens { open_reviews_of_doubt(session, &self.id) } else { Ok(()) }
    }

    /// Accepts the failures of a batch that has ended, if that is what the decision is about: an approval of the whole
    /// batch of which no chunk waits for a review.
    fn accept_failures(&self, session: &Session, review: &Review) -> Result<Option<BatchReply>> {
        if review.decision != Decision::Approve || self.chunk.is_some() {
            return Ok(None);
        }
        let (id, review) = (self.id.clone(), review.clone());
        session.write(move |tx| {
            let (task, batch) = find_batch(tx, &id)?;
            if !chunks_in_review(tx, &batch)?.is_empty() {
                return Ok(None);
            }
            let message = review.accept_failures(tx, &task, &batch)?;
            message.map(|message| BatchReply::new(tx, &id, message)).transpose()
        })
    }

    /// The chunks to decide on: all that are named, or all that wait.
    ///
    /// # Errors
    /// If one of the named chunks does not exist or takes no decision: then nothing is decided.
    fn selected_chunks(&self, tx: &dyn StoreRead, task: &Task, batch: &Batch) -> Result<Vec<(Chunk, Task)>> {
        let Some(list) = &self.chunk else { return chunks_in_review(tx, batch) };
        let selected = find_chunks(tx, "chunk", list.names(), task, batch)?;
        let refused: Vec<&Task> =
            selected.iter().map(|(_, task)| task).filter(|task| !self.can_decide_on(task.status)).collect();
        let what = match refused.as_slice() {
            [] => return Ok(selected),
            [only] if selected.len() == 1 => {
                format!("Chunk {} is {} and does not wait for a review", only.id, only.status)
            }
            several => {
                let named = several.iter().take(NAMED_CHUNKS);
                let named: Vec<String> =
                    named.map(|task| format!("{} is {}", task.id, task.status)).collect();
                let more = if several.len() > NAMED_CHUNKS { " and others" } else { "" };
                format!(
                    "Nothing was decided, because {} of the {} chunks do not wait for a review: {}{more}",
                    several.len(),
                    selected.len(),
                    named.join(", ")
                )
            }
        };
        let message =
            format!("{what}; get_batch(id=\"{}\", view=\"review\") shows the chunks that wait", task.id);
        Err(Error::new(Code::NotReady, message))
    }

    fn can_decide_on(&self, status: Status) -> bool {
        let is_redo = self.decision == Some(Decision::Redo);
        status == Status::Review
            || (is_redo && matches!(status, Status::Failed | Status::Rejected | Status::Done))
    }
}

/// Applies a review to the chunks that `select` returns, writes their files, and starts a runner if the batch
/// needs one.
fn apply_review(
    session: &Session,
    review: Review,
    batch: &TaskId,
    select: impl Fn(&dyn StoreWrite) -> Result<Vec<(Chunk, Task)>> + Send + 'static,
) -> Result<BatchReply> {
    let id = batch.clone();
    let (mut reply, chunks) = session.write(move |tx| {
        let selected = select(tx)?;
        let message = review.apply(tx, &id, &selected)?;
        let chunks: Vec<TaskId> = selected.into_iter().map(|(_, task)| task.id).collect();
        Ok((BatchReply::new(tx, &id, message)?.with_next_workers(tx, &id)?, chunks))
    })?;
    for chunk in &chunks {
        write_chunk(session, chunk);
    }
    reply.message += &start_runner(session, batch);
    Ok(reply)
}
