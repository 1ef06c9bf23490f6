//! TLS to the database: what each `sslmode` accepts and refuses, for every connection that a process makes.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use crate::certificates::{Authority, KeyKind};
use crate::support::cli::Run;
use crate::support::postgres::Cluster;
use crate::support::store::Store;

/// The network's users need TLS and a password.
const ONLY_TLS: &str = "hostssl all all 0.0.0.0/0 scram-sha-256";
const PASSWORD: &str = "open-sesame";
/// A name that the test cluster's certificate has, and that leads nowhere.
const NAME: &str = "db.example";

/// A cluster with a certificate for [`NAME`] and its address.
struct Case {
    authority: Authority,
    cluster: Arc<Cluster>,
    address: String,
}

impl Case {
    #[track_caller]
    fn new(kind: KeyKind, lines: &str) -> Option<Self> {
        let authority = Authority::new(kind)?;
        let (cluster, address) = Cluster::on_network(lines)?;
        let (certificate, key) = authority.sign("server", &format!("DNS:{NAME},IP:{address}"));
        cluster.write_data("server.crt", &std::fs::read_to_string(certificate).unwrap());
        cluster.write_data("server.key", &std::fs::read_to_string(key).unwrap());
        cluster.run(&format!("ALTER ROLE tasktally PASSWORD '{PASSWORD}'; ALTER SYSTEM SET ssl = on"));
        cluster.reload();
        Some(Case { authority, cluster, address })
    }

    /// A store of a new database, at the host with these parameters.
    fn store(&self, host: &str, parameters: &str) -> Store {
        let database = self.cluster.create_database();
        let name = database.name().to_owned();
        let hostaddr = &self.address;
        let url = format!("postgres://tasktally@{host}/{name}?hostaddr={hostaddr}&{parameters}");
        Store::in_database(database.with_url(url))
    }

    fn root(&self) -> String {
        format!("sslrootcert={}", self.authority.certificate().display())
    }

    /// Asserts that a new process can use a store, or that it is refused with these words.
    #[track_caller]
    fn check(&self, host: &str, parameters: &str, refused: Option<&[&str]>) {
        let store = self.store(host, parameters);
        let (code, output) = list_tasks(&store);
        match refused {
            None => assert_eq!(code, Some(0), "{parameters}: {output}"),
            Some(words) => {
                assert_ne!(code, Some(0), "{host} {parameters}: {output}");
                println!("{host} {parameters}: {output}");
                for word in words {
                    assert!(output.contains(word), "{host} {parameters}: '{word}' is not in {output}");
                }
            }
        }
        assert!(!output.contains(PASSWORD), "{output}");
    }
}

fn list_tasks(store: &Store) -> (Option<i32>, String) {
    let mut command = store.command();
    command.env("PGPASSWORD", PASSWORD);
    let ran = Run::new(command, ["list-tasks"]).finish();
    (ran.code, ran.output())
}

#[test]
fn each_sslmode_checks_what_it_promises() {
    let Some(case) = Case::new(KeyKind::Ecdsa, ONLY_TLS) else { return };
    let other = Authority::new(KeyKind::Ecdsa).unwrap();
    let (root, unknown) = (case.root(), format!("sslrootcert={}", other.certificate().display()));
    let anything = "connection_not_checked.example";
    let (by_address, no_tls) = (case.address.clone(), ["sslmode=require or more", "no encryption"]);
    // The server is not checked, but the connection is encrypted.
    case.check(anything, "sslmode=require", None);
    case.check(anything, "sslmode=prefer", None);
    case.check(anything, "application_name=x", None);
    case.check(anything, "sslmode=disable", Some(&no_tls));
    // With a certificate of the authority, `require` checks who signed.
    let issuer = ["invalid peer certificate: UnknownIssuer", "sslrootcert has to name"];
    case.check(anything, &format!("sslmode=require&{root}"), None);
    case.check(anything, &format!("sslmode=require&{unknown}"), Some(&issuer));
    case.check(anything, &format!("sslmode=verify-ca&{root}"), None);
    case.check(NAME, &format!("sslmode=verify-ca&{unknown}"), Some(&issuer));
    for host in [NAME, by_address.as_str()] {
        case.check(host, &format!("sslmode=verify-full&{root}"), None);
    }
    let name = ["invalid peer certificate", "for other names", "subjectAltName"];
    case.check(anything, &format!("sslmode=verify-full&{root}"), Some(&name));
    case.check("127.0.0.1", &format!("sslmode=verify-full&{root}"), Some(&name));
    case.check(NAME, &format!("sslmode=verify-full&{unknown}"), Some(&issuer));
    // The operating system does not know this authority.
    case.check(NAME, "sslrootcert=system", Some(&["sslrootcert"]));
    // A password is only sent to a server that has the key of the certificate which was checked.
    case.check(NAME, &format!("sslmode=verify-full&channel_binding=require&{root}"), None);
}

