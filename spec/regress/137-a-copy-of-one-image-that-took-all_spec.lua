-- Takes seconds: not for make check.
-- strata.copy with ref, digest or platform wrote all images that were where the one came from, unless a format was
-- given: the choice only told which of them its result was about.

local archive = require "spec.support.docker_archive"
local blobs = require "spec.support.blobs"
local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"

describe("a copy of one image of several", function()
	local dir, digests

	setup(function()
		dir, digests = tmp.dir(), {}
		local images, named = {}, {}
		for i, platform in ipairs({ "linux/amd64", "linux/arm64" }) do
			for _, list in ipairs({ images, named }) do
				list[i] = strata.new({ platform = platform })
				assert(list[i]:append({ files = { ["secret" .. i] = ("SECRET%d"):format(i) } }))
			end
			images[i]:tag("team/app:1")
			named[i]:tag("team/app:" .. i)
		end
		assert(strata.save(images, dir:file("layout"), { format = "oci" }))
		assert(strata.save(images, dir:file("oci.tar"), { format = "oci-archive" }))
		assert(strata.save(named, dir:file("docker.tar"), { format = "docker" }))
		assert(strata.save(named, dir:file("legacy.tar"), { format = "docker-legacy" }))
		for i, platform in ipairs({ "linux/amd64", "linux/arm64" }) do
			digests[i] = assert(strata.open(dir:file("layout"), { platform = platform })).digest
		end
	end)

	teardown(function()
		dir:remove()
	end)

	-- Whether the target has the second image and nothing of the first.
	local function assert_one(path)
		local index = assert(strata.open_index(path))
		assert.equal(1, #index.manifests)
		local img = index:images()()
		assert.equal("linux/arm64", tostring(img.platform))
		assert.equal("SECRET2", img:read("secret2"))
		assert(img:verify())
		index:close()
		assert.same({ 0, 1 }, {
			tonumber((shell.sh('grep -rl SECRET1 "$1" | wc -l', path))),
			tonumber((shell.sh('grep -rl SECRET2 "$1" | wc -l', path))),
		})
	end

	for _, source in ipairs({ "layout", "oci.tar", "docker.tar", "legacy.tar" }) do
		for _, how in ipairs({ "platform", "ref", "digest" }) do
			for _, format in ipairs({ false, "docker", "docker-legacy", "oci", "oci-archive" }) do
				local is_oci = source == "layout" or source == "oci.tar"
				if how ~= "digest" or is_oci then
					it(("takes it alone from %s by its %s, format %s"):format(source, how, tostring(format)), function()
						local opts = { format = format or nil, compression = "none" }
						if how == "platform" then
							opts.platform = "linux/arm64"
						elseif how == "digest" then
							opts.digest = digests[2]
						elseif is_oci then
							opts.ref, opts.platform = "team/app:1", "linux/arm64"
						else
							opts.ref = "team/app:2"
						end
						local to = dir:file("to-" .. source .. how .. tostring(format))
						local saved, lost = assert(strata.copy(dir:file(source), to, opts))
						assert.is_nil(lost and tostring(lost):match("manifests? of"))
						if is_oci and not (format and format:find("^docker")) then
							assert.equal(digests[2], saved.digest)
						end
						assert_one(to)
					end)
				end
			end
		end
	end

	it("goes into another layout beside what that has", function()
		assert(strata.copy(dir:file("docker.tar"), dir:file("other"), { ref = "team/app:1", format = "oci" }))
		assert(strata.copy(dir:file("docker.tar"), dir:file("other"), { ref = "team/app:2", format = "oci" }))
		assert.equal(2, #assert(strata.open_index(dir:file("other"))).manifests)
		assert(strata.copy(dir:file("layout"), dir:file("other"), { platform = "linux/arm64" }))
		assert.equal(1, #assert(strata.open_index(dir:file("other"))).manifests, "the name moves")
	end)

	it("does not go onto what the others are in", function()
		shell.sh('ln -s oci.tar "$1/link.tar"', dir.path)
		for _, row in ipairs({ { "oci.tar", "oci.tar" }, { "oci.tar", "link.tar" }, { "layout", "layout" } }) do
			local done, message, code = strata.copy(dir:file(row[1]), dir:file(row[2]), { platform = "linux/arm64" })
			assert.same({ nil, "EINVAL" }, { done, code })
			assert.matches("where the image already is", message, 1, true)
			assert.equal(2, #assert(strata.open_index(dir:file(row[1]))).manifests)
		end
	end)

	it("tells of an attestation that does not go along, and of no other image", function()
		local layers, made = archive.layers(2), blobs.new()
		local amd = made:image({ layers = { layers[1] } })
		local arm = made:image({ layers = { layers[2] }, config = archive.image({ layers = { layers[2] } }).config:gsub(
			"amd64", "arm64") })
		local _, attestation = made:attestation(amd)
		local index = made:index({ blobs.descriptor(amd, ',"platform":{"os":"linux","architecture":"amd64"}'), attestation,
			blobs.descriptor(arm, ',"platform":{"os":"linux","architecture":"arm64"}') })
		made:set_root({ blobs.descriptor(index, blobs.named("app:1")) })
		local path = made:write_dir(dir:file("attested"))
		local _, lost = assert(strata.copy(path, dir:file("amd"), { platform = "linux/amd64" }))
		assert.same({ "another manifest of the index " .. index.digest }, lost)
		for to, opts in pairs({ arm = { platform = "linux/arm64" },
			dropped = { platform = "linux/amd64", attestations = "drop" } }) do
			assert.is_nil((select(2, assert(strata.copy(path, dir:file(to), opts)))))
		end
	end)

	it("is a copy byte by byte where there are no others", function()
		local img = strata.new()
		assert(img:append({ files = { a = "a" } }))
		img:tag("one:1")
		for _, format in ipairs({ "docker", "docker-legacy", "oci-archive" }) do
			local from, to = dir:file("one-" .. format), dir:file("copy-" .. format)
			assert(img:save(from, { format = format }))
			shell.sh('printf x > "$1/note"; tar -rf "$2" -C "$1" note', dir.path, from)
			assert(strata.copy(from, to, { ref = "one:1" }))
			shell.sh('cmp "$1" "$2"', from, to)
		end
	end)
end)
