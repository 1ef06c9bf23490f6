//! The domain types (task, receipt, claim, batch) and all rules on them. Pure: no SQL, no clock, no I/O.

#[macro_use]
mod macros;

pub mod author;
pub mod batch;
pub mod body;
pub mod chain;
pub mod checklist;
pub mod chunk_list;
pub mod claim;
pub mod claim_rules;
pub mod completion;
pub mod conflict;
pub mod cost;
pub mod duration_text;
pub mod exact_json;
pub mod extend;
pub mod failure_streak;
pub mod failures;
pub mod fair_share;
pub mod field;
pub mod hidden;
pub mod id;
pub mod in_doubt;
pub mod item_date;
pub mod item_report;
pub mod json_limits;
pub mod late_receipts;
pub mod limits;
pub mod max_failures;
pub mod merge;
pub mod receipt;
pub mod resource;
pub mod retry;
pub mod run_record;
pub mod script_argument;
pub mod search_text;
pub mod split;
pub mod status;
pub mod step;
pub mod stretch;
pub mod task;
pub mod text;
pub mod timestamp;
pub mod wait;
pub mod worker_output;
pub mod worker_scope;
