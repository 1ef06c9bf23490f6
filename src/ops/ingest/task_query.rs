//! Tasks as the items of a batch: those that match the filters of `list_tasks` when the batch is created.

use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};

use crate::error::{Error, Result};
use crate::items::{Item, ItemOrigin, from_fields};
use crate::model::exact_json::parse_exact;
use crate::model::id::TaskId;
use crate::model::limits::{PAGE_ROWS, Priority};
use crate::model::status::{Status, TaskType};
use crate::model::task::Task;
use crate::model::text::{LineText, excerpt};
use crate::ops::request::fields::{non_empty, parse_tags};
use crate::ops::request::lookup::find_task;
use crate::ops::request::schema::parameter_types;
use crate::ops::request::serde_errors::{in_plain_words, unknown_name};
use crate::ops::request::types::convert_fields;
use crate::store::{StoreRead, TaskFilter};

/// The field that holds a task's id.
const KEY: &str = "key";
/// The most characters of a task's body in an item; `get_task` returns all of it.
const BODY_CHARS: usize = 500;

/// The filters of `list_tasks`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Query(#[serde(deserialize_with = "filters")] Filters);

/// The filters by their names.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Filters {
    project: Option<LineText>,
    status: Option<Status>,
    #[serde(rename = "type")]
    task_type: Option<TaskType>,
    priority: Option<Priority>,
    priority_max: Option<Priority>,
    assignee: Option<LineText>,
    batch: Option<TaskId>,
    parent: Option<TaskId>,
    ready: Option<bool>,
    #[serde(default)]
    tags: Vec<LineText>,
}

/// Parameters of `list_tasks` that choose a page.
const PAGING: [&str; 3] = ["since", "cursor", "limit"];
/// What filters look like.
const EXAMPLE: &str = "{\"status\": \"active\"}";

/// Reads the filters, with the conversions that arguments have: the tool's schema leaves out their types.
fn filters<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Filters, D::Error> {
    let value = match Value::deserialize(deserializer)? {
        Value::String(text) => parse_text(&text).map_err(serde::de::Error::custom)?,
        value => value,
    };
    filters_of(value).map_err(serde::de::Error::custom)
}

/// The value of a JSON text.
fn parse_text(text: &str) -> Result<Value, String> {
    parse_exact(text).map_err(|error| {
        let full = error.to_string();
        let what = full.split(" at line ").next().unwrap_or(&full);
        if error.is_data() {
            return what.to_owned();
        }
        format!("'{}' is not a JSON object; write filters such as {EXAMPLE}", excerpt(text))
    })
}

/// The filters in a value; an error is the reason why they are refused.
fn filters_of(value: Value) -> Result<Filters, String> {
    let Value::Object(mut fields) = value else {
        return Err(format!(
            "'{}' is not an object; write filters such as {EXAMPLE}",
            excerpt(&value.to_string())
        ));
    };
    convert_fields(&mut fields, &parameter_types::<Filters>());
    let fields = Value::Object(fields);
    serde_path_to_error::deserialize(&fields).map_err(|error| {
        let (path, reason) = (error.path().to_string(), error.inner().to_string());
        match reason.strip_prefix("unknown field `") {
            Some(unknown) => unknown_filter(unknown),
            None => format!("{path}: {}", in_plain_words(&reason, fields.get(&path))),
        }
    })
}

/// The reason for a name that is no filter; `unknown` is serde's message after "unknown field `".
fn unknown_filter(unknown: &str) -> String {
    let (name, suggestion, allowed) = unknown_name(unknown);
    if PAGING.contains(&name) {
        return format!(
            "'{name}' is not a filter: all tasks that match become items, and max_chunk limits the items of a chunk; leave '{name}' out"
        );
    }
    let allowed: Vec<String> = allowed.iter().map(|name| format!("'{name}'")).collect();
    format!(
        "'{}' is not a filter of list_tasks().{suggestion} Allowed: {}",
        excerpt(name),
        allowed.join(", ")
    )
}

