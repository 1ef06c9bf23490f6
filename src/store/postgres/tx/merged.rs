//! Changes of several requests as one statement for each kind of change.

use std::collections::BTreeMap;

use super::pending::Change;
use crate::model::cost::CostSum;
use crate::model::status::Outcome;
use crate::model::task::RowId;
use crate::model::timestamp::Timestamp;
use crate::store::postgres::statement::Statement;
use crate::store::postgres::value::{Columns, Value, values};

/// Inserts receipts; `$1` and those after it are the columns.
const INSERT_RECEIPTS: &str = "INSERT INTO receipt (row_id, task, number, created_at, author, text, item_key, outcome, category, late, step_name,
                      model, tokens_in, tokens_out, cost_millionths, hash, author_kind, decision, search)
     SELECT r.row_id, r.task, r.number, r.created_at, r.author, r.text, r.item_key, r.outcome, r.category, r.late, r.step_name,
            r.model, r.tokens_in, r.tokens_out, r.cost_millionths, r.hash, r.author_kind, r.decision, r.search::tsvector
       FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
         AS r (row_id, task, number, created_at, author, text, item_key, outcome, category, late, step_name, model, tokens_in,
               tokens_out, cost_millionths, hash, author_kind, decision, search)
      ORDER BY r.row_id";

/// The changes, each kind by the row that it changes.
#[derive(Debug, Default)]
pub(super) struct Merged {
    receipts: Vec<Vec<Value>>,
    batch_receipts: Vec<Vec<Value>>,
    touched: BTreeMap<RowId, (u64, i64, Option<Timestamp>)>,
    costs: BTreeMap<(RowId, &'static str, String), CostSum>,
    settled: BTreeMap<(RowId, u64), Vec<Value>>,
    refusal: Option<String>,
    started: BTreeMap<(RowId, u64), (u64, u64)>,
    chunk_counts: BTreeMap<RowId, [i64; 3]>,
    batch_counts: BTreeMap<RowId, [i64; 3]>,
    categories: BTreeMap<(RowId, String), i64>,
}

impl Merged {
    /// Adds a change. Of several changes that set a value, the last one counts.
    pub(super) fn add(&mut self, change: Change) {
        match change {
            Change::Receipt(columns) => self.receipts.push(columns),
            Change::BatchReceipt { batch, change_number, receipt } => {
                self.batch_receipts.push(values![batch, change_number, receipt]);
            }
            Change::Touch { task, change_number, at, lease_until } => {
                let touched = self.touched.entry(task).or_default();
                *touched = (change_number, at.millis(), lease_until.or(touched.2));
            }
            Change::Cost { task, group, name, spent } => {
                let sum = self.costs.entry((task, group.as_str(), name));
                sum.and_modify(|sum| *sum = sum.plus(spent)).or_insert(spent);
            }
            Change::Settle { chunk, position, outcome, category, receipt, refusal } => {
                self.started.remove(&(chunk, position));
                let columns = values![chunk, position, outcome.as_str(), category, receipt];
                self.settled.insert((chunk, position), columns);
                self.refusal.get_or_insert(refusal);
            }
            Change::Start { chunk, position, receipt, generation } => {
                self.started.insert((chunk, position), (receipt, generation));
            }
            Change::Count { chunk, batch, outcome, by } => {
                let index = match outcome {
                    Outcome::Done => 0,
                    Outcome::Failed => 1,
                    Outcome::Skipped => 2,
                };
                self.chunk_counts.entry(chunk).or_default()[index] += by;
                self.batch_counts.entry(batch).or_default()[index] += by;
            }
            Change::Category { task, name, by } => *self.categories.entry((task, name)).or_default() += by,
        }
    }

