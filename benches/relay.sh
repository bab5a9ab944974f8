#!/usr/bin/env bash
# The whole relay beside Postfix: smtp-source -> relay -> smtp-sink on 127.0.0.1, every message synced before its 250.
# usage: benches/relay.sh [BYTES [SESSIONS [MESSAGES [ROUNDS]]]]     as root, with Debian's postfix, after `cargo build --profile dist -p relay`
# Queues lie below TMPDIR, or else /var/tmp: where that is memory nothing is proved.
set -euo pipefail
bytes=${1:-10240} sessions=${2:-20} messages=${3:-5000} rounds=${4:-3}
relay=${RELAY:-${CARGO_TARGET_DIR:-$(dirname "$0")/../target}/dist/relay}
port=21025 sink=21026
folder=$(mktemp -d "${TMPDIR:-/var/tmp}/postroad-bench.XXXXXX")
running=()
cleanup() {
    if [[ ${#running[@]} != 0 ]]; then
        kill -- "${running[@]/#/-}" 2>/dev/null || true
        running=()
    fi
}
trap 'cleanup; rm -rf "$folder"' EXIT

# Writes what `postroad` or `postfix` needs in $1, and says the command.
postroad() {
    cat >"$1/relay.toml" <<TOML
[server]
fqdn = "relay.bench.example"
[transport]
max_connection_rate_per_minute = "unlimited"
[[receive_connector]]
name = "In"
bindings = ["127.0.0.1:$port"]
relay_ip_ranges = ["127.0.0.1"]
max_inbound_connection_per_source = "unlimited"
max_inbound_connection_percentage_per_source = 100
[[send_connector]]
name = "Out"
address_spaces = ["*"]
smart_hosts = ["[127.0.0.1]"]
port = $sink
TOML
    command=("$relay" run --config "$1/relay.toml")
}

postfix() {
    chmod 755 "$folder" "$1"
    install -d "$1/etc" "$1/queue"
    install -d -o postfix "$1/data"
    cat >"$1/etc/main.cf" <<CF
compatibility_level = 3.6
queue_directory = $1/queue
data_directory = $1/data
myhostname = relay.bench.example
mydestination =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
relayhost = [127.0.0.1]:$sink
smtp_dns_support_level = disabled
smtpd_peername_lookup = no
smtpd_relay_restrictions = permit_mynetworks, reject
alias_maps =
message_size_limit = 50000000
CF
    cat >"$1/etc/master.cf" <<CF
127.0.0.1:$port inet n - n - - smtpd
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
proxymap unix - - n - - proxymap
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
CF
    command postfix -c "$1/etc" check 2>/dev/null || true
    command=(/usr/lib/postfix/sbin/master -c "$1/etc" -d)
}

# Milliseconds of processor that the session $1 has taken, the dead among its processes included.
processor() {
    cat /proc/[0-9]*/stat 2>/dev/null | awk -v session="$1" -v hertz="$(getconf CLK_TCK)" \
        '$6 == session { ticks += $14 + $15 + $16 + $17 } END { print ticks * 1000 / hertz }'
}

round() {
    local name=$1 home=$folder/$1 begun ended command
    rm -rf "$home" && mkdir "$home"
    setsid smtp-sink -u nobody -M "$messages" "127.0.0.1:$sink" 1000 &
    local receiver=$!
    "$name" "$home"
    setsid "${command[@]}" >"$home/log" 2>&1 &
    local relay=$!
    running=("$receiver" "$relay")
    timeout 30 bash -c "until exec 3<>/dev/tcp/127.0.0.1/$port; do sleep 0.1; done" 2>/dev/null
    begun=$(date +%s%N)
    smtp-source -m "$messages" -s "$sessions" -l "$bytes" -f joe@contoso.com -t jane@example.com "127.0.0.1:$port"
    wait "$receiver"
    ended=$(date +%s%N)
    awk -v name="$name" -v messages="$messages" -v nanoseconds=$((ended - begun)) -v cpu="$(processor "$relay")" \
        'BEGIN { printf "%-9s %8.0f messages a second, %6.2f ms of processor each\n", name, messages / nanoseconds * 1e9, cpu / messages }'
    cleanup
    wait "$relay" 2>/dev/null || true
}

for ((i = 0; i < rounds; i++)); do
    round postfix
    round postroad
done
