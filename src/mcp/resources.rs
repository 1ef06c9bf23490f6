//! Resources: batches, tasks and chunks, each with an address. Reading one returns the reply of the matching tool.

use rmcp::model::{ReadResourceResult, Resource, ResourceContents, ResourceTemplate};
use serde_json::{Value, json};

use super::operation_call::call_operation;
use crate::error::{Code, Error, Result};
use crate::model::id::TaskId;
use crate::model::text::excerpt;
use crate::ops::{self, Session, WatchedObject};

const JSON: &str = "application/json";

/// A kind of resource.
struct ResourceKind {
    /// The address, with variables in braces.
    uri: &'static str,
    name: &'static str,
    about: &'static str,
}

/// The address of a batch.
pub(super) const BATCH: &str = "tasktally://batches/{id}";
/// The address of a task.
pub(super) const TASK: &str = "tasktally://tasks/{id}";
/// The address of a batch's chunk by its number.
pub(super) const CHUNK: &str = "tasktally://batches/{id}/chunks/{n}";

/// Every kind of resource.
static TEMPLATES: &[ResourceKind] = &[
    ResourceKind { uri: BATCH, name: "batch", about: "A batch's progress, the reply of get_batch(id)" },
    ResourceKind { uri: TASK, name: "task", about: "A task with its body, the reply of get_task(id)" },
    ResourceKind {
        uri: CHUNK,
        name: "chunk",
        about: "Chunk number n of the batch with its open items: the reply of get_task(id)",
    },
];

/// A parsed address of a resource.
#[derive(Debug, PartialEq, Eq)]
enum Address {
    Batch(TaskId),
    Task(TaskId),
    Chunk(TaskId, u64),
}

/// The templates that `resources/templates/list` returns.
pub(super) fn templates() -> Vec<ResourceTemplate> {
    TEMPLATES
        .iter()
        .map(|template| {
            ResourceTemplate::new(template.uri, template.name)
                .with_description(template.about)
                .with_mime_type(JSON)
        })
        .collect()
}

/// All kinds of addresses, for a message.
pub(super) fn addresses() -> String {
    TEMPLATES.iter().map(|template| template.uri).collect::<Vec<_>>().join(", ")
}

/// The batches of the overview. Tasks and chunks are not listed: there may be very many.
pub(super) fn list(session: &Session) -> Result<Vec<Resource>> {
    let overview = call("get_batch", session, json!({}))?;
    // A server for one batch answers with that batch.
    let one = overview.get("batch").into_iter();
    let batches = overview["batches"].as_array().into_iter().flatten().chain(one);
    let text = |batch: &Value, name: &str| batch[name].as_str().unwrap_or_default().to_owned();
    Ok(batches
        .map(|batch| {
            let id = text(batch, "id");
            // The title is an agent's text, so it appears in the title field only.
            Resource::new(BATCH.replace("{id}", &id), format!("batch-{id}"))
                .with_title(excerpt(&text(batch, "title")))
                .with_description(format!("{} of {} items processed", batch["processed"], batch["total"]))
                .with_mime_type(JSON)
        })
        .collect())
}

/// Reads the resource at an address.
pub(super) fn read(session: &Session, uri: &str) -> Result<ReadResourceResult> {
    let object = match parse(uri)? {
        Address::Batch(id) => reply("get_batch", session, &id)?,
        Address::Task(id) => reply("get_task", session, &id)?,
        Address::Chunk(batch, number) => reply("get_task", session, &ops::chunk_id(session, batch, number)?)?,
    };
    let contents = ResourceContents::text(object.to_string(), uri).with_mime_type(JSON);
    Ok(ReadResourceResult::new(vec![contents]))
}

/// The object whose changes a subscription to an address reports.
pub(super) fn watched_object(session: &Session, uri: &str) -> Result<WatchedObject> {
    let address = parse(uri)?;
    let (Address::Batch(id) | Address::Task(id) | Address::Chunk(id, _)) = &address;
    ops::check_in_scope(session, id)?;
    Ok(match address {
        Address::Batch(id) => WatchedObject::Batch(id),
        Address::Task(id) => WatchedObject::Task(id),
        Address::Chunk(batch, number) => WatchedObject::Task(ops::chunk_id(session, batch, number)?),
    })
}

/// Whether the text is a valid address.
pub(super) fn is_address(uri: &str) -> bool {
    parse(uri).is_ok()
}

fn reply(operation: &str, session: &Session, id: &TaskId) -> Result<Value> {
    call(operation, session, json!({ "id": id }))
}

fn call(operation: &str, session: &Session, arguments: Value) -> Result<Value> {
    let entry = ops::find_operation(operation)
        .ok_or_else(|| Error::new(Code::Internal, format!("there is no operation {operation}")))?;
    call_operation(entry, session, arguments)
}

fn parse(uri: &str) -> Result<Address> {
    let unknown = || {
        Error::not_found(format!(
            "'{}' is not a resource of this server; the addresses are {}",
            excerpt(uri),
            addresses()
        ))
    };
    let id = |text: &str| {
        text.parse::<TaskId>().map_err(|reason| Error::invalid(format!("{}: {reason}", excerpt(uri))))
    };
    let path = uri.strip_prefix("tasktally://").ok_or_else(unknown)?;
    match path.split('/').collect::<Vec<_>>().as_slice() {
        ["batches", batch] => Ok(Address::Batch(id(batch)?)),
        ["tasks", task] => Ok(Address::Task(id(task)?)),
        ["batches", batch, "chunks", number] => {
            let number = number.parse().ok().filter(|number| *number > 0).ok_or_else(|| {
                Error::invalid(format!(
                    "{}: '{}' is not a chunk number, which is a whole number from 1",
                    excerpt(uri),
                    excerpt(number)
                ))
            })?;
            Ok(Address::Chunk(id(batch)?, number))
        }
        _ => Err(unknown()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_parsed_or_refused() {
        let id = || TaskId::stored("abc".into());
        let check = |uri: &str, expected: Option<Address>| assert_eq!(parse(uri).ok(), expected, "{uri}");
        check("tasktally://batches/abc", Some(Address::Batch(id())));
        check("tasktally://tasks/abc", Some(Address::Task(id())));
        check("tasktally://batches/abc/chunks/7", Some(Address::Chunk(id(), 7)));
        check("tasktally://batches/abc/chunks/07", Some(Address::Chunk(id(), 7)));
        check("tasktally://batches/abc/chunks/0", None);
        check("tasktally://batches/abc/chunks/-1", None);
        check("tasktally://batches/../etc", None);
        check("tasktally://tasks/a%2Fb", None);
        check("tasktally://tasks/", None);
        check("file:///etc/passwd", None);
        check("", None);
    }
}
