//! A PostgreSQL cluster with its default durability: an answer to a commit means that the commit is on disk.

use std::ffi::OsStr;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use postgres::{Client as Sql, NoTls};
use tempfile::TempDir;

use super::super::client::{Client, TASKTALLY};
use super::super::table::Table;

/// Everything else has PostgreSQL's default.
const SETTINGS: [&str; 5] = [
    "listen_addresses=",
    "max_connections=200",
    "shared_buffers=512MB",
    "max_wal_size=4GB",
    "dynamic_shared_memory_type=mmap",
];
const ROLE: &str = "tasktally";
const START: Duration = Duration::from_secs(30);

/// A running cluster behind a Unix socket.
pub struct Cluster {
    programs: PathBuf,
    /// With the socket and the data.
    folder: PathBuf,
    /// Ends the cluster and deletes its folder once its standard input is closed.
    watcher: Child,
    postmaster: Child,
}

impl Cluster {
    /// Starts a cluster. None, with a line in the table, if PostgreSQL is not installed.
    pub fn start(table: &mut Table) -> Result<Option<Cluster>> {
        let Some(programs) = programs() else {
            table.note("skipped: PostgreSQL is not installed (`apt install postgresql`)");
            return Ok(None);
        };
        let folder = TempDir::with_prefix("tt-bench-")?;
        let owner = owner()?;
        if let Some((_, group)) = owner {
            chown(folder.path(), None, Some(group))?;
            std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o770))?;
        }
        let words = as_owner(owner);
        let mut watcher = Command::new("sh");
        watcher.args(["-c", include_str!("../../../tests/support/postgres/watcher.sh"), "sh"]);
        watcher.arg(folder.path()).args(&words).process_group(0).stdin(Stdio::piped());
        let watcher = watcher.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        let folder = folder.keep();
        let mut initdb = command(&programs, "initdb", &words);
        initdb.arg("-D").arg(folder.join("data"));
        initdb.args(["--auth=trust", "--encoding=UTF8", "--locale=C", "--username", ROLE]);
        let made = initdb.output().context("initdb does not start")?;
        ensure!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        let log = std::fs::File::create(folder.join("postgres.log"))?;
        let mut postgres = command(&programs, "postgres", &words);
        postgres.arg("-D").arg(folder.join("data")).arg("-k").arg(&folder);
        postgres.args(SETTINGS.iter().flat_map(|setting| ["-c", setting]));
        postgres.process_group(0).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let postmaster = postgres.spawn().context("PostgreSQL does not start")?;
        let cluster = Cluster { programs, folder, watcher, postmaster };
        let start = Instant::now();
        while let Err(error) = cluster.sql("postgres") {
            if start.elapsed() > START {
                let log = std::fs::read_to_string(cluster.folder.join("postgres.log")).unwrap_or_default();
                bail!("PostgreSQL accepts no connections: {error:#}\n{log}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let version: String = cluster.sql("postgres")?.query_one("SHOW server_version", &[])?.get(0);
        table.note(&format!("PostgreSQL {version} with {}", SETTINGS.join(", ")));
        Ok(Some(cluster))
    }

    /// The folder with the socket.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A program of this version of PostgreSQL, if it is installed.
    pub fn program(&self, name: &str) -> Option<Command> {
        let path = self.programs.join(name);
        path.is_file().then(|| Command::new(path))
    }

    /// Creates an empty database.
    pub fn create_database(&self, name: &str) -> Result<()> {
        Ok(self.sql("postgres")?.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE template0"))?)
    }

    /// Creates a database with an empty store. Returns its address.
    pub fn create_store(&self, name: &str) -> Result<String> {
        self.create_database(name)?;
        let address = address(&self.folder, name);
        let mut server = Command::new(TASKTALLY);
        server.args(["--db", &address, "serve"]).stdin(Stdio::null()).stdout(Stdio::null());
        ensure!(server.status()?.success(), "tasktally did not create its store");
        Ok(address)
    }

    /// A connection to a database.
    pub fn sql(&self, database: &str) -> Result<Sql> {
        Ok(postgres::Config::new().host_path(&self.folder).user(ROLE).dbname(database).connect(NoTls)?)
    }

    /// The parameters of a connection, as libpq reads them.
    pub fn parameters(&self, database: &str) -> String {
        format!("host={} user={ROLE} dbname={database}", self.folder.display())
    }
}

/// The address of a database behind the socket in a folder.
pub fn address(folder: &Path, database: &str) -> String {
    let host = folder.display().to_string().replace('%', "%25").replace('/', "%2F");
    format!("postgresql://{ROLE}@{host}/{database}")
}

/// Servers on a store, one for each worker.
pub fn servers(folder: &Path, address: &str, count: usize) -> Result<Vec<Client>> {
    let start = |number| Client::start_in(folder, OsStr::new(address), &format!("worker-{number}"), None);
    (1..=count).map(start).collect()
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Waiting closes its standard input.
        let _ = self.watcher.wait();
        let _ = self.postmaster.wait();
    }
}

/// The folder with the programs of the newest version.
fn programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<(u32, PathBuf)> = versions
        .filter_map(|version| Some((version.file_name().to_str()?.parse().ok()?, version.path().join("bin"))))
        .collect();
    versions.sort_by(|one, other| other.cmp(one));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = versions.into_iter().map(|(_, folder)| folder).chain(std::env::split_paths(&path));
    folders.into_iter().find(|folder| folder.join("initdb").is_file())
}

/// User and group of the cluster, if root starts it: PostgreSQL refuses to run as root.
fn owner() -> Result<Option<(u32, u32)>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let number = |option: &str| -> Result<u32> {
        let output = Command::new("id").args([option, "postgres"]).output()?;
        ensure!(output.status.success(), "there is no user 'postgres' to run PostgreSQL");
        Ok(String::from_utf8(output.stdout)?.trim().parse()?)
    };
    Ok(Some((number("-u")?, number("-g")?)))
}

fn as_owner(owner: Option<(u32, u32)>) -> Vec<String> {
    owner.map_or_else(Vec::new, |(user, group)| {
        let [user, group] = [format!("--reuid={user}"), format!("--regid={group}")];
        vec!["setpriv".to_owned(), user, group, "--clear-groups".to_owned()]
    })
}

fn command(programs: &Path, program: &str, as_owner: &[String]) -> Command {
    let path = programs.join(program);
    let mut command = match as_owner {
        [] => Command::new(path),
        [first, words @ ..] => {
            let mut command = Command::new(first);
            command.args(words).arg(path);
            command
        }
    };
    // The owner may not be allowed to enter the working directory.
    command.current_dir("/");
    command
}