#[test]
fn a_password_exchange_is_bound_to_a_certificate_with_an_rsa_key() {
    let Some(case) = Case::new(KeyKind::Rsa, ONLY_TLS) else { return };
    case.check(NAME, &format!("sslmode=verify-full&channel_binding=require&{}", case.root()), None);
}

#[test]
fn malformed_settings_of_tls_are_refused_with_what_is_allowed() {
    let Some(case) = Case::new(KeyKind::Ecdsa, ONLY_TLS) else { return };
    let no_pem = case.authority.certificate().with_file_name("extensions");
    case.check(NAME, "sslmode=verify", Some(&["sslmode is 'verify'", "verify-full"]));
    case.check(NAME, "sslmode=verify-full", Some(&["sslrootcert=FILE", "sslrootcert=system"]));
    case.check(
        NAME,
        "sslmode=require&sslrootcert=system",
        Some(&["sslmode is 'require'", "allowed: verify-full"]),
    );
    case.check(
        NAME,
        "sslmode=verify-ca&sslrootcert=/nowhere.crt",
        Some(&["sslrootcert: /nowhere.crt cannot be used"]),
    );
    let parameters = format!("sslmode=verify-ca&sslrootcert={}", no_pem.display());
    case.check(NAME, &parameters, Some(&["it has to be a PEM file"]));
}

#[test]
fn a_server_without_tls_is_used_only_if_the_mode_allows_it() {
    let lines = "hostnossl all all 0.0.0.0/0 scram-sha-256";
    let Some(case) = Case::new(KeyKind::Ecdsa, lines) else { return };
    case.cluster.run("ALTER SYSTEM SET ssl = off");
    case.cluster.reload();
    let (words, root) = (["does not support TLS", "sslmode=disable"], case.root());
    case.check(NAME, "sslmode=disable", None);
    case.check(NAME, "sslmode=prefer", None);
    for parameters in
        ["sslmode=require", &format!("sslmode=verify-ca&{root}"), &format!("sslmode=verify-full&{root}")]
    {
        case.check(NAME, parameters, Some(&words));
    }
}

#[test]
fn every_connection_uses_tls_and_variables_name_what_the_address_leaves_out() {
    let Some(case) = Case::new(KeyKind::Ecdsa, ONLY_TLS) else { return };
    let store = case.store(NAME, "application_name=tasktally");
    let mut command = store.command();
    command
        .arg("serve")
        .env("PGPASSWORD", PASSWORD)
        .env("PGSSLMODE", "verify-full")
        .env("PGSSLROOTCERT", case.authority.certificate())
        .env("PGCHANNELBINDING", "require");
    let mut server = crate::support::server::Server::spawn(command);
    server.start_reading();
    server.initialize("2025-11-25");
    // A large batch needs a lease, too.
    let items: Vec<String> = (0..12_000).map(|number| format!("item {number}")).collect();
    store.write(
        "items.jsonl",
        items.iter().map(|item| format!("{{\"key\": \"{item}\"}}\n")).collect::<String>(),
    );
    let plan = json!({"title": "B", "instructions": "x", "source": "items.jsonl", "key": "key"});
    let reply = server.call("create_batch", plan);
    assert!(reply.succeeded(), "{}", reply.value);
    let claimed = server.call("claim_task", json!({"batch": reply.text("/batch/id")})).ok();
    server.read_task(&claimed.text("/task/id"));
    let sql = case.cluster.sql();
    let used: Vec<(String, String)> = sql.rows(
        "SELECT ssl::text, version FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE usename = 'tasktally'",
        &[],
    );
    assert!(!used.is_empty());
    assert!(used.iter().all(|(ssl, version)| ssl == "true" && version == "TLSv1.3"), "{used:?}");
}

#[test]
fn a_client_certificate_takes_the_place_of_a_password() {
    let lines = "hostssl all all 0.0.0.0/0 cert";
    let Some(case) = Case::new(KeyKind::Ecdsa, lines) else { return };
    let root = std::fs::read_to_string(case.authority.certificate()).unwrap();
    case.cluster.write_data("root.crt", &root);
    case.cluster.run("ALTER SYSTEM SET ssl_ca_file = 'root.crt'");
    case.cluster.reload();
    let refused = ["certificate"];
    case.check(NAME, &format!("sslmode=verify-full&{}", case.root()), Some(&refused));
    let (certificate, key) = case.authority.sign("tasktally", "DNS:client.example");
    let named = |key: &Path| {
        format!(
            "sslmode=verify-full&{}&sslcert={}&sslkey={}",
            case.root(),
            certificate.display(),
            key.display()
        )
    };
    case.check(NAME, &named(&key), None);
    let open = key.with_file_name("open.key");
    std::fs::copy(&key, &open).unwrap();
    std::fs::set_permissions(&open, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    case.check(NAME, &named(&open), Some(&["can be read by others", "chmod 600"]));
}
