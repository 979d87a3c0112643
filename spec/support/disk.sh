#!/bin/sh
# disk.sh DIR: a file system for layers that runtimes unpack, printed as a path at or below DIR.
#
# It carries overlayfs, device nodes and every kind of extended attribute: DIR itself if that does, or an ext4 in a file
# of DIR, or else a tmpfs. It lives until standard input ends; then DIR goes, with all that is mounted in it.
set -u
dir=$1
trap '' INT HUP TERM

# Whether overlayfs can be stacked here, of layers as runtimes leave them.
fit() (
	mkdir -p "$1/fit/lower" "$1/fit/upper" "$1/fit/work" "$1/fit/merged" 2>/dev/null &&
		cd "$1/fit" &&
		mknod lower/gone c 0 0 2>/dev/null &&
		python3 -c 'import os
for name in "user.x", "trusted.x": os.setxattr("lower", name, b"")' 2>/dev/null &&
		mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work merged 2>/dev/null &&
		umount merged
)

choose() {
	disk=$dir
	fit "$disk" && return 0
	disk=$dir/disk
	mkdir "$disk"
	# sparse: it takes what the layers take
	truncate --size 8G "$dir/image" && mkfs.ext4 -q -F -O ^has_journal "$dir/image" >/dev/null 2>&1 &&
		mount -o loop "$dir/image" "$disk" 2>/dev/null && fit "$disk" && return 0
	umount "$disk" 2>/dev/null
	mount -t tmpfs tmpfs "$disk" 2>/dev/null && fit "$disk" && return 0
	umount "$disk" 2>/dev/null
	return 1
}

mounted() {
	while read -r _ where _; do
		case $where in "$dir"/*) printf '%s\n' "$where" ;; esac
	done </proc/self/mounts | sort -r
}

if choose; then
	rm -rf "$disk/fit"
	echo "$disk"
else
	echo
fi
exec >/dev/null
cat
# Those who use it may still be about to end.
n=0
while [ -n "$(mounted)" ] && [ $n -lt 300 ]; do
	mounted | while read -r where; do
		umount "$where" 2>/dev/null
	done
	[ -z "$(mounted)" ] || sleep 0.1
	n=$((n + 1))
done
mounted | while read -r where; do
	umount -l "$where"
done
rm -rf "$dir"
