-- Takes seconds: not for make check.
-- What a check tells of the images on which runtimes differ: spec/support/runtime_inputs.lua has the images,
-- runtime_inputs.txt what Docker, containerd, podman and umoci make of them. What they differ about has a finding that
-- says so, what all of them refuse has an error, and what all take alike has nothing above a note.

local corpus = require "spec.support.corpus"
local pack = require "spec.support.pack"
local runtime_inputs = require "spec.support.runtime_inputs"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

local HERE = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$")

-- The finding that tells in what the readers differ.
local DIFFERENCES = {
	["plnk"] = "aufs-metadata",
	["plnk without its directory"] = "aufs-metadata",
	["plnk, from here"] = "aufs-metadata",
	["plnk in a chain"] = "aufs-metadata",
	["plnk that is a link itself"] = "aufs-metadata",
	["plnk in an upper layer"] = "aufs-metadata",
	["plnk of a lower layer"] = "hardlink-across-layers",
	["plnk over a file"] = "hardlink-metadata",
	["usr-merge, deleted by the other name"] = "through-lower-link",
	["usr-merge, replaced by the other name"] = "through-lower-link",
	["usr-merge, opaque by the other name"] = "through-lower-link",
	["usr-merge, deleted by the same name"] = "through-lower-link",
	["usr-merge, deleted through the link"] = "through-lower-link",
	["usr-merge, a file added"] = "through-lower-link",
	["usr-merge, a hardlink to the target"] = "hardlink-across-layers",
	["usr-merge, a hardlink through the link"] = "hardlink-across-layers",
	["usr-merge, a hardlink through the link, in the third layer"] = "hardlink-across-layers",
	["link: no entry for its directory"] = "hardlink-metadata",
	["link: a way to write a target that leads through nothing"] = "hardlink-metadata",
	["link: metadata of its own"] = "hardlink-metadata",
	["link: an xattr of its own"] = "hardlink-metadata",
	["link: to a lower layer's file"] = "hardlink-across-layers",
	["link: to a lower layer's file that is hidden"] = "hardlink-to-whiteout",
	["link: to a lower layer's file that is hidden behind it"] = "hardlink-across-layers",
	["link: to a lower layer's symlink"] = "hardlink-across-layers",
	["link: through a lower layer's symlink"] = "hardlink-across-layers",
	["link: to a name of a file whose other name is replaced"] = "hardlink-across-layers",
	["link: its file replaced in its layer"] = "duplicate-path",
	["link: replaced by a file in its layer"] = "duplicate-path",
	["link: set-id by its header"] = "hardlink-metadata",
	["link: an owner by its header"] = "hardlink-metadata",
	["link: a capability by its header"] = "hardlink-metadata",
	["link: a capability that its header does not repeat"] = "hardlink-metadata",
	["link: a capability that its header does not repeat, of another owner"] = "hardlink-metadata",
	["link: metadata of one to a symlink"] = "hardlink-metadata",
	["opaque: the root"] = "opaque-root",
	["aufs: a file below opt/.wh..wh.x"] = "aufs-metadata",
	["aufs: a file below .wh..wh.x in the root"] = "aufs-metadata",
	["aufs: a file below opt/.wh.x"] = "whiteout-directory",
	["aufs: a file below opt/.wh..wh.orph"] = "aufs-metadata",
	["aufs: in both layers, in the root and deeper"] = "whiteout-of-nothing",
	["a path through a lower layer's link"] = "through-lower-link",
	["a path through a dangling link of the same layer"] = "dangling-parent",
	["a path through a link of the same layer to a lower layer's directory"] = "dangling-parent",
	["whiteout and directory"] = "whiteout-and-directory",
	["directory and whiteout"] = "whiteout-behind",
	["whiteout, then an entry below"] = "below-whiteout",
	["an entry below, then the whiteout"] = "whiteout-behind",
	["a file, then its whiteout"] = "whiteout-behind",
	["whiteout and whiteouts below"] = "whiteout-below-whiteout",
	["whiteouts below and the whiteout"] = "whiteout-behind",
	["whiteout below what a lower layer deleted"] = "copied-attributes",
	["whiteout below what a lower layer deleted, one level"] = "whiteout-of-nothing",
	["whiteout below a lower layer's file"] = "below-lower-file",
	["file below a lower layer's file"] = "below-lower-file",
	["file two levels below a lower layer's file"] = "copied-attributes",
	["whiteout of nothing"] = "whiteout-of-nothing",
	["whiteout in the base, of what is before it"] = "whiteout-behind",
	["opaque marker in the base, behind files whose directories have no entry"] = "opaque-behind",
	["opaque marker in the base, behind a directory whose directory has no entry"] = "opaque-behind",
	["opaque: no entry for the directory"] = "implied-directory",
	["opaque: its directory is a lower layer's link"] = "through-lower-link",
	["opaque: its directory is a link of its layer"] = "opaque-through-link",
	["opaque: below a file of its layer"] = "opaque-in-nothing",
	["opaque: below what its layer deletes"] = "opaque-in-nothing",
	["case: a file and, behind it, the whiteout of its name"] = "whiteout-behind",
	["case: a whiteout below a directory that is not there"] = "whiteout-of-nothing",
	["case: a whiteout below a file"] = "below-lower-file",
	["case: a whiteout in the first layer"] = "whiteout-behind",
	["case: a whiteout of a directory that is made anew, before it"] = "whiteout-and-directory",
	["case: a whiteout of a directory that is made anew, behind it"] = "whiteout-behind",
	["case: a whiteout of a directory that is only this layer's, twice"] = "duplicate-path",
	["case: what AUFS kept for itself"] = "aufs-metadata",
	["case: a whiteout that names nothing: d/.wh."] = "bad-whiteout",
	["case: a whiteout that names nothing: d/.wh.."] = "bad-whiteout",
	["case: an opaque marker at the end, with directories implied"] = "opaque-behind",
	["case: an opaque marker at the beginning"] = "implied-directory",
	["case: an opaque marker of the root"] = "opaque-root",
	["case: an opaque marker, and the whiteout of its directory behind what is in it"] = "whiteout-behind",
	["case: an opaque marker of a directory that is hidden, too"] = "whiteout-behind",
	["case: a file below var/run, which is a symlink to /run"] = "through-lower-link",
	["case: a file below a symlink that leads up and out of the root"] = "through-lower-link",
	["case: a whiteout below a symlink"] = "through-lower-link",
	["case: a whiteout below a symlink that the same layer makes"] = "dangling-parent",
	["case: a file written through a symlink, and the whiteout of it by both names"] = "whiteout-behind",
	["case: a symlink that is hidden behind what was written through it"] = "whiteout-behind",
	["case: a whiteout below a symlink to itself"] = "copied-attributes",
	["case: a file below a symlink to itself"] = "copied-attributes",
	["case: a hardlink to a file of a lower layer"] = "hardlink-across-layers",
	["case: a hardlink before its file, which a lower layer has, too"] = "hardlink-order",
	["case: a hardlink to a file of a lower layer that is hidden behind it"] = "hardlink-across-layers",
	["case: a hardlink to a file that is hidden before it"] = "hardlink-to-whiteout",
	["case: two entries of one name"] = "duplicate-path",
	["case: an entry for the root"] = "root-entry",
	["case: an entry for the root that is a symlink"] = "root-entry",
	["case: an entry below a file"] = "below-lower-file",
	["xattr: empty"] = "empty-xattr",
	["xattr: user. of a symlink and of a fifo"] = "user-xattr",
	["xattr: user. of a symlink"] = "user-xattr",
	["xattr: trusted."] = "trusted-xattr",
	["xattr: overlayfs's opaque mark"] = "overlay-xattr",
	["xattr: overlayfs's opaque mark on a whiteout's directory"] = "overlay-xattr",
	["xattr: overlayfs's redirect"] = "overlay-xattr",
	["node: char 0:0 over a file"] = "device-whiteout",
	["node: char 0:0 alone"] = "device-whiteout",
	["node: a hardlink to a char 0:0"] = "device-whiteout",
	["entry: a file where the same layer has a directory"] = "duplicate-path",
	["entry: two of one name"] = "duplicate-path",
	["entry: two of one directory"] = "duplicate-path",
	["entry: a directory, then a link to nowhere"] = "duplicate-path",
	["entry: the root, as ."] = "root-entry",
	["entry: the root, as /"] = "root-entry",
	["entry: the root as a file"] = "root-entry",
	["entry: a global header"] = "global-header",
	["entry: uid of -1 in a link's header"] = "hardlink-metadata",
	["entry: a time before 1970"] = "early-time",
	["implied: directories over those of lower layers"] = "implied-directory",
	["implied: in a directory with a set group"] = "implied-directory",
	["config: Cmd a string"] = "config-type",
	["config: more rows of the history than layers"] = "history",
	["zeros behind a gzip layer"] = "gzip-padding",
	["tag: app@sha256:000000000... of 75"] = "image-name",
}

