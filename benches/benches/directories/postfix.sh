#!/bin/sh
# Leaves COUNT letters in Postfix's maildrop, one process each, then starts its pickup over them: nanoseconds of both.
# postfix.sh FOLDER COUNT: postdrop, then pickup, cleanup, the queue manager and discard.
set -eu
folder=$1 count=$2
mkdir -p "$folder/etc" "$folder/data" "$folder/queue"
chown postfix "$folder/data"
cat >"$folder/etc/main.cf" <<END
compatibility_level = 3.6
queue_directory = $folder/queue
data_directory = $folder/data
maillog_file = $folder/log
maillog_file_prefixes = $folder
myhostname = relay.bench.example
mydestination =
inet_interfaces = 127.0.0.1
default_transport = discard:
alias_maps =
local_recipient_maps =
END
cat >"$folder/etc/master.cf" <<END
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
postlog unix-dgram n - n - 1 postlogd
END
postfix -c "$folder/etc" check 2>/dev/null
export MAIL_CONFIG="$folder/etc"
begun=$(date +%s%N)
for _ in $(seq "$count"); do sendmail -C "$folder/etc" -f alice@contoso.example bob@fabrikam.example <"$folder/letter"; done 2>/dev/null
echo "queue $(($(date +%s%N) - begun))"
waits() { find "$folder/queue/maildrop" "$folder/queue/incoming" "$folder/queue/active" -type f | head -1; }
begun=$(date +%s%N)
setsid "$(postconf -h daemon_directory)/master" -c "$folder/etc" -d >/dev/null 2>&1 &
master=$! patience=3000
while [ -n "$(waits)" ] && [ "$((patience -= 1))" -gt 0 ]; do sleep 0.02; done
ended=$(date +%s%N)
kill "$master"
wait "$master" || true
[ "$patience" -gt 0 ] || { cat "$folder/log" >&2; exit 1; }
echo "send $((ended - begun))"
