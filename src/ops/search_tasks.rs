//! `search_tasks`: full text over titles and bodies.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::views::task::TaskView;
use super::{Effect, Operation, Session};
use crate::error::{Code, Error, Result};
use crate::model::limits::{Limit, PAGE};
use crate::model::status::Status;
use crate::model::text::{Line, excerpt};
use crate::store::Filter;

/// The request.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct SearchTasks {
    /// Words that all have to occur
    #[arg(long)]
    query: Line,
    #[arg(long)]
    project: Option<Line>,
    #[arg(long)]
    status: Option<Status>,
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
    const DESCRIPTION: &'static str = "Full text over titles and bodies; best first, newest first if many.";
    const EFFECT: Effect = Effect::Read;
    const LONG: bool = true;
    const FIRST: &'static str = "query";
    type Reply = SearchReply;

    fn run(self, session: &Session) -> Result<SearchReply> {
        let words = words(self.query.as_str())?;
        // The latest may not be searchable yet; a store that can't be written is searched as it is.
        if !session.read(|tx| tx.all_indexed())?
            && let Err(error) = session.write(|tx| tx.index_text())
            && !matches!(error.code, Code::ReadOnly | Code::Internal)
        {
            return Err(error);
        }
        let limit = match self.limit.get() {
            0 => PAGE,
            limit => limit as usize,
        };
        let filter = Filter {
            project: super::create_task::text(&self.project),
            status: self.status,
            ..Filter::default()
        };
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

/// What to look for: letters and digits only.
fn words(query: &str) -> Result<Vec<String>> {
    let words: Vec<String> = query
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect();
    if words.is_empty() {
        return Err(Error::invalid(format!("query: '{}' holds no word to search for", excerpt(query))));
    }
    Ok(words)
}