-- The finding that tells why all refuse.
local REFUSALS = {
	["case: a hardlink before its file, and an entry of its own name between them"] = "hardlink-order",
	["case: a hardlink before its file, in a directory that is a symlink only then"] = "hardlink-order",
	["link: before its file"] = "hardlink-order",
	["link: a chain before its file"] = "hardlink-order",
	["link: to a directory"] = "hardlink-to-directory",
	["link: to itself"] = "duplicate-path",
	["link: to itself alone"] = "hardlink-target",
	["link: in a circle"] = "hardlink-order",
	["link: data behind its header"] = "unreadable",
	["link: to nothing"] = "hardlink-to-directory",
	["case: a whiteout that names nothing: .wh."] = "bad-whiteout",
	["case: a whiteout that names nothing: d/.wh..."] = "bad-whiteout",
	["case: a whiteout that names nothing: .wh.."] = "bad-whiteout",
	["case: a whiteout that names nothing: .wh..."] = "bad-whiteout",
	["case: a hardlink before its file"] = "hardlink-order",
	["case: a hardlink to a directory"] = "hardlink-to-directory",
	["case: a hardlink to nothing"] = "hardlink-target",
	["xattr: a capability that is none"] = "bad-capability",
	["entry: below a file"] = "below-file",
	["entry: typeflag 7"] = "contiguous-file",
	["entry: typeflag V"] = "unknown-type",
	["config: Env an object"] = "config-type",
	["config: a label that is a number"] = "config-type",
	["config: created in month 13"] = "config-type",
	["tag: MyApp:1"] = "image-name",
	["tag: my..app:1"] = "image-name",
	["tag: -app:1"] = "image-name",
	["tag: app:-1"] = "image-name",
	["tag: app:tttttttttttttttt... of 133"] = "image-name",
	["tag: host:5000/App:1"] = "image-name",
	["tag: app:1:2"] = "image-name",
	["tag: app/:1"] = "image-name",
	["tag: app:t "] = "image-name",
	["tag: \195\164pp:1"] = "image-name",
	["tag: aaaaaaaaaaaaaaaaaaaa... of 258"] = "image-name",
	["tag: a//b:1"] = "image-name",
	["tag: app:.t"] = "image-name",
	["tag: Host/app:1"] = "image-name",
}

