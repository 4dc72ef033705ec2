#!/usr/bin/env bash
# Runs the benchmark, and the tests that matter there, on a machine with an accelerator: under 8 minutes.
#
#   benchmarks/accelerator.sh
#
# Leaves BACKEND.json (gpu.json, say), BACKEND-tests.txt and BACKEND-figures. Variables:
#   PYTHON         the Python to use (python3). If its JAX has no accelerator, an environment is built, .venv-accelerator.
#   OUT            folder for what is left (benchmarks/results)
#   BENCH_ARGS     arguments for nmmo-jax bench (--full)
#   BENCH_SECONDS, TEST_SECONDS  what they may take (330, 120); an unfinished benchmark keeps its rows, and the same
#                  command goes on with it
#   ACCELERATOR    cpu: a dry run without one
# Exit status: 0; 1 a test or a row failed; 2 no accelerator, or no environment.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

PYTHON=${PYTHON:-python3}
OUT=${OUT:-benchmarks/results}
ACCELERATOR=${ACCELERATOR:-}
read -r -a bench_args <<< "${BENCH_ARGS:---full}"
tests=(tests/test_accelerator.py tests/test_bits.py tests/test_environment.py::test_the_rules_have_not_moved)
extras="cuda,test"
[[ $ACCELERATOR != cpu ]] || extras="test"

# What the JAX of a Python runs on; nothing where something that is needed cannot be imported.
backend_of() {
    timeout 120 "$1" -c 'import jax, flax, jaxtyping, matplotlib, msgspec, numpy, optax, rich, tyro, pytest, chex, hypothesis
print(jax.default_backend())' 2> >(tail -n 1 >&2) || true
}

# Whether there is a device at all: of NVIDIA, AMD, or a TPU.
present() {
    [[ $ACCELERATOR == cpu ]] || compgen -G '/dev/nvidia[0-9]*' > /dev/null || compgen -G '/dev/accel*' > /dev/null || [[ -e /dev/kfd ]]
}

usable() {
    [[ -n $1 && ($1 != cpu || $ACCELERATOR == cpu) ]]
}

backend=$(backend_of "$PYTHON")
if ! usable "$backend" && present; then
    echo "The JAX of $PYTHON has no accelerator, or something is missing: building .venv-accelerator ..." >&2
    "$PYTHON" -m venv .venv-accelerator || exit 2
    timeout 240 .venv-accelerator/bin/python -m pip install --quiet --disable-pip-version-check -e ".[$extras]" || exit 2
    PYTHON=$PWD/.venv-accelerator/bin/python
    backend=$(backend_of "$PYTHON")
fi
if ! usable "$backend"; then
    echo "No accelerator: JAX finds ${backend:-nothing}. (ACCELERATOR=cpu makes a dry run.)" >&2
    exit 2
fi
[[ $backend != cpu ]] || backend=dry-run
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH}
mkdir -p "$OUT"

status=0
echo "Tests on $backend ..."
timeout "${TEST_SECONDS:-120}" "$PYTHON" -m pytest -p no:cacheprovider "${tests[@]}" 2>&1 | tee "$OUT/$backend-tests.txt" ||
    { status=1; echo "Tests failed, or did not end in time."; }

echo "Benchmark on $backend ..."
ended=0
timeout --signal=TERM --kill-after=20 "${BENCH_SECONDS:-330}" "$PYTHON" -m nmmo_jax.cli bench "${bench_args[@]}" \
    --overwrite --out "$OUT/$backend.json" --figures "$OUT/$backend-figures" || ended=$?
case $ended in
    0) ;;
    124 | 130 | 143) "$PYTHON" -m nmmo_jax.cli bench --show "$OUT/$backend.json" --figures "$OUT/$backend-figures" ;;
    *) status=1 ;;
esac
exit "$status"
