#!/bin/sh
# dockerd.sh DIR [STORAGE]: a Docker Engine of its own below DIR, listening on DIR/docker.sock, and the containerd that
# it uses, listening on DIR/c.sock. STORAGE is its storage driver: the best one that works unless told.
#
# It lives until standard input ends, which is when the process that holds the other end of the pipe
# closes it or dies, however that happens. Then the engine is stopped and DIR is removed with all that
# was mounted in it. containerd is ours as well: dockerd would share the machine's if there is one.
set -u
dir=$1
parent=/strata-spec-$$
trap '' INT HUP

containerd='' dockerd=''

# Ends a process: politely, and after about ten seconds for good.
stop() {
	[ -n "$1" ] || return 0
	kill -TERM "$1" 2>/dev/null
	n=0
	while kill -0 "$1" 2>/dev/null && [ $n -lt 200 ]; do
		sleep 0.05
		n=$((n + 1))
	done
	kill -KILL "$1" 2>/dev/null
	wait "$1" 2>/dev/null
}

clean() {
	trap '' TERM
	stop "$dockerd"
	# Containers outlive a dockerd that had to be killed.
	for pid in "$dir"/c/state/io.containerd.runtime.v2.task/*/*/*.pid; do
		[ -f "$pid" ] && kill -KILL "$(cat "$pid")" 2>/dev/null
	done
	stop "$containerd"
	while read -r _ where _; do
		case $where in "$dir"/*) printf '%s\n' "$where" ;; esac
	done </proc/self/mounts | sort -r | while read -r where; do
		umount "$where" 2>/dev/null || umount -l "$where"
	done
	rm -rf "$dir"
	rmdir /sys/fs/cgroup/*"$parent" /sys/fs/cgroup"$parent" 2>/dev/null
	exit 0
}
trap clean TERM

# overlay2 where it can be mounted: it writes opaque markers, and unlike vfs it does not wait for the next
# second after each step of a build.
storage=${2-}
mkdir "$dir/lower" "$dir/upper" "$dir/work" "$dir/merged"
if mount -t overlay overlay -o "lowerdir=$dir/lower,upperdir=$dir/upper,workdir=$dir/work" \
	"$dir/merged" 2>/dev/null; then
	umount "$dir/merged"
	storage=${storage:-overlay2}
fi
storage=${storage:-vfs}

cat >"$dir/containerd.toml" <<'TOML'
version = 2
disabled_plugins = ["io.containerd.grpc.v1.cri"]
TOML
echo '{}' >"$dir/daemon.json"

containerd --config "$dir/containerd.toml" --address "$dir/c.sock" \
	--root "$dir/c/root" --state "$dir/c/state" >"$dir/containerd.log" 2>&1 </dev/null &
containerd=$!
dockerd --config-file "$dir/daemon.json" --host "unix://$dir/docker.sock" --containerd "$dir/c.sock" \
	--data-root "$dir/data" --exec-root "$dir/exec" --pidfile "$dir/docker.pid" \
	--storage-driver="$storage" --bridge=none --iptables=false --ip6tables=false --ip-forward=false \
	--exec-opt native.cgroupdriver=cgroupfs --cgroup-parent "$parent" >"$dir/dockerd.log" 2>&1 </dev/null &
dockerd=$!

cat >/dev/null
clean
