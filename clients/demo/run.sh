#!/usr/bin/env bash
# From a fresh clone to a trained network, over REST. Called by ./demo in the root.
set -euo pipefail
export LC_ALL=C
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

usage() {
    cat <<'TEXT'
usage: ./demo [--keep] [--data DIR] [--port N]

Installs what the build needs, builds the daemon, starts it, uploads clients/demo/penguins.csv
(344 penguins; strings and missing values included), trains a small network, shows its metrics while
it learns, and predicts two penguins. Every curl command is printed before it runs.

  --keep      leave the daemon running in the foreground at the end (Ctrl-C stops it)
  --data DIR  keep data, jobs and models in DIR (default: a temporary directory, removed at the end)
  --port N    listen on 127.0.0.1:N (default: a free port)
TEXT
}

keep=no port=0 data=
while [ $# -gt 0 ]; do
    case $1 in
    --keep) keep=yes ;;
    --data) data=${2?--data needs a directory} && shift ;;
    --port) port=${2?--port needs a number} && shift ;;
    -h | --help) usage && exit 0 ;;
    *) usage >&2 && exit 2 ;;
    esac
    shift
done

daemon_pid='' temporary=''
stop() {
    local status=$?
    trap - EXIT INT TERM
    if [ -n "$daemon_pid" ]; then
        kill -TERM "$daemon_pid" 2>/dev/null || true
        wait "$daemon_pid" 2>/dev/null || status=$?
    fi
    [ -z "$temporary" ] || rm -rf "$temporary"
    exit "$status"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

exec 3>&1 # the reader's screen, also from inside $(...)
bold='' dim='' plain=''
if [ -t 1 ]; then
    bold=$'\033[1m' dim=$'\033[2m' plain=$'\033[0m'
fi

say() {
    printf '\n%s%s%s\n' "$bold" "$*" "$plain"
}

# Runs curl; what the daemon says of a refused request goes to standard error.
ask() {
    local answer
    if ! answer=$(curl --silent --show-error --fail-with-body "$@"); then
        printf '%s\n' "$answer" >&2
        return 1
    fi
    printf '%s\n' "$answer"
}

# Prints a curl command so that it can be copied, then runs it.
show_curl() {
    local word line='curl'
    for word in "$@"; do
        case $word in
        *[!A-Za-z0-9_./:=-]*) line+=" '$word'" ;;
        *) line+=" $word" ;;
        esac
    done
    printf '%s$%s %s\n' "$dim" "$plain" "$line" >&3
    ask "$@"
}

# first NAME < JSON: the first number, string or boolean called NAME
first() {
    tr -d '\n' | grep -oE "\"$1\" *: *(\"[^\"]*\"|[-+.0-9eE]+|true|false)" | head -n 1 |
        sed -E "s/^\"[^\"]*\" *: *//; s/^\"//; s/\"\$//" || true
}

say 'Install and build'
./setup
command -v curl >/dev/null || ./setup curl
mkdir -p build
cmake --preset release >build/demo.log || { cat build/demo.log && exit 1; }
cmake --build --preset release --target backpropd

say 'Start the daemon'
if [ -z "$data" ]; then
    temporary=$(mktemp -d)
    data=$temporary
fi
log=$(mktemp)
printf '%s$%s build/release/backpropd --data %s --listen 127.0.0.1:%s\n' "$dim" "$plain" "$data" "$port"
build/release/backpropd --data "$data" --listen "127.0.0.1:$port" 2>"$log" &
daemon_pid=$!
base=''
for _ in $(seq 200); do
    base=$(sed -n 's/^.*listening on \(http:[^ ]*\).*$/\1/p' "$log")
    [ -z "$base" ] || break
    if ! kill -0 "$daemon_pid" 2>/dev/null; then
        daemon_pid=''
        break
    fi
    sleep 0.05
done
if [ -z "$base" ]; then
    printf 'the daemon did not start:\n' >&2
    cat "$log" >&2
    rm -f "$log"
    exit 1
fi
rm -f "$log"
api=$base/api/v1
printf 'listening on %s, data in %s\n' "$base" "$data"

say 'Upload a table'
table=$(show_curl -T clients/demo/penguins.csv "$api/datasets/penguins")
printf 'rows %s, as the daemon reads it: %s/datasets/penguins\n' \
    "$(first rows <<<"$table")" "$api"

say 'Train'
job='{
  "name": "penguins",
  "data": {"dataset": "penguins", "target": "species", "validation": {"fraction": 0.2}},
  "network": {"layers": [
    {"type": "dense", "units": 64, "activation": "relu"},
    {"type": "dense", "units": 64, "activation": "relu"},
    {"type": "dense", "units": "auto"}]},
  "optimizer": {"type": "momentum", "learning_rate": 0.005, "momentum": 0.9},
  "training": {"epochs": 40, "batch_size": 16, "seed": 1},
  "metrics": {"every_steps": 9}
}'
answer=$(show_curl --json "$job" "$api/jobs")
id=$(first id <<<"$answer")

say 'Watch it learn'
after=0 complete=false validation='' shown=once
while [ "$complete" != true ]; do
    poll=("$api/jobs/$id/metrics?after=$after&wait=10&limit=8")
    if [ "$shown" = once ]; then
        answer=$(show_curl "${poll[@]}")
        shown=done
    else
        answer=$(ask "${poll[@]}")
    fi
    last=''
    while read -r point; do
        [ -n "$(first loss <<<"$point")" ] && last=$point
        loss=$(first validation.loss <<<"$point")
        [ -z "$loss" ] || validation=$(printf 'validation: loss %.4f  accuracy %.3f' "$loss" \
            "$(first validation.accuracy <<<"$point")")
    done < <(tr -d '\n' <<<"$answer" | sed 's/{ *"seq"/\n&/g' | grep '"seq"')
    if [ -n "$last" ]; then
        printf 'epoch %3s  step %5s  loss %.4f  accuracy %.3f  %s\n' "$(first epoch <<<"$last")" \
            "$(first step <<<"$last")" "$(first loss <<<"$last")" "$(first accuracy <<<"$last")" \
            "$validation"
    fi
    after=$(first next <<<"$answer")
    complete=$(first complete <<<"$answer")
done

document=$(show_curl "$api/jobs/$id")
state=$(first state <<<"$document")
if [ "$state" != succeeded ]; then
    printf 'the job ended as %s:\n%s\n' "$state" "$document" >&2
    exit 1
fi
version=$(tr -d '\n' <<<"$document" | sed 's/.*"model" *:/"model":/' | first version)
printf 'state %s, model penguins version %s\n%s\n' "$state" "$version" "$validation"

say 'Predict'
rows='{"rows": [
  {"island": "Biscoe", "bill_length_mm": 47.5, "bill_depth_mm": 15.0, "flipper_length_mm": 218,
   "body_mass_g": 4950, "sex": "FEMALE"},
  {"island": "Dream", "bill_length_mm": 50.9, "bill_depth_mm": 19.1, "flipper_length_mm": 196,
   "body_mass_g": 3550, "sex": null}]}'
show_curl --json "$rows" "$api/models/penguins/predict"

if [ "$keep" = yes ]; then
    say "The daemon keeps running at $base (data in $data); Ctrl-C stops it"
    wait "$daemon_pid"
else
    say 'Done; the daemon stops now. ./demo --keep leaves it running, --data DIR keeps what it learnt.'
fi
