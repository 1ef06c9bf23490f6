//! `search_tasks`: full-text search over titles and bodies.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::request::fields::non_empty;
use super::views::page_bytes::cut_to_page;
use super::views::task::{TaskView, left_out_note};
use super::{Effect, Operation, Session};
use crate::error::{Code, Error, Result};
use crate::model::limits::{Limit, PAGE_ROWS};
use crate::model::search_text;
use crate::model::status::Status;
use crate::model::text::{LineText, excerpt};
use crate::store::TaskFilter;

/// The request.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct SearchTasks {
    /// Words, all of which must occur
    #[schemars(description = "Words; all must occur")]
    #[arg(
        long,
        help = "Words or their beginnings, all of which must occur; of Chinese, Japanese, Korean or Thai text any part"
    )]
    query: LineText,
    /// Only this project
    #[schemars(description = "Project")]
    #[arg(long)]
    project: Option<LineText>,
    /// Only this status
    #[schemars(description = "Status")]
    #[arg(long)]
    status: Option<Status>,
    /// Most results; 0 means 200
    #[schemars(description = "To 1000; 0: 200; default 10")]
    #[serde(default = "ten")]
    #[arg(long, default_value = "10", allow_negative_numbers = true)]
    limit: Limit,
}

/// What a reply says if texts could not be added to the index.
const INCOMPLETE: &str = "; the newest texts were not searched, because the store cannot be written";

fn ten() -> Limit {
    Limit::of(10)
}

/// The reply.
#[derive(Debug, Serialize, JsonSchema)]
pub struct SearchReply {
    success: bool,
    message: String,
    tasks: Vec<TaskView>,
    count: u64,
}

impl Operation for SearchTasks {
    const NAME: &'static str = "search_tasks";
    const TITLE: &'static str = "Search tasks";
    const DESCRIPTION: &'static str = "Search titles, texts and receipts, best first.";
    const EFFECT: Effect = Effect::Read;
    const LONG_RUNNING: bool = true;
    const POSITIONAL: &'static str = "query";
    type Reply = SearchReply;

    fn run(self, session: &Session) -> Result<SearchReply> {
        let words = words(self.query.as_str())?;
        // The newest texts may not be indexed yet. A store that cannot be written is searched without them.
        let mut is_complete = session.read(|tx| tx.is_search_index_complete())?;
        let mut note = "";
        while !is_complete {
            is_complete = match session.write(|tx| tx.update_search_index()) {
                Err(error) if matches!(error.code, Code::ReadOnly | Code::Internal) => {
                    note = INCOMPLETE;
                    true
                }
                updated => updated?,
            };
        }
        let limit = match self.limit.get() {
            0 => PAGE_ROWS,
            limit => limit as usize,
        };
        let filter =
            TaskFilter { project: non_empty(&self.project), status: self.status, ..TaskFilter::default() };
        session.read(move |tx| {
            let mut tasks = tx
                .search(&words, &filter, limit)?
                .iter()
                .map(|task| TaskView::listed(tx, task))
                .collect::<Result<Vec<_>>>()?;
            let mut message = format!("{} found{note}", tasks.len());
            if cut_to_page(&mut tasks) {
                message += &format!(", the best {} are shown: narrow the search for the others", tasks.len());
            }
            message += left_out_note(&tasks);
            Ok(SearchReply { success: true, message, count: tasks.len() as u64, tasks })
        })
    }
}

/// The folded words of a query.
fn words(query: &str) -> Result<Vec<String>> {
    let words = search_text::words(query);
    if words.is_empty() {
        return Err(Error::invalid(format!(
            "query: '{}' contains no word; write at least one letter, digit or emoji, such as a word of the title",
            excerpt(query)
        )));
    }
    Ok(words)
}
