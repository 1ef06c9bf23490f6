# Common commands. CI runs the same ones.

# The example items, processed by a shell script
demo:
    cargo run --locked --release --quiet -- --db target/demo/tasktally.db run --items examples/commits.jsonl --split month:date -- examples/file-commit.sh

test:
    cargo test --locked

lint:
    cargo fmt --check
    cargo clippy --locked --all-targets -- -D warnings

# Versions, licences and sources of the dependencies, and security advisories
deny:
    .ci/deny

# Compares the committed manifest with the operations
manifest:
    cargo run --locked --quiet -- manifest | diff - mcp-manifest.json

bench:
    cargo bench --locked --bench figures

# All fault tests with the rounds of docs/reliability.md: an hour and a half. FAULT selects tests whose name contains it
faults FAULT="":
    tests/faults/long {{FAULT}}

# Clients of other projects
clients:
    cargo build --locked
    tests/clients/run

# Builds the packages for this platform into target/packages, in minutes. TASKTALLY_PROFILE=dev makes large ones in seconds
packages:
    packaging/build

# Installs each package of target/packages in an empty place, runs the demo and calls the MCP server there
try-packages:
    packaging/try
