--- Compares what the specs have not reached with the reviewed list of that.
--
--   lua5.4 .ci/uncovered.lua COVERAGE.json LIST [-v]
--
-- COVERAGE.json is what `gcovr --json` writes. The list is a table with tabs between its columns:
--
--   !     KEY       REASON                          a reason that rows below name
--   FILE  FUNCTION  MISSING  KEY  SOURCE            "line", or how many branches are never taken at most
--   *     *         MISSING  KEY  PATTERN           a Lua pattern that a whole line matches, in any file
--
-- SOURCE is the text of the line without the white space around it, so that a row survives what moves above it.
-- Fails when a line or branch is uncovered that no row stands for. A row that stands for nothing any more is only
-- told; not even that when its KEY is "timing", as what threads reach is not the same in every run. With -v it
-- prints rows for what is not listed.

local cjson = require "cjson"

local coverage_path, list_path, verbose = arg[1], arg[2], arg[3] == "-v"

local function lines_of(path)
	local lines = {}
	for line in assert(io.open(path)):lines() do
		lines[#lines + 1] = line
	end
	return lines
end

local function split(line)
	local columns = {}
	for column in (line .. "\t"):gmatch("([^\t]*)\t") do
		columns[#columns + 1] = column
	end
	return columns
end

-- ---- the list ---------------------------------------------------------------------

local reasons, exact, patterns, rows, mistakes = {}, {}, {}, {}, {}

for number, line in ipairs(lines_of(list_path)) do
	local c = split(line)
	if c[1] == "!" then
		reasons[c[2]] = c[3]
	elseif line ~= "" and not line:find("^#") then
		local row = { number = number, file = c[1], func = c[2], missing = c[3], key = c[4], source = c[5], uses = 0 }
		if #c ~= 5 or not reasons[c[4]] or not (c[3] == "line" or tonumber(c[3])) then
			mistakes[#mistakes + 1] = ("%s:%d: not a row: %s"):format(list_path, number, line)
		elseif c[1] == "*" then
			patterns[#patterns + 1] = row
		else
			local place = table.concat({ row.file, row.func, row.source }, "\t")
			if exact[place] then
				mistakes[#mistakes + 1] = ("%s:%d: the same as line %d"):format(list_path, number, exact[place].number)
			end
			exact[place] = row
		end
		rows[#rows + 1] = row
	end
end

-- A row for branches does not stand for a line that is not reached at all.
local function allows(row, missing)
	return row.missing == "line" or missing ~= "line" and missing <= tonumber(row.missing)
end

local function find_row(file, func, missing, source)
	local row = exact[table.concat({ file, func, source }, "\t")]
	if row then
		return allows(row, missing) and row or nil
	end
	for _, pattern in ipairs(patterns) do
		if allows(pattern, missing) and source:find("^" .. pattern.source .. "$") then
			return pattern
		end
	end
end

-- ---- what was measured --------------------------------------------------------------

-- The function that each line is in: the last one that begins before it.
local function function_names(source)
	local names, current = {}, "-"
	for i, line in ipairs(source) do
		local name = line:find("^[%a_]") and line:match("([%w_]+)%)?%(")
		if line:find("^}") then
			names[i], current = current, "-"
		else
			current = name and name ~= "__attribute__" and name or current
			names[i] = current
		end
	end
	return names
end

-- "line", the number of branches never taken, or nil.
local function missing_of(line)
	if line.count == 0 then
		return "line"
	end
	local missing = 0
	for _, branch in ipairs(line.branches) do
		missing = missing + (branch.count == 0 and 1 or 0)
	end
	return missing > 0 and missing or nil
end

local new, sums = {}, {}

local function review(file, coverage)
	local source = lines_of(file)
	local names = function_names(source)
	for _, line in ipairs(coverage.lines) do
		local missing = not line["gcovr/noncode"] and missing_of(line)
		if missing then
			local text = source[line.line_number]:match("^%s*(.-)%s*$")
			local func = names[line.line_number]
			local row = find_row(file:match("src/core/(.*)$"), func, missing, text)
			if row then
				row.uses = row.uses + 1
				sums[row.key] = (sums[row.key] or 0) + 1
			else
				new[#new + 1] = { file = file, number = line.line_number, func = func, missing = missing, text = text }
			end
		end
	end
end

local file = assert(io.open(coverage_path))
local coverage = cjson.decode(file:read("*a"))
file:close()
table.sort(coverage.files, function(a, b)
	return a.file < b.file
end)
for _, covered in ipairs(coverage.files) do
	review(covered.file, covered)
end

-- ---- what to say -----------------------------------------------------------------------

for _, text in ipairs(mistakes) do
	print(text)
end
for _, item in ipairs(new) do
	if verbose then
		print(table.concat({ item.file:match("src/core/(.*)$"), item.func, item.missing, "?", item.text }, "\t"))
	else
		print(("%s:%d: %s: %s: %s"):format(item.file, item.number, item.func,
			item.missing == "line" and "never reached" or item.missing .. " branches never taken", item.text))
	end
end
local stale = 0
for _, row in ipairs(rows) do
	if row.uses == 0 and row.key ~= "timing" then
		stale = stale + 1
		print(("%s:%d: stale, all of it is reached or gone: %s %s: %s"):format(list_path, row.number, row.file,
			row.func, row.source))
	end
end
local keys = {}
for key in pairs(sums) do
	keys[#keys + 1] = key
end
table.sort(keys)
for _, key in ipairs(keys) do
	print(("%5d  %s: %s"):format(sums[key], key, reasons[key]))
end
print(("%d lines with something uncovered that is not listed, %d rows that are stale"):format(#new, stale))
os.exit(#new == 0 and #mistakes == 0)
