# What a person types; CI calls the same.

# The main job on the example items
demo:
    cargo run --release --quiet -- --db target/demo/tasktally.db run --items examples/commits.jsonl --split month:date -- examples/file-commit.sh

test:
    cargo test

lint:
    cargo fmt --check
    cargo clippy --all-targets -- -D warnings

# The committed manifest against the operations
manifest:
    cargo run --quiet -- manifest | diff - mcp-manifest.json

bench:
    cargo bench --bench figures

# All that docs/reliability.md tells of, in full: an hour and a half; FAULT takes only those of that name
faults FAULT="":
    tests/faults/long {{FAULT}}

# Clients that others wrote
clients:
    cargo build
    tests/clients/run
