-- What is made of directories and of the upper directories of real overlay mounts is what umoci and the Docker
-- Engine make of it, and images with such layers run.

local cjson = require "cjson"
local docker = require "spec.support.docker"
local peers = require "spec.support.peers"
local sample = require "spec.support.sample"
local rights = require "spec.support.rights"
local shell = require "spec.support.shell"
local skip = require "spec.support.skip"
local skopeo = require "spec.support.skopeo"
local strata = require "strata"
local tmp = require "spec.support.tmp"
local tree = require "spec.support.tree"

local need = peers.need


-- What people do to a file system in a container.
local CHANGES = [[
cd "$1"
rm etc/removed
rm -r dir/sub && mkdir dir/sub && echo new >dir/sub/new
echo more >>etc/kept
chmod 600 etc/mode
mkdir -p new/deep && echo x >new/deep/file && ln new/deep/file new/hard && ln -s deep new/link
rm -r gone
rm type && mkdir type && echo in >type/in
mv moved renamed
chown 1000:1000 owned
]]

local LOWER = [[
mkdir -p "$1" && cd "$1" && mkdir -p etc dir/sub gone/a/b
for f in etc/removed etc/kept etc/mode dir/sub/old dir/other gone/a/b/c type moved owned; do echo $f >$f; done
find . -exec touch -h -d @1500000000 {} +
]]

