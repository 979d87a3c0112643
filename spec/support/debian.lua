--- An image of Debian: the essential packages of the system that the specs run on, and steps of a Dockerfile that
--- install, change and remove things, as images in the wild do.

local docker = require "spec.support.docker"
local once = require "spec.support.once"
local sample = require "spec.support.sample"
local shell = require "spec.support.shell"
local tmp = require "spec.support.tmp"

local debian = {}

-- All files of the essential packages, of Python's smallest one, and of what they depend on.
local ROOT = [[
closure() {
	while read -r package; do
		echo "$package"
		dpkg-query -W -f '${Pre-Depends},${Depends}\n' "$package" 2>/dev/null | tr ',|' '\n\n' |
			sed -n 's/^ *//; s/[ :(].*//; /./p'
	done | sort -u
}
first=$(dpkg-query -W -f '${Essential} ${Package}\n' | sed -n 's/^yes //p')
known=$(printf '%s\n' "$first" dpkg python3-minimal | closure)
while more=$(echo "$known" | closure) && [ "$more" != "$known" ]; do known=$more; done
# Where /bin and others are links into /usr, dpkg tells of what is behind them by their names.
for package in $known; do dpkg-query -L "$package" 2>/dev/null || :; done |
	grep -vxE '/(bin|sbin|lib|lib64|proc|sys|dev|run|tmp|\.)' |
	sed -E 's#^/(bin|sbin|lib|lib64)/#/usr/\1/#' | sort -u | while read -r path; do
	if [ -e "$path" ]; then echo "${path#/}"; fi
done >"$1/list"
tar -C / --no-recursion --xattrs --numeric-owner -cf "$1/root.tar" bin sbin lib lib64 --files-from "$1/list" \
	etc/passwd etc/group var/lib/dpkg/status || [ $? -eq 1 ] # something has changed meanwhile
tar -C / --numeric-owner -rf "$1/root.tar" var/lib/dpkg/info etc/alternatives etc/ld.so.cache
rm "$1/list"
]]

-- A package with what a package can have: a set-id program, links, a directory of its own, a conffile, a script.
local PACKAGE = [[
mkdir -p "$1/tool/DEBIAN" "$1/tool/usr/bin" "$1/tool/usr/share/tool/data" "$1/tool/etc"
cd "$1/tool"
printf 'Package: tool\nVersion: 1\nArchitecture: all\nMaintainer: Nobody <nobody@example.org>\nDescription: a tool\n' \
	>DEBIAN/control
echo /etc/tool.conf >DEBIAN/conffiles
printf '#!/bin/sh\nset -e\nchown 1000:2000 /usr/share/tool/data\nln /usr/bin/tool /usr/bin/tool-too\n' >DEBIAN/postinst
chmod 755 DEBIAN/postinst
echo '#!/bin/sh' >usr/bin/tool
chmod 4755 usr/bin/tool
ln -s tool usr/bin/tool-link
echo configuration >etc/tool.conf
seq 1 2000 >usr/share/tool/data/numbers
cd ..
dpkg-deb --root-owner-group --build tool tool.deb >/dev/null
rm -r tool
]]

local CAPABLE = ([[python3 -c "import os; os.setxattr('/usr/bin/tool', 'security.capability', bytes(%s))"]])

local function capability()
	local bytes = {}
	for i = 1, #sample.capability do
		bytes[i] = tostring(sample.capability:byte(i))
	end
	return CAPABLE:format("[" .. table.concat(bytes, ",") .. "]")
end

--- The steps behind the first layer.
debian.steps = {
	"COPY tool.deb /tmp/",
	"RUN dpkg --force-script-chrootless -i /tmp/tool.deb && rm /tmp/tool.deb",
	"RUN chmod 0750 /usr/share/tool && chown -R 3:4 /etc/alternatives && " .. capability(),
	"RUN rm -rf /usr/share/doc /usr/share/man /usr/share/locale && mkdir -m 0700 /usr/share/doc"
		.. " && echo new >/usr/share/doc/new",
	"RUN mv /usr/share/tool /usr/share/moved && ln -s moved /usr/share/tool && echo more >/usr/share/tool/more",
	"RUN rm /usr/share/tool && mkdir /usr/share/tool && echo again >/usr/share/tool/again && rm -f /etc/tool.conf",
	"RUN dpkg --purge --force-all tool && mkfifo /var/lib/fifo && mknod /var/lib/null c 1 3",
}

--- Why it cannot be built here, or nil.
---@return string|nil
function debian.missing()
	for _, program in ipairs({ "dpkg-query", "dpkg-deb" }) do
		if not shell.which(program) then
			return program .. " is not installed"
		end
	end
	return nil
end

--- Builds the image and saves it.
---@return string archive
function debian.archive()
	return once.get("debian.archive", function()
		local dir = tmp.dir(tmp.for_peers())
		shell.sh(ROOT, dir.path)
		shell.sh(PACKAGE, dir.path)
		local lines = { "FROM scratch", "ADD root.tar /", "ENV DEBIAN_FRONTEND=noninteractive" }
		for _, step in ipairs(debian.steps) do
			lines[#lines + 1] = step
		end
		dir:write("Dockerfile", table.concat(lines, "\n") .. "\n")
		docker.build(dir.path, "debian:1")
		local archive = dir:file("debian.tar")
		docker.save(archive, "debian:1")
		return archive
	end)
end

return debian
