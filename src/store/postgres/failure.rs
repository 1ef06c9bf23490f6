//! Why a statement failed: whether it may be repeated, and what a caller is told.

use tokio_postgres::error::SqlState;

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
            let told = Error::internal("the connection to the database ended", error);
            return if is_local { Failure::Refused(told) } else { Failure::ConnectionLost(told) };
        };
        let told = describe(&state, error);
        match state.code() {
            // Serialization failure, deadlock.
            "40001" | "40P01" => Failure::RolledBack(told),
            // Connection exceptions; the server stops, starts, or ended this connection; it is a standby now.
            "57P01" | "57P02" | "57P03" | "57P05" | "25006" => Failure::ConnectionLost(told),
            code if code.starts_with("08") => Failure::ConnectionLost(told),
            _ => Failure::Refused(told),
        }
    }

    /// What a caller is told.
    pub(super) fn into_error(self) -> Error {
        match self {
            Failure::ConnectionLost(error)
            | Failure::RolledBack(error)
            | Failure::Refused(error)
            | Failure::Unknown(error) => error,
        }
    }

    /// What a caller is told, where the failure is still needed.
    pub(super) fn error(&self) -> Error {
        match self {
            Failure::ConnectionLost(error)
            | Failure::RolledBack(error)
            | Failure::Refused(error)
            | Failure::Unknown(error) => error.copy(),
        }
    }
}

/// Whether a cause is about a value of a row or a parameter, and not about the connection.
fn is_conversion(cause: &(dyn std::error::Error + 'static)) -> bool {
    cause.downcast_ref::<std::io::Error>().is_none()
}

fn describe(state: &SqlState, error: tokio_postgres::Error) -> Error {
    let said = error.as_db_error().map_or_else(|| error.to_string(), |error| error.message().to_owned());
    let (code, message) = match state.code() {
        "25006" => (
            Code::ReadOnly,
            format!(
                "the database accepts no writes: {said}. Name the primary server, or add target_session_attrs=read-write and all hosts to the address of the store"
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
    Error::new(code, message).caused_by(error)
}
