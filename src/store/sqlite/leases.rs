//! A store in a file has no leases: lock files exclude the processes of its machine from each other.

use super::tx::Tx;
use crate::error::Result;
use crate::model::id::ProcessMark;
use crate::model::task::RowId;
use crate::store::{LeaseHolder, LeaseName, LeaseRead, LeaseRecord, LeaseWrite};

impl LeaseRead for Tx<'_> {
    fn lease(&self, _: &LeaseName) -> Result<Option<LeaseRecord>> {
        Ok(None)
    }

    fn work_processes(&self) -> Result<Vec<(ProcessMark, LeaseHolder)>> {
        Ok(Vec::new())
    }

    fn attempt_hosts(&self, _: RowId) -> Result<Vec<(u64, String)>> {
        Ok(Vec::new())
    }
}

impl LeaseWrite for Tx<'_> {
    fn record_attempt_host(&self, _: RowId, _: u64, _: &str) -> Result<()> {
        Ok(())
    }
}
