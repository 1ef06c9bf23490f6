//! Turns a request into typed values: arguments, their types, schema, help, lists on a command
//! line, scopes of servers and workers, idempotency key, progress.

pub mod args;
pub(in crate::ops) mod fields;
pub(in crate::ops) mod help;
pub(in crate::ops) mod idempotency;
pub(in crate::ops) mod lists;
pub(in crate::ops) mod lookup;
pub(in crate::ops) mod progress;
pub(in crate::ops) mod reserved_names;
pub(in crate::ops) mod schema;
pub(in crate::ops) mod serde_errors;
pub(in crate::ops) mod server_scope;
pub(in crate::ops) mod since;
pub(in crate::ops) mod types;
pub(in crate::ops) mod worker_scope;
