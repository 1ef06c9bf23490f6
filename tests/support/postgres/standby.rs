//! A cluster that follows another one, and takes its place.

use std::path::Path;

use super::super::eventually;
use super::{Cluster, SUPERUSER};

impl Cluster {
    /// Replaces the data of a killed cluster by a copy of a running one's, and follows that one as its standby.
    pub(crate) fn follow(&self, primary: &Cluster) {
        std::fs::remove_dir_all(self.data()).expect("the data of a killed cluster can be deleted");
        let mut copy = self.installation.command("pg_basebackup");
        copy.args(["--write-recovery-conf", "--checkpoint=fast", "--no-sync", "--username", SUPERUSER]);
        copy.arg("--host").arg(primary.folder()).arg("--pgdata").arg(self.data());
        let output = copy.output().expect("pg_basebackup runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        self.start();
    }

    /// Lets each commit wait until a standby has it on disk as well. Waits until there is one.
    pub(crate) fn wait_for_standbys(&self) {
        self.run("ALTER SYSTEM SET synchronous_standby_names = '*'");
        self.reload();
        let count = "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'";
        eventually("the standby to be synchronous", || {
            (self.sql().row::<u64>(count, &[]) == 1).then_some(())
        });
    }

    /// Lets no commit wait for a standby.
    pub(crate) fn forget_standbys(&self) {
        self.run("ALTER SYSTEM RESET synchronous_standby_names");
        self.reload();
    }

    /// Makes a standby the primary.
    pub(crate) fn promote(&self) {
        assert!(self.sql().row::<bool>("SELECT pg_promote()", &[]));
    }

    /// The address of a database on the first of these clusters that accepts writes.
    pub(crate) fn url_of_pair(clusters: [&Cluster; 2], database: &str) -> String {
        let hosts = clusters.map(|cluster| encoded(cluster.folder()));
        format!("postgresql://tasktally@{}/{database}?target_session_attrs=read-write", hosts.join(","))
    }
}

/// A folder as the name of a host.
fn encoded(folder: &Path) -> String {
    folder.to_str().expect("a path of UTF-8").replace('/', "%2F")
}
