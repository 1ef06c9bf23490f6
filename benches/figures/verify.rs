//! `tasktally verify` of all receipts, compared with bare SQLite that reads the same rows.

use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Result, ensure};
use rusqlite::Connection;

use super::client::TASKTALLY;
use super::fill::{Filled, RECEIPTS_A_TASK};
use super::table::{Table, quantile};

const ROUNDS: usize = 5;

/// Measures receipts per second.
pub fn measure(stores: &[Filled], table: &mut Table) -> Result<()> {
    table.section(
        "tasktally verify (every hash, every count), against bare reading the receipts",
        "tasktally",
        "bare",
    );
    for store in stores.iter().filter(|store| store.tasks > 1_000) {
        let receipts = (store.tasks * RECEIPTS_A_TASK) as f64;
        let (mut ours, mut bare) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let start = Instant::now();
            let verified = Command::new(TASKTALLY)
                .arg("--db")
                .arg(&store.path)
                .arg("verify")
                .stdout(Stdio::null())
                .status()?;
            ours.push(receipts / start.elapsed().as_secs_f64());
            ensure!(verified.success(), "the store that was filled does not verify");
            let start = Instant::now();
            let connection = Connection::open(&store.path)?;
            let read: f64 = connection.query_row(
                "SELECT total(length(author) + length(text) + length(hash) + created_at) FROM (
                   SELECT author, text, hash, created_at FROM receipt ORDER BY task, number)",
                [],
                |row| row.get(0),
            )?;
            ensure!(read > 0.0, "there are no receipts");
            bare.push(receipts / start.elapsed().as_secs_f64());
        }
        let ratios: Vec<f64> = ours.iter().zip(&bare).map(|(ours, bare)| ours / bare).collect();
        let shown = |values: &[f64]| format!("{:.0}", quantile(values, 0.5));
        table.row(&format!("receipts/s, {receipts} receipts"), &shown(&ours), &shown(&bare), &ratios);
    }
    Ok(())
}
