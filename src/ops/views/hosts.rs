//! On which machines the processes run that work on a batch.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::attention::claimed_chunks;
use crate::error::Result;
use crate::model::id::{ProcessMark, Token};
use crate::model::task::Task;
use crate::store::{LeaseHolder, LeaseName, StoreRead};

/// A machine in a reply.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct HostView {
    /// The machine's name.
    pub host: String,
    /// How many chunks of the batch its processes hold.
    pub workers: u64,
}

/// The machines whose processes work on a batch. Empty if the store is used by one machine, or only agents work.
pub(crate) fn hosts_at_work(tx: &dyn StoreRead, batch: &Task) -> Result<Vec<HostView>> {
    let processes: BTreeMap<ProcessMark, LeaseHolder> = tx.work_processes()?.into_iter().collect();
    let runner = tx.lease(&LeaseName::Run(batch.id.clone()))?.filter(|lease| lease.is_live);
    let mut workers: BTreeMap<String, u64> = BTreeMap::new();
    if let Some(runner) = &runner {
        workers.insert(runner.holder.host.clone(), 0);
    }
    if runner.is_some() || !processes.is_empty() {
        let host_of = |token: &Token| match token.process_mark() {
            Some(mark) => processes.get(&mark).map(|holder| holder.host.clone()),
            None => {
                runner.as_ref().filter(|_| token.is_runner_token()).map(|lease| lease.holder.host.clone())
            }
        };
        for chunk in claimed_chunks(tx, batch)? {
            let token = chunk.live_claim(tx.now()).and_then(|claim| claim.token.as_ref());
            if let Some(host) = token.and_then(host_of) {
                *workers.entry(host).or_default() += 1;
            }
        }
    }
    Ok(workers.into_iter().map(|(host, workers)| HostView { host, workers }).collect())
}
