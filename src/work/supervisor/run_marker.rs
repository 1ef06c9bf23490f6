//! The run marker: a variable in the environment of every worker, by which a later runner finds the processes that an
//! earlier one left. A pid alone proves nothing, because the kernel reuses pids.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::{process_table, process_tree};

/// The environment variable that holds the run marker.
pub(crate) const RUN_MARKER_VARIABLE: &str = "TASKTALLY_RUNNER";
/// How long killed processes may take to disappear.
const KILL_TIMEOUT: Duration = Duration::from_secs(5);
/// How often the system is searched again.
const SEARCH_INTERVAL: Duration = Duration::from_millis(5);

/// Kills the process trees that an earlier runner left: every process whose environment contains its run marker, and
/// every process in a control group that is named after it. Returns how many processes were killed.
pub(crate) fn kill_marked_processes(run_marker: &str) -> usize {
    let entry = format!("{RUN_MARKER_VARIABLE}={run_marker}");
    let (mut killed, give_up_at) = (0, Instant::now() + KILL_TIMEOUT);
    loop {
        let marked = process_table::with_environment_entry(&entry);
        #[cfg(target_os = "linux")]
        let in_groups = super::cgroup::kill_groups(run_marker);
        #[cfg(not(target_os = "linux"))]
        let in_groups = 0;
        killed += in_groups;
        if (marked.is_empty() && in_groups == 0) || Instant::now() >= give_up_at {
            return killed;
        }
        for process in &marked {
            process_tree::kill_tree(process);
        }
        killed += marked.len();
        sleep(SEARCH_INTERVAL);
    }
}
