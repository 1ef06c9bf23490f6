//! The store in PostgreSQL, and the test cluster that it runs on.

#[path = "../support/mod.rs"]
mod support;

mod cluster;
mod doctor;
mod transfer;
