#!/usr/bin/env bash
# The main job on real input: import a small committed slice of real agent work, serve it, and ask
# three questions. `make run` calls it: run.sh BINARY FOLDER ADDRESS
set -euo pipefail
binary=$1 folder=$2 listen=$3
data=$folder/data key_file=$folder/operator.key url=http://$listen
slice=$(dirname "$0")/../tests/data/tau-bench/airline-slice.json
mkdir -p "$folder"

echo "== import: ten real transcripts of an airline's support agent (again and again: nothing doubles)"
"$binary" import transcript "$slice" --business airline --data "$data"
if [ ! -s "$key_file" ]; then
  (umask 077 && "$binary" keys issue --data "$data" >"$key_file")
fi

"$binary" serve --data "$data" --listen "$listen" 2>"$folder/serve.log" &
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
  '{ business(slug: "airline") { tasks { totalCount } completed: tasks(status: "completed") { totalCount } decisions { totalCount } calls(status: "failed", first: 1) { totalCount nodes { operation error { text } } } } }'
ask "Which tasks did a human have to look at?" \
  '{ business(slug: "airline") { tasks(escalated: true, first: 2) { totalCount nodes { status withoutHuman customerCost { amount currency } reviews { verdict } } } } }'
ask "Who decided what, and what is it worth as proof?" \
  '{ business(slug: "airline") { head { seq root } events(type: "decisions.recorded", first: 1) { totalCount nodes { seq recordedAt actor data } } } }'

echo
echo "== the record verifies"
"$binary" verify --server "$url" --key-file "$key_file"
echo
echo "Minutebook serves on $url/"
echo "operator's key: $(cat "$key_file")   (also in $key_file)"
echo "Stop it with Ctrl-C; what was accepted is durable."
wait $server
