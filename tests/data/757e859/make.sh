#!/bin/bash
# Makes the data directories beside it with the binary named: make.sh JOBSTREAM OUT
# Each is what `serve --data` of that version left. jobs.jsonl holds what it said of its jobs just before it ended.
set -eu
jobstream=$1 out=$2
mkdir -p "$out"
options=(--listen 127.0.0.1:0 --segment-bytes 73728 --payload-bytes-max 1KiB --retention 87600h --demo --drain-timeout 1s --log-level error)

start() { # DIRECTORY OPTIONS...
  local directory=$1; shift
  "$jobstream" serve --data "$directory" "${options[@]}" "$@" 2>"$out/banner" &
  server=$!
  until address=$(grep -oE '127\.0\.0\.1:[0-9]+' "$out/banner" | head -1) && [ -n "$address" ]; do sleep 0.1; done
  export JOBSTREAM_ADDRESS=$address
}
client() { "$jobstream" -q "$@"; }
id() { printf '0190c0de-0000-7000-8000-%012x' "$1"; }
seen() { # DIRECTORY
  client jobs get -o jsonl $(client jobs ls --limit 500 -o jsonl | grep -oE '"(job_id|jobId)": ?"[^"]+"' | grep -oE '[0-9a-f-]{36}') > "$1/jobs.jsonl"
}
finish() { kill "-$1" "$server"; wait "$server" || true; rm -f "$out"/*/spare-* "$out"/*/LOCK; }

start "$out/waiting"
client submit unserved --job-id "$(id 1)" '{"n": 1}' --label colour=red --priority 7
client submit unserved --text minted
client submit demo.echo --job-id "$(id 2)" --delay 87600h '"later"'
client submit demo.echo --job-id "$(id 3)" --at 2099-01-01T00:00:00Z '"much later"'
client submit demo.flaky --job-id "$(id 4)" --retries 3 --backoff 20m
client submit demo.echo --job-id "$(id 5)" --delay 10s '"soon"'
client queues pause held
client submit demo.echo --job-id "$(id 6)" --queue held --timeout 87600h '"held"'
sleep 1
seen "$out/waiting"; finish TERM

start "$out/finished"
client submit demo.echo --job-id "$(id 11)" --text 'a result' --wait
client submit demo.echo --text 'minted' --wait
client submit demo.fail --job-id "$(id 12)" '{"message": "broken"}' --wait || true
client submit unserved --job-id "$(id 13)" '1'; client jobs cancel "$(id 13)" --yes 2>/dev/null || client jobs cancel "$(id 13)"
client submit demo.stream --job-id "$(id 14)" '{"chunks": 3, "interval_seconds": 0.001}' --wait
client submit demo.echo --job-id "$(id 15)" --text 'deleted' --wait; client jobs rm "$(id 15)" --yes 2>/dev/null || client jobs rm "$(id 15)"
client submit demo.echo --job-id "$(id 16)" --text 'expired' --retention 0s
sleep 1
seen "$out/finished"; finish TERM

start "$out/killed"
"$jobstream" worker --exec 'outside=sleep 1000' --slots 1 2>/dev/null & worker=$!
client submit demo.sleep --job-id "$(id 21)" '{"seconds": 1000}' --retries 1
client submit outside --job-id "$(id 22)" '{}'
client submit outside --job-id "$(id 23)" '{}'
client submit demo.echo --job-id "$(id 24)" --text 'done' --wait
sleep 1
seen "$out/killed"; finish KILL; kill "$worker" || true

start "$out/evicted" --retention-memory-bytes-max 0 --checkpoint-bytes 64KiB --checkpoint-waste 0
text=$(printf 'x%.0s' $(seq 600))
for n in $(seq 101 160); do
  client submit demo.echo --job-id "$(id "$n")" --text "$n $text" --wait >/dev/null
  [ $((n % 2)) = 0 ] || client jobs rm "$(id "$n")" --yes >/dev/null 2>&1 || client jobs rm "$(id "$n")" >/dev/null
done
sleep 1
seen "$out/evicted"; finish KILL
rm -f "$out/banner"
