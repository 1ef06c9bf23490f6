//! What a store is made of, table by table: the one list that exports and imports go by. A test holds
//! it to the schema, so that what a migration adds cannot be forgotten here.

use std::str::FromStr;

use crate::model::conflict::OnConflict;
use crate::model::id::TaskId;
use crate::model::in_doubt::InDoubt;
use crate::model::status::{Complexity, ItemReport, Kind, Outcome, Status};
use crate::model::step::Checkpoint;

/// What a column holds, which tells how it stands in a line.
#[derive(Clone, Copy)]
pub(super) enum Holds {
    /// A text.
    Text,
    /// A text that must be one of some words, or be built in a certain way.
    Word(fn(&str) -> Result<(), String>),
    /// A number.
    Number,
    /// 0 or 1: false or true.
    Flag,
    /// Milliseconds: a time.
    Time,
    /// JSON as text: the value itself.
    Json,
    /// Bytes: hexadecimal digits.
    Bytes,
    /// The row of a task: the task's id.
    Task,
}

/// A column and what it holds.
pub(super) type Column = (&'static str, Holds);

/// A table; its name tells what a line is of.
pub(super) struct Table {
    pub(super) name: &'static str,
    /// The columns by which its lines are ordered.
    pub(super) order: &'static str,
    pub(super) columns: &'static [Column],
}

fn is<T: FromStr<Err = String>>(word: &str) -> Result<(), String> {
    word.parse::<T>().map(|_| ())
}

use Holds::{Bytes, Flag, Json, Number, Task, Text, Time, Word};

/// Every table that is moved, each after those that it refers to.
pub(super) const TABLES: &[Table] = &[
    Table {
        name: "task",
        order: "n",
        columns: &[
            ("n", Number),
            ("id", Word(is::<TaskId>)),
            ("title", Text),
            ("type", Word(is::<Kind>)),
            ("status", Word(is::<Status>)),
            ("priority", Number),
            ("position", Number),
            ("project", Text),
            ("parent", Task),
            ("assignee", Text),
            ("due", Time),
            ("tags", Json),
            ("effort", Text),
            ("context", Text),
            ("complexity", Word(is::<Complexity>)),
            ("role", Text),
            ("opening", Text),
            ("boxes", Flag),
            ("receipts", Number),
            ("blockers", Number),
            ("needs", Number),
            ("holds", Number),
            ("held_until", Time),
            ("created", Time),
            ("updated", Time),
            ("changed", Number),
            ("moved", Number),
            ("generation", Number),
            ("worker", Text),
            ("token", Text),
            ("since", Time),
            ("expires", Time),
            ("lease", Number),
        ],
    },
    Table {
        name: "tally",
        order: "project, lane, type, priority",
        columns: &[
            ("project", Text),
            ("lane", Text),
            ("type", Word(is::<Kind>)),
            ("priority", Number),
            ("count", Number),
        ],
    },
    Table {
        name: "dependency",
        order: "task, soft, needs",
        columns: &[("task", Task), ("needs", Task), ("soft", Flag), ("position", Number)],
    },
    Table {
        name: "receipt",
        order: "n",
        columns: &[
            ("n", Number),
            ("task", Task),
            ("number", Number),
            ("at", Time),
            ("author", Text),
            ("text", Text),
            ("item", Text),
            ("outcome", Word(is::<ItemReport>)),
            ("category", Text),
            ("late", Flag),
            ("step", Text),
            ("model", Text),
            ("tokens_in", Number),
            ("tokens_out", Number),
            ("cost", Number),
            ("hash", Bytes),
        ],
    },
    Table {
        name: "batch",
        order: "task",
        columns: &[
            ("task", Task),
            ("instructions", Text),
            ("key", Text),
            ("split", Text),
            ("max_chunk", Number),
            ("max_parallel", Number),
            ("max_attempts", Number),
            ("command", Json),
            ("chunks", Number),
            ("ended", Number),
            ("unsuccessful", Number),
            ("total", Number),
            ("done", Number),
            ("failed", Number),
            ("skipped", Number),
            ("started", Time),
            ("steps", Json),
            ("checkpoint", Word(is::<Checkpoint>)),
            ("auto_approve", Number),
            ("approved", Number),
            ("max_failures", Text),
            ("forgiven", Number),
            ("paused", Text),
            ("finish", Task),
            ("in_doubt", Word(is::<InDoubt>)),
            ("worker", Text),
            ("on_conflict", Word(is::<OnConflict>)),
            ("resources", Json),
        ],
    },
    Table {
        name: "chunk",
        order: "task",
        columns: &[
            ("task", Task),
            ("batch", Task),
            ("number", Number),
            ("span", Text),
            ("attempts", Number),
            ("total", Number),
            ("done", Number),
            ("failed", Number),
            ("skipped", Number),
            ("step", Number),
            ("note", Text),
            ("accepted", Number),
            ("reasons", Text),
        ],
    },
    Table {
        name: "item",
        order: "chunk, position",
        columns: &[
            ("chunk", Task),
            ("position", Number),
            ("batch", Task),
            ("key", Text),
            ("fields", Json),
            ("outcome", Word(is::<Outcome>)),
            ("category", Text),
            ("receipt", Number),
            ("step", Number),
            ("started", Number),
            ("started_under", Number),
        ],
    },
    Table {
        name: "earlier",
        order: "chunk, position, step",
        columns: &[
            ("chunk", Task),
            ("position", Number),
            ("step", Number),
            ("outcome", Word(is::<Outcome>)),
            ("category", Text),
            ("receipt", Number),
        ],
    },
    Table {
        name: "category",
        order: "task, name",
        columns: &[("task", Task), ("name", Text), ("count", Number)],
    },
    Table {
        name: "spent",
        order: "task, kind, name",
        columns: &[
            ("task", Task),
            ("kind", Text),
            ("name", Text),
            ("tokens_in", Number),
            ("tokens_out", Number),
            ("cost", Number),
        ],
    },
    Table {
        name: "batch_receipt",
        order: "batch, changed",
        columns: &[("batch", Task), ("changed", Number), ("receipt", Number)],
    },
    Table {
        name: "touch",
        order: "batch, layer, last",
        columns: &[("batch", Task), ("layer", Number), ("last", Text), ("entries", Text)],
    },
    Table {
        name: "interlock",
        order: "chunk, key, project",
        columns: &[("chunk", Task), ("key", Text), ("beneath", Flag), ("project", Text)],
    },
    Table {
        name: "held",
        order: "project, key, chunk",
        columns: &[("project", Text), ("key", Text), ("chunk", Task), ("beneath", Flag)],
    },
    Table {
        name: "request",
        order: "key",
        columns: &[("key", Text), ("operation", Text), ("fingerprint", Bytes), ("reply", Json), ("at", Time)],
    },
    Table {
        name: "wait",
        order: "handle",
        columns: &[
            ("handle", Text),
            ("batch", Task),
            ("asked_by", Text),
            ("created", Time),
            ("updated", Time),
            ("ended", Time),
            ("cancelled", Time),
            ("said", Text),
        ],
    },
    Table {
        name: "wait_question",
        order: "handle, question",
        columns: &[("handle", Text), ("question", Text), ("tries", Number), ("declined", Flag)],
    },
    Table { name: "paused_profile", order: "name", columns: &[("name", Text), ("reason", Text)] },
];

/// Tables that are not moved, and why.
#[cfg(test)]
const LEFT_OUT: &[(&str, &str)] = &[
    ("runner", "processes of this machine: elsewhere, their mark would end somebody else's workers"),
    ("worker_start", "what was started here in the last minute"),
    ("task_text", "search, indexed anew"),
    ("receipt_text", "search, indexed anew"),
    ("indexed", "how far search is"),
    ("refinery_schema_history", "a new store has its own"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::store::sqlite::connection;
    use crate::store::sqlite::transfer::line::LINE;

    #[test]
    fn every_table_and_column_of_the_schema_is_moved_or_left_out_for_a_reason() {
        let folder = tempfile::tempdir().unwrap();
        let store = connection::open(&folder.path().join("tasktally.db")).unwrap();
        let names = |sql: &str, of: &str| -> BTreeSet<String> {
            let mut statement = store.prepare(sql).unwrap();
            statement.query_map([of], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
        };
        // What keeps a full-text index is no table of ours.
        let mut stored = names(
            "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'virtual')
                AND name NOT LIKE 'sqlite_%' AND ?1 = ''",
            "",
        );
        for (name, why) in LEFT_OUT {
            assert!(stored.remove(*name), "{name} is left out ({why}), and there is none");
        }
        let moved: BTreeSet<String> = TABLES.iter().map(|table| table.name.to_owned()).collect();
        assert_eq!(moved, stored, "each table is in TABLES or LEFT_OUT");
        for table in TABLES {
            let columns = names("SELECT name FROM pragma_table_info(?1)", table.name);
            let known: BTreeSet<String> = table.columns.iter().map(|(name, _)| (*name).to_owned()).collect();
            assert_eq!(known, columns, "{}", table.name);
            let key = names("SELECT name FROM pragma_table_info(?1) WHERE pk > 0", table.name);
            let order: BTreeSet<String> = table.order.split(", ").map(str::to_owned).collect();
            assert_eq!(order, key, "{}: ordered by its key", table.name);
            assert!(!columns.contains(LINE), "{}: a column is called as what tells lines apart", table.name);
        }
    }
}
