#!/usr/bin/env bash
# Works a task with the command line of the MCP Inspector, with the protocols before and after 2026-07-28. Each call starts
# its own server, so every step runs in another process.
# Needs `mcp-inspector` and `node` in PATH; `tests/clients/run` adds them.
set -euo pipefail

tasktally=$(realpath "${1:-${TASKTALLY_BIN:-target/debug/tasktally}}")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export MCP_CATALOG_PATH=$folder/catalog.json MCP_CLIENT_CONFIG_PATH=$folder/client.json

fail() {
    echo "inspector: $*" >&2
    exit 1
}

# inspect ERA ARG…: one call; stdout in $reply, stderr in $complaint.
inspect() {
    local era=$1 status=0
    shift
    reply=$(mcp-inspector --cli --protocol-era "$era" "$tasktally" serve --db "$folder/$era.db" \
        --format json "$@" 2>"$folder/stderr") || status=$?
    complaint=$(<"$folder/stderr")
    return "$status"
}

# call ERA TOOL ARGUMENTS: a tool that must answer `success: true`; its structured reply in $reply.
call() {
    inspect "$1" --method tools/call --tool-name "$2" --tool-args-json "$3" ||
        fail "$1: $2 $3 failed: $reply $complaint"
    reply=$(field "result.structuredContent") || fail "$1: $2 has no structured reply: $reply"
    [ "$(field success)" = true ] || fail "$1: $2 $3 answered: $reply"
}

# field PATH: a field of the JSON in $reply, strings as they are, the rest as JSON.
field() {
    node -e '
        let value = JSON.parse(process.argv[1]);
        for (const name of process.argv[2].split(".")) value = value?.[name];
        if (value === undefined) process.exit(1);
        console.log(typeof value === "string" ? value : JSON.stringify(value));
    ' "$reply" "$1"
}

# without_open_objects: removes from $complaint that the fields of an item may have any value. `true`, which the Inspector
# suggests for it, crashes google-genai.
without_open_objects() {
    complaint=$(awk 'BEGIN { RS = "" } !/inputSchema\.properties\.items\.items\.additionalProperties\n/' <<<"$complaint")
}

expect() {
    local found
    found=$(field "$2") || fail "$1: no $2 in $reply"
    [ "$found" = "$3" ] || fail "$1: $2 is $found, not $3"
}

for era in legacy modern; do
    inspect "$era" --method tools/list --strict || fail "$era: tools/list --strict: $complaint"
    without_open_objects
    case $complaint in *Issue:*) fail "$era: tools/list --strict complains: $complaint" ;; esac

    call "$era" create_task '{"task_title": "Archive the old mail", "project": "mail"}'
    expect "$era create_task" task.status active
    id=$(field task.id)
    call "$era" list_tasks '{"status": "active"}'
    expect "$era list_tasks" tasks.0.id "$id"
    call "$era" update_task "{\"id\": \"$id\", \"status\": \"in_progress\", \"assignee\": \"polecat\"}"
    expect "$era update_task" task.assignee polecat
    call "$era" update_task "{\"id\": \"$id\", \"body\": \"- Archived: 2025-11-03 | Ann | Lunch\"}"
    expect "$era receipt" receipt.number 1
    call "$era" complete_task "{\"id\": \"$id\"}"
    call "$era" get_task "{\"id\": \"$id\"}"
    expect "$era get_task" task.status done

    if inspect "$era" --method tools/call --tool-name get_task --tool-args-json '{"id": "no-such-task"}'; then
        fail "$era: an unknown id is no tool error: $reply"
    fi
done
echo "inspector: a task listed, claimed, receipted and completed in both eras, no complaint"
