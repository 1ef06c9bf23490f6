//! Why a statement failed: whether it may be repeated, and the error for the caller.

use tokio_postgres::error::{DbError, Severity, SqlState};

use crate::error::{Code, Error};

/// A statement that failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The connection ended. What was sent last was executed or not.
    ConnectionLost(Error),
    /// PostgreSQL rolled the transaction back for the sake of another one. It may be repeated.
    RolledBack(Error),
    /// Anything else. Nothing of the transaction is kept.
    Refused(Error),
    /// The connection ended during a commit, and the database could not be asked whether it was done.
    Unknown(Error),
}

impl Failure {
    /// The failure that the client library reports.
    pub(super) fn of(error: tokio_postgres::Error) -> Self {
        let Some(state) = error.code().cloned() else {
            let is_local = !error.is_closed() && std::error::Error::source(&error).is_some_and(is_conversion);
            return if is_local {
                Failure::Refused(Error::internal("a value could not be read or sent", error))
            } else {
                Failure::ConnectionLost(ended(&error.to_string()))
            };
        };
        let said = server_message(&error);
        // PostgreSQL closes the connection after such an error. At a commit, only asking shows whether it was done.
        let is_fatal = error
            .as_db_error()
            .and_then(DbError::parsed_severity)
            .is_some_and(|severity| matches!(severity, Severity::Fatal | Severity::Panic));
        match state.code() {
            // Serialization failure, deadlock.
            "40001" | "40P01" => Failure::RolledBack(describe(&state, said)),
            // The server stops, starts, or ended this connection. A connection pooler may leave the severity out.
            "57P01" | "57P02" | "57P03" | "57P05" => Failure::ConnectionLost(ended(&said)),
            code if is_fatal || code.starts_with("08") => Failure::ConnectionLost(ended(&said)),
            _ => Failure::Refused(describe(&state, said)),
        }
    }

    /// The error for the caller.
    pub(super) fn into_error(self) -> Error {
        match self {
            Failure::ConnectionLost(error)
            | Failure::RolledBack(error)
            | Failure::Refused(error)
            | Failure::Unknown(error) => error,
        }
    }

    /// A copy of the error for the caller.
    pub(super) fn error(&self) -> Error {
        match self {
            Failure::ConnectionLost(error)
            | Failure::RolledBack(error)
            | Failure::Refused(error)
            | Failure::Unknown(error) => error.copy(),
        }
    }
}

/// What the server said.
pub(super) fn server_message(error: &tokio_postgres::Error) -> String {
    error.as_db_error().map_or_else(|| error.to_string(), |error| error.message().to_owned())
}

/// Whether a cause is about a value of a row or a parameter, and not about the connection.
fn is_conversion(cause: &(dyn std::error::Error + 'static)) -> bool {
    cause.downcast_ref::<std::io::Error>().is_none()
}

fn ended(why: &str) -> Error {
    Error::new(Code::Busy, format!("the connection to the database ended ({why}); try again"))
}

fn describe(state: &SqlState, said: String) -> Error {
    let (code, message) = match state.code() {
        "25006" => (
            Code::ReadOnly,
            format!(
                "the database accepts no writes; nothing was changed: {said}. Check default_transaction_read_only of the role and the database, and that the server is the primary one"
            ),
        ),
        "53100" => (
            Code::Internal,
            format!(
                "the disk of the database is full; nothing was changed: {said}. Free some space there and try again"
            ),
        ),
        "42501" => (
            Code::ReadOnly,
            format!(
                "the role lacks a right: {said}. Ask the database's administrator for it; `tasktally db schema` prints the rights that Tasktally needs"
            ),
        ),
        "57014" | "55P03" => (
            Code::Busy,
            format!(
                "the database gave up waiting; nothing was changed: {said}. Try again; check statement_timeout and lock_timeout if it happens often"
            ),
        ),
        "42P01" | "42703" | "42883" => (
            Code::Internal,
            format!(
                "the tables in the database are not those of a store: {said}. Another program changed them, or the search_path names another schema; `tasktally doctor` shows the difference"
            ),
        ),
        // Of the function `refuse_unless`.
        "TT001" => (Code::Conflict, said),
        "22021" => (Code::InvalidArgument, format!("the database cannot store a text: {said}")),
        _ => (Code::Internal, format!("the database refused a statement: {said}")),
    };
    Error::new(code, message)
}
