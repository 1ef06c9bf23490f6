//! Several hosts on one machine: network namespaces, each with a home folder and a name, and a database server in one of its
//! own. All addresses are in these namespaces. A host is cut off without a notice: its packets are lost.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::support::cli::Run;
use crate::support::postgres::Cluster;
use crate::support::skip::skip;
use crate::support::store::Store;
use crate::support::{eventually, send_signal};

/// The address of the database server. Each test has namespaces of its own, so all may use the same one.
const SERVER: &str = "10.213.77.1";
/// What every address starts with.
const NETWORK: &str = "10.213.77";

/// A network with a database server and hosts. Dropping it ends every process in it.
pub(crate) struct Hosts {
    /// The start of the names of its namespaces.
    name: String,
    hosts: Vec<&'static str>,
    pub(crate) store: Store,
    url: String,
}

/// Deletes the namespaces, also if the test fails while they are created.
struct Namespaces(Vec<String>);

impl Hosts {
    /// Hosts with these names. `config` is given the working directory of every command. None, and the running test is skipped, without PostgreSQL or the right to create namespaces.
    #[track_caller]
    pub(crate) fn new(hosts: &[&'static str], config: impl FnOnce(&Path) -> String) -> Option<Hosts> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("tt{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let server = format!("{name}-db");
        let mut created = Namespaces(Vec::new());
        if let Err(why) = created.add(&server) {
            skip(&format!("network namespaces cannot be created: {why}"));
            return None;
        }
        ip(&["-n", &server, "link", "add", "bridge", "type", "bridge"]);
        ip(&["-n", &server, "addr", "add", &format!("{SERVER}/24"), "dev", "bridge"]);
        for device in ["bridge", "lo"] {
            ip(&["-n", &server, "link", "set", device, "up"]);
        }
        for (number, host) in (10..).zip(hosts) {
            let space = format!("{name}-{host}");
            created.add(&space).expect("a namespace");
            ip(&[
                "-n", &server, "link", "add", host, "type", "veth", "peer", "name", "eth0", "netns", &space,
            ]);
            ip(&["-n", &server, "link", "set", host, "master", "bridge", "up"]);
            ip(&["-n", &space, "addr", "add", &format!("{NETWORK}.{number}/24"), "dev", "eth0"]);
            ip(&["-n", &space, "link", "set", "eth0", "up"]);
            ip(&["-n", &space, "link", "set", "lo", "up"]);
        }
        let cluster = Cluster::durable_in(&server, &["listen_addresses=10.213.77.1"]);
        std::mem::forget(created);
        let Some(cluster) = cluster else {
            delete_namespaces(&name, hosts);
            return None;
        };
        accept_connections(&cluster);
        let store = Store::in_database(cluster.create_database());
        let config = config(store.folder());
        let store = store.with_config(&config);
        let url = format!("postgresql://tasktally@{SERVER}/{}", store.database().name());
        let network = Hosts { name, hosts: hosts.to_vec(), store, url };
        for host in hosts {
            std::fs::create_dir(network.home(host)).unwrap();
        }
        Some(network)
    }

    /// The home folder of a host.
    pub(crate) fn home(&self, host: &str) -> PathBuf {
        self.store.folder().join(format!("home-{host}"))
    }

    /// A `tasktally` command on a host.
    pub(crate) fn command(&self, host: &str) -> Command {
        let mut command = Command::new("ip");
        let name = "echo $TEST_HOST > /proc/sys/kernel/hostname; exec \"$@\"";
        command
            .args([
                "netns",
                "exec",
                &format!("{}-{host}", self.name),
                "unshare",
                "--uts",
                "sh",
                "-c",
                name,
                "sh",
            ])
            .arg(env!("CARGO_BIN_EXE_tasktally"));
        let tasktally = self.store.command();
        command.current_dir(self.store.folder()).stdin(std::process::Stdio::null());
        command.envs(tasktally.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.env("TEST_HOST", host).env("TASKTALLY_DB", &self.url).env("HOME", self.home(host));
        command
    }

    /// The same, ready to run.
    pub(crate) fn tasktally(&self, host: &str, args: &[&str]) -> Run {
        Run::new(self.command(host), args)
    }

    /// Loses all packets to and from a host from now on.
    pub(crate) fn cut_off(&self, host: &str) {
        ip(&["-n", &format!("{}-db", self.name), "link", "set", host, "nomaster"]);
    }

    /// Connects a host again.
    pub(crate) fn reconnect(&self, host: &str) {
        ip(&["-n", &format!("{}-db", self.name), "link", "set", host, "master", "bridge"]);
    }

    /// The processes on a host.
    pub(crate) fn processes(&self, host: &str) -> Vec<u32> {
        processes_in(&format!("{}-{host}", self.name))
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        for host in &self.hosts {
            let space = format!("{}-{host}", self.name);
            // One that is killed may start another one before.
            for _ in 0..100 {
                let processes = processes_in(&space);
                if processes.is_empty() {
                    break;
                }
                let pids = processes.iter().map(ToString::to_string);
                let _ = Command::new("kill").arg("-KILL").args(pids).output();
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
        }
        delete_namespaces(&self.name, &self.hosts);
    }
}

impl Namespaces {
    fn add(&mut self, name: &str) -> Result<(), String> {
        match Command::new("ip").args(["netns", "add", name]).output() {
            Ok(done) if done.status.success() => {
                self.0.push(name.to_owned());
                Ok(())
            }
            Ok(done) => Err(String::from_utf8_lossy(&done.stderr).trim().to_owned()),
            Err(error) => Err(format!("ip: {error}")),
        }
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        for name in &self.0 {
            let _ = Command::new("ip").args(["netns", "delete", name]).output();
        }
    }
}

fn delete_namespaces(name: &str, hosts: &[&str]) {
    let spaces = hosts.iter().chain(&["db"]).map(|host| format!("{name}-{host}"));
    drop(Namespaces(spaces.collect()));
}

fn processes_in(space: &str) -> Vec<u32> {
    let listed = Command::new("ip").args(["netns", "pids", space]).output().expect("`ip` runs");
    String::from_utf8_lossy(&listed.stdout).lines().filter_map(|pid| pid.trim().parse().ok()).collect()
}

#[track_caller]
fn ip(args: &[&str]) {
    let done = Command::new("ip").args(args).output().expect("`ip` runs");
    assert!(done.status.success(), "ip {args:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// Lets the hosts connect without a password.
fn accept_connections(cluster: &Arc<Cluster>) {
    use std::io::Write as _;
    let rules = cluster.folder().join("data/pg_hba.conf");
    let mut rules = std::fs::File::options().append(true).open(rules).expect("the rules can be changed");
    writeln!(rules, "host all all {NETWORK}.0/24 trust").unwrap();
    send_signal("HUP", cluster.postmaster());
    eventually("the rules to be read", || {
        cluster.log().contains("reloading configuration files").then_some(())
    });
}
