//! Random requests built from the schemas that the server itself publishes, then mutated.

use serde_json::{Map, Value, json};

use crate::support::rng::Rng;
use crate::support::store::Store;

const METHODS: &[&str] = &[
    "ping",
    "tools/list",
    "prompts/list",
    "resources/list",
    "resources/templates/list",
    "server/discover",
    "logging/setLevel",
    "nothing/known",
    "",
    "rpc.discover",
];

/// The material for random requests.
pub(crate) struct Corpus {
    /// Name and schema of each tool.
    tools: Vec<(String, Value)>,
    /// Valid ids, tokens, keys and other words.
    words: Vec<String>,
}

impl Corpus {
    /// Reads the tools of a server and adds some tasks and a batch to its store.
    pub(crate) fn of(store: &Store) -> Self {
        let mut server = store.serve();
        let listed = server.request("tools/list", json!({}));
        let tools = listed["result"]["tools"].as_array().unwrap().iter();
        let tools =
            tools.map(|tool| (tool["name"].as_str().unwrap().to_owned(), tool["inputSchema"].clone()));
        let tools = tools.collect();
        let mut words = vec![server.create_task("One"), server.create_task("Two")];
        let plan = json!({"title": "B", "instructions": "x", "items": ["a", "b", "c"], "max_chunk": 1});
        let batch = server.call("create_batch", plan).ok().text("/batch/id");
        let claim = server.call("claim_task", json!({"batch": batch, "worker": "w"})).ok();
        words.extend([claim.text("/task/id"), claim.text("/claim/token"), "a".into(), "b".into(), batch]);
        words.extend(["w", "active", "done", "- text", "2026-01-01", "x.jsonl", "."].map(str::to_owned));
        Corpus { tools, words }
    }

    /// The handshake of a client before 2026-07-28.
    pub(crate) fn handshake(&self, rng: &mut Rng) -> Vec<u8> {
        let version = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"][rng.below(4) as usize];
        let hello = json!({"jsonrpc": "2.0", "id": "hello", "method": "initialize", "params": {
            "protocolVersion": version, "capabilities": {}, "clientInfo": {"name": "fuzz", "version": "0"}}});
        let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        format!("{hello}\n{ready}\n").into_bytes()
    }

    /// A random line: a request or something similar.
    pub(crate) fn line(&self, rng: &mut Rng, number: u64, stateless: bool) -> Vec<u8> {
        let mut message = self.request(rng, number, stateless);
        match rng.below(24) {
            0 => message = json!([message, self.request(rng, number + 100_000, stateless)]),
            1 => drop(message.as_object_mut().unwrap().remove("id")),
            2 => message["id"] = odd_value(rng),
            // An id that may be in flight.
            3 => message["id"] = json!(rng.below(number + 1)),
            4 => message["jsonrpc"] = odd_value(rng),
            5 => message["params"] = odd_value(rng),
            6 => {
                message = json!({"jsonrpc": "2.0", "method": "notifications/cancelled",
                                 "params": {"requestId": rng.below(number + 1), "reason": "no"}});
            }
            7 => message = json!({"jsonrpc": "2.0", "id": number, "result": odd_value(rng)}),
            8 => message = odd_value(rng),
            9 => message["method"] = odd_value(rng),
            _ => {}
        }
        message.to_string().into_bytes()
    }

    /// A line that is longer than `longest` by one byte or several times as long.
    pub(crate) fn long_line(&self, rng: &mut Rng, longest: usize) -> Vec<u8> {
        let size = if rng.below(2) == 0 { longest + 1 } else { 4 * longest };
        let text = "x".repeat(size);
        let call = json!({"jsonrpc": "2.0", "id": "long", "method": "tools/call",
            "params": {"name": "create_task", "arguments": {"task_title": text}}});
        format!("{call}\n").into_bytes()
    }

    fn request(&self, rng: &mut Rng, number: u64, stateless: bool) -> Value {
        let id = if rng.below(4) == 0 { json!(format!("s{number}")) } else { json!(number) };
        let (method, mut params) = match rng.below(10) {
            0..=6 => {
                let (name, schema) = &self.tools[rng.below(self.tools.len() as u64) as usize];
                let mut arguments = self.value(rng, schema, 0);
                if rng.below(2) == 0 {
                    mutate(rng, &mut arguments, 0);
                }
                ("tools/call", json!({"name": name, "arguments": arguments}))
            }
            7 => self.other_request(rng),
            8 if stateless => {
                ("subscriptions/listen", json!({"resourceSubscriptions": ["tasktally://batches"]}))
            }
            _ => (METHODS[rng.below(METHODS.len() as u64) as usize], json!({})),
        };
        // Most requests carry the metadata of their protocol; some carry none or the wrong one.
        if stateless != (rng.below(30) == 0) {
            params["_meta"] = json!({
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientInfo": {"name": "fuzz", "version": "0"},
                "io.modelcontextprotocol/clientCapabilities": {"extensions": {"io.modelcontextprotocol/tasks": {}}},
            });
        }
        if rng.below(8) == 0 {
            mutate(rng, &mut params, 0);
        }
        json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
    }

