#!/usr/bin/env bash
# Starts Ceph's RADOS gateway, a real S3 server, over one in-memory OSD on loopback.
#   radosgw.sh DIR ACCESS_KEY SECRET_KEY PORT MON_PORT MON_PORT_1     state, logs and DIR/pids under DIR
# Prints the endpoint when it answers. Stop with: kill $(cat DIR/pids)
set -euo pipefail
dir=$(mkdir -p "$1" && cd "$1" && pwd); access=$2; secret=$3; port=$4; v2=127.0.0.1:$5; v1=127.0.0.1:$6
fsid=$(uuidgen)
cat >"$dir/ceph.conf" <<CONF
[global]
keyring = $dir/keyring
fsid = $fsid
mon host = [v2:$v2,v1:$v1]
mon initial members = a
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
osd pool default size = 1
osd pool default min size = 1
mon allow pool size one = true
osd crush chooseleaf type = 0
osd pool default pg num = 4
mon warn on pool no redundancy = false
run dir = $dir/run
log file = $dir/log/\$name.log
admin socket = $dir/run/\$name.asok
pid file = $dir/run/\$name.pid
mon data = $dir/mon
mgr data = $dir/mgr
osd data = $dir/osd
osd objectstore = memstore
memstore device bytes = 4294967296
osd memory target = 1073741824
rgw data = $dir/rgw
rgw frontends = beast endpoint=127.0.0.1:$port
rgw dns name = 127.0.0.1
rgw enable usage log = false
rgw gc max objs = 8
CONF
mkdir -p "$dir"/{run,log,mon,mgr,osd,rgw}; : >"$dir/pids"
ceph-authtool --create-keyring "$dir/keyring" --gen-key -n mon. --cap mon 'allow *' >/dev/null
for name in client.admin mgr.x osd.0 client.rgw; do
  ceph-authtool "$dir/keyring" --gen-key -n "$name" --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *' >/dev/null
done
conf=(-c "$dir/ceph.conf")
daemon() { "$@" >"$dir/log/$1.out" 2>&1 & echo $! >>"$dir/pids"; }
monmaptool --create --clobber --addv a "[v2:$v2,v1:$v1]" --fsid "$fsid" "$dir/monmap" >/dev/null
ceph-mon "${conf[@]}" --mkfs -i a --monmap "$dir/monmap" --keyring "$dir/keyring"
daemon ceph-mon "${conf[@]}" -i a -f
for _ in $(seq 30); do timeout 5 ceph "${conf[@]}" -s >/dev/null 2>&1 && break; sleep 1; done
daemon ceph-mgr "${conf[@]}" -i x -f
uuid=$(uuidgen); timeout 20 ceph "${conf[@]}" osd new "$uuid" >/dev/null
ceph-osd "${conf[@]}" -i 0 --mkfs --osd-uuid "$uuid" --no-mon-config --keyring "$dir/keyring" >/dev/null 2>&1
daemon ceph-osd "${conf[@]}" -i 0 -f
for _ in $(seq 30); do timeout 5 ceph "${conf[@]}" osd stat 2>/dev/null | grep -q '1 up' && break; sleep 1; done
timeout 60 radosgw-admin "${conf[@]}" user create --uid=marquee --display-name=marquee --access-key="$access" --secret-key="$secret" >/dev/null 2>&1
daemon radosgw "${conf[@]}" -n client.rgw -f
for _ in $(seq 60); do curl -s -o /dev/null "http://127.0.0.1:$port/" && { echo "http://127.0.0.1:$port"; exit 0; }; sleep 1; done
echo "radosgw did not answer on port $port; see $dir/log" >&2; exit 1
