//! `search_tasks`: full-text search over titles and bodies.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::request::fields::non_empty;
use super::views::task::TaskView;
use super::{Effect, Operation, Session};
use crate::error::{Code, Error, Result};
use crate::model::limits::{Limit, PAGE_ROWS};
use crate::model::status::Status;
use crate::model::text::{LineText, excerpt};
use crate::store::TaskFilter;

/// The request.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct SearchTasks {
    /// Words, all of which must occur
    #[arg(long)]
    query: LineText,
    /// Only this project
    #[arg(long)]
    project: Option<LineText>,
    /// Only this status
    #[arg(long)]
    status: Option<Status>,
    /// Most results; 0 means 200
    #[serde(default = "ten")]
    #[arg(long, default_value = "10", allow_negative_numbers = true)]
    limit: Limit,
}

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
    const DESCRIPTION: &'static str =
        "Full-text search over titles and bodies. Best first; newest first if very many match.";
    const EFFECT: Effect = Effect::Read;
    const LONG_RUNNING: bool = true;
    const POSITIONAL: &'static str = "query";
    type Reply = SearchReply;

    fn run(self, session: &Session) -> Result<SearchReply> {
        let words = words(self.query.as_str())?;
        // The newest texts may not be indexed yet. A store that cannot be written is searched without them.
        let mut is_complete = session.read(|tx| tx.is_search_index_complete())?;
        while !is_complete {
            is_complete = match session.write(|tx| tx.update_search_index()) {
                Err(error) if matches!(error.code, Code::ReadOnly | Code::Internal) => true,
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
            let tasks = tx
                .search(&words, &filter, limit)?
                .iter()
                .map(|task| TaskView::listed(tx, task))
                .collect::<Result<Vec<_>>>()?;
            Ok(SearchReply {
                success: true,
                message: format!("{} found", tasks.len()),
                count: tasks.len() as u64,
                tasks,
            })
        })
    }
}

/// The words of a query: its runs of letters and digits.
fn words(query: &str) -> Result<Vec<String>> {
    let words: Vec<String> = query
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect();
    if words.is_empty() {
        return Err(Error::invalid(format!(
            "query: '{}' contains no word; a word consists of letters or digits",
            excerpt(query)
        )));
    }
    Ok(words)
}
