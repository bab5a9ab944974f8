#!/bin/sh
# A mailbox program as postmasters write them: files below $1, one for each recipient ($2); how it ends is its answer.
case "$RECIPIENT" in
nobody@*) echo "no such mailbox"; exit 67 ;;
full@*) echo "4.2.2 over quota" >&2; exit 69 ;;
busy@*) exit 75 ;;
noisy@*) while echo 0123456789012345678901234567890123456789; do i=x$i; [ ${#i} -gt 3000 ] && exit 69; done ;;
deaf@*) exit 0 ;;
struck@*) kill -9 $$ ;;
endless@*) sleep 1000 > "$1/open" & wait ;;
esac
env > "$1/environment"
pwd > "$1/directory"
cat > "$1/$2"
