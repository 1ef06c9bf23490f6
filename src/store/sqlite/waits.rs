//! Queries for the waits of clients.

use rusqlite::params;

use super::rows::{moment, optional_moment};
use super::tx::Tx;
use crate::error::Result;
use crate::model::task::Row;
use crate::model::timestamp::Timestamp;
use crate::model::wait::{Undecided, Wait};
use crate::store::{WaitRead, WaitWrite};

impl WaitRead for Tx<'_> {
    fn wait(&self, handle: &str) -> Result<Option<Wait>> {
        self.first(
            "SELECT handle, batch, client, created_at, updated_at, end_reported_at, cancelled_at, last_answer_result
               FROM wait WHERE handle = ?1",
            [handle],
            |row| {
                Ok(Wait {
                    handle: row.get(0)?,
                    batch: row.get(1)?,
                    asked_by: row.get(2)?,
                    created: moment(row, 3)?,
                    updated: moment(row, 4)?,
                    ended: optional_moment(row, 5)?,
                    cancelled: optional_moment(row, 6)?,
                    said: row.get(7)?,
                })
            },
        )
    }

    fn count_open_waits(&self, batch: Row) -> Result<u64> {
        let count = self.first(
            "SELECT count(*) FROM wait WHERE batch = ?1 AND end_reported_at IS NULL AND cancelled_at IS NULL",
            [batch],
            |row| row.get(0),
        )?;
        Ok(count.unwrap_or(0))
    }

    fn undecided(&self, handle: &str, question: &str) -> Result<Undecided> {
        let found = self.first(
            "SELECT failed_answers, declined FROM wait_question WHERE handle = ?1 AND question = ?2",
            [handle, question],
            |row| Ok(Undecided { tries: row.get(0)?, declined: row.get(1)? }),
        )?;
        Ok(found.unwrap_or_default())
    }
}

impl WaitWrite for Tx<'_> {
    fn insert_wait(&self, wait: &Wait) -> Result<()> {
        self.execute(
            "INSERT INTO wait (handle, batch, client, created_at, updated_at, end_reported_at, cancelled_at, last_answer_result)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            params![
                wait.handle,
                wait.batch,
                wait.asked_by,
                wait.created.millis(),
                wait.updated.millis(),
                wait.ended.map(Timestamp::millis),
                wait.cancelled.map(Timestamp::millis),
                wait.said
            ],
        )?;
        Ok(())
    }

    fn update_wait(&self, wait: &Wait) -> Result<()> {
        self.execute(
            "UPDATE wait SET updated_at = ?2, end_reported_at = ?3, cancelled_at = ?4, last_answer_result = ?5 WHERE handle = ?1",
            params![
                wait.handle,
                wait.updated.millis(),
                wait.ended.map(Timestamp::millis),
                wait.cancelled.map(Timestamp::millis),
                wait.said
            ],
        )?;
        Ok(())
    }

    fn save_undecided(&self, handle: &str, question: &str, undecided: Undecided) -> Result<()> {
        self.execute(
            "INSERT INTO wait_question (handle, question, failed_answers, declined) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET failed_answers = excluded.failed_answers, declined = excluded.declined",
            params![handle, question, undecided.tries, undecided.declined],
        )?;
        Ok(())
    }
}
