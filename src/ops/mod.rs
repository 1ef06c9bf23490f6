//! The operations. Each is one type that is an MCP tool and a command at the same time; [`ALL`] lists them.
//!
//! A new operation is a new file and an entry in [`ALL`]. Operations may use the helper folders and each other;
//! a helper folder uses no operation. Among the helper folders, each uses only those before it: `request`, `views`,
//! `conflicts`, `lifecycle`, `runners`, `review_questions`, `ingest`.

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
mod result_channel;
mod review_batch;
mod review_questions;
mod runner_launcher;
mod runners;
mod search_tasks;
mod session;
mod update_task;
pub mod views;
mod wait_batch;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub(crate) use crate::store::pages::{for_each_chunk, for_each_item};
pub use add_items::AddItems;
pub use claim_task::{ClaimReply, ClaimTask, waits_for_resources};
pub use complete_task::CompleteTask;
pub use control_batch::{assign_profile, end_pause, set_batch_max_parallel};
pub use create_batch::{CreateBatch, Plan};
pub use get_batch::{GetBatch, GetBatchReply};
pub use ingest::bad_items::{BadItems, OnBadItem};
pub use lifecycle::release::{postpone_claim, release_claim, release_runner_claims};
pub use release_task::ReleaseTask;
pub use request::lists::{LIST_SEPARATOR, separate_lists};
pub(crate) use request::lookup::find_batch;
pub use request::progress::Progress;
pub use request::server_scope::{ServerScope, check_in_scope};
pub use request::worker_scope::scope_to_worker;
pub use review_batch::ReviewBatch;
pub use review_batch::elicit::{PendingReview, pending_review};
pub use review_questions::answers::answer_wait;
pub use review_questions::review_form::{ReviewQuestion, form};
pub use runner_launcher::{ProcessState, ReviewRules, RunnerLauncher, RunnerPlace, RunnerStart};
pub use runners::batch_state::{BatchState, batch_max_parallel, batch_state};
pub use runners::claims::{RunnerClaim, runner_claims};
pub use runners::failures::{FailureState, failure_state, pause_after_failures};
pub use runners::permits::{acquire_permit, release_permit, stop_waiting_for_permit, yield_permit};
pub use runners::profiles::{pause_profile, profile_pause, record_worker_start};
pub use runners::registry::{find_runner, record_runner_heartbeat, register_runner, unregister_runner};
pub use runners::start::start_missing_runners;
pub use runners::unfinished_run::{UnfinishedRun, find_failed_run, find_unfinished_run};
pub use session::{LocalFolders, Session};
pub use update_task::{ItemCost, ItemReceipt, UpdateTask};
pub(crate) use views::attention::{AwaitingDecision, count_awaiting_decision, failures_of};
pub use views::batch::BatchView;
pub(crate) use views::batch::batch_view;
pub use views::changes::{WatchedObject, find_changes, latest_change_number, start_watching};
pub use views::command_items::{ChunkBrief, WorkerItem, chunk_brief, worker_items};
pub(crate) use views::hosts::{HostView, hosts_at_work};
pub use views::id_completion::{batch_ids, chunk_id, chunk_numbers, task_ids};
pub use views::open_items::ItemView;
pub use views::prompt_facts::prompt_needs;
pub use views::task::TaskReply;
pub use wait_batch::handle::{WaitState, WaitView, cancel_wait, read_wait, start_wait};

use crate::error::{Error, Result};

/// How an operation affects the store, for the annotations of its tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// The operation changes nothing.
    Read,
    /// The operation adds or changes something.
    Write,
    /// The operation writes, and a repetition changes nothing more.
    WriteOnce,
    /// The operation can end claims or running work.
    Destructive,
}

/// An operation. Its fields are the parameters, for MCP and for the command line.
pub trait Operation: Serialize + DeserializeOwned + JsonSchema + clap::Args + Send + 'static {
    /// The tool's name; the command has hyphens instead of underscores.
    const NAME: &'static str;
    /// The title, a few words for a person.
    const TITLE: &'static str;
    /// The description that a model reads.
    const DESCRIPTION: &'static str;
    /// The effect on the store.
    const EFFECT: Effect;
    /// Whether the operation itself may take long, so that clients are sent its progress.
    const LONG_RUNNING: bool = false;
    /// Whether the command creates a store that does not exist yet. All others work on what a store contains.
    const CREATES_STORE: bool = false;
    /// The parameter that the command line accepts without its name, spelled as there.
    const POSITIONAL: &'static str;
    /// The parameter that a second word without a name is.
    const SECOND_POSITIONAL: Option<&'static str> = None;
    /// The end of the command's help, for what no single option explains.
    const HELP_END: &'static str = "";
    /// The parameters that the worker toolset offers; none if workers do not get the operation.
    const WORKER_PARAMETERS: &'static [&'static str] = &[];
    /// The parameters that an empty value clears. Any other empty value counts as absent.
    const CLEARABLE: &'static [&'static str] = &[];
    /// The reply.
    type Reply: Serialize + JsonSchema;

    /// Runs the operation. Returns after everything that it wrote is on disk.
    ///
    /// # Errors
    /// A refusal with its code and the message for the caller.
    fn run(self, session: &Session) -> Result<Self::Reply>;
}

