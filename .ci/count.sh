# Runs steps and counts: a guard counts as one, a test suite by what its runner says.

passed=0
failed=0
closing=()
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Longest time of one step, in seconds: all of them together must end well within 90 minutes. A step that builds the
# whole project may need more than a suite of a client, which it is given where it is called.
STEP_SECONDS_MAX=900

# Says how a step ended and how long it took. The closing lines repeat it if it failed.
ended() {
  local name=$1 seconds=$2 status=$3 line
  case $status in
    0) line="ok    $name ($seconds s)" ;;
    none) line="FAIL  $name ($seconds s): it ran no test" ;;
    *) line="FAIL  $name ($seconds s): exit status $status" ;;
  esac
  echo "$line"
  [ "$status" = 0 ] || closing+=("$line" "$(failed_tests <"$log")")
}

# Reads the names of failed tests from the output of any of the runners, at most 20. Node writes a cross before them.
failed_tests() {
  local cross=$'\xe2\x9c\x96'
  grep -E "^(test .* \.\.\. FAILED|(FAILED|ERROR) |--- FAIL|not ok |$cross |\[ERROR\] )" | head -n 20 | cut -c1-200
}

# guard NAME COMMAND...: passes if the command does. Its output is shown only when it fails.
guard() {
  local name=$1 start=$SECONDS status=0
  shift
  bounded "$@" >"$log" 2>&1 </dev/null || status=$?
  if [ "$status" -eq 0 ]; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    tail -n 300 "$log"
  fi
  ended "$name" $((SECONDS - start)) "$status"
  return "$status"
}

# suite NAME COUNTER COMMAND...: adds what COUNTER reads from the output. A command that fails without a failed test,
# or passes without a test, is a failure of its own. A suite that fails is run once more: if it passes then, it counts as
# passed, and the closing lines name it as flaky.
suite() {
  local name=$1 counter=$2 start=$SECONDS status=0 counts
  shift 2
  run_suite "$counter" "$@" || status=$?
  if [ "$status" -ne 0 ]; then
    ended "$name: ${counts[0]} passed, ${counts[1]} failed" $((SECONDS - start)) "$status"
    echo "again $name"
    start=$SECONDS status=0
    run_suite "$counter" "$@" || status=$?
    [ "$status" -ne 0 ] || closing+=("flaky $name: failed, and passed when it was run again")
  fi
  passed=$((passed + counts[0]))
  failed=$((failed + counts[1]))
  if [ "$status" -ne 0 ] && [ "${counts[1]}" -eq 0 ]; then
    failed=$((failed + 1))
  elif [ "$status" -eq 0 ] && [ "${counts[0]}" -eq 0 ]; then
    failed=$((failed + 1))
    status=none
  fi
  ended "$name: ${counts[0]} passed, ${counts[1]} failed" $((SECONDS - start)) "$status"
}

# run_suite COUNTER COMMAND...: sets `counts` of the caller. Returns the status of the command.
run_suite() {
  local counter=$1 status=0
  shift
  # To a file, not a pipe: a process that a failed test left behind would keep a pipe open for ever.
  bounded "$@" >"$log" 2>&1 </dev/null || status=$?
  cat "$log"
  read -r -a counts < <("$counter" <"$log")
  return "$status"
}

# Runs a command, or a function of these scripts, for at most STEP_SECONDS_MAX.
bounded() {
  if [ "$(type -t "$1")" = file ]; then
    timeout --kill-after=30 "$STEP_SECONDS_MAX" "$@"
  else
    "$@"
  fi
}

# Adds up the `test result: ok. 5 passed; 0 failed; ...` lines of cargo test.
cargo_counts() {
  awk '/^test result: / {
    for (i = 2; i <= NF; i++) {
      if ($i ~ /^passed/) passed += $(i - 1)
      if ($i ~ /^failed/) failed += $(i - 1)
    }
  } END { print passed + 0, failed + 0 }'
}

# Reads the last line of pytest: `2 failed, 20 passed, 1 error in 3.21s`. An error counts as failed.
pytest_counts() {
  grep -E '(passed|failed|errors?|skipped|no tests ran).* in [0-9.]+s' | tail -n 1 | awk '{
    for (i = 2; i <= NF; i++) {
      if ($i ~ /^passed/) passed += $(i - 1)
      if ($i ~ /^(failed|error)/) failed += $(i - 1)
    }
  } END { print passed + 0, failed + 0 }'
}

# Counts the tests of `go test -v`, subtests aside. A package that does not build is a failure of its own.
go_counts() {
  awk '/^--- PASS/ { passed++ } /^--- FAIL/ { failed++ } END { print passed + 0, failed + 0 }'
}

# Reads the closing lines of node's test runner.
node_counts() {
  awk '$2 == "pass" && NF == 3 { passed = $3 } $2 == "fail" && NF == 3 { failed = $3 }
    END { print passed + 0, failed + 0 }'
}

# Reads the last line of Maven's Surefire: `Tests run: 75, Failures: 0, Errors: 0, Skipped: 0`.
maven_counts() {
  grep -E 'Tests run: [0-9]+, Failures: [0-9]+, Errors: [0-9]+, Skipped: [0-9]+' | grep -v ' -- in ' | tail -n 1 |
    awk -F'[^0-9]+' '{ print $2 - $3 - $4 - $5, $3 + $4 } END { if (NR == 0) print 0, 0 }'
}

# Prints the flaky suites, the steps and tests that failed, and the closing line; fails if anything did, or if nothing
# was counted.
closing_line() {
  [ ${#closing[@]} -eq 0 ] || printf '%s\n' "${closing[@]}" | grep .
  echo "$passed passed, $failed failed"
  [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
}
