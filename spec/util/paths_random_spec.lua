-- Random globs and paths, beside Python's fnmatch and posixpath.
--
-- STRATA_GLOBS is their number, STRATA_SEED that of the first one.

local cjson = require "cjson"
local core = require "strata.core"
local glob = require "strata.util.glob"
local docker_archive = require "spec.support.docker_archive"
local docker_dialects = require "spec.support.docker_dialects"
local python = require "spec.support.python"
local random = require "spec.support.random"
local stacks = require "spec.support.stacks"
local strata = require "strata"
local tmp = require "spec.support.tmp"

-- "**" is any number of names, and a name is a path's when fnmatch says so; [^...] is [!...]. What is not closed is as
-- it is written.
local ORACLE = [==[
import fnmatch, json, posixpath, sys

def negations(text):
    out, i = '', 0
    while i < len(text):
        if text[i] == '[':
            j = i + 1
            if j < len(text) and text[j] in '!^': j += 1
            if j < len(text) and text[j] == ']': j += 1
            close = text.find(']', j)
            if close >= 0:
                inside = text[i + 1:close]
                negated = inside[:1] in ('!', '^')
                out += '[' + ('!' if negated else '') + inside[1 if negated else 0:] + ']'
                i = close + 1
                continue
            out += '[[]'
            i += 1
            continue
        out += text[i]
        i += 1
    return out

def matches(pattern, names):
    if not pattern: return not names
    if pattern[0] == '**':
        return any(matches(pattern[1:], names[i:]) for i in range(len(names) + 1))
    return bool(names) and fnmatch.fnmatchcase(names[0], negations(pattern[0])) and matches(pattern[1:], names[1:])

def components(text): return [c for c in text.split('/') if c not in ('', '.')]

answers = []
for one in json.load(sys.stdin):
    if one['what'] == 'glob':
        pattern, names = components(one['pattern']), components(one['path'])
        exact = matches(pattern, names)
        answers.append([exact, any(matches(pattern, names[:i]) for i in range(len(names) + 1))])
    else:
        whole = posixpath.normpath('/' + one['path'].lstrip('/'))
        answers.append(whole[1:] or '.')
print(json.dumps(answers))
]==]

local function ask(questions)
	return cjson.decode(python.run("globs", ORACLE, {}, cjson.encode(questions)))
end

local function count()
	return tonumber(os.getenv("STRATA_GLOBS")) or 3000
end

local NAMES = { "a", "b", "c", "-", ".", "]", "[", "!", "^", "%", "z", "A", "\\", "$", "(", "+", "0", "~", " " }
local MAGIC = { "*", "?", "[", "]", "[!", "[^", "[]", "a-c", "**", "[a-c]",
	"[!-a]", "[%-z]", "[]-a]", "[z-a]", "[--0]" }

