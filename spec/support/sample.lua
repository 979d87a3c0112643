--- The images under test, built by the real Docker Engine from Debian's static busybox and saved by it.
-- They hold what makes image surgery hard: links, whiteouts, odd names, odd modes, empty history rows.

local docker = require "spec.support.docker"
local once = require "spec.support.once"
local shell = require "spec.support.shell"
local tmp = require "spec.support.tmp"

local sample = {}

-- Two path components of 60 bytes each make a path beyond the 100 bytes of the tar name field, and five
-- of them one beyond the 255 that ustar can say at all.
local LONG = ("/" .. ("long"):rep(15)):rep(2):sub(2)
local VERY_LONG = ("/" .. ("deep"):rep(15)):rep(5):sub(2)

sample.long_path = "opt/" .. LONG .. "/file"
sample.very_long_path = "opt/" .. VERY_LONG .. "/file"
sample.foreign_path = "opt/donn\195\169es/na\195\175ve \230\151\165\230\156\172.txt"
sample.latin1_path = "opt/caf\233" -- not UTF-8

--- The steps of the image, and whether each makes a layer.
sample.steps = {
	{ "COPY root/ /", layer = true },
	{ 'SHELL ["/bin/busybox", "sh", "-euc"]' },
	{ "RUN /bin/busybox --install -s /bin", layer = true },
	{ "ENV TZ=Europe/Berlin EMPTY= GREETING='hello world'" },
	{
		"RUN mkdir -p /srv/links && cd /srv/links && echo linked >first && ln first second && ln first third"
			.. " && ln -s first symbolic && echo alone >alone",
		layer = true,
	},
	{ 'LABEL maintainer="nobody" org.example.note="a \\"quoted\\" <tag> & more" empty=""' },
	{
		"RUN echo setuid >/opt/setuid && chmod 4755 /opt/setuid && mkdir -m 1777 /opt/sticky && mkfifo /opt/fifo"
			.. " && mknod /opt/null c 1 3 && chown 1000:1000 /srv/links/alone && echo owned >/opt/owned"
			.. " && chown 1000:2000 /opt/owned",
		layer = true,
	},
	{ "ADD capable.tar /opt/", layer = true },
	{ "VOLUME /var/lib/app" },
	{ "EXPOSE 8080/tcp 53/udp" },
	{ "RUN rm /etc/removed && rm -r /opt/again && mkdir /opt/again && echo new >/opt/again/new", layer = true },
	{ 'HEALTHCHECK --interval=30s --timeout=3s --retries=2 CMD ["/bin/true"]' },
	{ "STOPSIGNAL SIGUSR1" },
	{ "ONBUILD ENV CHILD=1" },
	{ "WORKDIR /srv/work", layer = true },
	{ "USER 1000:1000" },
	{ 'ENTRYPOINT ["/bin/sh", "-c"]' },
	{ "CMD [\"echo $GREETING from $(id -u)\"]" },
}

--- cap_net_raw=p as the kernel stores it, a version 2 capability set: bytes with NULs in them.
sample.capability = "\0\0\0\2\0\32\0\0\0\0\0\0\0\0\0\0\0\0\0\0"

