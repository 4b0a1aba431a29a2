#!/usr/bin/env bash
# Mistakes made on purpose: each patch of tests/planted/ must apply, compile and turn the test it names
# red. `make planted` calls it; with words, only the patches whose names have one of them.
# They are applied to a copy of what is committed, so that nothing here is touched.
set -euo pipefail
cd "$(dirname "$0")/.."
# Beside the build that it shares: only our own crates are built again.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}
copy=$CARGO_TARGET_DIR/planted
mkdir -p "$copy"
remove() { git worktree remove --force "$copy/tree" 2>/dev/null || true; }
trap remove EXIT
remove
git worktree add --quiet --detach "$copy/tree" HEAD
failed=0 tried=0
for patch in tests/planted/*.patch; do
  name=$(basename "$patch" .patch)
  if [ $# -gt 0 ] && ! grep -qF -f <(printf '%s\n' "$@") <<<"$name"; then continue; fi
  # `stories <test>` is one of the rules alone; any other is one of the integration binary.
  test=$(sed -n 's/^Test: //p' "$patch")
  run=(-p tests --all-features --test it)
  if [ "$test" != "${test#stories }" ]; then
    test=${test#stories }
    run=(-p commands --test stories)
  fi
  tried=$((tried + 1))
  git -C "$copy/tree" reset --quiet --hard
  if ! git -C "$copy/tree" apply "$PWD/$patch"; then
    echo "DOES NOT APPLY  $name: bring the patch up to the code it is for"
    failed=$((failed + 1))
    continue
  fi
  if ! (cd "$copy/tree" && cargo test --quiet --locked "${run[@]}" --no-run 2>"$copy/build"); then
    tail -20 "$copy/build"
    echo "DOES NOT COMPILE  $name"
    failed=$((failed + 1))
    continue
  fi
  if (cd "$copy/tree" && cargo test --quiet --locked "${run[@]}" -- "$test" >"$copy/run" 2>&1); then
    echo "NOT NOTICED  $name: $test stays green"
    failed=$((failed + 1))
  elif grep -q "test result: FAILED" "$copy/run"; then
    echo "red  $name: $test"
  else
    tail -5 "$copy/run"
    echo "NOT RUN  $name: there is no test $test"
    failed=$((failed + 1))
  fi
done
echo "$tried planted, $failed not as they should be"
[ "$tried" -gt 0 ] && [ "$failed" -eq 0 ]
