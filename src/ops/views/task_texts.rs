//! The texts of a task in a reply: its initial text and its receipts, apart and as one body.

use schemars::JsonSchema;
use serde::Serialize;

use super::page_bytes::json_bytes;
use super::task::TaskView;
use super::task_part_name::Part;
use crate::error::Result;
use crate::model::author::AuthorKind;
use crate::model::body::{self, SEPARATOR};
use crate::model::receipt::Receipt;
use crate::model::status::ItemReport;
use crate::model::task::Task;
use crate::store::StoreRead;

/// The most bytes of a page of texts. Every text is there twice: by itself and in the body.
const PAGE_BYTES: usize = 34_000;
/// The most bytes of a page with small texts only; two receipts of this size are two pages.
const USUAL_BYTES: usize = 28_000;
/// The most bytes of an initial text that is not left out.
const INITIAL_BYTES: usize = 16_000;
/// The most bytes of a receipt whose text is not left out.
const RECEIPT_BYTES: usize = PAGE_BYTES - INITIAL_BYTES;

/// A receipt of a task in a reply.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::ops) struct TaskReceipt {
    /// The receipt's number in the task.
    number: u64,
    /// When the receipt was written.
    at: String,
    /// Who wrote the receipt.
    author: String,
    /// What its author is; absent if the store does not know it.
    #[serde(skip_serializing_if = "Option::is_none")]
    author_kind: Option<AuthorKind>,
    /// The text; absent if it is too long.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// The key of the item that the receipt reports on.
    #[serde(skip_serializing_if = "Option::is_none")]
    item: Option<String>,
    /// What the receipt reports on the item.
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<ItemReport>,
    /// The category of the item.
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<String>,
    /// The step in which the receipt was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<String>,
    /// Whether the receipt came with a lost claim: it is kept and not counted.
    late: bool,
    /// Why there is no text, and the call that returns it.
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out: Option<String>,
}

/// A task with its texts.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::ops) struct TaskWithTexts {
    #[serde(flatten)]
    pub(in crate::ops) task: TaskView,
    /// The text with which the task was created; on the first page, and absent if it is too long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::ops) initial_text: Option<String>,
    /// A page of its receipts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::ops) receipts: Option<Vec<TaskReceipt>>,
}

/// A page of a task's texts.
pub(in crate::ops) struct TaskTexts {
    pub(in crate::ops) initial_text: Option<String>,
    pub(in crate::ops) receipts: Vec<TaskReceipt>,
    pub(in crate::ops) body: String,
    /// The number of the last receipt, if more follow.
    pub(in crate::ops) next: Option<u64>,
    /// The call that returns the initial text, if that is left out.
    pub(in crate::ops) left_out: Option<String>,
}

impl TaskTexts {
    /// The initial text on the first page, and at most `limit` receipts after number `after`.
    pub(in crate::ops) fn read(tx: &dyn StoreRead, task: &Task, after: u64, limit: usize) -> Result<Self> {
        let mut page = TaskTexts {
            initial_text: None,
            receipts: Vec::new(),
            body: String::new(),
            next: None,
            left_out: None,
        };
        let mut bytes = if after == 0 { page.add_initial_text(tx, task)? } else { 0 };
        for (count, receipt) in tx.receipts(task.row, after, limit + 1)?.into_iter().enumerate() {
            let (number, (view, entry)) = (receipt.number, shown(task, receipt));
            bytes += json_bytes(&view) + json_bytes(&entry);
            if count == limit || (count > 0 && bytes > USUAL_BYTES) {
                page.next = Some(number - 1);
                break;
            }
            if !page.body.is_empty() {
                page.body.push_str(SEPARATOR);
            }
            page.body.push_str(&entry);
            page.receipts.push(view);
        }
        Ok(page)
    }

    /// Adds the initial text. Returns how many bytes it takes.
    fn add_initial_text(&mut self, tx: &dyn StoreRead, task: &Task) -> Result<usize> {
        let text = tx.initial_text(task.row)?;
        let entry = body::initial_text(&text);
        let bytes = json_bytes(&text) + json_bytes(&entry);
        if bytes <= INITIAL_BYTES {
            (self.initial_text, self.body) = (Some(text), entry);
            return Ok(bytes);
        }
        let call = Part::InitialText.call(&task.id);
        self.body = format!("[initial text of {} bytes left out: {call} returns it]", text.len());
        self.left_out = Some(call);
        Ok(json_bytes(&self.body))
    }
}

/// A receipt by itself and in the body; without its text if that is too long.
fn shown(task: &Task, receipt: Receipt) -> (TaskReceipt, String) {
    let entry = body::receipt_with_text(&receipt);
    let bytes = receipt.text.len();
    let (number, view) = (receipt.number, view(receipt.clone()));
    if json_bytes(&view) + json_bytes(&entry) <= RECEIPT_BYTES {
        return (view, entry);
    }
    let why = format!("text of {bytes} bytes left out: {} returns it", Part::Receipt(number).call(&task.id));
    let entry = body::receipt_without_text(&receipt, &why);
    (TaskReceipt { text: None, left_out: Some(why), ..view }, entry)
}

fn view(receipt: Receipt) -> TaskReceipt {
    TaskReceipt {
        number: receipt.number,
        at: receipt.at.to_string(),
        author: receipt.author,
        author_kind: receipt.author_kind,
        text: Some(receipt.text),
        item: receipt.item,
        outcome: receipt.outcome,
        category: receipt.category,
        step: receipt.step,
        late: receipt.late,
        left_out: None,
    }
}
