#!/usr/bin/env bash
# The main job on real input: import a small committed slice of real agent work, serve it, and ask
# five questions. `make run` calls it: run.sh BINARY FOLDER ADDRESS ADDRESS-FOR-KURRENTDB-CLIENTS
set -euo pipefail
binary=$1 folder=$2 listen=$3 kurrentdb=$4
data=$folder/data key_file=$folder/operator.key url=http://$listen
inputs=$(dirname "$0")/../tests/data
mkdir -p "$folder"

take() {
  echo "== import $*"
  "$binary" import "$@" --data "$data"
}
echo "Three businesses at work (import them again and again: nothing doubles)"
take transcript "$inputs/tau-bench/airline-slice.json" --business airline
take langfuse "$inputs"/langfuse/*.trace.json --business studio
take openhands "$inputs/openhands/basic_gui_mode.json" --business studio
take swe-agent "$inputs/swe-agent/flash.traj" --business studio
# One of its cases has no name, which is told and refused unless that is allowed.
take xes "$inputs/process-logs/orders.xes" --business bank --allow-missing
take csv "$inputs/process-logs/tickets.csv" --business bank --case ticket --activity step --time when --resource who
take documents "$inputs/documents" --business bank
if [ ! -s "$key_file" ]; then
  "$binary" keys issue --data "$data" --out "$key_file"
fi

"$binary" serve --data "$data" --listen "$listen" --kurrentdb-listen "$kurrentdb" 2>"$folder/serve.log" &
server=$!
trap 'kill -TERM $server 2>/dev/null || true' INT TERM EXIT
for _ in $(seq 100); do
  if ! kill -0 $server 2>/dev/null; then
    cat "$folder/serve.log" >&2
    exit 1
  fi
  if "$binary" query '{ __typename }' --server "$url" --key-file "$key_file" >/dev/null 2>&1; then break; fi
  sleep 0.1
done

ask() {
  echo
  echo "== $1"
  echo "\$ minutebook query '$2' --server $url --key-file $key_file"
  "$binary" query "$2" --server "$url" --key-file "$key_file"
}
ask "What was done, and what went wrong?" \
  '{ business(slug: "airline") { tasks { totalCount } completed: tasks(filter: {status: COMPLETED}) { totalCount } decisions { totalCount } calls(first: 1, filter: {status: FAILED}) { totalCount nodes { operation error { text } } } } }'
ask "How good are the agents, and which events is that counted from?" \
  '{ business(slug: "airline") { kpis(ids: ["agent_completion", "first_pass_yield", "call_error_rate"]) { id value target status events(first: 1) { totalCount nodes { seq type } } } } }'
ask "What did which model cost?" \
  '{ business(slug: "studio") { kpis(ids: ["cost", "output_tokens"]) { id exact unit breakdown(by: MODEL) { key exact } } } }'
ask "What does the bank know about savings, and from where?" \
  '{ business(slug: "bank") { memory(search: "account fee", first: 2) { totalCount nodes { snippet source { text } event { id } } } } }'
ask "And all three together?" \
  '{ portfolio { businessCount kpis(ids: ["throughput", "cost"]) { id value unit } } }'

echo
echo "== an event's proof, checked without the database"
event=$("$binary" query '{ business(slug: "airline") { events(first: 1, filter: {type: "decisions.recorded"}) { nodes { id } } } }' \
  --server "$url" --key-file "$key_file" | sed -n 's/.*"id": "\(.*\)".*/\1/p')
"$binary" prove "$event" --business airline --out "$folder/event.proof.json" --server "$url" --key-file "$key_file"
"$binary" verify --proof "$folder/event.proof.json"
echo
echo "== the record verifies"
"$binary" verify --server "$url" --key-file "$key_file"
echo
echo "Minutebook serves on $url/"
echo "The operator's key is in $key_file (log in with it on the page, or name it with --key-file)"
echo "Stop it with Ctrl-C; what was accepted is durable."
wait $server
