//! The prompts that a client can list and get.

use rmcp::model::{
    GetPromptRequestParams, GetPromptResult, Prompt as Definition, PromptArgument, PromptMessage, Role,
};

use super::tools::Toolset;
use crate::error::Result;
use crate::ops::{Session, prompt_needs};
use crate::prompts::{ALL, Facts, Prompt, find_prompt};

/// The prompts that a toolset offers.
pub(super) fn offered(toolset: Toolset) -> impl Iterator<Item = &'static Prompt> + Clone {
    ALL.iter().filter(move |prompt| toolset == Toolset::All || prompt.for_workers)
}

/// The definitions that `prompts/list` returns.
pub(super) fn definitions(toolset: Toolset) -> Vec<Definition> {
    offered(toolset).map(definition).collect()
}

fn definition(prompt: &Prompt) -> Definition {
    let arguments = prompt
        .arguments
        .iter()
        .map(|argument| {
            PromptArgument::new(argument.name)
                .with_description(argument.about)
                .with_required(argument.required)
        })
        .collect();
    Definition::new(prompt.name, Some(prompt.about), Some(arguments)).with_title(prompt.title)
}

/// A prompt with its arguments filled in, for its batch and for a client with or without the tasks extension.
pub(super) fn get(
    session: &Session,
    toolset: Toolset,
    request: GetPromptRequestParams,
    has_tasks: bool,
) -> Result<GetPromptResult> {
    let prompt = find_prompt(offered(toolset), &request.name)?;
    let arguments = request.arguments.unwrap_or_default();
    let mut facts = Facts { has_tasks, ..Facts::NONE };
    if let Some(batch) = prompt.batch(&arguments) {
        facts.worker = prompt_needs(session, batch)?;
    }
    let text = prompt.render(&arguments, &facts)?;
    Ok(GetPromptResult::new(vec![PromptMessage::new_text(Role::User, text)]).with_description(prompt.about))
}
