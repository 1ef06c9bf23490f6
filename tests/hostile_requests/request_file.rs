//! A store that must stay unchanged, and requests from a file that must all be refused.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::server::Server;
use crate::support::store::Store;
use crate::support::values::Value as SqlValue;

/// Every row of every table, as text.
pub(crate) type Rows = BTreeMap<String, Vec<String>>;

/// A store with the operator's profiles in the folder of a project, and a folder outside of it.
pub(crate) struct HostileStore {
    pub(crate) store: Store,
    outside: TempDir,
    /// The values of the placeholders (`$NAME`) in requests.
    pub(crate) names: Vec<(&'static str, String)>,
}

/// The operator's profiles. Each would create the file `ran`: one per item, one in the folder of a project, one per
/// chunk.
const PROFILES: &str = r#"
[paths]
roots = ["{home}/code"]

[worker.mail]
command = ["touch", "{home}/ran"]
per = "item"

[worker.there]
command = ["touch", "{home}/ran"]
per = "item"
cwd = "{home}/code/{project}"

[worker.agent]
command = ["touch", "{home}/ran"]
per = "chunk"
"#;

impl HostileStore {
    pub(crate) fn new(store: Store) -> Self {
        let store = store.with_config(PROFILES);
        for folder in [store.home().join("code"), store.folder().join("code")] {
            std::fs::create_dir(folder).unwrap();
        }
        let outside = TempDir::with_prefix("tasktally-outside-").unwrap();
        std::fs::write(outside.path().join("secret.jsonl"), "{\"key\": \"secret\"}\n").unwrap();
        let names = vec![
            ("$OUT", outside.path().to_str().unwrap().to_owned()),
            ("$HERE", store.folder().to_str().unwrap().to_owned()),
            ("$LONG", "x".repeat(10_000)),
        ];
        HostileStore { store, outside, names }
    }

    /// The path of a file outside of the project.
    pub(crate) fn outside(&self, name: &str) -> PathBuf {
        self.outside.path().join(name)
    }

    /// Whether any worker was started.
    pub(crate) fn has_run(&self) -> bool {
        self.store.home().join("ran").exists()
    }

    pub(crate) fn rows(&self) -> Rows {
        rows(&self.store)
    }

    /// Sends every request of a file and asserts its refusal. Returns the number of requests.
    #[track_caller]
    pub(crate) fn assert_refuses_all(&self, server: &mut Server, file: &str) -> usize {
        let mut count = 0;
        let before = self.rows();
        for request in self.requests(file) {
            let answer = request.send(server);
            request.assert_refused(&answer);
            let after = self.rows();
            assert!(
                after == before,
                "{}: the store was changed: {}",
                request.description(),
                differences(&before, &after)
            );
            count += 1;
        }
        assert!(!self.has_run(), "a worker was started");
        count
    }

    /// Sends every request of a file to a server with a scope, which may refuse it for another reason, and asserts that
    /// nothing changes.
    #[track_caller]
    pub(crate) fn assert_changes_nothing(&self, server: &mut Server, file: &str) {
        let before = self.rows();
        for request in self.requests(file) {
            request.send(server);
        }
        let after = self.rows();
        assert!(after == before, "the store was changed: {}", differences(&before, &after));
        assert!(!self.has_run(), "a worker was started");
    }

    fn requests(&self, file: &str) -> Vec<Request> {
        let lines = file.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
        let named = |line: &str| {
            self.names.iter().fold(line.to_owned(), |line, (name, value)| line.replace(name, value))
        };
        lines.map(|line| Request::parse(&named(line))).collect()
    }
}

/// A call with its literal arguments and its expected refusal.
struct Request {
    call: String,
    arguments: String,
    code: String,
    words: Vec<String>,
}

impl Request {
    /// Parses `CALL ARGUMENTS => CODE: words | words`.
    fn parse(line: &str) -> Self {
        let (request, refusal) = line.rsplit_once(" => ").unwrap_or_else(|| panic!("no refusal: {line}"));
        let (call, arguments) =
            request.trim().split_once(' ').unwrap_or_else(|| panic!("no arguments: {line}"));
        let (code, words) = refusal.split_once(':').unwrap_or((refusal, ""));
        let words = words.split('|').map(|word| word.trim().to_owned()).filter(|word| !word.is_empty());
        Request {
            call: call.to_owned(),
            arguments: with_required_arguments(call, arguments.trim()),
            code: code.trim().to_owned(),
            words: words.collect(),
        }
    }

