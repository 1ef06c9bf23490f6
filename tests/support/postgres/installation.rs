//! The programs of PostgreSQL, the user that runs them, and an initialised data folder to copy.

use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::{ROLE, SUPERUSER};

/// The oldest supported version.
const OLDEST: u32 = 15;

/// Counts the changes of how a data folder is initialised, so that an older copy in the build folder is not used.
const TEMPLATE: u32 = 1;

/// Sorts text as people do, so that a query that needs the order of bytes must say so.
const INITDB: [&str; 7] = [
    "--auth=trust",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=icu",
    "--icu-locale=en-US",
    "--no-sync",
    "--wal-segsize=1",
];

/// Where the programs are, and who runs them: PostgreSQL refuses to run as root.
pub(super) struct Installation {
    programs: PathBuf,
    version: String,
    /// User and group that own the cluster, if root starts it.
    owner: Option<(u32, u32)>,
}

impl Installation {
    /// The newest version on this machine.
    ///
    /// # Errors
    /// What is missing.
    pub(super) fn find() -> Result<Self, String> {
        let found = program_folders().into_iter().find_map(|programs| {
            let version = version(&programs)?;
            (version.split('.').next()?.parse::<u32>().ok()? >= OLDEST).then_some((programs, version))
        });
        let (programs, version) = found.ok_or(format!("PostgreSQL {OLDEST} or newer is not installed"))?;
        let owner = if rustix::process::geteuid().is_root() {
            Some(user(SUPERUSER).ok_or("there is no user 'postgres' to run PostgreSQL")?)
        } else {
            None
        };
        Ok(Installation { programs, version, owner })
    }

    /// A program of PostgreSQL, run by the owner of the cluster.
    pub(super) fn command(&self, program: &str) -> Command {
        let program = self.programs.join(program);
        let mut command = match &*self.as_owner() {
            [] => Command::new(program),
            [first, words @ ..] => {
                let mut command = Command::new(first);
                command.args(words).arg(program);
                command
            }
        };
        // The owner may not be allowed to enter the working directory.
        command.current_dir("/");
        command
    }

    /// The words before a command that run it as the owner of the cluster; none for the same user.
    pub(super) fn as_owner(&self) -> Vec<String> {
        self.owner.map_or_else(Vec::new, |(user, group)| {
            vec![
                "setpriv".to_owned(),
                format!("--reuid={user}"),
                format!("--regid={group}"),
                "--clear-groups".to_owned(),
            ]
        })
    }

    /// Lets the owner of the cluster create files in a folder. Other users, who could connect as superuser, stay outside.
    pub(super) fn share_folder(&self, folder: &Path) {
        if let Some((_, group)) = self.owner {
            chown(folder, None, Some(group)).expect("root may change a group");
            std::fs::set_permissions(folder, Permissions::from_mode(0o770)).expect("a mode can be set");
        }
    }

    /// Creates `data` in a folder: a copy of an initialised data folder, which is kept in the build folder.
    pub(super) fn create_data(&self, folder: &Path) {
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let owner = self.owner.map_or_else(|| rustix::process::geteuid().as_raw(), |(user, _)| user);
        let template = kept.join(format!("postgres-{}-{owner}-{TEMPLATE}", self.version));
        let data = folder.join("data");
        std::fs::create_dir_all(kept).expect("a folder for the template");
        let lock = std::fs::File::create(with_ending(&template, ".lock")).expect("a lock file");
        lock.lock().expect("a lock");
        if template.exists() {
            drop(lock);
            return copy(&template, &data);
        }
        self.initialise(&data);
        let unfinished = with_ending(&template, ".unfinished");
        let _ = std::fs::remove_dir_all(&unfinished);
        copy(&data, &unfinished);
        std::fs::rename(&unfinished, &template).expect("a folder can be renamed");
    }

    fn initialise(&self, data: &Path) {
        let mut initdb = self.command("initdb");
        initdb.arg("-D").arg(data).args(INITDB).arg(format!("--username={SUPERUSER}"));
        assert_succeeded(initdb.output(), "initdb");
        let mut single = self.command("postgres");
        single.arg("--single").arg("-D").arg(data).arg(SUPERUSER);
        single.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut single = single.spawn().expect("PostgreSQL runs");
        let create = format!("CREATE ROLE {ROLE} LOGIN\n");
        single.stdin.take().expect("a pipe").write_all(create.as_bytes()).expect("PostgreSQL reads");
        assert_succeeded(single.wait_with_output(), "postgres --single");
    }
}

/// Where the programs may be: Debian's folder of the newest version, where `pg_config` says, and PATH. Debian has only
/// `psql` and a few others on PATH.
fn program_folders() -> Vec<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<(u32, PathBuf)> = versions
        .filter_map(|version| Some((version.file_name().to_str()?.parse().ok()?, version.path().join("bin"))))
        .collect();
    versions.sort_by(|one, other| other.cmp(one));
    let configured = Command::new("pg_config").arg("--bindir").stderr(Stdio::null()).output();
    let configured = configured.ok().and_then(|output| String::from_utf8(output.stdout).ok());
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = versions.into_iter().map(|(_, folder)| folder).collect();
    folders.extend(configured.map(|folder| PathBuf::from(folder.trim())));
    folders.extend(std::env::split_paths(&path));
    folders.retain(|folder| folder.is_absolute() && folder.join("initdb").is_file());
    folders
}

/// The version of the programs in a folder, as in `postgres (PostgreSQL) 15.14 (Debian …)`.
fn version(programs: &Path) -> Option<String> {
    let output = Command::new(programs.join("postgres")).arg("--version").output().ok()?;
    String::from_utf8(output.stdout).ok()?.split_whitespace().nth(2).map(str::to_owned)
}

/// Number and group of a user.
fn user(name: &str) -> Option<(u32, u32)> {
    let number = |option: &str| {
        let output = Command::new("id").args([option, name]).output().ok()?;
        String::from_utf8(output.stdout).ok()?.trim().parse().ok()
    };
    Some((number("-u")?, number("-g")?))
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut path = path.to_owned().into_os_string();
    path.push(ending);
    path.into()
}

/// Copies a folder with owners and modes.
fn copy(from: &Path, to: &Path) {
    assert_succeeded(Command::new("cp").arg("-a").arg(from).arg(to).output(), "cp");
}

#[track_caller]
fn assert_succeeded(output: std::io::Result<Output>, program: &str) {
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program}: {}: {text}", output.status);
}
