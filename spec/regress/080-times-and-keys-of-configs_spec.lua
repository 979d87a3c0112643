local docker_archive = require "spec.support.docker_archive"
local docker_dialects = require "spec.support.docker_dialects"
local strata = require "strata"
local tmp = require "spec.support.tmp"

describe("a config", function()
	local dir

	before_each(function()
		dir = tmp.dir()
	end)

	after_each(function()
		dir:remove()
	end)

	-- An image whose config has one text replaced by another.
	local function open(from, to)
		local made = docker_archive.image({ layers = docker_archive.layers(1) })
		local first, last = made.config:find(from, 1, true)
		assert(first, from)
		made.config = made.config:sub(1, first - 1) .. to .. made.config:sub(last + 1)
		made.id = docker_archive.sha256(made.config)
		return strata.open(docker_dialects.of.podman(made):write(dir:file("in.tar")))
	end

	-- A month 13 was taken, and all readers refused the image.
	it("has no time that there is not", function()
		local img = strata.new()
		for _, time in ipairs({
			"2024-13-01T00:00:00Z", "2024-00-01T00:00:00Z", "2024-01-00T00:00:00Z", "2024-01-32T00:00:00Z",
			"2023-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "2024-04-31T00:00:00Z", "2024-01-01T24:00:00Z",
			"2024-01-01T00:60:00Z", "2024-01-01T00:00:60Z", "2024-01-01T00:00:00+24:00", "2024-01-01T00:00:00+00:60",
			"2024-01-01T00:00:00", "2024-01-01 00:00:00Z", "2024-01-01T00:00:00.Z", "24-01-01T00:00:00Z",
		}) do
			assert.error(function() img.config.created = time end)
			assert.error(function() strata.new({ created = time }) end)
			assert.error(function() img:append({ files = { a = "a" }, created = time }) end)
		end
		assert(img:append({ files = { a = "a" } }))
		assert.error(function() img:history()[1].created = "2024-13-01T00:00:00Z" end)
		for _, time in ipairs({
			"2024-02-29T00:00:00Z", "2000-02-29T23:59:59.123456789Z", "2024-12-31T00:00:00-23:59", "0001-01-01T00:00:00Z",
		}) do
			img.config.created = time
			assert.equal(time, img.config.created)
			assert.equal(time, strata.new({ created = time }).config.created)
		end
	end)

	-- Go takes these for the keys that they resemble, so that a gate would not have seen what runs.
	for _, case in ipairs({
		{ '"config":', '"Config":', "'config' written as 'Config'" },
		{ '"rootfs":', '"RootFS":', "'rootfs' written as 'RootFS'" },
		{ '"Env":', '"env":', "'Env' written as 'env'" },
		{ '"Cmd":', '"Cmd":["x"],"USER":"root","Cmd2":', "'User' written as 'USER'" },
		{ '"diff_ids":', '"Diff_IDs":', "'diff_ids' written as 'Diff_IDs'" },
		{ '"created_by":', '"Created_By":', "'created_by' written as 'Created_By'" },
		{ '"empty_layer":', '"Empty_layer":', "'empty_layer' written as 'Empty_layer'" },
	}) do
		it("with a key in another case is refused, and told: " .. case[2], function()
			local img, message, code = open(case[1], case[2])
			assert.is_nil(img)
			assert.equal("EFORMAT", code)
			assert.truthy(message:find(case[3], 1, true), message)
		end)
	end

	it("with a key of its own in any case is fine", function()
		local img = assert(open('"os":', '"My":1,"OSX":2,"os":'))
		assert.is_true(img:verify())
	end)

	for name, text in pairs({ ["a byte that is no UTF-8"] = "\255", ["a lone surrogate"] = "\\ud800" }) do
		it(("with %s is refused"):format(name), function()
			local img, message, code = open('"name":"app"', ('"name":"app%s"'):format(text))
			assert.is_nil(img)
			assert.equal("EFORMAT", code, message)
		end)
	end
end)