-- What no layer tells, and why.
local UNDECIDED = {
	["case: a whiteout that is a directory"] =
		"umoci alone keeps the time of a directory without an entry; nearly every image has such directories",
	["case: an opaque marker at the end, with the directories told"] =
		"umoci alone loses the time of a directory in which it unpacks something later, whatever the layer says",
	["implied: the time of a directory that changes behind its entry"] =
		"umoci alone keeps the time of a directory without an entry; nearly every image has such directories",
}

-- What the readers take alike, and yet is more than a note, and why.
local STRICTER = {
	["case: a whiteout that is a directory"] = "the specification wants an empty file, and other readers look for one",
	["link: ways to write a target"] = "other readers follow '..' out of the root",
	["whiteout that is a device"] = "the specification wants an empty file, and other readers look for one",
	["whiteouts that are links"] = "the specification wants an empty file, and other readers look for one",
	["case: a whiteout with content, and one that is a symlink"] =
		"the specification wants an empty file, and other readers look for one",
	["case: a name that leads out of the root"] = "other readers follow '..' out of the root",
	["entry: of one name, absolute and relative"] =
		"the specification forbids two entries of one path, and other readers take them for two",
	["entry: uid of 4294967296 in a PAX header"] = "it becomes 0, root's: the layer is not read, on purpose",
}

local CODES_WITHOUT_READERS = { ["whiteout-directory"] = true, unreadable = true, ["unknown-type"] = true }

-- By name: "differ", "refuse" or "agree".
local function read_answers()
	local answers, name = {}, nil
	for line in shell.read(HERE .. "/../support/runtime_inputs.txt"):gmatch("[^\n]+") do
		local begins = line:match("^== (.*)$")
		if begins then
			name = begins
		elseif line:find("^[^\t#]") then
			local alone = line:find("^all: refused") or line:find("^default: refused")
			answers[name] = answers[name] and "differ" or alone and "refuse" or "agree"
		end
	end
	return answers
