//! The address of a store in PostgreSQL: a URL, completed by the variables that other PostgreSQL programs read as well.

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

use super::failure::{Failure, server_message};
use super::password_file::find_password;
use crate::error::{Code, Error, Result};

/// The folder of the server's socket on Debian, for an address without a host.
const SOCKET_FOLDER: &str = "/var/run/postgresql";
/// The port of an address without one.
const PORT: u16 = 5432;

/// Where a store in PostgreSQL is, and how to sign in. It is shown without its password.
#[derive(Clone)]
pub struct Address {
    config: Config,
}

impl Address {
    /// Whether a store's name is the address of a database and not the path of a file.
    pub fn is_address(name: &str) -> bool {
        name.starts_with("postgres://") || name.starts_with("postgresql://")
    }

    /// The connection settings.
    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    /// Reads an address. What it leaves out comes from `PGHOST`, `PGPORT`, `PGUSER`, `PGDATABASE`, `PGPASSWORD`, `PGPASSFILE`,
    /// `PGOPTIONS` and `PGTARGETSESSIONATTRS`, as `variable` returns them.
    ///
    /// # Errors
    /// If the address or a variable is malformed, or asks for TLS.
    pub fn parse(url: &str, variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let mut config = Config::from_str(url).map_err(|error| {
            let cause = cause_of(&error);
            // The address itself is not repeated: it may contain a password.
            Error::invalid(format!(
                "the address of the store cannot be read ({cause}); it has the form postgres://USER@HOST:PORT/DATABASE"
            ))
        })?;
        complete(&mut config, &variable)?;
        if config.get_ssl_mode() == SslMode::Require {
            return Err(Error::invalid(
                "the address of the store asks for TLS (sslmode=require), which this version does not have yet; use a socket, a tunnel, or sslmode=disable in a network that you trust",
            ));
        }
        config.ssl_mode(SslMode::Disable);
        // The operating system closes a connection to a server that no longer answers. Otherwise a call could wait without end.
        config.keepalives_idle(Duration::from_secs(15));
        config.keepalives_interval(Duration::from_secs(5));
        config.keepalives_retries(3);
        config.tcp_user_timeout(Duration::from_secs(30));
        if config.get_application_name().is_none() {
            config.application_name("tasktally");
        }
        let home = variable("HOME").unwrap_or_default();
        if config.get_password().is_none()
            && let Some(password) = variable("PGPASSWORD")
        {
            config.password(password);
        }
        if config.get_password().is_none() {
            let file = variable("PGPASSFILE").unwrap_or_else(|| format!("{home}/.pgpass"));
            if let Some(password) = find_password(Path::new(&file), &config)? {
                config.password(password);
            }
        }
        Ok(Address { config })
    }

    /// Whether the address itself contains a password, which every user of the machine can read on a command line.
    pub fn has_password(url: &str) -> bool {
        Config::from_str(url).is_ok_and(|config| config.get_password().is_some())
    }

    /// Why no connection could be made.
    pub(super) fn describe_failure(&self, error: &tokio_postgres::Error) -> Failure {
        let Some(state) = error.code() else {
            let cause = cause_of(error);
            let message = format!(
                "{self}: the database cannot be reached ({cause}); check the address and that PostgreSQL runs there"
            );
            return Failure::ConnectionLost(Error::new(Code::Busy, message));
        };
        let (code, next) = match state.code() {
            "28P01" | "28000" => {
                (Code::Forbidden, "check the user, and the password in PGPASSFILE or PGPASSWORD")
            }
            "3D000" => (Code::InvalidArgument, "create the database first: createdb NAME"),
            "53300" => (Code::Busy, "it has no connection free; try again, or raise max_connections"),
            "57P01" | "57P02" | "57P03" => (Code::Busy, "try again in a moment"),
            _ => (Code::Internal, "its log has the details"),
        };
        let said = server_message(error);
        let refused =
            Error::new(code, format!("{self}: the database refused the connection: {said}; {next}"));
        // The server may accept a connection later.
        if code == Code::Busy { Failure::ConnectionLost(refused) } else { Failure::Refused(refused) }
    }
}

/// The cause that the client library reports.
fn cause_of(error: &tokio_postgres::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

/// Adds to the settings what the address does not name.
fn complete(config: &mut Config, variable: &impl Fn(&str) -> Option<String>) -> Result<()> {
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        config.host(variable("PGHOST").unwrap_or_else(|| SOCKET_FOLDER.to_owned()));
    }
    if config.get_ports().is_empty() {
        let port = variable("PGPORT").map_or(Ok(PORT), |port| {
            port.parse()
                .map_err(|_| Error::invalid(format!("PGPORT is '{port}'; allowed: a number from 1 to 65535")))
        })?;
        config.port(port);
    }
    if config.get_user().is_none() {
        let user = variable("PGUSER").or_else(|| variable("USER"));
        config.user(user.ok_or_else(|| {
            Error::invalid(
                "the address of the store names no user; write postgres://USER@HOST/DATABASE, or set PGUSER",
            )
        })?);
    }
    if config.get_dbname().is_none() {
        let name = variable("PGDATABASE").or_else(|| config.get_user().map(str::to_owned));
        config.dbname(name.unwrap_or_default());
    }
    if config.get_options().is_none()
        && let Some(options) = variable("PGOPTIONS")
    {
        config.options(options);
    }
    if let Some(wanted) = variable("PGTARGETSESSIONATTRS") {
        config.target_session_attrs(match wanted.as_str() {
            "any" => TargetSessionAttrs::Any,
            "read-write" | "primary" => TargetSessionAttrs::ReadWrite,
            other => {
                return Err(Error::invalid(format!(
                    "PGTARGETSESSIONATTRS is '{other}'; allowed: any, read-write"
                )));
            }
        });
    }
    Ok(())
}

/// The name of a host in the settings.
pub(super) fn host_name(host: &Host) -> String {
    match host {
        Host::Tcp(name) => name.clone(),
        #[cfg(unix)]
        Host::Unix(folder) => folder.display().to_string(),
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hosts: Vec<String> = self.config.get_hosts().iter().map(host_name).collect();
        let user = self.config.get_user().unwrap_or_default();
        let port = self.config.get_ports().first().copied().unwrap_or(PORT);
        let port = if port == PORT { String::new() } else { format!(":{port}") };
        write!(
            f,
            "postgres://{user}@{}{port}/{}",
            hosts.join(","),
            self.config.get_dbname().unwrap_or_default()
        )
    }
}