/// An operation without its Rust types, for lists.
pub struct Entry {
    /// See [`Operation::NAME`].
    pub name: &'static str,
    /// See [`Operation::TITLE`].
    pub title: &'static str,
    /// See [`Operation::DESCRIPTION`].
    pub description: &'static str,
    /// See [`Operation::EFFECT`].
    pub effect: Effect,
    /// See [`Operation::LONG_RUNNING`].
    pub long_running: bool,
    /// See [`Operation::CREATES_STORE`].
    pub creates_store: bool,
    /// See [`Operation::POSITIONAL`].
    pub positional: &'static str,
    /// See [`Operation::SECOND_POSITIONAL`].
    pub second_positional: Option<&'static str>,
    /// See [`Operation::WORKER_PARAMETERS`].
    pub worker_parameters: &'static [&'static str],
    /// The parameters' JSON schema.
    pub input: fn() -> Value,
    /// The types and defaults of the parameters, as requests are parsed: a JSON schema that nobody is shown.
    pub types: fn() -> Value,
    /// The reply's JSON schema.
    pub output: fn() -> Value,
    /// Runs the operation with the arguments of a tool call.
    pub call: fn(&Session, Value) -> Result<Value>,
    /// Adds the parameters to a command.
    pub command: fn(clap::Command) -> clap::Command,
    /// Runs the operation with the arguments of a command.
    pub call_matches: fn(&Session, &clap::ArgMatches) -> Result<Value>,
}

const fn entry<O: Operation>() -> Entry {
    Entry {
        name: O::NAME,
        title: O::TITLE,
        description: O::DESCRIPTION,
        effect: O::EFFECT,
        long_running: O::LONG_RUNNING,
        creates_store: O::CREATES_STORE,
        positional: O::POSITIONAL,
        second_positional: O::SECOND_POSITIONAL,
        worker_parameters: O::WORKER_PARAMETERS,
        input: request::schema::input::<O>,
        types: request::schema::parameter_types::<O>,
        output: request::schema::output::<O::Reply>,
        call: |session, arguments| {
            let arguments = request::worker_scope::check_scope::<O>(session, arguments)?;
            request::reserved_names::check_names::<O>(session, &arguments)?;
            request::server_scope::check_worker_tools::<O>(session, &arguments)?;
            let request = request::args::parse::<O>(arguments)?;
            to_json(request::server_scope::limit_to_scope(session, request)?.run(session)?)
        },
        command: |command| {
            let command = O::augment_args(command).about(O::TITLE).long_about(O::DESCRIPTION);
            let command = if O::HELP_END.is_empty() { command } else { command.after_help(O::HELP_END) };
            let command = request::help::complete_help(command, &request::schema::input::<O>());
            let unnamed: Vec<&str> = std::iter::once(O::POSITIONAL).chain(O::SECOND_POSITIONAL).collect();
            request::help::with_usage(command, &O::NAME.replace('_', "-"), &unnamed)
        },
        call_matches: |session, matches| {
            let request = O::from_arg_matches(matches).map_err(|error| Error::invalid(error.to_string()))?;
            if session.author().is_agent() {
                request::reserved_names::check_names::<O>(session, &to_json(&request)?)?;
            }
            let request = match session.worker_scope() {
                None => request,
                Some(_) => {
                    let arguments = to_json(request)?;
                    request::args::parse(request::worker_scope::check_scope::<O>(session, arguments)?)?
                }
            };
            to_json(request.run(session)?)
        },
    }
}

fn to_json(value: impl Serialize) -> Result<Value> {
    serde_json::to_value(value)
        .map_err(|error| Error::internal("the reply could not be written as JSON", error))
}

/// All operations, in the order in which tools are listed.
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

/// The operation with a name.
pub fn find_operation(name: &str) -> Option<&'static Entry> {
    ALL.iter().find(|entry| entry.name == name)
}
