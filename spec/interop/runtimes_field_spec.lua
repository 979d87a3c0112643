-- What Docker, containerd, podman and umoci make of images on which they differ, or of which others were seen to err:
-- spec/support/runtime_inputs.lua has the images, runtime_inputs.txt what each runtime shows. And what strata shows of
-- them, beside the default runtimes.
--
-- Runtimes start a process for each layer. So they are asked about each SHARE-th image, and for the others their model
-- stands, which says what runtime_inputs.txt says; with STRATA_ALL=1 (`make runtimes`) they are asked about all.

local docker = require "spec.support.docker"
local literal_views = require "spec.support.literal_views"
local model = require "spec.support.model"
local once = require "spec.support.once"
local pack = require "spec.support.pack"
local runtime_inputs = require "spec.support.runtime_inputs"
local runtime_model = require "spec.support.runtime_model"
local runtime_views = require "spec.support.runtime_views"
local runtimes = require "spec.support.runtimes"
local shell = require "spec.support.shell"
local tmp = require "spec.support.tmp"

local HERE = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$")

-- What strata shows in another way than each of the default runtimes that take the image. Nothing is to be left here:
-- a row goes as soon as strata agrees.
local differs_today = {
	["entry: uid of 4294967296 in a PAX header"] = "it becomes 0: refused on purpose",
}

-- What the default runtimes do not agree on among themselves, and why.
local disagreements = {
	["link: a way to write a target that leads through nothing"] =
		"Docker and podman give a file the header's mode and time only if its target is there as it is written",
	["link: its file replaced in its layer"] =
		"Docker and podman refuse two entries of one name, containerd takes the last",
	["link: replaced by a file in its layer"] =
		"Docker and podman refuse two entries of one name, containerd takes the last",
	["link: a capability that its header does not repeat"] =
		"Docker and containerd call chown, which takes capabilities away, podman only for another owner",
	["link: metadata of one to a symlink"] = "containerd gives the link its time, the others do not",
	["a path through a dangling link of the same layer"] =
		"containerd makes the link's target, Docker and podman refuse",
	["a path through a link of the same layer to a lower layer's directory"] =
		"containerd makes the link's target, Docker and podman refuse",
	["whiteout and whiteouts below"] = "only podman passes over a whiteout below a whiteout",
	["whiteout below what a lower layer deleted"] =
		"containerd looks for the directory's attributes in lower layers, and meets a whiteout in its way",
	["file two levels below a lower layer's file"] =
		"containerd looks for the directory's attributes in lower layers, and meets a file in its way",
	["whiteout in the base, of what is before it"] =
		"containerd removes it, Docker and podman refuse to whiteout what is there",
	["opaque marker in the base, behind files whose directories have no entry"] =
		"containerd obeys it in the base, which takes what no entry tells of",
	["opaque marker in the base, behind a directory whose directory has no entry"] =
		"containerd obeys it in the base, which takes what no entry tells of",
	["opaque: no entry for the directory"] =
		"containerd gives a directory without an entry the attributes that it has below, the others 0755 root",
	["opaque: its directory is a lower layer's link"] = "containerd gives it the attributes of the link's target",
	["opaque: below a file of its layer"] = "Docker and podman mark the file, containerd refuses",
	["opaque: below what its layer deletes"] = "Docker and podman mark the file, containerd refuses",
	["case: a whiteout in the first layer"] =
		"containerd removes it, Docker and podman refuse to whiteout what is there",
	["case: an opaque marker at the end, with directories implied"] =
		"containerd gives a directory without an entry the attributes that it has below, the others 0755 root",
	["case: an opaque marker at the beginning"] =
		"containerd gives a directory without an entry the attributes that it has below, the others 0755 root",
	["case: a whiteout below a symlink that the same layer makes"] =
		"containerd makes the link's target, Docker and podman refuse",
	["case: a whiteout below a symlink to itself"] =
		"containerd looks for the directory's attributes in lower layers, and meets a circle of links in its way",
	["case: a file below a symlink to itself"] =
		"containerd looks for the directory's attributes in lower layers, and meets a circle of links in its way",
	["case: two entries of one name"] = "Docker and podman refuse two entries of one name, containerd takes the last",
	["xattr: empty"] = "for Go an empty record takes back another one; containerd reads the records themselves",
	["xattr: user. of a symlink and of a fifo"] = "podman refuses an xattr that cannot be set, the others pass over it",
	["xattr: user. of a symlink"] = "podman refuses an xattr that cannot be set, the others pass over it",
	["xattr: trusted."] = "containerd sets no trusted.*",
	["xattr: overlayfs's opaque mark"] = "containerd sets no trusted.*: in the others it works",
	["xattr: overlayfs's opaque mark on a whiteout's directory"] = "containerd sets no trusted.*: in the others it works",
	["xattr: overlayfs's redirect"] = "containerd sets no trusted.*: in the others it works",
	["entry: a file where the same layer has a directory"] =
		"Docker and podman refuse two entries of one name, containerd takes the last",
	["entry: two of one name"] = "Docker and podman refuse two entries of one name, containerd takes the last",
	["entry: two of one directory"] = "Docker and podman refuse two entries of one name, containerd takes the last",
	["entry: the root as a file"] = "Docker and podman refuse it, containerd passes over it",
	["implied: directories over those of lower layers"] =
		"containerd gives a directory without an entry the attributes that it has below, the others 0755 root",
	["implied: in a directory with a set group"] =
		"Docker and podman keep the set group and give the directory to root, containerd the other way round",
	["config: Cmd a string"] = "Docker takes it",
	["config: more rows of the history than layers"] = "Docker refuses it",
	["zeros behind a gzip layer"] = "podman refuses it",
	["tag: app@sha256:000000000... of 75"] = "containerd takes it",
}

