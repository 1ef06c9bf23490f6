//! The address of a store in PostgreSQL: a URL, completed by the variables that other PostgreSQL programs read as well.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{ChannelBinding, SslNegotiation};

use super::address_parameters::Parameters;
use super::connect_failure::cause_of;
use super::password::{PasswordCommand, PasswordSource};
use super::servers::{Server, Servers, parse_wanted};
use super::tls::{Tls, TlsParameters};
use crate::error::{Error, Result};

/// The folder of the server's socket on Debian, for an address without a host.
const SOCKET_FOLDER: &str = "/var/run/postgresql";
/// The port of an address without one.
const PORT: u16 = 5432;

/// Where a store in PostgreSQL is, and how to sign in. It is shown without its password.
#[derive(Clone)]
pub struct Address {
    user: String,
    database: String,
    servers: Servers,
    tls: Tls,
    password: PasswordSource,
}

impl Address {
    /// Whether a store's name is the address of a database and not the path of a file.
    pub fn is_address(name: &str) -> bool {
        name.starts_with("postgres://") || name.starts_with("postgresql://")
    }

    /// Reads an address. What it leaves out comes from the variables `PGHOST`, `PGPORT`, `PGUSER`, `PGDATABASE`, `PGPASSWORD`,
    /// `PGPASSFILE`, `PGOPTIONS`, `PGTARGETSESSIONATTRS`, `PGCONNECT_TIMEOUT`, `PGSSLMODE`, `PGSSLROOTCERT`, `PGSSLCERT`,
    /// `PGSSLKEY`, `PGSSLNEGOTIATION` and `PGCHANNELBINDING`, as `variable` returns them.
    ///
    /// # Errors
    /// If the address, a variable or a file that they name is malformed.
    pub fn parse(url: &str, variable: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let parameters = Parameters::take_from(url);
        let mut config = Config::from_str(&parameters.rest).map_err(|error| {
            let cause = cause_of(&error);
            // The address itself is not repeated: it may contain a password.
            Error::invalid(format!(
                "the address of the store cannot be read ({cause}); it has the form postgres://USER@HOST:PORT/DATABASE"
            ))
        })?;
        complete(&mut config, &parameters, &variable)?;
        let home = variable("HOME").unwrap_or_default();
        let either = |parameter, name| parameters.get(parameter).or_else(|| variable(name));
        let tls = Tls::new(&TlsParameters {
            mode: either("sslmode", "PGSSLMODE"),
            root_certificates: either("sslrootcert", "PGSSLROOTCERT"),
            certificate: either("sslcert", "PGSSLCERT"),
            key: either("sslkey", "PGSSLKEY"),
            default_folder: (!home.is_empty()).then(|| PathBuf::from(&home).join(".postgresql")),
        })?;
        let known = config.get_password().map(|password| String::from_utf8_lossy(password).into_owned());
        let password = known.or_else(|| variable("PGPASSWORD")).map_or_else(
            || {
                let file = variable("PGPASSFILE").unwrap_or_else(|| format!("{home}/.pgpass"));
                PasswordSource::File(PathBuf::from(file))
            },
            PasswordSource::Known,
        );
        let servers = Servers::new(&config, &tls)
            .map_err(|why| Error::invalid(format!("the address of the store names {why}")))?;
        Ok(Address {
            user: config.get_user().unwrap_or_default().to_owned(),
            database: config.get_dbname().unwrap_or_default().to_owned(),
            servers,
            tls,
            password,
        })
    }

    /// The same, with a command that prints the password, unless a variable has it.
    #[must_use]
    pub fn with_password_command(mut self, command: PasswordCommand) -> Self {
        if !matches!(self.password, PasswordSource::Known(_)) {
            self.password = PasswordSource::Command(command);
        }
        self
    }

    /// The servers.
    pub(super) fn servers(&self) -> &Servers {
        &self.servers
    }

    /// Whether connections use TLS.
    pub(super) fn tls(&self) -> &Tls {
        &self.tls
    }

    /// Where the password comes from.
    pub(super) fn password_source(&self) -> &PasswordSource {
        &self.password
    }

    /// Whether the address itself contains a password, which every user of the machine can read on a command line.
    pub fn has_password(url: &str) -> bool {
        let rest = Parameters::take_from(url).rest;
        Config::from_str(&rest).is_ok_and(|config| config.get_password().is_some())
    }
}

/// Adds to the settings what the address does not name.
fn complete(
    config: &mut Config,
    given: &Parameters,
    variable: &impl Fn(&str) -> Option<String>,
) -> Result<()> {
    if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
        let hosts = variable("PGHOST").unwrap_or_else(|| SOCKET_FOLDER.to_owned());
        for host in hosts.split(',') {
            config.host(host);
        }
    }
    if config.get_ports().is_empty() {
        for port in variable("PGPORT").unwrap_or_else(|| PORT.to_string()).split(',') {
            config.port(port.parse().map_err(|_| {
                Error::invalid(format!("PGPORT is '{port}'; allowed: a number from 1 to 65535"))
            })?);
        }
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
    if config.get_connect_timeout().is_none()
        && let Some(seconds) = variable("PGCONNECT_TIMEOUT")
    {
        let number = seconds.parse().map_err(|_| {
            Error::invalid(format!("PGCONNECT_TIMEOUT is '{seconds}'; allowed: a number of seconds"))
        })?;
        // 0 stands for no limit of one's own.
        if number > 0 {
            config.connect_timeout(Duration::from_secs(number));
        }
    }
    if let Some(wanted) = given.get("target_session_attrs") {
        config.target_session_attrs(parse_wanted("target_session_attrs", &wanted)?);
    } else if let Some(wanted) = variable("PGTARGETSESSIONATTRS") {
        config.target_session_attrs(parse_wanted("PGTARGETSESSIONATTRS", &wanted)?);
    }
    complete_protection(config, variable)
}

/// How TLS begins, and whether the password is bound to it.
fn complete_protection(config: &mut Config, variable: &impl Fn(&str) -> Option<String>) -> Result<()> {
    if config.get_channel_binding() == ChannelBinding::Prefer
        && let Some(binding) = variable("PGCHANNELBINDING")
    {
        config.channel_binding(match binding.as_str() {
            "disable" => ChannelBinding::Disable,
            "prefer" => ChannelBinding::Prefer,
            "require" => ChannelBinding::Require,
            other => {
                return Err(Error::invalid(format!(
                    "PGCHANNELBINDING is '{other}'; allowed: disable, prefer, require"
                )));
            }
        });
    }
    if config.get_ssl_negotiation() == SslNegotiation::Postgres
        && let Some(negotiation) = variable("PGSSLNEGOTIATION")
    {
        config.ssl_negotiation(match negotiation.as_str() {
            "postgres" => SslNegotiation::Postgres,
            "direct" => SslNegotiation::Direct,
            other => {
                return Err(Error::invalid(format!(
                    "PGSSLNEGOTIATION is '{other}'; allowed: postgres, direct"
                )));
            }
        });
    }
    Ok(())
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |server: &Server| match server.port() {
            PORT => server.name(),
            port => format!("{}:{port}", server.name()),
        };
        let servers: Vec<String> = self.servers.all().iter().map(shown).collect();
        write!(f, "postgres://{}@{}/{}", self.user, servers.join(","), self.database)
    }
}
