//! A page of rows of one table: a list for each column, which one statement inserts.

use super::columns::{has_column, insert, searched_columns};
use crate::error::{Code, Error, Result};
use crate::store::postgres::search_text::search_vector;
use crate::store::postgres::statement::Statement;
use crate::store::postgres::value::Value;
use crate::store::sqlite::transfer::Cell;
use crate::store::tables::{Storage, Table};

/// The most rows of a page.
const MAX_ROWS: usize = 1_000;
/// After how many bytes of texts a page is full.
const MAX_BYTES: usize = 2 << 20;

/// Rows that were not sent yet.
pub(super) struct Page<'a> {
    table: &'a Table,
    /// A list for each column that PostgreSQL has.
    lists: Vec<Value>,
    search: Vec<Option<String>>,
    rows: usize,
    bytes: usize,
}

impl<'a> Page<'a> {
    /// A page without rows.
    pub(super) fn new(table: &'a Table) -> Self {
        let columns = table.columns.iter().filter(|column| has_column(table, column));
        let list = |kind| match kind {
            Storage::Number => Value::Numbers(Vec::new()),
            Storage::Text => Value::Texts(Vec::new()),
            Storage::Bytes => Value::ByteLists(Vec::new()),
        };
        let lists = columns.map(|(_, kind)| list(kind.storage())).collect();
        Page { table, lists, search: Vec::new(), rows: 0, bytes: 0 }
    }

    /// Adds a row.
    ///
    /// # Errors
    /// If a cell has another type than its column.
    pub(super) fn push(&mut self, mut cells: Vec<Cell>) -> Result<()> {
        if self.table.name == "task" {
            leave_to_later(self.table, &mut cells);
        }
        if let Some((title, text)) = searched_columns(self.table) {
            let of = |name| match cell(self.table, &cells, name) {
                Some(Cell::Text(text)) => text.as_str(),
                _ => "",
            };
            self.search.push(Some(search_vector(title.map_or("", of), of(text))));
        }
        let columns = self.table.columns.iter().zip(cells);
        let columns = columns.filter(|(column, _)| has_column(self.table, column));
        for (list, ((name, _), cell)) in self.lists.iter_mut().zip(columns) {
            match (list, cell) {
                (Value::Numbers(list), Cell::Integer(number)) => list.push(Some(number)),
                (Value::Numbers(list), Cell::Null) => list.push(None),
                (Value::Texts(list), Cell::Text(text)) => {
                    self.bytes += text.len();
                    list.push(Some(text));
                }
                (Value::Texts(list), Cell::Null) => list.push(None),
                (Value::ByteLists(list), Cell::Blob(bytes)) => list.push(Some(bytes)),
                (Value::ByteLists(list), Cell::Null) => list.push(None),
                (_, cell) => {
                    let kind = cell.data_type();
                    let message = format!(
                        "column {name} of a row of {}: the type {kind} is not expected",
                        self.table.name
                    );
                    return Err(Error::new(Code::Internal, message));
                }
            }
        }
        self.rows += 1;
        Ok(())
    }

    /// Whether it should be sent now.
    pub(super) fn is_full(&self) -> bool {
        self.rows >= MAX_ROWS || self.bytes >= MAX_BYTES
    }

    /// The statement that inserts the rows; nothing without rows.
    pub(super) fn into_statement(self) -> Option<Statement> {
        let mut lists = self.lists;
        if !self.search.is_empty() {
            lists.push(Value::Texts(self.search));
        }
        (self.rows > 0).then(|| Statement::with(insert(self.table), lists))
    }
}

/// Leaves out what later statements set: the trigger of `receipt` counts the receipts, and a parent that comes after its
/// child does not exist yet.
fn leave_to_later(table: &Table, cells: &mut [Cell]) {
    let row = match cell(table, cells, "row_id") {
        Some(Cell::Integer(row)) => *row,
        _ => 0,
    };
    for ((name, _), cell) in table.columns.iter().zip(cells) {
        match (*name, &*cell) {
            ("receipt_count", _) => *cell = Cell::Integer(0),
            ("parent", Cell::Integer(parent)) if *parent >= row => *cell = Cell::Null,
            _ => {}
        }
    }
}

/// The cell of a column.
pub(super) fn cell<'a>(table: &Table, cells: &'a [Cell], name: &str) -> Option<&'a Cell> {
    table.columns.iter().zip(cells).find(|((column, _), _)| *column == name).map(|(_, cell)| cell)
}
