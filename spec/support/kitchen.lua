--- What the snippets of doc/cookbook.md and doc/coming-from.md are tried on: a directory of images.

local archive = require "spec.support.archive"
local cjson = require "cjson"
local shell = require "spec.support.shell"
local strata = require "strata"

local kitchen = {}

local STATUS = "Package: libc6\nStatus: install ok installed\nVersion: 2.36\n\n"
kitchen.CA = "etc/ssl/certs/ca-certificates.crt"

local function base(version)
	return {
		entries = {
			{ name = "etc", type = "dir" },
			{ name = "etc/passwd", data = "root:x:0:0:" .. version },
			{ name = "etc/motd", data = "hello\n" },
			{ name = kitchen.CA, data = "OLD CA\n" },
			{ name = "usr/bin/su", data = "su", mode = 2541 },
			{ name = "usr/share/doc/x/copyright", data = "free" },
			{ name = "usr/share/man/man1/a.1", data = "manual" },
			{ name = "var/lib/dpkg/status", data = STATUS },
		},
	}
end

local function layers(mtime)
	local list = {
		base("1"),
		{
			entries = {
				{ name = "usr/bin/curl", data = "curl" },
				{ name = "var/cache/pkg.bin", data = ("p"):rep(20000) },
				{ name = "root/.ssh/id_rsa", data = "SECRET KEY" },
			},
		},
		{
			entries = {
				{ name = "opt", type = "dir" },
				{ name = "opt/app/run", data = "#!/bin/sh\n", mode = 493, uid = 1000, gid = 1000 },
				{ name = "opt/app/data.bin", data = ("d"):rep(50000) },
				{ name = "opt/app/lib/a.pyc", data = ("c"):rep(100) },
				{ name = "opt/app/copy.bin", data = ("p"):rep(20000) },
				{ name = "etc/motd", data = "Hello.\n" },
				{ name = "etc/passwd", data = "root:x:0:0:1", mode = 384 },
				{ name = "etc/app.conf", data = "debug" },
				{ name = "var/cache/.wh.pkg.bin", data = "" },
				{ name = "root/.ssh/.wh.id_rsa", data = "" },
			},
		},
	}
	for _, layer in ipairs(list) do
		for _, entry in ipairs(layer.entries) do
			entry.mtime = mtime or 1720000000
		end
	end
	return list
end

local function config()
	return {
		config = {
			Env = { "PATH=/bin:/usr/bin", "TOKEN=s3cret" },
			Cmd = { "serve" },
			Entrypoint = { "/opt/app/start" },
			ExposedPorts = { ["80/tcp"] = { ["x-note"] = "x" } },
		},
		history = {
			{ created_by = "ADD rootfs /", created = "2024-05-01T00:00:00Z" },
			{ created_by = "RUN apt-get install curl", created = "2024-05-01T00:00:00Z" },
			{ created_by = "ENV TOKEN=s3cret", empty_layer = true, created = "2024-05-01T00:00:00Z" },
			{ created_by = "COPY app /opt/app", created = "2024-05-01T00:00:00Z" },
		},
	}
end

local function archive_of(path, stack, request)
	request.layers = stack
	archive.build(path, request)
end

-- A layout with an image and what buildkit attests of it.
local function build_attested(inputs)
	local path, other = inputs .. "/attested", inputs .. "/other"
	assert(assert(strata.open(inputs .. "/amd64.tar")):save(path, { format = "oci" }))
	assert(assert(strata.open(inputs .. "/arm64.tar")):save(other, { format = "oci" }))
	shell.check({ "sh", "-c", 'cp -n "$1"/blobs/sha256/* "$2"/blobs/sha256/', "-", other, path })
	local index = cjson.decode(shell.read(path .. "/index.json"))
	local entry = cjson.decode(shell.read(other .. "/index.json")).manifests[1]
	entry.platform = { os = "unknown", architecture = "unknown" }
	entry.annotations = {
		["vnd.docker.reference.type"] = "attestation-manifest",
		["vnd.docker.reference.digest"] = index.manifests[1].digest,
	}
	index.manifests[2] = entry
	shell.write(path .. "/index.json", cjson.encode(index))
end

--- Why the command cannot be run; nil when it can.
---@return string?
function kitchen.lacks_command()
	local works = shell.run({ "bin/strata", "--help", env = { PATH = shell.PATH } }).status == 0
	return not works and "the command, bin/strata with lua-argparse, is not here" or nil
end

--- Fills a directory: app.tar and what was built of the same files later, its base and another one, images for two
--- platforms, files with several images, layouts, a directory.
---@param inputs string
function kitchen.stock(inputs)
	shell.check({ "mkdir", "-p", inputs .. "/public" })
	archive_of(inputs .. "/app.tar", layers(), { tags = { "app:1.4" }, config = config() })
	archive_of(inputs .. "/rebuilt.tar", layers(1730000000), { tags = { "app:1.4" }, config = config() })
	archive_of(inputs .. "/base.tar", { layers()[1] }, { tags = { "base:1" } })
	archive_of(inputs .. "/base-new.tar", { base("2") }, { tags = { "base:2" } })
	local a, b = strata.new({ platform = "linux/amd64" }), strata.new({ platform = "linux/arm64" })
	for name, img in pairs({ ["amd64"] = a, ["arm64"] = b }) do
		assert(img:append({ files = { arch = name } }))
		assert(img:save(("%s/%s.tar"):format(inputs, name), { format = "docker" }))
	end
	assert(strata.save({ a, b }, inputs .. "/multi.tar", { index = "app:1" }))
	a.tags, b.tags = { "a:1" }, { "b:1" }
	assert(strata.save({ a, b }, inputs .. "/both.tar", { format = "docker" }))
	a.tags, b.tags = { "new:1" }, { "old:1" }
	assert(strata.save({ a, b }, inputs .. "/layout", { format = "oci" }))
	build_attested(inputs)
	shell.write(inputs .. "/public/index.html", "<p>")
	shell.write(inputs .. "/public/a.map", "map")
	shell.write(inputs .. "/company.crt", "COMPANY CA\n")
end

return kitchen
