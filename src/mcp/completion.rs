//! Completion: ids, chunk numbers and words for an argument that a person is typing in a client.

use rmcp::model::{CompleteRequestParams, CompletionInfo, Reference};

use super::prompts::offered;
use super::resources::{self, BATCH, CHUNK, TASK};
use super::tools::Toolset;
use crate::error::{Error, Result};
use crate::model::id::TaskId;
use crate::model::text::excerpt;
use crate::ops::{self, Session};
use crate::prompts::{Suggestions, find_prompt};

/// Where the suggested values come from.
enum Candidates {
    Batches,
    Tasks,
    Chunks(Option<TaskId>),
    Words(&'static [&'static str]),
}

/// The possible values of an argument that start with the typed text.
pub(super) fn complete(
    session: &Session,
    toolset: Toolset,
    request: &CompleteRequestParams,
) -> Result<CompletionInfo> {
    let typed = request.argument.value.as_str();
    // One more than the protocol allows, to find out whether there are more.
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
        Error::invalid(format!("{what} has no argument '{}'; its arguments are {takes}", excerpt(argument)))
    };
    match &request.r#ref {
        Reference::Prompt(reference) => {
            let prompt = find_prompt(offered(toolset), &reference.name)?;
            match prompt.arguments.iter().find(|known| known.name == argument) {
                Some(known) => Ok(match known.suggestions {
                    Suggestions::Batches => Candidates::Batches,
                    Suggestions::Words(words) => Candidates::Words(words),
                    Suggestions::Nothing => Candidates::Words(&[]),
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
                let batch = request.context.as_ref().and_then(|context| context.get_argument("id"));
                Ok(Candidates::Chunks(batch.and_then(|id| id.parse().ok())))
            }
            (BATCH | TASK, _) => Err(unknown(&reference.uri, "id")),
            (CHUNK, _) => Err(unknown(CHUNK, "id, n")),
            (other, _) => Err(Error::not_found(format!(
                "'{}' is not a resource template of this server; the templates are {}",
                excerpt(other),
                resources::addresses()
            ))),
        },
        Reference::Resource(_) => {
            Err(Error::not_found("this server has the worker toolset, which offers no resources"))
        }
        _ => Err(Error::invalid("ref: allowed are ref/prompt and ref/resource")),
    }
}
