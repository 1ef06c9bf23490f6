//! The servers that an address names, and opening a connection to the first one that can be used.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio_postgres::config::{Host, TargetSessionAttrs};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config};

use super::address::Address;
use super::connect_failure::{describe_failure, too_slow};
use super::failure::Failure;
use super::prepared::Probe;
use super::tls::Tls;
use crate::error::{Code, Error};

/// How long connecting to the only server may take.
const ONLY_SERVER: Duration = Duration::from_secs(10);
/// How long connecting to one of several may take, before the next one is tried.
const ONE_OF_SEVERAL: Duration = Duration::from_secs(5);

/// One server of an address.
#[derive(Clone)]
pub(super) struct Server {
    config: Config,
    host: Host,
    port: u16,
}

impl Server {
    /// The settings of its connections, without the password.
    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    /// The port.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Its name, or the folder of its socket.
    pub(super) fn name(&self) -> String {
        match &self.host {
            Host::Tcp(name) => name.clone(),
            #[cfg(unix)]
            Host::Unix(folder) => folder.display().to_string(),
        }
    }

    /// Its name in a password file, in which all sockets are called the same.
    pub(super) fn name_in_files(&self) -> String {
        match &self.host {
            Host::Tcp(name) => name.clone(),
            #[cfg(unix)]
            Host::Unix(_) => "localhost".to_owned(),
        }
    }
}

/// All servers of an address. At most one of them accepts writes at a time.
#[derive(Clone)]
pub(super) struct Servers {
    all: Vec<Server>,
    /// The one that was used last is tried first: another one may not even answer.
    latest: Arc<AtomicUsize>,
}

impl Servers {
    /// The servers of settings that name one or several.
    ///
    /// # Errors
    /// The numbers of hosts, of their addresses and of ports that do not fit together.
    pub(super) fn new(config: &Config, tls: &Tls) -> Result<Self, String> {
        let (hosts, addresses, ports) = (config.get_hosts(), config.get_hostaddrs(), config.get_ports());
        let count = hosts.len().max(addresses.len());
        if !hosts.is_empty() && !addresses.is_empty() && hosts.len() != addresses.len() {
            return Err(format!("{} hosts and {} addresses of hosts", hosts.len(), addresses.len()));
        }
        if ports.len() > 1 && ports.len() != count {
            return Err(format!("{count} hosts and {} ports", ports.len()));
        }
        let all = (0..count).map(|number| {
            let address = addresses.get(number).copied();
            let host = hosts.get(number).cloned();
            let host = host.or_else(|| address.map(|address| Host::Tcp(address.to_string())))?;
            let port = ports.get(number).or(ports.first()).copied().unwrap_or(5432);
            let mut one = without_hosts(config);
            match &host {
                Host::Tcp(name) => one.host(name),
                #[cfg(unix)]
                Host::Unix(folder) => one.host_path(folder),
            };
            if let Some(address) = address {
                one.hostaddr(address);
            }
            one.port(port).ssl_mode(tls.ssl_mode(!matches!(host, Host::Tcp(_))));
            Some(Server { config: one, host, port })
        });
        Ok(Servers { all: all.flatten().collect(), latest: Arc::default() })
    }

    /// All servers, in the order of the address.
    pub(super) fn all(&self) -> &[Server] {
        &self.all
    }

    fn timeout(&self) -> Duration {
        let default = if self.all.len() > 1 { ONE_OF_SEVERAL } else { ONLY_SERVER };
        let given = self.all.first().and_then(|server| server.config.get_connect_timeout());
        given.copied().unwrap_or(default)
    }
}

/// A copy of the settings that names no server.
fn without_hosts(config: &Config) -> Config {
    let mut copy = Config::new();
    copy.ssl_negotiation(config.get_ssl_negotiation())
        .channel_binding(config.get_channel_binding())
        .target_session_attrs(config.get_target_session_attrs())
        .user(config.get_user().unwrap_or_default())
        .dbname(config.get_dbname().unwrap_or_default())
        .application_name(config.get_application_name().unwrap_or("tasktally"))
        // The operating system closes a connection to a server that no longer answers. Otherwise a call could wait without
        // end.
        .keepalives_idle(Duration::from_secs(15))
        .keepalives_interval(Duration::from_secs(5))
        .keepalives_retries(3)
        .tcp_user_timeout(Duration::from_secs(30));
    if let Some(options) = config.get_options() {
        copy.options(options);
    }
    if let Some(timeout) = config.get_connect_timeout() {
        copy.connect_timeout(*timeout);
    }
    copy
}

