//! Queries for the waits of clients.

use rusqlite::params;

use super::rows::{moment, optional_moment};
use super::tx::Tx;
use crate::error::Result;
use crate::model::task::RowId;
use crate::model::timestamp::Timestamp;
use crate::model::wait::{BatchWait, OpenQuestion};
use crate::store::{WaitRead, WaitWrite};

impl WaitRead for Tx<'_> {
    fn wait(&self, handle: &str) -> Result<Option<BatchWait>> {
        self.first(
            "SELECT handle, batch, client, created_at, updated_at, end_reported_at, cancelled_at, last_answer_result,
                    since_change
               FROM wait WHERE handle = ?1",
            [handle],
            |row| {
                Ok(BatchWait {
                    handle: row.get(0)?,
                    batch: row.get(1)?,
                    client: row.get(2)?,
                    created: moment(row, 3)?,
                    updated: moment(row, 4)?,
                    ended_at: optional_moment(row, 5)?,
                    cancelled_at: optional_moment(row, 6)?,
                    last_answer: row.get(7)?,
                    since: row.get(8)?,
                })
            },
        )
    }

    fn count_open_waits(&self, batch: RowId) -> Result<u64> {
        let count = self.first(
            "SELECT count(*) FROM wait WHERE batch = ?1 AND end_reported_at IS NULL AND cancelled_at IS NULL",
            [batch],
            |row| row.get(0),
        )?;
        Ok(count.unwrap_or(0))
    }

    fn undecided(&self, handle: &str, question: &str) -> Result<OpenQuestion> {
        let found = self.first(
            "SELECT failed_answers, declined FROM wait_question WHERE handle = ?1 AND question = ?2",
            [handle, question],
            |row| Ok(OpenQuestion { failed_answers: row.get(0)?, declined: row.get(1)? }),
        )?;
        Ok(found.unwrap_or_default())
    }
}

impl WaitWrite for Tx<'_> {
    fn insert_wait(&self, wait: &BatchWait) -> Result<()> {
        self.execute(
            "INSERT INTO wait (handle, batch, client, created_at, updated_at, end_reported_at, cancelled_at, last_answer_result,
                               since_change)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            params![
                wait.handle,
                wait.batch,
                wait.client,
                wait.created.millis(),
                wait.updated.millis(),
                wait.ended_at.map(Timestamp::millis),
                wait.cancelled_at.map(Timestamp::millis),
                wait.last_answer,
                wait.since
            ],
        )?;
        Ok(())
    }

    fn update_wait(&self, wait: &BatchWait) -> Result<()> {
        self.execute(
            "UPDATE wait SET updated_at = ?2, end_reported_at = ?3, cancelled_at = ?4, last_answer_result = ?5 WHERE handle = ?1",
            params![
                wait.handle,
                wait.updated.millis(),
                wait.ended_at.map(Timestamp::millis),
                wait.cancelled_at.map(Timestamp::millis),
                wait.last_answer
            ],
        )?;
        Ok(())
    }

    fn save_undecided(&self, handle: &str, question: &str, undecided: OpenQuestion) -> Result<()> {
        self.execute(
            "INSERT INTO wait_question (handle, question, failed_answers, declined) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET failed_answers = excluded.failed_answers, declined = excluded.declined",
            params![handle, question, undecided.failed_answers, undecided.declined],
        )?;
        Ok(())
    }
}