    fn description(&self) -> String {
        format!("{} {}", self.call, self.arguments).chars().take(300).collect()
    }

    /// Sends the request and returns the code and message of the refusal. The arguments are sent literally, so that they
    /// can be what no JSON library would write, such as a duplicate name.
    fn send(&self, server: &mut Server) -> (String, String) {
        let is_tool = !self.call.contains('/');
        let (id, line) = if is_tool {
            server.encode_request("tools/call", json!({"name": self.call, "arguments": "@"}))
        } else {
            server.encode_request(&self.call, json!("@"))
        };
        server.write_line(&line.replace("\"@\"", &self.arguments));
        let answer = server.answer(id).unwrap_or_else(|| panic!("{}: the server ended", self.description()));
        if let Some(error) = answer.get("error") {
            let code = error["code"].to_string();
            return (code, error["message"].as_str().unwrap_or_default().to_owned());
        }
        let result = &answer["result"];
        let text = result["content"][0]["text"]
            .as_str()
            .unwrap_or_else(|| panic!("{}: {answer}", self.description()));
        let reply: Value = serde_json::from_str(text).unwrap();
        assert_eq!(reply["success"], false, "{}: accepted: {reply}", self.description());
        (reply["code"].as_str().unwrap_or_default().to_owned(), reply["message"].as_str().unwrap().to_owned())
    }

    #[track_caller]
    fn assert_refused(&self, (code, message): &(String, String)) {
        assert_eq!(*code, self.code, "{}: {message}", self.description());
        // The message for an unknown method is only its name.
        let min_length = if code == "-32601" { 1 } else { 20 };
        assert!(
            (min_length..1_500).contains(&message.len()),
            "{}: not a sentence: {message}",
            self.description()
        );
        for word in &self.words {
            assert!(message.contains(word.as_str()), "{}: no {word:?} in {message:?}", self.description());
        }
        let raw = |c: char| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c);
        assert!(!message.chars().any(raw), "{}: raw characters in {message:?}", self.description());
        for secret in ["\"secret\"", "root:x:0"] {
            assert!(
                !message.contains(secret),
                "{}: the message contains a secret: {message}",
                self.description()
            );
        }
    }
}

/// Adds the required arguments of `create_batch` that a request leaves out.
fn with_required_arguments(call: &str, arguments: &str) -> String {
    if call != "create_batch" || !arguments.starts_with('{') {
        return arguments.to_owned();
    }
    let has = |name: &str| arguments.contains(&format!("\"{name}\":"));
    let mut rest = String::from("{");
    for (name, value) in [("title", "\"Sort\""), ("instructions", "\"Sort it.\""), ("items", "[\"a\"]")] {
        if !has(name) && !(name == "items" && (has("source") || has("query"))) {
            rest += &format!("\"{name}\": {value}, ");
        }
    }
    let rest = rest + arguments.trim_start_matches('{');
    rest.replace(", }", "}")
}

/// Every row of every table of a store.
pub(crate) fn rows(store: &Store) -> Rows {
    let sql = store.sql();
    let all = sql.tables().into_iter().map(|table| {
        let found = sql.rows::<Vec<SqlValue>>(&format!("SELECT * FROM \"{table}\""), &[]);
        let text = |row: &Vec<SqlValue>| row.iter().map(|value| format!("{value:?}")).collect::<Vec<_>>();
        let mut rows: Vec<String> = found.iter().map(|row| text(row).join(", ")).collect();
        rows.sort();
        (table, rows)
    });
    all.collect()
}

/// The rows that differ between two states.
pub(crate) fn differences(before: &Rows, after: &Rows) -> String {
    let mut lines = Vec::new();
    for (table, rows) in after {
        let old = before.get(table).cloned().unwrap_or_default();
        lines.extend(rows.iter().filter(|row| !old.contains(row)).map(|row| format!("+ {table}: {row}")));
        lines.extend(old.iter().filter(|row| !rows.contains(row)).map(|row| format!("- {table}: {row}")));
    }
    lines.join("\n")
}
