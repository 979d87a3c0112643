--- The explorer with its page in a browser, and images for it.

local archive = require "spec.support.archive"
local browser = require "spec.support.browser"
local docker_archive = require "spec.support.docker_archive"
local nginx = require "spec.support.nginx"
local shell = require "spec.support.shell"
local tmp = require "spec.support.tmp"

local explorer = {}

--- Why it cannot be started here, or nil.
---@return string|nil
function explorer.missing()
	return nginx.missing() or browser.missing()
end

--- Headers of empty files that differ in six digits only, and so in their checksums.
---@param directory string
---@param from integer
---@param upto integer
---@return string
function explorer.headers(directory, from, upto)
	local name = directory .. "/000000"
	local header = docker_archive.header({ name = name })
	local sum = tonumber(header:sub(149, 154), 8)
	local parts = {}
	for i = from, upto do
		local digits, more = ("%06d"):format(i), 0
		for at = 1, 6 do
			more = more + digits:byte(at) - 48
		end
		parts[#parts + 1] = directory .. "/" .. digits .. header:sub(#name + 1, 148) .. ("%06o"):format(sum + more)
			.. header:sub(155)
	end
	return table.concat(parts)
end

---@class spec.Explorer
---@field dir spec.Dir
---@field server spec.Nginx
---@field page spec.Browser
local Explorer = {}
Explorer.__index = Explorer

--- Starts both.
---@param env? table<string, string>
---@return spec.Explorer
function explorer.start(env)
	local dir = tmp.dir(tmp.for_peers())
	shell.check({ "mkdir", "-p", dir:file("images"), dir:file("downloads"), "build" })
	local self = setmetatable({ dir = dir }, Explorer)
	self.server = nginx.start({ directory = dir:file("images"), env = env })
	self.page = browser.start(dir)
	self.page:resize(1280, 800)
	return self
end

function Explorer:stop()
	self.page:stop()
	self.server:stop()
end

--- Saves an image, and has it opened.
---@param img strata.Image
---@param name string of the file
---@return string id
function Explorer:add(img, name)
	local path = self.dir:file(name)
	assert(img:save(path))
	img:close()
	local image, status = self.server:upload(path, "?name=" .. name)
	assert(status == 201, image.error)
	return image.id
end

--- Has an image opened that has so many empty files.
---@param name string of the file
---@param from integer
---@param upto integer
---@return string id
function Explorer:add_many(name, from, upto)
	local path = self.dir:file(name)
	shell.write(path .. ".layer", explorer.headers("many", from, upto) .. ("\0"):rep(1024))
	archive.build(path, { layers = { { file = path .. ".layer" } } })
	local image, status = self.server:upload(path, "?name=" .. name)
	assert(status == 201, image.error)
	return image.id
end

--- Shows what a hash leads to, and waits for something.
---@param hash string
---@param expression string
---@param seconds? number
function Explorer:show(hash, expression, seconds)
	self.page:go("about:blank") -- what was shown before is gone
	self.page:go(self.server.url .. "/#" .. hash)
	self.page:wait(expression, seconds)
end

--- The text of what a selector finds.
---@param selector string
---@return string?
function Explorer:text(selector)
	return self.page:run("return document.querySelector(arguments[0])?.textContent", selector)
end

--- Shows a view in all widths and colours, and checks that it can be read in each; writes build/explorer-NAME-*.png.
---@param name string
---@param prepare? fun() after each change
function Explorer:look(name, prepare)
	for _, scheme in ipairs({ "dark", "light" }) do
		self.page:prefer(scheme)
		for _, width in ipairs({ 320, 360, 1280 }) do
			self.page:resize(width, 800)
			if prepare then
				prepare()
			end
			self.page:screenshot(("build/explorer-%s-%d-%s.png"):format(name, width, scheme))
			assert(self.page:run("return document.documentElement.scrollWidth") <= width, name .. " is wider than " .. width)
			local faint = self.page:faint()
			assert(faint == "", faint)
		end
	end
	local nameless = self.page:nameless()
	assert(nameless == "", nameless)
end

return explorer
