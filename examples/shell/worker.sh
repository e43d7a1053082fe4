#!/bin/sh
# A worker: `sh worker.sh KIND PROGRAM [ARGUMENT...]`. The payload of a job is the program's stdin, its stdout the result.
# It needs curl 7.82 and jq. JOBSTREAM_URL names the server, JOBSTREAM_HEADERS a file with a header for each request.
url=${JOBSTREAM_URL:-http://localhost:7070} headers=${JOBSTREAM_HEADERS:-/dev/null} kind=$1
shift
work=$(mktemp -d) || exit
trap 'rm -rf "$work"' EXIT
trap 'kill $program $renewer 2>/dev/null; exit' INT TERM

# Posts the JSON on stdin to a path, again until the response has arrived: every request here is safe to repeat. It ends with
# this shell, also after kill -9.
post() {
  cat >"$work/$2.request"
  while kill -0 $$ 2>/dev/null; do
    status=$(curl --silent --max-time 60 -H "@$headers" --json "@$work/$2.request" --output "$work/$2.response" \
      --write-out '%{http_code}' "$url$1") || status=lost
    case $status in
      200) cat "$work/$2.response" && return ;;
      lost | 409 | 429 | 5*) sleep 1 ;;
      *) cat "$work/$2.response" >&2 && return 1 ;;
    esac
  done
  return 1
}

# Renews a lease while a program runs, and stops the program if its job is cancelled.
renew() {
  while sleep 10 && kill -0 "$2" 2>/dev/null && kill -0 $$ 2>/dev/null; do
    jq -n --arg lease "$1" '{leaseIds: [$lease]}' | post /v1/reports renewal >"$work/renewed"
    jq -e '.cancels == []' "$work/renewed" >/dev/null || { touch "$work/stopped" && kill "$2"; }
  done
}

while :; do
  rm -f "$work"/*
  request_id=$(cat /proc/sys/kernel/random/uuid 2>/dev/null || uuidgen)
  jq -n --arg kind "$kind" --arg request_id "$request_id" \
    '{name: "shell", kinds: [$kind], wait: "20s", requestId: $request_id}' |
    post /v1/leases lease >"$work/leased" || exit
  lease=$(jq -r '.assignments[0].leaseId // empty' "$work/leased")
  [ -n "$lease" ] || continue

  job=$(jq -r '.assignments[0].jobId' "$work/leased")
  curl --silent --fail --retry 10 --retry-delay 1 --retry-all-errors -H "@$headers" --output "$work/input" \
    "$url/v1/jobs/$job/payload" || continue
  "$@" <"$work/input" >"$work/output" 2>"$work/errors" &
  program=$!
  renew "$lease" "$program" >/dev/null &
  renewer=$!
  if wait "$program"; then
    news='{complete: {result: {text: $output}}}'
  elif [ -e "$work/stopped" ]; then
    news='{stopped: {}}'
  else
    news='{fail: {failure: {message: $errors[-1000:], retryable: true}}}'
  fi
  kill "$renewer"
  jq -n --arg lease "$lease" --rawfile output "$work/output" --rawfile errors "$work/errors" \
    "{reports: [{leaseId: \$lease} + $news]}" | post /v1/reports report >/dev/null || exit
done