impl FromStr for Query {
    type Err = Error;

    /// Reads the text of a JSON object.
    fn from_str(text: &str) -> Result<Self> {
        parse_text(text).and_then(filters_of).map(Query).map_err(Error::invalid)
    }
}

// Some clients' converters make an object without properties an empty closed one. The usual filters are listed; batch,
// priority and tags are accepted, too. LangChain requires the fields of an object that have no default from Gemini: an
// empty text is no filter, but the priority 0 is one.
inline_schema!(Query, {
    "type": "object",
    "properties": {
        "project": {"type": "string"},
        "status": {"type": "string"},
        "type": {"type": "string"},
        "priority_max": {"type": "integer", "default": 4},
        "assignee": {"type": "string"},
        "parent": {"type": "string"},
        "ready": {"type": "boolean"}
    }
});

impl Query {
    /// Whether it has no filter, except for the 0 and false of clients that fill every field.
    pub(in crate::ops) fn is_empty(&self) -> bool {
        serde_json::to_value(self).is_ok_and(|filters| match filters {
            Value::Object(filters) => {
                let as_absent = [Value::Null, json!([]), json!(false), json!(0)];
                filters.values().all(|value| as_absent.contains(value))
            }
            _ => false,
        })
    }

    /// Refuses any other key field than the default: the key of a task is its id.
    pub(in crate::ops) fn check_key_field(&self, key: &str) -> Result<()> {
        if key == KEY {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "key: '{}' is not allowed with query, because each item is a task and its key is the task's id; leave key out",
            excerpt(key)
        )))
    }

    /// Calls `visit` for every matching task, page by page, except batches and chunks.
    pub(in crate::ops) fn for_each(
        &self,
        tx: &dyn StoreRead,
        mut visit: impl FnMut(Item) -> Result<()>,
    ) -> Result<()> {
        let filter = self.filter(tx)?;
        let mut after = None;
        loop {
            let page = tx.list(&filter, after, PAGE_ROWS)?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some((last.priority, last.order, last.row));
            for task in page.iter().filter(|task| !task.is_batch && !task.is_chunk) {
                visit(item(tx, task)?)?;
            }
        }
    }

    fn filter(&self, tx: &dyn StoreRead) -> Result<TaskFilter> {
        let Filters { batch, parent, .. } = &self.0;
        // The chunks of a batch are its children, so `batch` is a parent too.
        let (above, field) = match (batch, parent) {
            (Some(batch), _) => (Some(batch), "query.batch"),
            (None, parent) => (parent.as_ref(), "query.parent"),
        };
        Ok(TaskFilter {
            project: non_empty(&self.0.project),
            status: Some(self.0.status.unwrap_or(Status::Active)),
            task_type: self.0.task_type,
            priority: self.0.priority.map(Priority::get),
            priority_max: self.0.priority_max.map(Priority::get),
            assignee: non_empty(&self.0.assignee),
            parent: above.map(|id| find_task(tx, id, field)).transpose()?.map(|task| task.row),
            ready: self.0.ready.unwrap_or(false),
            tags: parse_tags(&self.0.tags)?,
            ..TaskFilter::default()
        })
    }
}

/// The item for a task.
fn item(tx: &dyn StoreRead, task: &Task) -> Result<Item> {
    let body = tx.body_start(task.row, BODY_CHARS + 1)?.shown(BODY_CHARS);
    let fields = [
        (KEY, json!(task.id.as_str())),
        ("title", json!(task.title)),
        ("type", json!(task.task_type.as_str())),
        ("priority", json!(task.priority)),
        ("project", json!(task.project)),
        ("status", json!(task.status.as_str())),
        ("tags", json!(task.tags)),
        ("due", json!(task.due)),
        ("created", json!(task.created)),
        ("body", json!(body)),
    ];
    let fields: Map<String, Value> = fields
        .into_iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    from_fields(fields, KEY, ItemOrigin::Task(task.id.to_string())).map_err(Error::from)
}