--- A tar of one empty file that carries a capability. Debian has no tool in its base system that sets one.
local function capable_tar()
	local function header(name, typeflag, size)
		local fields = name .. ("\0"):rep(100 - #name) .. "0000755\0" .. "0000000\0" .. "0000000\0"
		local middle = ("%011o\0%011o\0"):format(size, 1e9)
		local rest = typeflag .. ("\0"):rep(100) .. "ustar\00000"
		local sum = 8 * 32
		for byte in (fields .. middle .. rest):gmatch(".") do
			sum = sum + byte:byte()
		end
		local block = fields .. middle .. ("%06o\0 "):format(sum) .. rest
		return block .. ("\0"):rep(512 - #block)
	end
	local body = " SCHILY.xattr.security.capability=" .. sample.capability .. "\n"
	local record = (#body + 2) .. body
	return header("PaxHeaders/capable", "x", #record)
		.. record
		.. ("\0"):rep(512 - #record)
		.. header("capable", "0", 0)
		.. ("\0"):rep(1024)
end

local function context()
	local dir = tmp.dir()
	shell.sh(
		[[
		cd "$1"
		mkdir -p root/bin root/etc root/tmp root/opt/again/sub "root/${2%/*}" "root/${3%/*}" "root/${4%/*}"
		cp "$6" root/bin/busybox
		printf 'root:x:0:0:root:/:/bin/sh\nuser:x:1000:1000::/:/bin/sh\n' >root/etc/passwd
		printf 'root:x:0:\nuser:x:1000:\n' >root/etc/group
		echo secret >root/etc/removed
		echo old >root/opt/again/old
		echo old >root/opt/again/sub/old
		echo long >"root/$2"
		echo 'very long' >"root/$3"
		echo foreign >"root/$4"
		echo latin1 >"root/$5"
		: >root/opt/empty
		seq 1 3000 >root/opt/numbers
		chmod 1777 root/tmp
		chmod 0640 root/opt/numbers
		find root -exec touch -h -d '2001-02-03 04:05:06Z' {} + ]],
		dir.path,
		sample.long_path,
		sample.very_long_path,
		sample.foreign_path,
		sample.latin1_path,
		shell.which("busybox")
	)
	dir:write("capable.tar", capable_tar())
	return dir
end

-- What runs inside a container: every object of its file system with type, mode, owner and link count, the
-- targets of symlinks, the times and the SHA-256 of files. What the engine itself puts there is left out.
local LISTING = [[
all() {
	find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /.dockerenv -o -path /run \
		-o -path /etc/hosts -o -path /etc/hostname -o -path /etc/resolv.conf -o -path /etc/mtab \) -prune \
		-o "$@" -print0
}
all | xargs -0 stat -c '%n	%f %u:%g %h'
echo
all -type l | xargs -0 stat -c '%N' | sed "s/^'//; s/' -> '/\t/; s/'$//"
echo
all -type f | xargs -0 stat -c '%n	%Y'
echo
all -type f | xargs -0 sha256sum
]]

--- The file system of an image as a container sees it. `stat` is mode, owner and, except for a directory,
--- whose count depends on the storage, the number of links.
---@param reference string
---@return table<string, { stat: string, target?: string, mtime?: string, sha256?: string }>
function sample.listing(reference)
	local output = docker.run(reference, {
		options = { "--user", "0", "--workdir", "/", "--entrypoint", "/bin/busybox" },
		"sh",
		"-euc",
		LISTING,
	})
	local files, field = {}, 1
	local fields = { "stat", "target", "mtime", "sha256" }
	for line in output:gmatch("([^\n]*)\n") do
		if line == "" then
			field = field + 1
		else
			local path, value = line:match("^/?(.*)\t(.*)$")
			if field == 1 then
				value = value:gsub("^(4%x+ %d+:%d+) %d+$", "%1")
			elseif field == 4 then
				value, path = line:match("^(%x+)  /(.*)$")
			end
			files[path] = files[path] or {}
			files[path][fields[field]] = value
		end
	end
	return files
end

--- What tells one listing from another, a line for each field: an empty list for equal ones.
---@param expected table<string, table>
---@param found table<string, table>
---@return string[]
function sample.differences(expected, found)
	local lines, paths = {}, {}
	for path in pairs(expected) do
		paths[path] = true
	end
	for path in pairs(found) do
		paths[path] = true
	end
	for path in pairs(paths) do
		for _, field in ipairs({ "stat", "target", "mtime", "sha256" }) do
			local wanted, got = (expected[path] or {})[field], (found[path] or {})[field]
			if wanted ~= got then
				lines[#lines + 1] = ("%s: %s is %s instead of %s"):format(path, field, tostring(got), tostring(wanted))
			end
		end
	end
	table.sort(lines)
	return lines
end

---@class spec.Sample
---@field dir spec.Dir
---@field archive string path of what `docker save` wrote
---@field id string
---@field inspect table
---@field history { created_by: string, size: integer }[]
---@field listing table<string, table>

local function describe_image(built, reference)
	built.id = docker.id(reference)
	built.inspect = docker.inspect(reference)
	built.history = docker.history(reference)
	return built
end

--- The big one, tagged `app:1`.
---@return spec.Sample
function sample.app()
	return once.get("sample.app", function()
		local dir = context()
		local lines = { "FROM scratch" }
		for _, step in ipairs(sample.steps) do
			lines[#lines + 1] = step[1]
		end
		dir:write("Dockerfile", table.concat(lines, "\n") .. "\n")
		docker.build(dir.path, "app:1")
		local built = describe_image({ dir = dir, archive = dir:file("app.tar") }, "app:1")
		built.listing = sample.listing("app:1")
		docker.save(built.archive, "app:1")
		return built
	end)
end

--- A small image from a Dockerfile over busybox, built once under its name and tagged `name:1`.
---@param name string
---@param lines string[] the steps behind `COPY busybox /bin/busybox`
---@return spec.Sample
function sample.small(name, lines)
	return once.get("sample." .. name, function()
		local dir = tmp.dir()
		shell.sh('cp "$1" "$2/busybox"; echo same >"$2/same"; touch -d @0 "$2"/*', shell.which("busybox"), dir.path)
		dir:write(
			"Dockerfile",
			"FROM scratch\nCOPY busybox /bin/busybox\n" .. table.concat(lines, "\n") .. "\n"
		)
		docker.build(dir.path, name .. ":1")
		local built = describe_image({ dir = dir, archive = dir:file(name .. ".tar") }, name .. ":1")
		docker.save(built.archive, name .. ":1")
		return built
	end)
end

return sample
