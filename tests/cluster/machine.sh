#!/bin/sh
# A node's own view of the file system; it lasts as long as the processes in it.
# usage: unshare --mount --propagation private sh machine.sh SITE DONE
#
# The machine's files are all there. /run and /var/log are empty, what is written to /var/lib stays
# in memory, and only SITE, the cluster's folder below /var/lib, is the machine's own.
set -eu
site=$1 done=$2
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/log
mkdir -p /run/lib/written /run/lib/work /run/lib/site
mount --bind "$site" /run/lib/site
mount -t overlay overlay -o lowerdir=/var/lib,upperdir=/run/lib/written,workdir=/run/lib/work /var/lib
mount --move /run/lib/site "$site"
touch "$done"
exec sleep infinity