describe("layers of directories", function()
	local dir

	before_each(function()
		dir = tmp.dir(tmp.for_peers())
	end)

	after_each(function()
		shell.run({ "umount", dir:file("merged") })
		shell.run({ "umount", dir:file("disk") })
		dir:remove()
	end)

	-- Directories have the time of what happened in them, not more exactly than a tar says.
	local function is_fraction(path, field)
		return path == "." or field == "mtime"
	end

	it("are what a real overlay mount shows", function()
		if not rights.mounts then
			skip("nothing can be mounted here")
		end
		-- An overlay cannot be the upper directory of another one.
		shell.sh('mkdir "$1/disk" && mount -t tmpfs tmpfs "$1/disk"', dir.path)
		shell.sh(LOWER, dir:file("disk/lower"))
		shell.sh('mkdir "$1/upper" "$1/work" "$2"', dir:file("disk"), dir:file("merged"))
		local options = ("lowerdir=%s,upperdir=%s,workdir=%s"):format(dir:file("disk/lower"), dir:file("disk/upper"),
			dir:file("disk/work"))
		if shell.run({ "mount", "-t", "overlay", "overlay", "-o", options, dir:file("merged") }).status ~= 0 then
			skip("overlayfs cannot be mounted here")
		end
		shell.sh(CHANGES, dir:file("merged"))
		local merged = tree.read(dir:file("merged"))
		shell.check({ "umount", dir:file("merged") })
		local layer = assert(strata.layer({ overlay_upper = dir:file("disk/upper") }))
		assert.is_truthy(layer:entry("dir/sub/.wh..wh..opq"))
		local img = strata.new({}):append({ dir = dir:file("disk/lower") }):append({ layer = layer })
		assert(img:extract(dir:file("out")))
		assert.same({}, tree.differences(merged, tree.read(dir:file("out")), is_fraction))
	end)

	it("change what umoci repack finds changed, and have its whiteouts", function()
		if not need("umoci", "skopeo") then
			return
		end
		shell.sh(LOWER, dir:file("lower"))
		local img = strata.new({}):append({ dir = dir:file("lower") })
		img:tag("x:latest")
		local image = dir:file("oci")
		assert(img:save(image, { format = "oci" }))
		shell.check({ "umoci", "unpack", "--image", image .. ":latest", dir:file("bundle") })
		local rootfs = dir:file("bundle/rootfs")
		shell.check({ "cp", "-a", rootfs, dir:file("before") })
		shell.sh(CHANGES, rootfs)
		shell.check({ "umoci", "repack", "--image", image .. ":new", dir:file("bundle") })
		local digests = {}
		for _, one in ipairs(cjson.decode(shell.read(dir:file("oci/index.json"))).manifests) do
			digests[one.annotations["org.opencontainers.image.ref.name"]] = one.digest
		end
		local theirs = assert(strata.open(image, { digest = digests.new }))
		local ours = assert(strata.layer({ lower = dir:file("before"), upper = rootfs }))
		local function describe_layer(layer)
			local found = {}
			for entry in layer:entries() do
				-- umoci writes directories above what changed only where they have changed themselves
				if entry.path ~= "." and entry.type ~= "dir" then
					found[entry.path] = entry.type == "hardlink" and "file" or entry.type
				end
			end
			return found
		end
		assert.same(describe_layer(theirs.layers[2]), describe_layer(ours))
		local mine = assert(strata.open(image, { digest = digests.latest })):append({ layer = ours })
		assert(mine:extract(dir:file("mine")))
		assert(theirs:extract(dir:file("theirs")))
		assert.same({}, tree.differences(tree.read(dir:file("theirs")), tree.read(dir:file("mine")), is_fraction))
		assert.same({}, tree.differences(tree.read(rootfs), tree.read(dir:file("mine")), is_fraction))
	end)

	it("run in the Docker Engine, on top and in the middle", function()
		if not need("docker") then
			return
		end
		local built = sample.small("appended", { 'RUN ["/bin/busybox", "sh", "-c", "echo low >/where; echo b >/base"]',
			'RUN ["/bin/busybox", "sh", "-c", "echo high >/high"]' })
		shell.sh('mkdir -p "$1/src/d"; cd "$1/src"; echo top >top; ln top hard; ln -s top link; echo mine >high; '
			.. "echo mine >where; chmod 4755 top", dir.path)
		shell.check({ "tar", "-czf", dir:file("t.tgz"), "-C", dir:file("src"), "d" })
		local img = assert(strata.open(built.archive))
		local count = #img.layers
		assert(img:append({ dir = dir:file("src"), at = count, owner = { uid = 12, gid = 34 }, created_by = "COPY src" }))
		assert(img:append({ dir = dir:file("src"), to = "/srv/app", owner = { uid = 0, gid = 0 } }))
		assert(img:append({ tar = dir:file("t.tgz"), at = 1 }))
		assert(img:append({ layer = strata.layer({ files = { ["etc/motd"] = "hello\n" } }) }))
		img.tags = { "appended-new:1" }
		assert(img:save(dir:file("new.tar")))
		docker.load(dir:file("new.tar"))
		local function sh(script)
			return docker.run("appended-new:1", { "/bin/busybox", "sh", "-c", script })
		end
		assert.equal("mine\nhigh\nb\ntop\nhello\n",
			sh("cd /; /bin/busybox cat where high base hard etc/motd"))
		assert.equal("12 34 4755 2\n", sh("/bin/busybox stat -c '%u %g %a %h' /top"))
		assert.equal("0 0 755\n0 0 4755\n", sh("/bin/busybox stat -c '%u %g %a' /srv/app /srv/app/hard"))
		assert.equal("top\n", sh("/bin/busybox cat /srv/app/link"))
		assert.equal("directory\n", sh("/bin/busybox stat -c %F /d"))
	end)

	it("are taken by skopeo and umoci", function()
		if not need("skopeo", "umoci") then
			return
		end
		shell.sh(LOWER, dir:file("lower"))
		shell.check({ "cp", "-a", dir:file("lower"), dir:file("upper") })
		shell.sh(CHANGES, dir:file("upper"))
		local layer = assert(strata.layer({ lower = dir:file("lower"), upper = dir:file("upper"), compression = "gzip" }))
		local img = strata.new({}):append({ dir = dir:file("lower") }):append({ layer = layer })
		img:tag("x:1")
		assert(img:save(dir:file("x.tar"), { format = "docker" }))
		local rootfs = skopeo.unpack(dir:file("x.tar"), dir)
		assert.same({}, tree.differences(tree.read(dir:file("upper")), tree.read(rootfs), is_fraction))
	end)
end)
