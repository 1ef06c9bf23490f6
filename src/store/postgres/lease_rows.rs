//! Queries about leases, and about the machines that worked.

use super::lease::LASTS;
use super::statement::Statement;
use super::tx::{Tx, now};
use super::value::values;
use crate::error::Result;
use crate::model::id::ProcessMark;
use crate::model::task::RowId;
use crate::store::rows::StoredRow as _;
use crate::store::{LeaseHolder, LeaseName, LeaseRead, LeaseRecord, LeaseWrite};

/// Whether a lease has not ended. One that lies further ahead than any was stored before the clock was set back.
fn is_live(expires_at: i64, now: i64) -> bool {
    expires_at > now && expires_at <= now + 2 * LASTS.as_millis() as i64
}

impl LeaseRead for Tx<'_> {
    fn lease(&self, name: &LeaseName) -> Result<Option<LeaseRecord>> {
        self.first(
            "SELECT host, pid, place, fence, expires_at FROM lease WHERE name = $1",
            values![name.as_text()],
            |row| {
                Ok(LeaseRecord {
                    holder: LeaseHolder { host: row.get(0)?, pid: row.get(1)?, place: row.get(2)? },
                    fence: row.get(3)?,
                    is_live: is_live(row.get(4)?, self.now().millis()),
                })
            },
        )
    }

    fn work_processes(&self) -> Result<Vec<(ProcessMark, LeaseHolder)>> {
        let prefix = LeaseName::PROCESS_PREFIX;
        let found = self.all(
            // The time is no parameter: a query that is the same each time can be predicted.
            concat!(
                "SELECT name, host, pid, place FROM lease WHERE starts_with(name, $1) AND expires_at > ",
                now!(),
                " ORDER BY host, pid"
            ),
            values![prefix],
            |row| {
                let holder = LeaseHolder { host: row.get(1)?, pid: row.get(2)?, place: row.get(3)? };
                Ok((row.get::<String>(0)?, holder))
            },
        )?;
        let with_mark =
            |(name, holder): (String, LeaseHolder)| Some((name.strip_prefix(prefix)?.parse().ok()?, holder));
        Ok(found.into_iter().filter_map(with_mark).collect())
    }

    fn attempt_hosts(&self, chunk: RowId) -> Result<Vec<(u64, String)>> {
        self.all(
            "SELECT attempt, host FROM attempt_host WHERE chunk = $1 ORDER BY attempt",
            values![chunk],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
    }
}

impl LeaseWrite for Tx<'_> {
    fn record_attempt_host(&self, chunk: RowId, attempt: u64, host: &str) -> Result<()> {
        // A chunk that was released without an attempt is claimed with the same number again.
        let insert = Statement::with(
            "INSERT INTO attempt_host (chunk, attempt, host) VALUES ($1, $2, $3)
             ON CONFLICT (chunk, attempt) DO UPDATE SET host = excluded.host",
            values![chunk, attempt, host],
        );
        self.write_known(&["attempt_host"], insert);
        Ok(())
    }
}