end

local function findings_of(dir, input)
	local path = dir:file("image.tar")
	pack.image(path, input.layers, nil, input)
	local img = assert(strata.open(path))
	local report = assert(img:check({ second_reader = false, severity = "note" }))
	img:close()
	return report
end

local READERS = { "Docker", "containerd", "podman", "umoci", "runtimes" }

-- Whether a message says which readers do what.
local function names_readers(message)
	for _, name in ipairs(READERS) do
		if message:find(name, 1, true) then
			return true
		end
	end
	return false
end

local function find(report, code)
	for _, one in ipairs(report) do
		if one.code == code then
			return one
		end
	end
	error(("no %s in: %s"):format(code, tostring(report)), 0)
end

local function is_above_note(report)
	for _, one in ipairs(report) do
		if one.severity ~= "note" then
			return true
		end
	end
	return false
end

local EXPECT = {
	differ = function(name, report)
		if UNDECIDED[name] then
			return assert.equal(STRICTER[name] ~= nil, is_above_note(report), tostring(report))
		end
		local code = assert(DIFFERENCES[name], "no row tells the finding")
		local one = find(report, code)
		assert(CODES_WITHOUT_READERS[code] or names_readers(one.message), one.message)
	end,
	refuse = function(name, report)
		assert.equal("error", find(report, assert(REFUSALS[name], "no row tells the finding")).severity)
	end,
	agree = function(name, report)
		assert.equal(STRICTER[name] ~= nil, is_above_note(report), tostring(report))
	end,
}

describe("a check of", function()
	local answers, dir = read_answers(), nil

	before_each(function()
		dir = tmp.dir(tmp.for_peers())
	end)

	after_each(function()
		collectgarbage()
		dir:remove()
	end)

	for _, input in ipairs(runtime_inputs.list) do
		local answer = answers[input.name]
		it(input.name .. ", on which runtimes " .. answer, function()
			EXPECT[answer](input.name, findings_of(dir, input))
		end)
	end

	it("anything has rows for what there is alone", function()
		for rows, answer in pairs({ [DIFFERENCES] = "differ", [UNDECIDED] = "differ", [REFUSALS] = "refuse",
			[STRICTER] = "agree" }) do
			for name in pairs(rows) do
				assert(answers[name] == answer or UNDECIDED[name], name)
			end
		end
	end)
end)

-- What is told of images of the corpus that are of no distribution, by the end of the path.
local CORPUS = {
	["wagoodman-test-oci-estargz-image.tar"] = { ["table-of-contents"] = true, ["data-after-end"] = true },
}

-- The distribution that an image is of, by what is in it; nil for all others.
local function distribution_of(img)
	local root = assert(img:rootfs())
	for _, path in ipairs({ "etc/os-release", "usr/lib/os-release" }) do
		local id = root:exists(path) and ("\n" .. assert(root:read(path))):match('\nID="?([^\n"]+)')
		if id then
			return id
		end
	end
	return root:exists("bin/busybox") and "busybox" or root:exists("bin/[") and "busybox" or nil
end

describe("a check of the corpus", function()
	if not corpus.path then
		pending("STRATA_CORPUS is not set")
		return
	end

	it("finds nothing above notes in images of distributions, nor in others but for what is known", function()
		local count, found, place, files = 0, {}, tmp.dir(), corpus.files("images", "f")
		for _, file in ipairs(corpus.files("images", "d")) do
			files[#files + 1] = { path = corpus.with_links(file.path, place:file(file.name:match("[^/]*$"))) }
		end
		for _, file in ipairs(files) do
			local path = file.path
			for img in assert(strata.images(path)) do
				local distribution = distribution_of(img)
				local known = not distribution and CORPUS[path:match("[^/]*$")] or {}
				for _, one in ipairs(assert(img:check())) do
					assert(known[one.code], path .. ": " .. tostring(one))
				end
				count = count + 1
				found[distribution or "other"] = (found[distribution or "other"] or 0) + 1
				img:close()
			end
		end
		assert(count > 40, count)
		for name, least in pairs({ alpine = 6, busybox = 6 }) do
			assert((found[name] or 0) >= least, ("%s: %s"):format(name, tostring(found[name])))
		end
		place:remove()
	end)
end)
