# What a person types; CI calls the same.

# The main job on the example items
demo:
    cargo run --release --quiet -- --db target/demo/docket.db run --items examples/commits.jsonl --split month:date -- examples/file-commit.sh

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

# The crash and race tests, long: ROUNDS a test
faults ROUNDS="200":
    DOCKET_ROUNDS={{ROUNDS}} cargo test --release --test crash --test races -- --nocapture

# Clients that others wrote
clients:
    cargo build
    tests/clients/run
