//! A cluster that listens on the network: on a loopback address of its own, at the usual port.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::super::sql::Sql;
use super::{Cluster, SUPERUSER};

/// A loopback address (127.0.0.0/8) that no other cluster uses.
fn loopback_address() -> String {
    static CLUSTERS: AtomicU32 = AtomicU32::new(1);
    let (pid, number) = (std::process::id(), CLUSTERS.fetch_add(1, Ordering::Relaxed));
    format!("127.{}.{}.{}", 1 + pid / 256 % 250, pid % 256, number % 256)
}

impl Cluster {
    /// A cluster that listens on a loopback address. Its `pg_hba.conf` trusts the socket, and has these lines for the network.
    #[track_caller]
    pub(crate) fn on_network(lines: &str) -> Option<(Arc<Cluster>, String)> {
        let address = loopback_address();
        let cluster = Cluster::durable_with(&[&format!("listen_addresses={address}")])?;
        cluster.write_data("pg_hba.conf", &format!("local all all trust\n{lines}\n"));
        cluster.reload();
        Some((cluster, address))
    }

    /// Reads the configuration again.
    pub(crate) fn reload(&self) {
        self.run("SELECT pg_reload_conf()");
        // The postmaster reads it when it gets the signal.
        std::thread::sleep(std::time::Duration::from_millis(300));
    }

    /// Runs statements as superuser.
    pub(crate) fn run(&self, statements: &str) {
        for statement in statements.split_inclusive(';') {
            self.sql().execute_all(statement).unwrap_or_else(|error| panic!("{statement}: {error}"));
        }
    }

    /// A connection of the superuser.
    pub(crate) fn sql(&self) -> Sql {
        Sql::postgres(self.superuser(SUPERUSER))
    }
}
