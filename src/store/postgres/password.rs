//! Where the password of a role comes from. It is asked for again for each connection, so a token may be short-lived.

use std::io::Read as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::password_file::find_password;
use super::servers::Server;
use crate::error::{Code, Error, Result};

/// How long a command may take to print a password.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The pause between two looks at a running command.
const PAUSE: Duration = Duration::from_millis(10);
/// The longest password, in bytes. Tokens of cloud providers have a few thousand.
const MAX_BYTES: u64 = 64 * 1024;

/// A command of the operator that prints a password: a program and its arguments.
#[derive(Clone)]
pub struct PasswordCommand {
    /// The file of the program.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
}

/// Where the password comes from.
#[derive(Clone)]
pub(super) enum PasswordSource {
    /// A variable or a parameter of the address.
    Known(String),
    /// The file of PostgreSQL's own programs.
    File(PathBuf),
    /// A command.
    Command(PasswordCommand),
}

impl PasswordSource {
    /// The password for a server, if there is one.
    ///
    /// # Errors
    /// If the file cannot be read, or the command fails. The error never contains what the command printed.
    pub(super) fn password_for(&self, server: &Server) -> Result<Option<String>> {
        match self {
            PasswordSource::Known(password) => Ok(Some(password.clone())),
            PasswordSource::File(file) => find_password(file, server),
            PasswordSource::Command(command) => command.run(server).map(Some),
        }
    }
}

impl PasswordCommand {
    /// Runs the command, which learns from variables for which server it is.
    fn run(&self, server: &Server) -> Result<String> {
        let config = server.config();
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .env("PGHOST", server.name_in_files())
            .env("PGPORT", server.port().to_string())
            .env("PGUSER", config.get_user().unwrap_or_default())
            .env("PGDATABASE", config.get_dbname().unwrap_or_default())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            // It may print a secret, and this process's errors end up in logs.
            .stderr(Stdio::null());
        let mut child = command.spawn().map_err(|error| self.failed("cannot be started").caused_by(error))?;
        let output = child.stdout.take();
        let reader = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let read = output.map(|output| output.take(MAX_BYTES + 1).read_to_end(&mut bytes));
            read.transpose().map(|_| bytes)
        });
        let started = Instant::now();
        let status = loop {
            let ended =
                child.try_wait().map_err(|error| self.failed("cannot be waited for").caused_by(error))?;
            if let Some(status) = ended {
                break status;
            }
            if started.elapsed() > TIMEOUT {
                // It may have just ended.
                let _ = child.kill();
                let _ = child.wait();
                return Err(self.failed(&format!("took longer than {} s", TIMEOUT.as_secs())));
            }
            std::thread::sleep(PAUSE);
        };
        if !status.success() {
            return Err(self.failed(&format!("failed ({status})")));
        }
        let printed = reader.join().map_err(|_| self.failed("could not be read"))?;
        let printed = printed.map_err(|error| self.failed("could not be read").caused_by(error))?;
        self.password_in(printed)
    }

    /// The first line of what the command printed.
    fn password_in(&self, printed: Vec<u8>) -> Result<String> {
        let text = String::from_utf8(printed).ok();
        let password = text.as_deref().and_then(|text| text.lines().next());
        match password {
            Some(password) if !password.is_empty() && password.len() as u64 <= MAX_BYTES => {
                Ok(password.to_owned())
            }
            _ => Err(self.failed("printed no password")),
        }
    }

    fn failed(&self, how: &str) -> Error {
        Error::new(
            Code::Forbidden,
            format!(
                "the password command {} {how}; it prints the password on its first line and exits with 0. Run it by hand to see why: its arguments stand in [database] password_command of the configuration",
                self.program.display()
            ),
        )
    }
}
