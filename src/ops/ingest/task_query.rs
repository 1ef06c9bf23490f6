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

/// Reads the filters, with the conversions that arguments have: the tool's schema leaves out their types.
fn filters<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Filters, D::Error> {
    let mut value = Value::deserialize(deserializer)?;
    if let Value::String(text) = &value
        && let Ok(object) = parse_exact(text)
    {
        value = object;
    }
    if let Value::Object(fields) = &mut value {
        convert_fields(fields, &parameter_types::<Filters>());
    }
    serde_path_to_error::deserialize(value).map_err(|error| {
        let (path, reason) = (error.path().to_string(), error.inner().to_string());
        // The message about an unknown field names the field.
        let is_named = path == "." || reason.starts_with("unknown field");
        serde::de::Error::custom(if is_named { reason } else { format!("{path}: {reason}") })
    })
}

impl FromStr for Query {
    type Err = Error;

    /// Reads the text of a JSON object.
    fn from_str(text: &str) -> Result<Self> {
        serde_json::from_str(text).map_err(|error| {
            Error::invalid(format!(
                "query: '{}' is not an object with filters of list_tasks(), such as {{\"status\": \"active\"}}: {error}",
                excerpt(text)
            ))
        })
    }
}

inline_schema!(Query, {"type": "object"});

impl Query {
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
    let mut body = tx.preview(task.row, BODY_CHARS + 1)?;
    if let Some((end, _)) = body.char_indices().nth(BODY_CHARS) {
        body.truncate(end);
        body.push('…');
    }
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
