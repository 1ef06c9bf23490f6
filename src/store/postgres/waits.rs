//! Queries for the waits of clients.

use super::tx::Tx;
use super::value::values;
use crate::error::Result;
use crate::model::task::RowId;
use crate::model::timestamp::Timestamp;
use crate::model::wait::{AskedQuestion, BatchWait, MAX_ASKED_QUESTIONS};
use crate::store::rows::StoredRow as _;
use crate::store::rows::{self, wait_columns};
use crate::store::{WaitRead, WaitWrite};

impl WaitRead for Tx<'_> {
    fn wait(&self, handle: &str) -> Result<Option<BatchWait>> {
        self.first(
            concat!("SELECT ", wait_columns!(), " FROM wait WHERE handle = $1"),
            values![handle],
            rows::wait,
        )
    }

    fn count_open_waits(&self, batch: RowId) -> Result<u64> {
        let count = self.first(
            "SELECT count(*) FROM wait WHERE batch = $1 AND end_reported_at IS NULL AND cancelled_at IS NULL",
            values![batch],
            |row| row.get(0),
        )?;
        Ok(count.unwrap_or(0))
    }

    fn is_declined(&self, handle: &str, question: &str) -> Result<bool> {
        let declined = self.first(
            "SELECT declined FROM wait_question WHERE handle = $1 AND question = $2",
            values![handle, question],
            |row| row.get(0),
        )?;
        Ok(declined.unwrap_or(false))
    }

    fn asked_question(&self, key: &str) -> Result<Option<AskedQuestion>> {
        self.first("SELECT asked_by, question FROM asked_question WHERE key = $1", values![key], |row| {
            Ok(AskedQuestion { asked_by: row.get(0)?, question: row.get(1)? })
        })
    }

    fn asked_key(&self, asked: &AskedQuestion) -> Result<Option<String>> {
        self.first(
            "SELECT key FROM asked_question WHERE asked_by = $1 AND question = $2",
            values![&asked.asked_by, &asked.question],
            |row| row.get(0),
        )
    }
}

impl WaitWrite for Tx<'_> {
    fn insert_wait(&self, wait: &BatchWait) -> Result<()> {
        self.write(
            "INSERT INTO wait (handle, batch, client, created_at, updated_at, end_reported_at, cancelled_at, last_answer_result,
                               since_change, can_ask)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            values![
                wait.handle,
                wait.batch,
                wait.client,
                wait.created.millis(),
                wait.updated.millis(),
                wait.ended_at.map(Timestamp::millis),
                wait.cancelled_at.map(Timestamp::millis),
                wait.last_answer,
                wait.since,
                wait.can_ask
            ],
        );
        Ok(())
    }

    fn update_wait(&self, wait: &BatchWait) -> Result<()> {
        self.write(
            "UPDATE wait SET updated_at = $2, end_reported_at = $3, cancelled_at = $4, last_answer_result = $5 WHERE handle = $1",
            values![
                wait.handle,
                wait.updated.millis(),
                wait.ended_at.map(Timestamp::millis),
                wait.cancelled_at.map(Timestamp::millis),
                wait.last_answer
            ],
        );
        Ok(())
    }

    fn save_declined(&self, handle: &str, question: &str) -> Result<()> {
        self.write(
            "INSERT INTO wait_question (handle, question, declined) VALUES ($1, $2, 1)
             ON CONFLICT (handle, question) DO UPDATE SET declined = 1",
            values![handle, question],
        );
        Ok(())
    }

    fn insert_asked(&self, key: &str, asked: &AskedQuestion) -> Result<()> {
        self.write(
            "INSERT INTO asked_question (key, asked_by, question, asked_at) VALUES ($1, $2, $3, $4)",
            values![key, asked.asked_by, asked.question, self.now().millis()],
        );
        self.write(
            "DELETE FROM asked_question WHERE key IN (
                 SELECT key FROM asked_question ORDER BY asked_at DESC, key OFFSET $1)",
            values![MAX_ASKED_QUESTIONS],
        );
        Ok(())
    }

    fn remove_asked(&self, key: &str) -> Result<bool> {
        let removed = "DELETE FROM asked_question WHERE key = $1 RETURNING 1";
        Ok(self.count_written(removed, values![key])? > 0)
    }
}