-- ---- the expectations --------------------------------------------------------------------

-- Lines by name: "== name", then "who: what". Long lines go on behind a tab.
local function read_expected()
	local expected, lines = {}, nil
	for line in shell.read(HERE .. "/../support/runtime_inputs.txt"):gmatch("[^\n]+") do
		local name = line:match("^== (.*)$")
		if name then
			assert(not expected[name], name .. " is there twice")
			lines = {}
			expected[name] = lines
		elseif line:sub(1, 1) == "\t" then
			lines[#lines] = lines[#lines] .. " " .. line:sub(2)
		elseif line:sub(1, 1) ~= "#" then
			lines[#lines + 1] = line
		end
	end
	return expected
end

local expected = read_expected()

local function is_refused(lines)
	return table.concat(lines or {}, "\n"):find(": refused") ~= nil
end

-- ---- asking --------------------------------------------------------------------------------

local SHARE = 6

-- The model reads layers, and so knows neither of tags nor of what is no tar.
local function is_asked(i, input)
	return os.getenv("STRATA_ALL") == "1" or input.alone or input.raw or i % SHARE == 0
end

local function answer_of_model(input)
	local answer = {}
	for _, reader in ipairs(runtimes.ALL) do
		local rows, refused = runtime_model.look(input.layers, reader)
		answer[reader] = { rows = rows, refused = refused }
	end
	return answer
end

-- All images at once, since to load one by one takes several times as long; but for those of which the names matter.
local function ask_all()
	local dir, found = tmp.dir(tmp.for_peers()), { paths = {}, answers = {}, asked = {} }
	local together, alone = { doubtful = {} }, {}
	for i, input in ipairs(runtime_inputs.list) do
		local path = dir:file(i .. ".tar")
		found.paths[input.name] = path
		pack.image(path, input.layers, nil, input)
		found.asked[input.name] = is_asked(i, input)
		if found.asked[input.name] then
			local list = input.alone and alone or together
			list[#list + 1] = { name = input.name, path = path, doubtful = is_refused(expected[input.name]) }
		else
			found.answers[input.name] = answer_of_model(input)
		end
	end
	for _, list in ipairs({ together, alone }) do
		local paths, doubtful = {}, {}
		for i, one in ipairs(list) do
			paths[i], doubtful[i] = one.path, one.doubtful
		end
		local options = { doubtful = doubtful, alone = list == alone, readers = list == alone and runtimes.DEFAULT }
		for i, answer in ipairs(runtimes.look_all(paths, options)) do
			found.answers[list[i].name] = answer
		end
	end
	return found
end

local function found_of_all()
	local reason = runtimes.missing()
	if reason then
		pending(reason)
		return nil
	end
	return once.get("runtimes_field", ask_all)
end

describe("runtimes make of", function()
	for _, input in ipairs(runtime_inputs.list) do
		it(input.name, function()
			local found = found_of_all()
			if found then
				local lines = runtime_views.tell_all(found.answers[input.name])
				assert.equal(table.concat(expected[input.name] or {}, "\n"), table.concat(lines, "\n"))
			end
		end)
	end
end)

describe("strata shows as the default runtimes do", function()
	for _, input in ipairs(runtime_inputs.list) do
		local why = differs_today[input.name]
		it(input.name .. (why and ", not yet" or ""), function()
			local found = found_of_all()
			if not found then
				return
			end
			local view = runtime_views.strata(found.paths[input.name])
			local differences = runtime_views.differences(view, found.answers[input.name])
			if why then
				assert(#differences > 0, "it does now: the row in differs_today has to go")
			else
				assert.equal("", table.concat(differences, "\n"))
			end
		end)
	end
end)

describe("the default runtimes", function()
	it("differ among themselves where it is known, and nowhere else", function()
		local found = found_of_all()
		if not found then
			return
		end
		local names = {}
		for name, answers in pairs(found.answers) do
			if not runtime_views.agree(answers) then
				names[name] = true
			end
		end
		for name in pairs(disagreements) do
			assert(names[name], name .. ": they agree")
		end
		for name in pairs(names) do
			assert(disagreements[name], name .. ": they differ")
		end
	end)

end)

describe("runtimes", function()
	it("are what the model of them says", function()
		local found = found_of_all()
		for _, input in ipairs(found and runtime_inputs.list or {}) do
			local has_model = found.asked[input.name] and not input.raw
			for _, reader in ipairs(not has_model and {} or input.alone and runtimes.DEFAULT or runtimes.ALL) do
				local rows, refused = runtime_model.look(input.layers, reader)
				local answer = found.answers[input.name][reader]
				local message = ("%s, %s: %s"):format(input.name, reader, tostring(refused or answer.refused))
				assert((rows == nil) == (answer.rows == nil), message)
				local differences = rows and model.differences(rows, answer.rows) or {}
				assert.equal("", table.concat(differences, "\n"), message)
			end
		end
	end)
end)

describe("strata shows by the letter as those that unpack one layer over the other do", function()
	for _, input in ipairs(runtime_inputs.list) do
		if not input.alone and not input.raw then
			it(input.name, function()
				local found = found_of_all()
				if found then
					local view = runtime_views.strata(found.paths[input.name], "spec")
					local differences = literal_views.differences(view, found.answers[input.name], input.layers)
					assert.equal("", table.concat(differences, "\n"))
				end
			end)
		end
	end
end)

-- An archive of a child and its parent, as `docker save child parent` writes it.
local function family(path, child_history)
	local dir = tmp.dir(tmp.for_peers())
	local base, top = { { name = "a", data = "A" } }, { { name = "b", data = "B" } }
	local history = { { created_by = "step 1" }, { created_by = "step 2" } }
	pack.image(dir:file("parent"), { base }, nil, {
		change = function(config, row)
			config.history, row.RepoTags = { history[1] }, { "parent:1" }
		end,
	})
	local parent = shell.sh('tar -xOf "$1" manifest.json', dir:file("parent")):match('"Config":"(%x+)%.json"')
	pack.image(dir:file("child"), { base, top }, nil, {
		change = function(config, row)
			config.history, row.RepoTags, row.Parent = child_history or history, { "child:1" }, "sha256:" .. parent
		end,
	})
	shell.sh([[
		mkdir "$1/all" && cd "$1/all" && tar -xf ../parent && mv manifest.json ../1 && tar -xf ../child
		printf '%s,%s' "$(sed 's/]$//' ../1)" "$(sed 's/^.//' manifest.json)" >../both && mv ../both manifest.json
		tar -cf "$2" *]], dir.path, path)
	return path
end

describe("docker load", function()
	it("takes an image whose Parent is the beginning of its history", function()
		if not found_of_all() then
			return
		end
		local path = family(tmp.dir(tmp.for_peers()):file("family.tar"))
		assert.equal(0, docker.try({ "load", "--quiet", "--input", path }).status)
	end)

	it("fails at one whose Parent has another history", function()
		if not found_of_all() then
			return
		end
		local other = { { created_by = "else" }, { created_by = "step 2" } }
		local path = family(tmp.dir(tmp.for_peers()):file("family.tar"), other)
		local done = docker.try({ "load", "--quiet", "--input", path })
		assert.equal(1, done.status)
		assert.truthy(done.stderr:find("is not a valid parent", 1, true), done.stderr)
	end)
end)
