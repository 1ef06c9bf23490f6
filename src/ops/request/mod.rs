//! Turns a request into typed values: arguments, schema, help, scope of a worker, idempotency key, progress.

pub mod args;
pub(in crate::ops) mod fields;
pub(in crate::ops) mod help;
pub(in crate::ops) mod idempotency;
pub(in crate::ops) mod lookup;
pub(in crate::ops) mod progress;
pub(in crate::ops) mod schema;
pub(in crate::ops) mod since;
pub(in crate::ops) mod worker_scope;