    fn other_request(&self, rng: &mut Rng) -> (&'static str, Value) {
        let word = self.word(rng);
        match rng.below(7) {
            0 => ("prompts/get", json!({"name": "work_chunk", "arguments": {"batch": word}})),
            1 => ("resources/read", json!({"uri": format!("tasktally://batch/{word}")})),
            2 => ("resources/subscribe", json!({"uri": format!("tasktally://task/{word}")})),
            3 => ("resources/unsubscribe", json!({"uri": "tasktally://batches"})),
            4 => {
                let about = json!({"type": "ref/prompt", "name": "work_chunk"});
                ("completion/complete", json!({"ref": about, "argument": {"name": "batch", "value": word}}))
            }
            5 => ("tasks/get", json!({"taskId": word})),
            _ => ("tasks/cancel", json!({"taskId": word})),
        }
    }

    fn word(&self, rng: &mut Rng) -> String {
        self.words[rng.below(self.words.len() as u64) as usize].clone()
    }

    /// A random value of a schema. Optional fields are sometimes left out.
    fn value(&self, rng: &mut Rng, schema: &Value, depth: u32) -> Value {
        if let Some(listed) = schema["enum"].as_array() {
            return listed[rng.below(listed.len() as u64) as usize].clone();
        }
        for choice in ["anyOf", "oneOf"] {
            if let Some(choices) = schema[choice].as_array() {
                let at = rng.below(choices.len() as u64) as usize;
                return self.value(rng, &choices[at], depth + 1);
            }
        }
        let kind = match &schema["type"] {
            Value::Array(kinds) => kinds[rng.below(kinds.len() as u64) as usize].clone(),
            kind => kind.clone(),
        };
        match kind.as_str() {
            Some("object") if depth < 6 => {
                let required = schema["required"].as_array();
                let mut object = Map::new();
                for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
                    let needed = required.is_some_and(|names| names.iter().any(|needed| needed == name));
                    if needed || rng.below(4) == 0 {
                        object.insert(name.clone(), self.value(rng, inner, depth + 1));
                    }
                }
                Value::Object(object)
            }
            Some("array") => {
                (0..rng.below(4)).map(|_| self.value(rng, &schema["items"], depth + 1)).collect()
            }
            Some("integer") => json!(rng.below(10)),
            Some("number") => json!(rng.below(1000) as f64 / 10.0),
            Some("boolean") => json!(rng.below(2) == 0),
            Some("null") => Value::Null,
            _ => json!(self.word(rng)),
        }
    }
}

/// A value that is rarely valid.
fn odd_value(rng: &mut Rng) -> Value {
    match rng.below(16) {
        0 => Value::Null,
        1 => json!(true),
        2 => json!(-1),
        3 => json!(u64::MAX),
        4 => json!(i64::MIN),
        5 => json!(1e308),
        6 => json!(0.5),
        7 => json!(""),
        8 => json!("x".repeat(rng.below(100_000) as usize)),
        9 => json!("\0\u{1}\u{7f}\u{202e}\u{feff}\u{fffd}\u{10ffff}"),
        10 => json!([]),
        11 => json!({}),
        12 => (0..rng.below(200)).fold(json!(1), |inner, _| json!([inner])),
        13 => (0..rng.below(200)).fold(json!(1), |inner, _| json!({"a": inner})),
        14 => json!({"id": {"id": []}, "": null, "__proto__": 1}),
        _ => json!("../../../etc/passwd"),
    }
}

/// Replaces, removes, adds or repeats a random part of a value.
fn mutate(rng: &mut Rng, value: &mut Value, depth: u32) {
    let deeper = depth < 8 && rng.below(3) > 0;
    match value {
        Value::Object(object) if deeper && !object.is_empty() => {
            let at = rng.below(object.len() as u64) as usize;
            let key = object.keys().nth(at).unwrap().clone();
            match rng.below(8) {
                0 => drop(object.remove(&key)),
                1 => drop(object.insert(format!("{key}x"), odd_value(rng))),
                _ => mutate(rng, &mut object[&key], depth + 1),
            }
        }
        Value::Array(array) if deeper && !array.is_empty() => {
            let at = rng.below(array.len() as u64) as usize;
            match rng.below(8) {
                0 => drop(array.remove(at)),
                1 => array.extend(std::iter::repeat_n(array[at].clone(), 50)),
                _ => mutate(rng, &mut array[at], depth + 1),
            }
        }
        other => *other = odd_value(rng),
    }
}

/// Mutates the bytes of a line.
pub(crate) fn mutate_bytes(rng: &mut Rng, line: &mut Vec<u8>) {
    const PIECES: &[&[u8]] = &[
        b"\0",
        b"\xff\xfe",
        b"\xed\xa0\x80",
        b"\\ud800",
        b"\\u0000",
        b"\xEF\xBB\xBF",
        b"\r",
        b"\n",
        b"{",
        b"]",
        b"\"id\":7,",
        b"1e999",
        b"//",
        b"\xc3",
    ];
    for _ in 0..1 + rng.below(3) {
        let at = rng.below(line.len() as u64 + 1) as usize;
        match rng.below(5) {
            0 => line.truncate(at),
            1 if at < line.len() => line[at] ^= 1 << rng.below(8),
            2 if at < line.len() => drop(line.remove(at)),
            3 => line.extend_from_within(at..),
            _ => {
                let piece = PIECES[rng.below(PIECES.len() as u64) as usize];
                line.splice(at..at, piece.iter().copied());
            }
        }
    }
}
