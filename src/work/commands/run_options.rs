//! The options of `tasktally run`.

use super::command_help::{SEE_LONG_HELP, command_help};
use super::command_options::CommandOptions;
use crate::items::ItemSource;
use crate::model::conflict::OnConflict;
use crate::model::failure_streak::PauseAfterFailures;
use crate::model::id::TaskId;
use crate::model::limits::{MaxChunk, MaxParallel};
use crate::model::split::Split;
use crate::model::text::LineText;
use crate::ops::{LIST_SEPARATOR, OnBadItem};

/// Create a batch from items and work it in this process.
#[derive(Debug, clap::Args)]
#[command(after_help = SEE_LONG_HELP, after_long_help = command_help!(
    "  0  All items are done
  1  Items failed or are left, or the request was refused
  2  Bad usage, or CMD cannot be run
  3  With --resume: nothing was left to do"
))]
pub struct Run {
    /// The items: a file of JSONL, a JSON list, CSV or TSV, also compressed with gzip; - for standard input; or a folder. With --resume, items that the batch does not have yet are added
    #[arg(long, required_unless_present = "resume")]
    pub(super) items: Option<ItemSource>,
    /// How to split the items into chunks: size, category:FIELD, or PERIOD:FIELD, where PERIOD is day, week, month, quarter or year; PERIOD+undated:FIELD puts items without a date into chunks of their own
    #[arg(long, default_value = "size", conflicts_with = "resume")]
    pub(super) split: Split,
    /// The field that contains the key of an item; @line for its number
    #[arg(long, default_value = "key", conflicts_with = "resume")]
    pub(super) key: LineText,
    /// What to do with bad items: reject (create nothing) or skip (leave them out and list them)
    #[arg(long, default_value = "reject", requires = "items")]
    pub(super) on_bad_item: OnBadItem,
    /// The largest number of items in a chunk [default: 50, or fewer with --split size, so that each worker has a chunk]
    #[arg(long, conflicts_with = "resume")]
    pub(super) max_chunk: Option<MaxChunk>,
    /// The fields that list the resources (paths) of an item, separated by commas [default: files]
    #[arg(long, value_delimiter = LIST_SEPARATOR, conflicts_with = "resume")]
    pub(super) resources: Vec<LineText>,
    /// What to do if several chunks have the same resource: reject, merge, serialize or allow [default: allow, or reject with --resources]
    #[arg(long, conflicts_with = "resume")]
    pub(super) on_conflict: Option<OnConflict>,
    /// How many workers there are. Each has a chunk of its own and works on one item of it at a time, so this is how many commands run at once; control-batch BATCH --max-parallel N changes it later [default: 8, or as before with --resume]
    #[arg(long)]
    pub(super) workers: Option<MaxParallel>,
    #[command(flatten)]
    pub(super) limits: CommandOptions,
    /// Pause a batch after this many failures in a row, or after 5 if nothing in it has succeeded yet; 0: never [default: 10]
    #[arg(long, value_name = "N")]
    pub(super) pause_after_failures: Option<PauseAfterFailures>,
    /// The title of the batch
    #[arg(long, conflicts_with = "resume")]
    pub(super) title: Option<LineText>,
    /// The project of the batch
    #[arg(long, conflicts_with = "resume")]
    pub(super) project: Option<LineText>,
    /// Continue this batch; items that have a receipt are left alone
    #[arg(long, value_name = "BATCH")]
    pub(super) resume: Option<TaskId>,
    /// With --resume: run the command that an import brought along, after you have read it
    #[arg(long, requires = "resume")]
    pub(super) imported_command: bool,
    /// Create a new batch, although one with the same items and command is not finished, or has ended with failures
    #[arg(long, conflicts_with = "resume")]
    pub(super) new: bool,
    /// Print only the summary
    #[arg(long)]
    pub(super) quiet: bool,
    /// The command. It runs once per item, with the item's JSON on standard input
    #[arg(last = true, value_name = "CMD", required_unless_present_any = ["resume", "step_commands"])]
    pub(super) command: Vec<String>,
    /// Whether the store is deleted after the run, so that no command for it is printed.
    #[arg(skip)]
    pub(super) store_is_temporary: bool,
}

impl Run {
    /// Whether it continues a batch that exists.
    pub fn is_resumed(&self) -> bool {
        self.resume.is_some()
    }

    /// The same run in a store that is deleted afterwards: no command that reads the store is printed.
    #[must_use]
    pub fn in_temporary_store(self) -> Self {
        Run { store_is_temporary: true, ..self }
    }
}
