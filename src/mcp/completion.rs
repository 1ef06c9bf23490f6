//! Completion: ids, chunk numbers and words for a client that is typing an argument.

use rmcp::model::{CompleteRequestParams, CompletionInfo, Reference};

use super::prompts::offered;
use super::resources::{self, BATCH, CHUNK, TASK};
use super::tools::Toolset;
use crate::error::{Error, Result};
use crate::model::id::TaskId;
use crate::model::text::excerpt;
use crate::ops::{self, Session};
use crate::prompts::{Completes, named};

/// What could be meant.
enum Candidates {
    Batches,
    Tasks,
    Chunks(Option<TaskId>),
    Words(&'static [&'static str]),
}

/// The values that an argument could take, beginning with what is typed so far.
pub(super) fn complete(
    session: &Session,
    toolset: Toolset,
    request: &CompleteRequestParams,
) -> Result<CompletionInfo> {
    let typed = request.argument.value.as_str();
    // One more than may be told says whether there are more.
    let most = CompletionInfo::MAX_VALUES + 1;
    let mut values = match candidates(toolset, request)? {
        Candidates::Batches => ops::batch_ids(session, typed, most)?,
        Candidates::Tasks => ops::task_ids(session, typed, most)?,
        Candidates::Chunks(None) => Vec::new(),
        Candidates::Chunks(Some(batch)) => ops::chunk_numbers(session, batch, typed, most)?,
        Candidates::Words(words) => {
            words.iter().filter(|word| word.starts_with(typed)).map(|word| (*word).to_owned()).collect()
        }
    };
    let more = values.len() == most;
    values.truncate(CompletionInfo::MAX_VALUES);
    CompletionInfo::with_pagination(values, None, more).map_err(Error::invalid)
}

fn candidates(toolset: Toolset, request: &CompleteRequestParams) -> Result<Candidates> {
    let argument = request.argument.name.as_str();
    let unknown = |what: &str, takes: &str| {
        Error::invalid(format!("{what} has no argument '{}'; it takes {takes}", excerpt(argument)))
    };
    match &request.r#ref {
        Reference::Prompt(reference) => {
            let prompt = named(offered(toolset), &reference.name)?;
            match prompt.arguments.iter().find(|known| known.name == argument) {
                Some(known) => Ok(match known.completes {
                    Completes::Batches => Candidates::Batches,
                    Completes::Words(words) => Candidates::Words(words),
                    Completes::Nothing => Candidates::Words(&[]),
                }),
                None => {
                    let takes: Vec<&str> = prompt.arguments.iter().map(|known| known.name).collect();
                    Err(unknown(prompt.name, &takes.join(", ")))
                }
            }
        }
        Reference::Resource(reference) if toolset == Toolset::All => match (reference.uri.as_str(), argument)
        {
            (BATCH | CHUNK, "id") => Ok(Candidates::Batches),
            (TASK, "id") => Ok(Candidates::Tasks),
            (CHUNK, "n") => {
                let given = request.context.as_ref().and_then(|context| context.get_argument("id"));
                Ok(Candidates::Chunks(given.and_then(|id| id.parse().ok())))
            }
            (BATCH | TASK, _) => Err(unknown(&reference.uri, "id")),
            (CHUNK, _) => Err(unknown(CHUNK, "id, n")),
            (other, _) => Err(Error::not_found(format!(
                "'{}' is no resource template of tasktally; there are {}",
                excerpt(other),
                resources::addresses()
            ))),
        },
        Reference::Resource(_) => {
            Err(Error::not_found("this server offers a worker's tools and no resources"))
        }
        _ => Err(Error::invalid("ref: only ref/prompt and ref/resource can be completed")),
    }
}
