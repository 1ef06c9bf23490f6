//! PgBouncer in transaction mode between `tasktally` and PostgreSQL: each transaction may run in another session.

use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use crate::patient_client::{Acknowledged, PatientClient, assert_kept};
use crate::server_kills::run_clients;
use crate::support::postgres::Cluster;
use crate::support::rng::Rng;
use crate::support::skip::has_program;
use crate::support::store::Store;
use crate::support::{eventually, rounds, run_in_parallel, send_signal};

/// How many sessions PostgreSQL sees. The clients have more connections.
const SESSIONS: usize = 3;
const CLIENTS: usize = 6;
const SOCKET: &str = ".s.PGSQL.5432";

/// A running PgBouncer in front of a cluster.
struct PgBouncer {
    process: Child,
    folder: TempDir,
}

impl PgBouncer {
    /// Starts it. None, and the running test is skipped, if it is not installed.
    #[track_caller]
    fn start(cluster: &Cluster) -> Option<Self> {
        if !has_program("pgbouncer") {
            return None;
        }
        let folder = TempDir::with_prefix("tt-pgb-").expect("a temporary folder");
        let (here, host) = (folder.path().display(), cluster.folder().display());
        // With `auth_type = any`, the entry of the database names the user.
        let settings = format!(
            "[databases]
             * = host={host} port=5432 user=tasktally
             [pgbouncer]
             pool_mode = transaction
             default_pool_size = {SESSIONS}
             max_client_conn = 200
             auth_type = any
             unix_socket_dir = {here}
             listen_port = 5432
             logfile = {here}/log
             pidfile = {here}/pid
            "
        );
        std::fs::write(folder.path().join("settings"), settings).expect("a file can be written");
        // It refuses to run as root.
        cluster.share_folder(folder.path());
        let process = Self::spawn(cluster, &folder);
        Some(PgBouncer { process, folder })
    }

    fn spawn(cluster: &Cluster, folder: &TempDir) -> Child {
        let settings = folder.path().join("settings");
        let mut command = cluster.as_owner(Path::new("pgbouncer"), &[settings.as_os_str()]);
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("pgbouncer starts");
        eventually("PgBouncer to listen", || UnixStream::connect(folder.path().join(SOCKET)).ok());
        process
    }

    /// Kills it (SIGKILL) and starts it again.
    fn restart(&mut self, cluster: &Cluster) {
        self.process.kill().expect("a child can be killed");
        self.process.wait().expect("a killed process ends");
        for left in [SOCKET, "pid"] {
            let _ = std::fs::remove_file(self.folder.path().join(left));
        }
        self.process = Self::spawn(cluster, &self.folder);
    }

    /// A store of a new database behind it.
    fn store(&self, cluster: &Arc<Cluster>) -> Store {
        let database = cluster.create_database();
        let url = database.url_of(self.folder.path());
        Store::in_database(database.with_url(url))
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn processes_that_share_few_sessions_claim_and_write_without_a_loss() {
    let Some(cluster) = Cluster::durable() else { return };
    let Some(bouncer) = PgBouncer::start(&cluster) else { return };
    let store = bouncer.store(&cluster);
    let log = store.serve().create_task("Log");
    let pids: Vec<Mutex<Option<u32>>> = (0..CLIENTS).map(|_| Mutex::new(None)).collect();
    let all: Vec<Acknowledged> = run_in_parallel(CLIENTS, |number| {
        let mut client = PatientClient::new(&store, format!("client {number}"), &pids[number]);
        let mut batch = client.create_batch();
        for _ in 0..rounds("TASKTALLY_ROUNDS", 10) {
            client.work(&log, &mut batch);
        }
        client.acknowledged
    });
    assert_kept(&store, &all);
    for known in &all {
        assert!(known.errors.is_empty() && known.restarts == 0, "{:?}\n{}", known.errors, bouncer.log());
    }
    let sessions = store.database().backends().len();
    assert!(sessions <= SESSIONS, "{sessions} sessions");
}

#[test]
fn killed_servers_and_a_killed_pgbouncer_lose_nothing() {
    let mut rng = Rng::seeded("killed_pgbouncer");
    let Some(cluster) = Cluster::durable() else { return };
    let Some(mut bouncer) = PgBouncer::start(&cluster) else { return };
    let store = bouncer.store(&cluster);
    run_clients(&store, |pids| {
        for kill in 0..rounds("TASKTALLY_ROUNDS", 6) {
            std::thread::sleep(Duration::from_millis(200 + rng.below(600)));
            if kill % 3 == 0 {
                bouncer.restart(&cluster);
                continue;
            }
            let pid = pids[rng.below(pids.len() as u64) as usize].lock().unwrap().take();
            pid.into_iter().for_each(|pid| send_signal("KILL", pid));
        }
    });
}

#[test]
fn everything_else_works_behind_it_as_well() {
    let Some(cluster) = Cluster::durable() else { return };
    let Some(bouncer) = PgBouncer::start(&cluster) else { return };
    let store = bouncer.store(&cluster);
    let mut server = store.serve();
    // A batch that is inserted in several transactions, under a lease.
    let lines: String = (0..12_000).map(|number| format!("{{\"key\": \"item {number}\"}}\n")).collect();
    store.write("items.jsonl", lines);
    let plan = json!({"title": "B", "instructions": "x", "source": "items.jsonl", "key": "key"});
    let batch = server.call("create_batch", plan).ok().text("/batch/id");
    let mut other = store.serve();
    let claimed = other.call("claim_task", json!({"batch": batch, "worker": "w"})).ok();
    server.read_task(&claimed.text("/task/id"));
    let export = store.folder().join("export.jsonl");
    store.tasktally(["export", export.to_str().unwrap()]).success();
    let copy = bouncer.store(&cluster);
    copy.tasktally(["import", export.to_str().unwrap()]).success();
    let heads = |store: &Store| store.tasktally(["heads"]).success().stdout;
    assert_eq!(heads(&store), heads(&copy));
    copy.tasktally(["verify"]).success();
    let doctor = store.tasktally(["doctor"]).finish().output();
    println!("{doctor}");
    assert!(doctor.contains("PostgreSQL"), "{doctor}");
    // It cannot pass on the settings of a session.
    let mut command = store.command();
    command.env("PGOPTIONS", "-csearch_path=public");
    let ran = crate::support::cli::Run::new(command, ["list-tasks"]).finish();
    assert!(ran.code != Some(0) && ran.output().contains("ALTER ROLE"), "{}", ran.output());
}
