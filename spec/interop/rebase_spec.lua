--- An image that a real Docker Engine built on one base, put onto another, and run by the engine.

local docker = require "spec.support.docker"
local peers = require "spec.support.peers"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local BASE = [[
FROM scratch
COPY busybox /bin/busybox
COPY %s /etc/release
ENV PATH=/bin BASE=%s
RUN ["/bin/busybox", "--install", "-s", "/bin"]
LABEL org.example.base=%s
CMD ["cat", "/etc/release"]
]]

local APP = [[
FROM base:%s
ENV APP=1 BASE_OF_APP=$BASE
RUN mkdir /app && cat /bin/busybox >/app/tool && echo "app on $BASE" >/app/text && chmod 4755 /app/tool
RUN chown -R 7:8 /app && chmod 600 /app/text
WORKDIR /app
USER 7
]]

describe("an image that docker built", function()
	local dir, paths

	local function build(name, dockerfile, files)
		local context = dir:file("context-" .. name:gsub(":", "-"))
		shell.check({ "mkdir", context })
		for file, content in pairs(files or {}) do
			shell.write(context .. "/" .. file, content)
		end
		if files then
			shell.check({ "cp", shell.which("busybox"), context .. "/busybox" })
		end
		shell.write(context .. "/Dockerfile", dockerfile)
		docker.build(context, name)
		paths[name] = dir:file(name:gsub(":", "-") .. ".tar")
		docker.save(paths[name], name)
	end

	setup(function()
		if peers.missing("docker") then
			return
		end
		dir, paths = tmp.dir(tmp.for_peers()), {}
		for _, version in ipairs({ "v1", "v2" }) do
			build("base:" .. version, BASE:format(version, version, version), { [version] = "release " .. version .. "\n" })
		end
		build("app:v1", APP:format("v1"))
		build("app:v2", APP:format("v2"))
	end)

	teardown(function()
		if dir then
			dir:remove()
		end
	end)

	local function need_docker()
		peers.need("docker")
	end

	-- What a build has taken from its base is its own then.
	local function as_on_v1(text)
		return (text:gsub("BASE_OF_APP=v2", "BASE_OF_APP=v1"))
	end

	local function created_by(history)
		local list = {}
		for i, row in ipairs(history) do
			list[i] = as_on_v1(row.created_by)
		end
		return list
	end

	local function size_of(path)
		return tonumber((shell.check({ "stat", "-c", "%s", path })))
	end

	it("is rebased, loaded and run, and is like one that was built on the new base", function()
		need_docker()
		local old, new = assert(strata.open(paths["base:v1"])), assert(strata.open(paths["base:v2"]))
		local img, wanted = assert(strata.open(paths["app:v1"])), assert(strata.open(paths["app:v2"]))
		assert(img:rebase(old, new, { config = "inherit" }))
		img.tags = { "app:rebased" }
		assert.same(created_by(wanted:history()), created_by(img:history()))
		assert.equal(#wanted.layers, #img.layers)
		for i, layer in ipairs(new.layers) do
			assert.equal(layer.diff_id, img.layers[i].diff_id)
		end
		for _, key in ipairs({ "Env", "Cmd", "Labels", "User", "WorkingDir", "Entrypoint" }) do
			local value = wanted.config:get("/config/" .. key)
			for i, text in ipairs(key == "Env" and value or {}) do
				value[i] = as_on_v1(text)
			end
			assert.same(value, img.config[key])
		end
		local target = dir:file("rebased.tar")
		local result = assert(img:save(target))
		assert.same({ "app:rebased" }, docker.load(target))
		assert.equal(result.id, docker.id("app:rebased"))
		assert.equal("release v2\n", docker.run("app:rebased"))
		assert.equal("v2 v1 7\n", docker.run("app:rebased", { "sh", "-c", "echo $BASE $BASE_OF_APP $(id -u)" }))
		assert.equal("app on v1\n", docker.run("app:rebased", { "cat", "text" }))
		for _, one in ipairs({ old, new, img, wanted }) do
			one:close()
		end
	end)

	it("is folded, loaded and run, and shows the same files", function()
		need_docker()
		local list = "cd / && find app bin etc/release | sort | xargs stat -c '%n %A %u:%g %s %Y'; md5sum /app/tool"
		local function see(path, tag)
			docker.load(path)
			return docker.run(tag, { options = { "--user", "0" }, "sh", "-c", list })
		end
		local before = see(paths["app:v1"], "app:v1")
		local img = assert(strata.open(paths["app:v1"]))
		local layers = #img.layers
		local size = size_of(paths["app:v1"])
		local bytes, folded = assert(img:fold({ prune = true }))
		local found = {}
		for _, one in ipairs(folded) do
			found[one.path] = one.type
		end
		assert.same({ app = "dir", ["app/text"] = "file", ["app/tool"] = "file" }, found)
		assert.equal(layers - 1, #img.layers)
		local target = dir:file("folded.tar")
		local result = assert(img:save(target))
		local saved = size_of(target)
		assert.is_true(size - saved >= bytes)
		assert.equal(before, see(target, "app:v1"))
		assert.equal(result.id, docker.id("app:v1"))
		img:close()
	end)
end)
