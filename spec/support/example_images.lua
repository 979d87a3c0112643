--- What the examples of lua/strata/meta work on: small images and files with the names that they use.

local shell = require "spec.support.shell"
local strata = require "strata"

local example_images = {}

local STATUS = "Package: libc6\nStatus: install ok installed\nVersion: 2.36-9\nArchitecture: amd64\nSource: glibc\n"

local function base(platform, version)
	local img = strata.new({ platform = platform, created = "2026-01-01T00:00:00Z" })
	img.config.Env = { "PATH=/bin" }
	assert(img:append({
		files = {
			["bin/sh"] = { content = "#!", mode = "0755" },
			["etc/os-release"] = "ID=debian\nVERSION_ID=" .. version .. "\n",
			["etc/passwd"] = "root:x:0:0:root:/root:/bin/sh\n",
			["lib/libc.so.6"] = ("libc"):rep(500),
			["var/lib/dpkg/status"] = STATUS,
		},
		created_by = "FROM debian",
	}))
	img.tags = { "base:1" }
	return img
end

-- The image of the examples, on a base.
local function app(img, mode)
	assert(img:append({
		files = {
			["etc/app.conf"] = { content = "mode = debug\n", uid = 1000 },
			["opt/app/app.pyc"] = "compiled",
			["opt/app/run"] = { content = "#!/bin/sh\nexec /bin/app\n", mode = "0755" },
			["opt/app/current"] = { linkpath = "run" },
			["usr/share/doc/app/copyright"] = "MIT\n",
			["var/cache/app.deb"] = ("deb"):rep(1000),
		},
		created_by = "RUN install --token=s3cret app",
	}))
	assert(img:append({
		files = { ["etc/app.conf"] = "mode = " .. mode .. "\n", ["var/cache/.wh.app.deb"] = "" },
		created_by = "RUN clean",
	}))
	img.config.Cmd = { "/opt/app/run" }
	img.config:set_env("TOKEN", "s3cret"):set_label("version", "1"):add_port(8080):add_volume("/data")
	img.tags = { "app:1" }
	return img
end

--- Makes them in a directory.
---@param path string
function example_images.make(path)
	local function file(name)
		return path .. "/" .. name
	end
	local one = base("linux/amd64", "12")
	assert(one:save(file("base.tar")))
	assert(app(one, "production"):save(file("app.tar"), { format = "docker" }))
	local other = app(base("linux/arm64", "12"), "production")
	assert(strata.save({ one, other }, file("layout"), { format = "oci" }))
	assert(base("linux/amd64", "13"):save(file("base-2.tar")))
	local two = base("linux/amd64", "12")
	assert(app(two, "test"):save(file("app-2.tar")))
	shell.sh(("cd %s && mkdir files lower upper"):format(path))
	shell.write(file("files/index.html"), "<h1>app</h1>\n")
	shell.write(file("files/style.css"), "body {}\n")
	shell.write(file("lower/config"), "old\n")
	shell.write(file("upper/config"), "new\n")
	shell.write(file("sbom.json"), "{}\n")
	shell.check({ "tar", "-cf", file("site.tar"), "-C", file("files"), "." })
end

return example_images
