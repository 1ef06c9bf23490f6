//! `tasktally manifest`: the MCPB manifest, which describes this server to an installer of MCP bundles.

use std::io::Write;

use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::mcp::{Toolset, definitions};
use crate::ops::ServerScope;
use crate::prompts;
use crate::terminal::print_line;

/// The prompts with their required arguments.
fn prompts() -> Vec<Value> {
    prompts::ALL
        .iter()
        .map(|prompt| {
            let required: Vec<&str> = prompt
                .arguments
                .iter()
                .filter(|argument| argument.required)
                .map(|argument| argument.name)
                .collect();
            json!({
                "name": prompt.name,
                "description": prompt.about,
                "arguments": required,
                "text": prompt.template(),
            })
        })
        .collect()
}

/// Prints the manifest.
pub(super) fn run(out: &mut impl Write) -> Result<u8> {
    let tools: Vec<_> = definitions(Toolset::All, &ServerScope::default())
        .into_iter()
        .map(|tool| (tool.name.into_owned(), tool.description.unwrap_or_default().into_owned()))
        .collect();
    let text = serde_json::to_string_pretty(&manifest(&tools))
        .map_err(|error| Error::internal("the manifest could not be written as JSON", error))?;
    print_line(out, &text)?;
    Ok(0)
}

/// The manifest for these tools, each a name and a description.
fn manifest(tools: &[(String, String)]) -> Value {
    let tools: Vec<Value> =
        tools.iter().map(|(name, description)| json!({ "name": name, "description": description })).collect();
    json!({
        "manifest_version": "0.3",
        "name": env!("CARGO_PKG_NAME"),
        "display_name": "Tasktally",
        "version": env!("CARGO_PKG_VERSION"),
        "description": env!("CARGO_PKG_DESCRIPTION"),
        "author": { "name": "The Tasktally developers" },
        "license": env!("CARGO_PKG_LICENSE"),
        "keywords": ["tasks", "agents", "batch", "sqlite"],
        "server": {
            "type": "binary",
            "entry_point": "server/tasktally",
            "mcp_config": {
                "command": "${__dirname}/server/tasktally",
                "args": ["serve", "--db", "${user_config.db}"],
                "env": {},
            },
        },
        "tools": tools,
        "prompts": prompts(),
        "compatibility": { "platforms": ["darwin", "linux"] },
        "user_config": {
            // Not of type "file": an installer would require an existing file, but the first start creates it.
            "db": {
                "type": "string",
                "title": "Task file",
                "description": "The SQLite file that holds the tasks. The first start creates it. All agents that name the same file share its tasks.",
                "default": "${HOME}/.local/share/tasktally/tasktally.db",
                "required": true,
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::manifest;

    #[test]
    fn every_tool_is_listed_in_order() {
        let tools = [("b".to_owned(), "second".to_owned()), ("a".to_owned(), "first".to_owned())];
        let manifest = manifest(&tools);
        assert_eq!(manifest["tools"][0]["name"], "b");
        assert_eq!(manifest["tools"][1]["description"], "first");
        assert_eq!(manifest["version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(manifest["prompts"][1]["arguments"], serde_json::json!(["batch"]));
        let text = manifest["prompts"][1]["text"].as_str().unwrap_or_default();
        assert!(text.contains("claim_task(batch=\"${arguments.batch}\""), "{text}");
    }
}
