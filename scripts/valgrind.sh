#!/bin/sh
# Runs the core's own tests under valgrind: no bad access, no memory lost, no descriptor left open.
# `scripts/valgrind.sh channel` runs those with "channel" in their names.
set -eu
cd "$(dirname "$0")/.."

binary=$(cargo test --locked --lib --no-run --message-format=json | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p')
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Few random inputs: each takes some fifty times as long here. One thread: valgrind runs one at a time.
# Not run: the tests of fork (valgrind has no pidfd_open), and two that a slow machine would fail.
FUZZ_INPUTS=${FUZZ_INPUTS:-200} valgrind --track-fds=yes --leak-check=full --show-leak-kinds=definite,indirect \
  --errors-for-leak-kinds=definite,indirect --error-exitcode=9 --suppressions=scripts/valgrind.supp --log-file="$log" \
  "$binary" --test-threads=1 --skip fork:: --skip a_stuck_worker_is_passed_over \
  --skip what_the_thread_is_about_to_flush "$@" || { cat "$log"; exit 1; }

# What is open at the end has come from the shell.
open=$(grep -A1 '== Open ' "$log" | grep '== ' | grep -v -e '== Open ' -e '<inherited from parent>' || true)
if [ -n "$open" ]; then
  cat "$log"
  echo 'descriptors were left open' >&2
  exit 1
fi
grep -e 'ERROR SUMMARY' -e 'definitely lost' -e 'All heap blocks' -e 'FILE DESCRIPTORS' "$log"
