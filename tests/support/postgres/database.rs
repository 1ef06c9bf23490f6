//! A database of a test cluster.

use std::path::Path;
use std::sync::Arc;

use super::super::sql::Sql;
use super::{Cluster, ROLE, SUPERUSER};

/// A database that the role `tasktally` owns.
pub(crate) struct Database {
    cluster: Arc<Cluster>,
    name: String,
    url: String,
}

impl Database {
    pub(super) fn new(cluster: Arc<Cluster>, name: String) -> Self {
        let url = url_of_socket(cluster.folder().to_str().expect("a path of UTF-8"), &name);
        Database { cluster, name, url }
    }

    /// The cluster.
    pub(crate) fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The address, as TASKTALLY_DB has it.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The same database, with another address in TASKTALLY_DB.
    pub(crate) fn with_url(mut self, url: String) -> Self {
        self.url = url;
        self
    }

    /// The address behind a socket in another folder.
    pub(crate) fn url_of(&self, folder: &Path) -> String {
        url_of_socket(folder.to_str().expect("a path of UTF-8"), &self.name)
    }

    /// A connection of its owner.
    #[track_caller]
    pub(crate) fn sql(&self) -> Sql {
        Sql::postgres(self.cluster.connect(ROLE, &self.name))
    }

    /// A connection of the superuser, in which no trigger or foreign key takes effect.
    #[track_caller]
    pub(crate) fn sql_without_triggers(&self) -> Sql {
        let sql = Sql::postgres(self.cluster.superuser(&self.name));
        sql.execute_all("SET session_replication_role = replica").expect("a setting of the connection");
        sql
    }

    /// The process ids of the backends that serve the role `tasktally` in this database.
    pub(crate) fn backends(&self) -> Vec<u32> {
        let backends = "SELECT pid FROM pg_stat_activity WHERE datname = ?1 AND usename = ?2 ORDER BY pid";
        Sql::postgres(self.cluster.superuser(SUPERUSER)).rows(backends, &[&self.name, &ROLE])
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // A cluster of one test is deleted with all its databases.
        if self.cluster.is_shared
            && let Ok(mut client) = self.cluster.try_connect(SUPERUSER, SUPERUSER)
        {
            let _ = client.batch_execute(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
        }
    }
}

/// The address of a database behind a Unix socket. The folder stands in the place of the host with `%2F` for `/`: libpq
/// and tokio-postgres both read that. With `localhost` and the parameter `host`, tokio-postgres would try both hosts.
fn url_of_socket(folder: &str, database: &str) -> String {
    let mut host = String::new();
    for byte in folder.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => host.push(char::from(byte)),
            _ => host.push_str(&format!("%{byte:02X}")),
        }
    }
    format!("postgresql://{ROLE}@{host}/{database}")
}
