--- What this process may do. Root has not all rights everywhere: in a container it may not mount, in a name space of
--- users there may be nobody else to give a file to.

local shell = require "spec.support.shell"

local rights = {}

local function can(script)
	local done = shell.run({
		"sh",
		"-c",
		'[ "$(id -u)" = 0 ] && dir=$(mktemp -d) && trap "rm -rf $dir" EXIT && cd "$dir" && touch f && ' .. script,
	})
	return done.status == 0
end

--- Whether it is root and may give files away and make devices, which an image needs that is to be unpacked as it is.
rights.root = can("chown 1:1 f && mknod n c 1 3")

--- Whether it may mount something, in a name space of its own.
rights.mounts = can("mkdir m && unshare --mount mount -t tmpfs tmpfs m")

--- The attributes for overlayfs that it may set: trusted.* needs CAP_SYS_ADMIN in the first name space of users.
rights.xattrs = can([=[
	grep -qw 4294967295 /proc/self/uid_map && caps=$(sed -n 's/^CapEff:[[:space:]]*//p' /proc/self/status) &&
	[ $((0x$caps >> 21 & 1)) = 1 ]
]=]) and "trusted" or "user"

return rights
