--- Scenarios of spec/support/scenarios.lua around directories of the host: layers onto them, layers of them; and
-- streams, which keep what they cannot write yet in temporary files.

local archive = require "spec.support.docker_archive"
local dialects = require "spec.support.docker_dialects"
local push = require "spec.support.push"
local rawtar = require "spec.support.rawtar"
local rights = require "spec.support.rights"
local shell = require "spec.support.shell"
local strata = require "strata"

local tree = {}

local entry, pax = rawtar.entry, rawtar.pax

local function dir(name, fields)
	fields = fields or {}
	fields.name, fields.type, fields.mode = name, "5", fields.mode or 493
	return entry(fields)
end

local function link(letter, name, target)
	return entry({ name = name, type = letter, linkname = target })
end

-- The map of a sparse file stands before its data.
local function sparse(name)
	local map = "2\n0\n512\n4096\n512\n"
	return pax({
		"GNU.sparse.major", "1", "GNU.sparse.minor", "0", "GNU.sparse.name", name, "GNU.sparse.realsize", "8192",
	}) .. entry({ name = "GNUSparseFile.0/x" }, map .. ("\0"):rep(512 - #map) .. ("s"):rep(1024))
end

local BASE = {
	dir("./"),
	dir("usr"),
	dir("usr/lib"),
	dir("old"),
	dir("old/a"),
	dir("old/a/b"),
	entry({ name = "old/a/b/c" }, "deep\n"),
	entry({ name = "old/file" }, "x\n"),
	dir("hidden"),
	dir("hidden/sub"),
	entry({ name = "hidden/sub/file" }, "below\n"),
	entry({ name = "usr/lib/so" }, ("library\n"):rep(5000)),
	link("2", "lib", "usr/lib"),
	link("2", "up", "usr/../usr/lib"),
	link("2", "away", "/usr/lib/../gone/./too"),
	pax({ "SCHILY.xattr.trusted.t", "v", "SCHILY.xattr.user.u", "v" }) .. link("2", "circle", "circle"),
	link("1", "late", "usr/lib/later"),
	entry({ name = "usr/lib/later" }, "later\n"),
	link("1", "usr/lib/twice", "usr/lib/later"),
	entry({ name = "pipe", type = "6" }),
	sparse("holes"),
	pax({ "SCHILY.xattr.user.note", "one", "LIBARCHIVE.xattr.user.more%3D", "dHdv" })
		.. entry({ name = "noted" }, "n\n"),
	pax({ "SCHILY.xattr.user.note", "dir" }) .. dir("noted.d"),
	pax({ "SCHILY.xattr.user.note", "dir" }) .. dir("entered.d"),
	entry({ name = "whited" }, "w\n"),
	entry({ name = ".wh.whited" }),
	pax({ "SCHILY.xattr.user.note", "file" }) .. link("1", "usr/lib/noted", "usr/lib/later"),
	pax({ "SCHILY.xattr.trusted.t", "other" }) .. link("1", "circle2", "circle"),
	pax({ "SCHILY.xattr.user.note", "pipe" }) .. link("1", "pipe2", "pipe"),
	pax({ "atime", "1.5" }) .. entry({ name = "setuid", mode = 2541, uid = 12, gid = 300 }, "s\n"),
}

-- Directories that keep their own user out: an overlay's lower ones stay so.
local CLOSED = {
	dir("closed", { mode = 0 }),
	dir("closed/in", { mode = 0 }),
	entry({ name = "closed/in/file", mode = 0 }, "c\n"),
}

local OPENED = {
	entry({ name = "closed/in/other" }, "o\n"),
	entry({ name = "closed/.wh.in" }),
}

local SECOND = {
	entry({ name = "lib/new" }, "through a link\n"),
	entry({ name = "up/new2" }, "through another\n"),
	entry({ name = "away/new3" }, "made on the way\n"),
	entry({ name = "old" }, "a file now\n"),
	entry({ name = "hidden/kept" }, "kept\n"),
	dir("hidden/mine"),
	entry({ name = "hidden/mine/one" }, "mine\n"),
	entry({ name = "hidden/sub/new" }, "new\n"),
	entry({ name = "hidden/sub/.wh..wh..opq" }),
	entry({ name = "hidden/.wh..wh..opq" }),
	entry({ name = "noted.d/implied/down/file" }, "i\n"),
	dir("pipe"),
	entry({ name = "usr/.wh.lib" }),
	entry({ name = "usr/.wh.never" }),
	link("1", "linked", "noted"),
	link("1", "noted.d/again", "linked"),
	link("1", "setuid", "noted"),
	dir("noted.d", { mode = 448, uid = 5, mtime = 77 }),
	entry({ name = "circle/.wh.x" }),
	link("2", "own", "made/there"),
	entry({ name = "own/../by/link" }, "through its own link\n"),
	entry({ name = "own/.wh.x" }),
	link("1", "through", "own/../by/link"),
	entry({ name = "entered.d/in" }, "in\n"),
	entry({ name = "zero", type = "3" }),
	link("1", "zeros/two", "zero"),
	entry({ name = "zeros/two/.wh.x" }),
	entry({ name = "dropped/here/.wh.x" }),
	pax({ "SCHILY.xattr.trusted.overlay.opaque", "y" }) .. dir("marked.d"),
}

local THIRD = {
	entry({ name = "back" }, "back\n"),
	dir("usr"),
	entry({ name = "usr/lib/so" }, "new\n"),
	entry({ name = "lib/.wh..wh..opq" }),
	entry({ name = "noted.d/implied/.wh.down" }),
	entry({ name = ".wh.hidden" }),
	entry({ name = "hidden/anew" }, "a\n"),
	entry({ name = ".wh.old" }),
	link("1", "hard", "noted.d/again"),
	link("2", "noted.d/again", "../back"),
	link("1", "chain", "forward"),
	link("1", "forward", "end"),
	entry({ name = "end" }, "e\n"),
	entry({ name = "end" }, "another e\n"),
}

local FOURTH = {
	entry({ name = "first/of/all" }, "f\n"),
	entry({ name = ".wh..wh..opq" }),
	link("1", "again", "first/of/all"),
	link("2", "way", "first/of"),
	dir("way/behind", { mode = 448 }),
}

-- More directories, and more entries, than there is room for at first.
local MANY = { entry({ name = "top" }, "t\n") }
for i = 1, 66 do
	MANY[i + 1] = entry({ name = ("many/%d/%d"):format(i % 20, i) })
end
for i = 1, 30 do
	MANY[#MANY + 1] = dir(("many/dir%d"):format(i))
end

-- Hardlinks to nothing, and to a whiteout.
local BROKEN = {
	dir("usr"),
	entry({ name = ".wh.noted" }),
	link("1", "hidden/sub", "noted"),
	pax({ "SCHILY.xattr.user.note", "none" }) .. link("1", "a/link", "usr/none"),
	link("1", "b/link", "none/at/all"),
	entry({ name = "usr/lib/file" }, "f\n"),
}

-- A tree that is deeper than what is removed with a directory open for each level, and a hardlink to nothing.
local DEEP = {
	dir(".strata-0"),
	entry({ name = ".strata-0/f" }, "in the way\n"),
	pax({ "path", ("d/"):rep(70) .. "f" }) .. entry({ name = "f" }, "deep\n"),
	link("1", "link", "none"),
}

-- Something else wherever BASE has something.
local CONFLICT = {
	entry({ name = "usr" }, "a file\n"),
	dir("noted"),
	dir("noted/deep"),
	entry({ name = "noted/deep/file" }, "x\n"),
	dir("setuid"),
	dir("setuid/closed", { mode = 0 }),
	entry({ name = "setuid/closed/file", mode = 0 }, "x\n"),
	dir("pipe"),
	entry({ name = "pipe/file" }, "x\n"),
	link("2", "old", "noted"),
	dir("late"),
	dir("hard"),
	dir("lib"),
	entry({ name = "lib/file" }, "x\n"),
	link("2", "hidden", "noted/deep"),
	pax({ "SCHILY.xattr.user.old", "o" }) .. dir("noted.d"),
}

local function layer_of(parts)
	local bytes = table.concat(parts) .. rawtar.END
	local made = { entries = {}, tar = bytes, diff_id = archive.sha256(bytes), gz = archive.gzip(bytes) }
	made.gz_id = archive.sha256(made.gz)
	return made
end

--- Makes images and directories.
function tree.prepare(env)
	local closed, opened = layer_of(CLOSED), layer_of(OPENED)
	local layers = {}
	for i, parts in ipairs({ BASE, SECOND, THIRD, FOURTH, MANY }) do
		layers[i] = layer_of(parts)
	end
	for name, list in pairs({
		side_by_side = layers,
		tree = { layers[1], closed, opened, layers[2], layers[3], layers[4], layers[5] },
		base = { layers[1] },
		broken = { layers[1], layer_of(BROKEN) },
		deep = { layer_of(DEEP) },
		conflict = { layer_of(CONFLICT) },
		again = { layer_of({ entry({ name = "f", mode = 420 }, ("same\n"):rep(9000)) }), layer_of({
			entry({ name = "f", mode = 493 }, ("same\n"):rep(9000)),
		}) },
	}) do
		env[name] = dialects.of.kaniko(archive.image({ layers = list })):write(env.dir .. "/" .. name)
	end
	shell.sh([[cd "$1" && mkdir -p lower/d/sub upper/d/new &&
		echo one >lower/d/one && echo gone >lower/gone && ln lower/d/one lower/twice && ln -s d/one lower/link &&
		dd if=/dev/zero of=lower/big bs=1000 count=300 2>/dev/null && mkfifo lower/fifo &&
		cp -a lower/. upper/ && rm upper/gone && echo two >upper/d/new/two && chmod 700 upper/d/sub &&
		echo big >>upper/big && rm upper/fifo && mkdir upper/fifo &&
		{ ! command -v python3 >/dev/null || python3 -IS -c 'import os
os.setxattr("lower/d/one", "user.a", b"1"); os.setxattr("upper/d", "user.b", b"2")'; }]],
		env.dir)
	env.lower, env.upper = env.dir .. "/lower", env.dir .. "/upper"
end

--- Adds the scenarios.
---@param add fun(name: string, run: fun(env: table): string, options?: table)
---@param must function throws what came back as nil, message, code
function tree.add(add, must)
	local function applying(before, options)
		return function(env)
			local root = env.out .. "/tree"
			if before then
				local img = must(strata.open(env[before]))
				must(img:extract(root, { unprivileged = true }))
				img:close()
			end
			local img = must(strata.open(env[options.mode == "overlay" and "side_by_side" or "tree"]))
			local done = must(img:extract(root, options))
			img:close()
			return tostring(done.entries)
		end
	end

	add("extract a tree", applying(nil, { unprivileged = true }), { whole = true })
	add("extract a tree by the letter", applying(nil, { view = "spec", unprivileged = true }), { whole = true })
	add("extract a tree as overlay", applying(nil, { mode = "overlay", unprivileged = true }), { whole = true })
	add("extract a tree onto another", applying("base", { merge = true, unprivileged = true }), { merges = true })
	local rootless = applying("conflict", { merge = true, unprivileged = true, rootless = true })
	add("extract a tree onto a different one", rootless, { merges = true })

	-- What is refused says so, unless something else fails. What has been made stays: a failure to remove it is not told.
	local function refusing(options)
		options.unprivileged, options.keep_partial = true, true
		return function(env)
			local img = must(strata.open(env.broken))
			if options.mode == "overlay" then
				for _, layer in img:layers() do
					must(layer:entry("usr"))
				end
			end
			local done, message, code = img:extract(env.out .. "/tree", options)
			img:close()
			return code == "ENOENT" and message or must(done, message, code)
		end
	end

	add("extract what is broken", refusing({}), { merges = true })
	add("extract what is broken by the letter", refusing({ view = "spec" }), { merges = true })
	add("extract what is broken as overlay", refusing({ mode = "overlay", xattrs = rights.xattrs }), { merges = true })
	add("extract what is broken and deep", function(env)
		local img = must(strata.open(env.deep))
		local done, message, code = img:extract(env.out .. "/tree", { unprivileged = true })
		img:close()
		return code == "ENOENT" and message or must(done, message, code)
	end, { litters = true })

	local function making(options)
		return function(env)
			local layer = must(strata.layer(options(env)))
			local img = strata.new({}):append({ layer = layer })
			local saved = must(img:save(env.out .. "/target"))
			img:close()
			return saved.id
		end
	end

	add("a layer of a directory", making(function(env)
		return { dir = env.lower, compression = "gzip" }
	end))
	add("a layer of a difference", making(function(env)
		return { lower = env.lower, upper = env.upper }
	end))

	local EDITS = {
		filter = function(e)
			return e.path ~= "var/new"
		end,
		rewrite = function(e)
			e.uid = 7
		end,
		config = function(config)
			config:set_env("STREAM", "yes")
		end,
	}

	local function streaming(source, options)
		return function(env)
			local given = { temp_dir = env.out }
			for _, fields in ipairs({ EDITS, options }) do
				for key, value in pairs(fields) do
					given[key] = value
				end
			end
			local out = must(push.through(must(strata.stream.image(given)), shell.read(env[source]), 5000))
			return archive.sha256(out)
		end
	end

	add("stream", streaming("docker", {}))
	add("stream gzip", streaming("gzip", { compression = "gzip" }))
	add("stream zstd", streaming("docker", { compression = "zstd" }))

	-- Everything that can be read of a merged tree, in every layer as well.
	add("read a tree", function(env)
		local img = must(strata.open(env.tree))
		local seen = {}
		for _, layer in img:layers() do
			for one in layer:entries() do
				seen[#seen + 1] = one.path .. tostring(one.type == "file" and #must(one:read()) .. must(one:digest()))
			end
		end
		local root = must(img:rootfs())
		for one in root:walk(".") do
			seen[#seen + 1] = one.path .. tostring(one.links)
		end
		seen[#seen + 1] = must(must(img:rootfs({ upto = 1 })):read("holes"))
		img:close()
		return archive.sha256(table.concat(seen, "\n"))
	end)

	add("read zstd", function(env)
		local img = must(strata.open(env.oci_archive))
		local seen = {}
		for _, layer in img:layers() do
			for one in layer:entries() do
				seen[#seen + 1] = one.path .. tostring(one.type == "file" and #must(one:read()))
			end
		end
		img:close()
		return table.concat(seen, "\n")
	end)

	local function saving(source, options, edit)
		return function(env)
			local img = must(strata.open(env[source]))
			edit(img)
			local saved = must(img:save(env.out .. "/target", options))
			img:close()
			return saved.id
		end
	end

	local function drop_targets(img)
		must(img:filter(function(one)
			return one.path ~= "usr/lib/later" and one.path ~= "etc/passwd" and one.path ~= "end"
		end))
		must(img:rewrite(function(one)
			one.mtime = 5.5
			if one.path == "noted" then
				one.path, one.xattrs = "renamed", { ["user.z"] = "z", ["user.note"] = "other" }
			elseif one.linkpath == "noted" and one.type == "hardlink" then
				one.linkpath = "renamed"
			elseif one.path == "holes" then
				one.path = "sparse/" .. ("name/"):rep(30) .. "holes"
			elseif one.type == "symlink" then
				one.linkpath = ("../"):rep(50) .. one.linkpath
			elseif one.path == "usr/lib/so" then
				one:replace("short\n")
			end
		end))
	end

	add("save what lost its hardlinks' targets", saving("tree", { format = "docker" }, drop_targets))
	local level_9 = { format = "oci-archive", compression = "gzip", level = 9 }
	add("save at the highest level", saving("tree", level_9, drop_targets))
	add("save as zstd", saving("tree", { format = "oci-archive", compression = "zstd", level = 3 }, drop_targets))
	add("squash what was edited", saving("tree", { format = "docker" }, function(img)
		drop_targets(img)
		must(img:squash(2, 4))
	end))
	add("flatten a tree", saving("tree", { format = "docker" }, function(img)
		must(img:flatten())
	end))
	add("fold", saving("again", { format = "docker" }, function(img)
		must(img:fold())
	end))
	add("purge from a tree", saving("tree", { format = "docker" }, function(img)
		must(img:purge("usr"))
	end))

	add("events of a tar", function(env)
		local p = must(strata.stream.tar({ data = true, compression = "auto" }))
		local seen = {}
		for piece in push.pieces(shell.read(env.whole), 3000) do
			must(p:feed(piece))
			local event, message, code = p:next()
			while event do
				seen[#seen + 1] = event.type
				event, message, code = p:next()
			end
			if message then
				error({ message, code }, 0)
			end
		end
		must(p:finish())
		return table.concat(seen, " ")
	end)
end

return tree
