#!/usr/bin/env bash
# Starts a Ceph cluster in the folder $1: a monitor, a disk in memory, and a pool called images.
# Whoever starts it kills what the files *.pid there name.
set -euo pipefail
folder=$1
mkdir "$folder/mon" "$folder/osd"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >"$folder/ceph.conf" <<CONF
[global]
fsid = $(cat /proc/sys/kernel/random/uuid)
mon_host = [v2:127.0.0.1:$port]
public_addr = 127.0.0.1
ms_bind_ipv4 = true
auth_client_required = cephx
keyring = $folder/\$type.\$id.keyring
run_dir = $folder
admin_socket = $folder/\$type.\$id.asok
pid_file = $folder/\$type.\$id.pid
log_file = $folder/\$type.\$id.log
crash_dir = $folder
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 4
osd_pool_default_pgp_num = 4
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 1000
paxos_propose_interval = 0.05
paxos_min_wait = 0.01
[mon]
mon_data = $folder/mon
mon_data_avail_crit = 1
keyring = $folder/mon/keyring
[mon.a]
host = localhost
[osd]
osd_data = $folder/osd
osd_objectstore = memstore
memstore_device_bytes = 1073741824
keyring = $folder/osd/keyring
CONF
export CEPH_CONF=$folder/ceph.conf CEPH_ARGS=
admin=$folder/client.admin.keyring
ceph-authtool --create-keyring "$folder/first" --gen-key --name mon. --cap mon 'allow *'
ceph-authtool --create-keyring "$admin" --gen-key --name client.admin --cap mon 'allow *' --cap osd 'allow *'
ceph-authtool "$folder/first" --import-keyring "$admin"
monmaptool --create --addv a "[v2:127.0.0.1:$port]" --fsid "$(sed -n 's/^fsid = //p' "$CEPH_CONF")" "$folder/monmap"
ceph-mon --id a --mkfs --monmap "$folder/monmap" --keyring "$folder/first"
cp "$folder/first" "$folder/mon/keyring"
ceph-mon --id a
ceph() { command ceph --connect-timeout 30 "$@"; }
ceph osd new "$(cat /proc/sys/kernel/random/uuid)"
ceph auth get-or-create osd.0 mon 'allow profile osd' osd 'allow *' -o "$folder/osd/keyring"
ceph-osd --id 0 --mkfs --osd-uuid "$(ceph osd dump --format json | python3 -c 'import json, sys; print(json.load(sys.stdin)["osds"][0]["uuid"])')"
ceph-osd --id 0
ceph osd pool create images 4
rbd pool init images