/// An open connection. It ends when the client is dropped.
pub(super) struct Opened {
    pub(super) client: Client,
    /// Whether it leads to the server itself, and not to a pooler of connections.
    pub(super) is_direct: bool,
}

/// Opens a connection to the first server that can be used.
///
/// # Errors
/// If there is none. A failure that may pass is preferred to one that will stay.
pub(super) async fn open_client(address: &Address) -> Result<Opened, Failure> {
    let servers = address.servers();
    let count = servers.all.len();
    let first = servers.latest.load(Ordering::Relaxed);
    let mut failures = Vec::new();
    for number in (0..count).map(|number| (first + number) % count) {
        let Some(server) = servers.all.get(number) else { continue };
        match open_one(address, server, servers.timeout()).await {
            Ok(opened) => {
                servers.latest.store(number, Ordering::Relaxed);
                return Ok(opened);
            }
            Err(failure) => failures.push(failure),
        }
    }
    Err(combined(failures))
}

/// Opens a connection to one server.
async fn open_one(address: &Address, server: &Server, timeout: Duration) -> Result<Opened, Failure> {
    let mut config = server.config.clone();
    let (source, asked) = (address.password_source().clone(), server.clone());
    // A command takes its time, and other connections go on.
    let asked = tokio::task::spawn_blocking(move || source.password_for(&asked)).await;
    let stopped = |_| Error::new(Code::Internal, "the password could not be read; restart tasktally");
    if let Some(password) = asked.map_err(stopped).and_then(|asked| asked).map_err(Failure::Refused)? {
        config.password(password);
    }
    let opened = tokio::time::timeout(timeout, connect(&config, address.tls())).await;
    opened
        .map_err(|_| too_slow(address, server, timeout))?
        .map_err(|error| describe_failure(address, server, &error))
}

/// Connects, and finds out whether a pooler of connections stands between.
async fn connect(config: &Config, tls: &Tls) -> Result<Opened, tokio_postgres::Error> {
    let probe = Probe::new();
    let mut probing = config.clone();
    probing.options(probe.options(config.get_options()));
    let connected = match probing.connect(tls.connector()).await {
        // A pooler may take no options.
        Err(error) if error.code() == Some(&SqlState::PROTOCOL_VIOLATION) => {
            config.connect(tls.connector()).await
        }
        connected => connected,
    };
    let (client, connection) = connected?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to the database ended");
        }
    });
    let is_direct = probe.is_known_to(&client).await?;
    Ok(Opened { client, is_direct })
}

/// The failure of all servers together.
fn combined(failures: Vec<Failure>) -> Failure {
    let may_pass = |failure: &&Failure| matches!(failure, Failure::ConnectionLost(_));
    let texts: Vec<String> = failures.iter().map(|failure| failure.error().to_string()).collect();
    let passing = failures.iter().find(may_pass).map(Failure::error);
    let Some(error) = passing.as_ref().map(Error::copy).or_else(|| failures.first().map(Failure::error))
    else {
        return Failure::Refused(Error::invalid("the address of the store names no server"));
    };
    let error = Error::new(error.code, texts.join("; "));
    if passing.is_some() { Failure::ConnectionLost(error) } else { Failure::Refused(error) }
}

/// Which servers may be used, by `target_session_attrs`.
pub(super) fn parse_wanted(name: &str, wanted: &str) -> Result<TargetSessionAttrs, Error> {
    match wanted {
        "any" => Ok(TargetSessionAttrs::Any),
        "read-write" | "primary" => Ok(TargetSessionAttrs::ReadWrite),
        other => Err(Error::invalid(format!("{name} is '{other}'; allowed: any, read-write"))),
    }
}