local function word(number, most, ...)
	local parts = {}
	for i = 1, number(most) do
		local from = select(number(select("#", ...)), ...)
		parts[i] = from[number(#from)]
	end
	return table.concat(parts)
end

local function joined(number, make)
	local parts = {}
	for i = 1, number(4) do
		parts[i] = make()
	end
	return table.concat(parts, number(8) == 1 and "//" or "/")
end

local function path_of(number)
	return joined(number, function()
		return word(number, 3, NAMES)
	end)
end

local function pattern_of(number)
	return joined(number, function()
		return number(5) == 1 and "**" or word(number, 4, NAMES, MAGIC)
	end)
end

-- A pattern that a path is likely to match: the path with some of it replaced.
local function pattern_for(number, path)
	local function replaced(char)
		local one = number(8)
		if char == "/" then
			return number(10) == 1 and "/**/" or nil
		end
		return one == 1 and "*" or one == 2 and "?" or one == 3 and "[" .. char .. "]"
			or one == 4 and "[!" .. NAMES[number(#NAMES)] .. "]" or nil
	end
	return (path:gsub(".", replaced))
end

describe("random", function()
	it("globs match what fnmatch matches, and all below it", function()
		local questions, list = {}, {}
		for seed = random.first_seed(), random.first_seed() + count() - 1 do
			local number = stacks.generator(seed)
			local path = core.normalise(path_of(number))
			local pattern = number(2) == 1 and pattern_of(number) or pattern_for(number, path)
			questions[#questions + 1] = { what = "glob", pattern = pattern, path = path }
			list[#list + 1] = { seed = seed, pattern = pattern, path = path }
		end
		local found = 0
		for i, answer in ipairs(ask(questions)) do
			local one = list[i]
			local ok, is_there = pcall(function()
				return core.globs({ one.pattern }):match(one.path)
			end)
			if not ok or is_there ~= answer[2] then
				error(("STRATA_SEED=%d STRATA_GLOBS=1: %q and %q: %s, but fnmatch says %s"):format(one.seed, one.pattern,
					one.path, tostring(is_there), tostring(answer[2])))
			end
			found = found + (is_there and 1 or 0)
		end
		assert.is_true(count() < 100 or found > count() / 50 and found < count() * 49 / 50)
	end)

	it("globs find the same in a tree", function()
		local seed = random.first_seed()
		local number = stacks.generator(seed)
		local entries, known, kinds = {}, {}, {}
		for _ = 1, 60 do
			local path, whole = path_of(number):gsub("/+", "/"), nil
			path = core.normalise(path)
			local fits = path ~= "." and not path:find("%.wh%.")
			for name in path:gmatch("[^/]+") do
				whole = whole and whole .. "/" .. name or name
				fits = fits and (kinds[whole] == nil or (kinds[whole] == "dir") == (whole ~= path))
			end
			if fits and not kinds[path] then
				whole = nil
				for name in path:gmatch("[^/]+") do
					whole = whole and whole .. "/" .. name or name
					if not kinds[whole] then
						known[#known + 1], kinds[whole] = whole, whole == path and "file" or "dir"
					end
				end
				entries[#entries + 1] = { name = path, data = "" }
			end
		end
		local dir = tmp.dir()
		local image = docker_archive.image({ layers = { docker_archive.layer(entries) } })
		local img = assert(strata.open(docker_dialects.of.docker_1_10(image):write(dir:file("in.tar"))))
		local root = assert(img:rootfs())
		local questions, patterns = {}, {}
		for i = 1, 40 do
			repeat
				patterns[i] = number(2) == 1 and pattern_of(number) or pattern_for(number, known[number(#known)])
			until not glob.problem(patterns[i]) -- which is misuse
			for _, path in ipairs(known) do
				questions[#questions + 1] = { what = "glob", pattern = patterns[i], path = path }
			end
		end
		local answers, at = ask(questions), 0
		for _, pattern in ipairs(patterns) do
			local wanted, given = {}, {}
			for _, path in ipairs(known) do
				at = at + 1
				wanted[#wanted + 1] = answers[at][1] and path or nil
			end
			for _, path in ipairs(assert(root:glob(pattern))) do
				given[#given + 1] = path
			end
			table.sort(wanted)
			table.sort(given)
			assert.same(wanted, given, ("STRATA_SEED=%d: %q"):format(seed, pattern))
		end
		img:close()
		dir:remove()
	end)

	it("paths are normalised as posixpath does inside a root", function()
		local questions, list = {}, {}
		for seed = random.first_seed(), random.first_seed() + count() - 1 do
			local number = stacks.generator(seed)
			local parts = {}
			for i = 1, number(8) do
				parts[i] = ({ "..", ".", "", "a", "bc", "...", ".x", "x.", "..y", " " })[number(10)]
			end
			list[#list + 1] = { seed = seed, path = table.concat(parts, "/") }
			questions[#questions + 1] = { what = "path", path = list[#list].path }
		end
		for i, answer in ipairs(ask(questions)) do
			assert.equal(answer, core.normalise(list[i].path), ("STRATA_SEED=%d: %q"):format(list[i].seed, list[i].path))
		end
	end)
end)

describe("a glob that is none", function()
	it("stands for itself where nothing closes it, and for nothing with a NUL", function()
		for _, name in ipairs({ "[", "[a", "[]", "[!]", "[^]", "a[", "[]a" }) do
			assert.is_true(core.globs({ "d/" .. name }):match("d/" .. name), name)
			assert.is_true(core.globs({ "d/" .. name }):match("d/" .. name .. "/below"), name)
			assert.is_false(core.globs({ "d/" .. name }):match("d/" .. name .. "x"), name)
		end
		local img = strata.new()
		assert(img:append({ files = { ["usr/bin/["] = "test", ab = "" } }))
		assert.same({ "usr/bin/[" }, img:rootfs():glob("usr/bin/["))
		assert.error_matches(function()
			img:remove("a\0*")
		end, "names no path")
		assert(img:remove("usr/bin/["))
		assert.is_false(img:rootfs():exists("usr/bin/["))
	end)
end)
