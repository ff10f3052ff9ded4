#!/usr/bin/bash
# Runs inside the finished tree, without network.
set -euo pipefail

# Persistent journal: /var is kept over upgrades.
mkdir -p /usr/lib/tmpfiles.d
echo 'd /var/log/journal 2755 root systemd-journal -' > /usr/lib/tmpfiles.d/journal-persistent.conf
