# The servers that bench/compare and bench/hit-ratio measure: sourced by both, from the tree's root.
#
# A server is a row of `servers`: a name, the command that starts it, and its protocol unless that is resp. Where it listens is for
# the command to place: {port} on 127.0.0.1, {unix} for the path of a socket, in a new directory under TMPDIR; {value} is the size
# of values. A server that can't listen on both has two rows, and the second's name ends in -unix. A file named by
# SHERD_BENCH_PEERS adds rows of the same form ("name|command|protocol"), for instance newer peers from a chroot: the command must
# become the server itself, whose process is measured.
# shellcheck shell=bash disable=SC2034 # names are used by whoever sources this

sherd=$PWD/build/release/sherd bench=$PWD/build/release/sherd-bench
if [ ! -x "$bench" ]; then
    echo "Build first: ./run --version" >&2
    exit 1
fi

version_of() { "$1" --version 2>/dev/null | sed -n '1s/^[^0-9]*\([0-9.]*[0-9]\).*/\1/p' || true; }

redis="--port {port} --unixsocket {unix} --save '' --appendonly no"
memcached="memcached -u $(id -un) -t 1 -m 8192 -l 127.0.0.1" # memory for 100,000 values of 16 KiB, with room
servers=(
    "floor|$bench floor --port {port} --unix {unix} --value-bytes {value} --seconds 86400"
    "sherd|$sherd --workers 1 --port {port} --unixsocket {unix}"
    "sherd-epoll|$sherd --workers 1 --io epoll --port {port} --unixsocket {unix}"
    "sherd-global|$sherd --workers 1 --lock-mode global --port {port} --unixsocket {unix}"
    "redis-$(version_of redis-server)|redis-server $redis"
    "valkey-$(version_of valkey-server)|valkey-server $redis"
    "memcached-$(version_of memcached)|$memcached -p {port}|memcached"
    "memcached-$(version_of memcached)-unix|$memcached -s {unix}|memcached"
)
if [ -n "${SHERD_BENCH_PEERS:-}" ]; then
    while IFS= read -r row; do [ -n "$row" ] && servers+=("$row"); done <"$SHERD_BENCH_PEERS"
fi

names=()
declare -A command_of protocol_of pid_of port_of
for row in "${servers[@]}"; do
    IFS='|' read -r name command protocol <<<"$row"
    if ! command -v "${command%% *}" >/dev/null; then
        echo "Not here, left out: ${name%-}" >&2
        continue
    fi
    names+=("$name")
    command_of[$name]=$command
    protocol_of[$name]=${protocol:-resp}
done

work=$(mktemp -d)
stop_servers() {
    for name in "${!pid_of[@]}"; do
        kill "${pid_of[$name]}" 2>/dev/null || true
        wait "${pid_of[$name]}" 2>/dev/null || true
        unset "pid_of[$name]"
    done
}

field() { sed -n "s/.*\"$2\":\([0-9.]*\).*/\1/p" <<<"$1"; }
resident_kib() { awk '/^VmRSS/ {print $2}' "/proc/$1/status"; }
answers_port() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

serves() { # name transport
    if [ "$2" = unix ]; then [[ ${command_of[$1]} == *"{unix}"* ]]; else [[ ${command_of[$1]} == *"{port}"* ]]; fi
}
is_up() { # name
    if serves "$1" tcp; then answers_port "${port_of[$1]}"; else [ -S "$work/$1.sock" ]; fi
}

start() { # name value_bytes what_pins_it options_of_the_server
    local port=${port_first:-$((20000 + RANDOM % 10000))} command="${command_of[$1]} ${4:-}"
    while answers_port "$port"; do port=$((port + 1)); done
    command=${command//\{port\}/$port}
    command=${command//\{unix\}/$work/$1.sock}
    command=${command//\{value\}/$2}
    rm -f "$work/$1.sock"
    eval "(cd '$work' && exec ${3:-} $command) >'$work/$1.log' 2>&1 &"
    pid_of[$1]=$! port_of[$1]=$port
    for _ in $(seq 100); do
        if is_up "$1"; then return 0; fi
        sleep 0.05
    done
    echo "$1 did not start:" >&2
    cat "$work/$1.log" >&2
    exit 1
}