    /// Adds the statements that make the changes.
    pub(super) fn add_statements(self, statements: &mut Vec<Statement>) {
        let mut add = |sql: &'static str, rows: Vec<Vec<Value>>| {
            if !rows.is_empty() {
                statements.push(Statement::with(sql, Columns::of(rows).into_values()));
            }
        };
        add(INSERT_RECEIPTS, self.receipts);
        add(
            "INSERT INTO batch_receipt (batch, change_number, receipt) SELECT * FROM unnest($1, $2, $3)",
            self.batch_receipts,
        );
        let (renewed, touched): (Vec<_>, Vec<_>) =
            self.touched.into_iter().partition(|(_, (_, _, lease_until))| lease_until.is_some());
        add(
            "UPDATE task t SET change_number = n.change_number, updated_at = n.at
               FROM unnest($1, $2, $3) AS n (row_id, change_number, at) WHERE t.row_id = n.row_id",
            touched.into_iter().map(|(task, (change, at, _))| values![task, change, at]).collect(),
        );
        // An UPDATE that sets `expires_at` writes an index entry even if the value is unchanged.
        let renewed = renewed
            .into_iter()
            .map(|(task, (change, at, until))| values![task, change, at, until.map(|until| until.millis())]);
        add(
            "UPDATE task t SET change_number = n.change_number, updated_at = n.at, expires_at = n.expires_at
               FROM unnest($1, $2, $3, $4) AS n (row_id, change_number, at, expires_at) WHERE t.row_id = n.row_id",
            renewed.collect(),
        );
        let costs = self.costs.into_iter().map(|((task, group, name), spent)| {
            values![task, group, name, spent.tokens_in, spent.tokens_out, spent.cost.millionths()]
        });
        add(
            "INSERT INTO cost_total (task, grouped_by, group_name, tokens_in, tokens_out, cost_millionths)
             SELECT * FROM unnest($1, $2, $3, $4, $5, $6)
             ON CONFLICT (task, grouped_by, group_name) DO UPDATE SET tokens_in = cost_total.tokens_in + excluded.tokens_in,
                tokens_out = cost_total.tokens_out + excluded.tokens_out,
                cost_millionths = cost_total.cost_millionths + excluded.cost_millionths",
            costs.collect(),
        );
        let started = self
            .started
            .into_iter()
            .map(|((chunk, position), (receipt, generation))| values![chunk, position, receipt, generation]);
        add(
            "UPDATE item i SET started_receipt = n.receipt, started_generation = n.generation
               FROM unnest($1, $2, $3, $4) AS n (chunk, position, receipt, generation)
              WHERE i.chunk = n.chunk AND i.position = n.position AND i.outcome IS NULL",
            started.collect(),
        );
        for (sql, counts) in [
            (
                "UPDATE chunk c SET items_done = c.items_done + n.done, items_failed = c.items_failed + n.failed,
                        items_skipped = c.items_skipped + n.skipped
                   FROM unnest($1, $2, $3, $4) AS n (task, done, failed, skipped) WHERE c.task = n.task",
                self.chunk_counts,
            ),
            (
                "UPDATE batch b SET items_done = b.items_done + n.done, items_failed = b.items_failed + n.failed,
                        items_skipped = b.items_skipped + n.skipped
                   FROM unnest($1, $2, $3, $4) AS n (task, done, failed, skipped) WHERE b.task = n.task",
                self.batch_counts,
            ),
        ] {
            let rows = counts.into_iter().map(|(task, [done, failed, skipped])| values![task, done, failed, skipped]);
            add(sql, rows.collect());
        }
        add(
            "INSERT INTO category_count (task, category, count) SELECT * FROM unnest($1, $2, $3)
             ON CONFLICT (task, category) DO UPDATE SET count = category_count.count + excluded.count",
            self.categories.into_iter().map(|((task, name), by)| values![task, name, by]).collect(),
        );
        if let Some(refusal) = self.refusal {
            let count = self.settled.len();
            let mut parameters = Columns::of(self.settled.into_values().collect()).into_values();
            parameters.extend(values![count, refusal]);
            statements.push(Statement::with(
                "WITH changed AS (
                   UPDATE item i SET outcome = n.outcome, category = n.category, receipt_number = n.receipt, started_receipt = NULL,
                          started_generation = NULL
                     FROM unnest($1, $2, $3, $4, $5) AS n (chunk, position, outcome, category, receipt)
                    WHERE i.chunk = n.chunk AND i.position = n.position AND i.outcome IS NULL RETURNING 1)
                 SELECT refuse_unless(count(*) = $6, $7) FROM changed",
                parameters,
            ));
        }
    }
}
