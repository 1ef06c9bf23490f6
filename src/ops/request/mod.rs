//! A request on its way to an operation: arguments, schema, scope, idempotency key, progress.

pub mod args;
pub(in crate::ops) mod help;
pub(in crate::ops) mod idempotency;
pub(in crate::ops) mod progress;
pub(in crate::ops) mod schema;
pub(in crate::ops) mod worker_scope;
