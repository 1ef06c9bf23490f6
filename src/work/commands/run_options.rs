//! The options of `tasktally run`.

use crate::items::ItemSource;
use crate::model::conflict::OnConflict;
use crate::model::id::TaskId;
use crate::model::limits::{MaxChunk, MaxParallel};
use crate::model::split::Split;
use crate::model::text::LineText;
use crate::ops::OnBadItem;

/// Create a batch from items and work it in this process.
#[derive(Debug, clap::Args)]
pub struct Run {
    /// The items: a JSONL or CSV file, or a folder. With --resume, items that the batch does not have yet are added
    #[arg(long, required_unless_present = "resume")]
    pub(super) items: Option<ItemSource>,
    /// How to split the items into chunks: size, category:FIELD, or PERIOD:FIELD, where PERIOD is day, week, month, quarter or year
    #[arg(long, default_value = "size")]
    pub(super) split: Split,
    /// The field that contains the key of an item
    #[arg(long, default_value = "key")]
    pub(super) key: LineText,
    /// What to do with bad items: reject (create nothing) or skip (leave them out and list them)
    #[arg(long, default_value = "reject")]
    pub(super) on_bad_item: OnBadItem,
    /// The largest number of items in a chunk
    #[arg(long, default_value = "50")]
    pub(super) max_chunk: MaxChunk,
    /// The fields that list the resources (paths) of an item, separated by commas [default: files]
    #[arg(long, value_delimiter = ',', conflicts_with = "resume")]
    pub(super) resources: Vec<LineText>,
    /// What to do if several chunks have the same resource: reject, merge, serialize or allow [default: allow, or reject with --resources]
    #[arg(long, conflicts_with = "resume")]
    pub(super) on_conflict: Option<OnConflict>,
    /// How many chunks are worked on at the same time
    #[arg(long, default_value = "8")]
    pub(super) workers: MaxParallel,
    /// The title of the batch
    #[arg(long)]
    pub(super) title: Option<LineText>,
    /// The project of the batch
    #[arg(long)]
    pub(super) project: Option<LineText>,
    /// Continue this batch; items that have a receipt are left alone
    #[arg(long, value_name = "BATCH")]
    pub(super) resume: Option<TaskId>,
    /// Print only the summary
    #[arg(long)]
    pub(super) quiet: bool,
    /// The command. It runs once per item, with the item's JSON on standard input
    #[arg(last = true, value_name = "CMD", required_unless_present = "resume")]
    pub(super) command: Vec<String>,
}
