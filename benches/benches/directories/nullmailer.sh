#!/bin/sh
# Queues COUNT letters with nullmailer, one process each, then lets it send them to a port: nanoseconds of both.
# nullmailer.sh UNPACKED FOLDER COUNT PORT, in a mount namespace of its own, because nullmailer's paths are compiled in.
set -eu
unpacked=$1 folder=$2 count=$3 port=$4
mkdir -p "$folder/etc/nullmailer" "$folder/spool/nullmailer/queue" "$folder/spool/nullmailer/tmp" "$folder/spool/nullmailer/failed"
echo "127.0.0.1 smtp --port=$port" >"$folder/etc/nullmailer/remotes"
echo relay.bench.example >"$folder/etc/mailname"
mkfifo "$folder/spool/nullmailer/trigger"
chown -R mail:mail "$folder/spool/nullmailer" "$folder/etc/nullmailer"
mount -t overlay overlay -o "lowerdir=$folder/etc:/etc" /etc
mount -t overlay overlay -o "lowerdir=$unpacked/usr:/usr" /usr
mount --bind "$folder/spool" /var/spool
{ printf 'alice@contoso.example\nbob@fabrikam.example\n\n'; cat "$folder/letter"; } >"$folder/enveloped"
begun=$(date +%s%N)
for _ in $(seq "$count"); do nullmailer-queue <"$folder/enveloped"; done
echo "queue $(($(date +%s%N) - begun))"
begun=$(date +%s%N)
setpriv --reuid mail --regid mail --clear-groups nullmailer-send >"$folder/log" 2>&1 &
sender=$! patience=3000
while [ -n "$(ls /var/spool/nullmailer/queue)" ] && [ "$((patience -= 1))" -gt 0 ]; do sleep 0.02; done
ended=$(date +%s%N)
kill "$sender"
wait "$sender" || true
[ "$patience" -gt 0 ] || { cat "$folder/log" >&2; exit 1; }
echo "send $((ended - begun))"
