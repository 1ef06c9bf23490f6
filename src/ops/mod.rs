//! The operations: each one type that is MCP tool and command at once, and the one list of them.
//!
//! A new operation is a new file and a line in [`ALL`].

mod add_items;
mod claim_task;
mod complete_task;
mod complete_tasks;
mod conflicts;
mod control_batch;
mod create_batch;
mod create_task;
mod get_batch;
mod get_task;
mod ingest;
mod lifecycle;
mod list_tasks;
mod release_task;
pub mod request;
mod reset_stalled_tasks;
mod review_batch;
mod runners;
mod search_tasks;
mod session;
mod update_task;
pub mod views;
mod wait_batch;
mod waits;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub(crate) use crate::store::pages::{each_chunk, each_item};
pub use add_items::AddItems;
pub use claim_task::{ClaimReply, ClaimTask, waits_for_others};
pub use complete_task::CompleteTask;
pub use control_batch::assign_profile;
pub use create_batch::{CreateBatch, Plan};
pub use get_batch::{GetBatch, GetBatchReply};
pub use get_task::open_items_page;
pub use ingest::bad_items::{BadItems, OnBadItem};
pub use lifecycle::release::{release_claim, release_runner_claims};
pub use release_task::ReleaseTask;
pub use request::progress::Progress;
pub(crate) use request::schema::drop_bounds;
pub use runners::background::{RunnerLauncher, RunnerStart, start_missing_runners};
pub use runners::registry::{
    BatchState, acquire_permit, batch_state, find_runner, pause_profile, profile_pause, record_worker_start,
    register_runner, release_permit, runner_lives, stop_waiting_for_permit, unregister_runner, yield_permit,
};
pub use session::Session;
pub use update_task::{ItemCost, ItemReceipt, UpdateTask};
pub use views::batch::BatchView;
pub(crate) use views::batch::{batch_view, find_batch};
pub use views::changes::{Watched, find_changes, latest_change_number, start_watching};
pub use views::completion::{batch_ids, chunk_id, chunk_numbers, task_ids};
pub use views::task::TaskReply;
pub use waits::answers::answer_wait;
pub use waits::elicit_review::{PendingReview, pending_review};
pub use waits::review_form::{Question, form};
pub use waits::state::{WaitState, Waiting, cancel_wait, read_wait, start_wait};

use crate::error::Result;

/// What an operation does to the store, as its annotations tell a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It changes nothing.
    Read,
    /// It adds or moves on.
    Write,
    /// Doing it twice is doing it once.
    WriteOnce,
    /// It takes something away, such as claims or running work.
    Destructive,
}

/// A thing that callers can ask for: its fields are the parameters, in MCP and on the command line.
pub trait Operation: Serialize + DeserializeOwned + JsonSchema + clap::Args + Send + 'static {
    /// The tool's name; the command's is the same with hyphens.
    const NAME: &'static str;
    /// A few words for a person.
    const TITLE: &'static str;
    /// What a model reads of it.
    const DESCRIPTION: &'static str;
    /// What it does to the store.
    const EFFECT: Effect;
    /// Whether it may take long by itself, and not only by waiting for others.
    const LONG: bool = false;
    /// Whether its schema spells out the statuses, types and so on, once for all tools.
    const SPELLS_OUT: bool = false;
    /// The parameter whose name may be left out on the command line.
    const FIRST: &'static str;
    /// Parameters of the contract that this version refuses by name.
    const LATER: &'static [&'static str] = &[];
    /// The parameters that a background worker needs; none where it does not need the operation.
    const WORKER_PARAMETERS: &'static [&'static str] = &[];
    /// The answer.
    type Reply: Serialize + JsonSchema;

    /// Does it. It blocks until what it wrote is on disk.
    ///
    /// # Errors
    /// A refusal, with the code and sentence that the caller is told.
    fn run(self, session: &Session) -> Result<Self::Reply>;
}

/// An operation without its types.
pub struct Entry {
    /// See [`Operation::NAME`].
    pub name: &'static str,
    /// See [`Operation::TITLE`].
    pub title: &'static str,
    /// See [`Operation::DESCRIPTION`].
    pub description: &'static str,
    /// See [`Operation::EFFECT`].
    pub effect: Effect,
    /// See [`Operation::LONG`].
    pub long: bool,
    /// See [`Operation::FIRST`].
    pub first: &'static str,
    /// See [`Operation::WORKER_PARAMETERS`].
    pub worker_parameters: &'static [&'static str],
    /// The parameters' schema.
    pub input: fn() -> Value,
    /// The reply's schema.
    pub output: fn() -> Value,
    /// Runs it on the arguments of a tool call.
    pub call: fn(&Session, Value) -> Result<Value>,
    /// Adds its parameters to a command.
    pub command: fn(clap::Command) -> clap::Command,
    /// Runs it on the arguments of a command.
    pub call_matches: fn(&Session, &clap::ArgMatches) -> Result<Value>,
}

const fn entry<O: Operation>() -> Entry {
    Entry {
        name: O::NAME,
        title: O::TITLE,
        description: O::DESCRIPTION,
        effect: O::EFFECT,
        long: O::LONG,
        first: O::FIRST,
        worker_parameters: O::WORKER_PARAMETERS,
        input: || request::schema::input::<O>(O::SPELLS_OUT),
        output: request::schema::output::<O::Reply>,
        call: |session, arguments| {
            let arguments = request::worker_scope::admit(session, O::NAME, arguments)?;
            reply(request::args::parse::<O>(arguments)?.run(session)?)
        },
        command: |command| {
            let command = O::augment_args(command).about(O::TITLE).long_about(O::DESCRIPTION);
            request::help::spell_out(command, &request::schema::input::<O>(true))
        },
        call_matches: |session, matches| {
            let request = O::from_arg_matches(matches)
                .map_err(|error| crate::error::Error::invalid(error.to_string()))?;
            let request = match session.job() {
                None => request,
                Some(_) => {
                    request::args::parse(request::worker_scope::admit(session, O::NAME, reply(request)?)?)?
                }
            };
            reply(request.run(session)?)
        },
    }
}

fn reply(reply: impl Serialize) -> Result<Value> {
    serde_json::to_value(reply)
        .map_err(|error| crate::error::Error::internal("the reply could not be written as JSON", error))
}

/// Every operation, in the order of the contract.
pub static ALL: &[Entry] = &[
    entry::<create_task::CreateTask>(),
    entry::<get_task::GetTask>(),
    entry::<list_tasks::ListTasks>(),
    entry::<update_task::UpdateTask>(),
    entry::<complete_task::CompleteTask>(),
    entry::<complete_tasks::CompleteTasks>(),
    entry::<claim_task::ClaimTask>(),
    entry::<release_task::ReleaseTask>(),
    entry::<reset_stalled_tasks::ResetStalledTasks>(),
    entry::<search_tasks::SearchTasks>(),
    entry::<create_batch::CreateBatch>(),
    entry::<add_items::AddItems>(),
    entry::<get_batch::GetBatch>(),
    entry::<review_batch::ReviewBatch>(),
    entry::<control_batch::ControlBatch>(),
    entry::<wait_batch::WaitBatch>(),
];

/// The operation of a name.
pub fn find_operation(name: &str) -> Option<&'static Entry> {
    ALL.iter().find(|entry| entry.name == name)
}
