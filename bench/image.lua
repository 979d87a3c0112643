--- The images that are measured: archives as `docker save` of Docker 20.10 writes them, made from the
-- machine's own files, with plain and with gzip layers.

local cjson = require "cjson"
local core = require "strata.core"
local shell = require "bench.shell"
local strata = require "strata"

local image = {}

---@class bench.Image
---@field path string
---@field size integer  of the file
---@field members string[]  the names of the layers in it, in order
---@field compressed boolean  some layer is
---@field offsets integer[]?  where the content of the members begins
---@field sizes integer[]?  of that content
---@field bytes bench.Bytes?  from here on: what its floors are computed from (bench/floor.lua)
---@field tars string?  a script that prints some of each layer's tar

-- One layer from each.
local TREES = { "usr/bin", "usr/lib", "usr/share", "usr/sbin usr/libexec usr/include" }

local quote = shell.quote

local function write(path, content)
  local file = assert(io.open(path, "wb"))
  assert(file:write(content))
  assert(file:close())
end

-- ---- files ------------------------------------------------------------------

-- What is below the directories: {path, size} in order, and how many bytes.
local function find(directories)
  local found, bytes = {}, 0
  local listing = shell.try("cd / && LC_ALL=C find " .. directories .. " -xdev ! -path '*[[:cntrl:]]*' "
    .. "\\( -type l -o -type f -readable \\) -printf '%s %p\\n' 2>/dev/null | LC_ALL=C sort -k 2")
  for size, path in listing:gmatch("(%d+) ([^\n]+)") do
    found[#found + 1] = { path = path, size = tonumber(size) }
    bytes = bytes + size
  end
  return found, bytes
end

-- Takes an even share of all files when they are more than `most` bytes, with the directories above them.
local function select_files(found, bytes, most)
  local share = math.min(1, most / math.max(bytes, 1))
  local names, known, seen, taken = {}, {}, 0, 0
  local function add_parents(path)
    local at = 0
    while true do
      at = path:find("/", at + 1, true)
      if not at then return end
      local parent = path:sub(1, at - 1)
      if not known[parent] then
        known[parent] = true
        names[#names + 1] = parent
      end
    end
  end
  for _, file in ipairs(found) do
    seen = seen + file.size
    if taken + file.size <= share * seen then
      taken = taken + file.size
      add_parents(file.path)
      names[#names + 1] = file.path
    end
  end
  return names
end

-- The most that each tree may have, so that all together have `size` bytes: small ones are taken whole.
local function limit_of(sizes, size)
  local order, left = {}, size
  for i, bytes in ipairs(sizes) do order[i] = bytes end
  table.sort(order)
  for i, bytes in ipairs(order) do
    local even = left / (#order - i + 1)
    if bytes > even then return even end
    left = left - bytes
  end
  return math.huge
end

local function pack(names, to)
  write(to .. ".names", table.concat(names, "\0") .. "\0")
  -- Status 1: a file has changed meanwhile.
  shell.run(("LC_ALL=C tar -C / --format=pax --pax-option=delete=atime,delete=ctime,delete=mtime --numeric-owner "
    .. "--no-recursion --null -T %s -cf %s 2>/dev/null || [ $? = 1 ]; rm %s"):format(
    quote(to .. ".names"), quote(to), quote(to .. ".names")))
end

-- ---- archives ---------------------------------------------------------------

local function sha256(path)
  return shell.run("sha256sum <" .. quote(path)):match("^%x+")
end

local function size_of(path)
  return tonumber(shell.run("stat -c %s " .. quote(path)):match("%d+"))
end

-- A document with its keys in order, as cjson would not write it: keys and texts of values in turn.
local function object(given)
  local parts = {}
  for i = 1, #given, 2 do parts[#parts + 1] = cjson.encode(given[i]) .. ":" .. given[i + 1] end
  return "{" .. table.concat(parts, ",") .. "}"
end

-- Moves what was made in `directory` (1/layer.tar, 2/layer.tar ...) into an archive.
local function save(directory, config, count, path)
  local members, previous, names = {}, nil, {}
  for i = 1, count do
    local seed = directory .. "/seed"
    write(seed, (previous or "") .. i)
    local id = sha256(seed)
    os.remove(seed)
    shell.run(("mv %s %s"):format(quote(directory .. "/" .. i), quote(directory .. "/" .. id)))
    write(directory .. "/" .. id .. "/VERSION", "1.0")
    local v1 = { "id", cjson.encode(id), "created", '"1970-01-01T00:00:00Z"', "os", '"linux"' }
    if previous then
      v1[#v1 + 1] = "parent"
      v1[#v1 + 1] = cjson.encode(previous)
    end
    write(directory .. "/" .. id .. "/json", object(v1))
    members[i], names[i], previous = id .. "/layer.tar", id, id
  end
  write(directory .. "/config", config)
  local config_name = sha256(directory .. "/config") .. ".json"
  assert(os.rename(directory .. "/config", directory .. "/" .. config_name))
  write(directory .. "/manifest.json", "[" .. object { "Config", cjson.encode(config_name), "RepoTags",
    '["strata-bench:latest"]', "Layers", cjson.encode(members) } .. "]\n")
  write(directory .. "/repositories", object { "strata-bench", object { "latest", cjson.encode(previous) } } .. "\n")
  table.sort(names)
  shell.run(("cd %s && LC_ALL=C tar --format=ustar --owner=0 --group=0 --numeric-owner -cf %s %s %s manifest.json "
    .. "repositories && cd / && rm -rf %s"):format(quote(directory), quote(path), table.concat(names, " "),
    config_name, quote(directory)))
  return members
end

--- Makes an image of about `size` bytes with plain layers.
---@param work string
---@param size number
---@return bench.Image
function image.make(work, size)
  local path, directory = work .. "/plain.tar", work .. "/plain"
  local trees, sizes = {}, {}
  for _, directories in ipairs(TREES) do
    local found, bytes = find(directories)
    if bytes > 0 then
      trees[#trees + 1], sizes[#sizes + 1] = { name = directories, found = found }, bytes
    end
  end
  local limit = limit_of(sizes, size)
  local diff_ids, history = {}, {}
  for i, tree in ipairs(trees) do
    shell.run("mkdir -p " .. quote(directory .. "/" .. i))
    local layer = directory .. "/" .. i .. "/layer.tar"
    pack(select_files(tree.found, sizes[i], limit), layer)
    diff_ids[i] = "sha256:" .. sha256(layer)
    history[i] = object { "created", '"1970-01-01T00:00:00Z"', "created_by", cjson.encode("COPY " .. tree.name) }
  end
  local machine = shell.run("uname -m"):match("%S+")
  local config = object { "architecture", cjson.encode(({ x86_64 = "amd64", aarch64 = "arm64" })[machine] or machine),
    "config", '{"Env":["PATH=/usr/sbin:/usr/bin:/sbin:/bin"],"Cmd":["/bin/sh"]}', "created",
    '"1970-01-01T00:00:00Z"', "history", "[" .. table.concat(history, ",") .. "]", "os", '"linux"', "rootfs",
    object { "type", '"layers"', "diff_ids", cjson.encode(diff_ids) } }
  local members = save(directory, config, #trees, path)
  return { path = path, members = members, size = size_of(path), compressed = false }
end

-- The name in the archive of each layer.
local function members_of(img)
  local members = {}
  for _, file in ipairs(assert(img:files())) do
    for number in (file.type == "file" and file.role and file.role:match("^layer (.*)$") or ""):gmatch("%d+") do
      members[tonumber(number)] = file.name
    end
  end
  return members
end

--- Finds out where the layers begin in the archive, so that peers can read them as they stand there.
---@param img bench.Image
---@return bench.Image
function image.locate(img)
  local file = assert(core.open_file(img.path))
  local index = core.entry_index(file, 0, file:size(), "none")
  assert(index:scan())
  img.offsets, img.sizes = {}, {}
  for i, member in ipairs(img.members) do
    local entry = assert(index:find(member))
    img.offsets[i], img.sizes[i] = entry.data_offset, entry.size
  end
  index:close()
  file:close()
  return img
end

local function sum_of(numbers)
  local sum = 0
  for _, number in ipairs(numbers) do sum = sum + number end
  return sum
end

--- Finds out how large the tars of a located image are. It stays unknown where a layer is neither plain nor gzip.
---@param img bench.Image
---@return bench.Image
function image.weigh(img)
  local opened, layers, tars = assert(strata.open(img.path)), {}, {}
  for i, layer in opened:layers() do
    local compression = layer.compression
    if compression ~= "none" and compression ~= "gzip" then
      opened:close()
      return img
    end
    local content = ("tail -c +%d %s | head -c %d"):format(img.offsets[i] + 1, quote(img.path), img.sizes[i])
    if compression == "gzip" then content = content .. " | gzip -dc" end
    layers[i] = compression == "none" and img.sizes[i] or tonumber(shell.run(content .. " | wc -c"):match("%d+"))
    tars[i] = content .. (" | head -c %d"):format(64e6 / #img.members)
  end
  opened:close()
  img.bytes = { stored = sum_of(img.sizes), plain = sum_of(layers), layers = layers }
  img.tars = table.concat(tars, "; ")
  return img
end

--- An image that the user has.
---@param path string
---@return bench.Image
function image.given(path)
  path = shell.run("realpath -e -- " .. quote(path)):gsub("%s+$", "")
  local img, message = strata.open(path)
  if not img then shell.die(message) end
  local compressed = false
  for _, layer in img:layers() do compressed = compressed or layer.compression ~= "none" end
  local members = members_of(img)
  img:close()
  return { path = path, members = members, size = size_of(path), compressed = compressed }
end

--- The image with the entries of its top layer made at another time.
---@param work string
---@param img bench.Image
---@return bench.Image
function image.rebuilt(work, img)
  local path = work .. (img.compressed and "/rebuilt-gzip.tar" or "/rebuilt.tar")
  local opened = assert(strata.open(img.path))
  assert(opened.layers[#opened.layers]:rewrite(function(entry) entry.mtime = 1 end))
  assert(opened:save(path))
  opened:close()
  return image.given(path)
end

--- The same layers in gzip.
---@param work string
---@param plain bench.Image
---@return bench.Image
function image.compress(work, plain)
  local path, directory = work .. "/gzip.tar", work .. "/gzip"
  local script = { "set -o pipefail" }
  for i, member in ipairs(plain.members) do
    local layer = ("%s/%d"):format(directory, i)
    script[#script + 1] = ("mkdir -p %s; tar -xOf %s -- %s | gzip -nc >%s & jobs+=($!)"):format(quote(layer),
      quote(plain.path), quote(member), quote(layer .. "/layer.tar"))
  end
  script[#script + 1] = 'for job in "${jobs[@]}"; do wait $job || exit; done'
  shell.run(table.concat(script, "\n"))
  local img = assert(strata.open(plain.path))
  local members = save(directory, img.config:text(), #plain.members, path)
  img:close()
  return { path = path, members = members, size = size_of(path), compressed = true }
end

--- The image as an OCI layout with gzip layers: as skopeo makes it, or where it is missing strata.
---@param work string
---@param img bench.Image
---@return bench.Image
function image.layout(work, img)
  local path = work .. "/layout"
  local _, status = shell.try(("exec 2>/dev/null; skopeo --insecure-policy copy -q docker-archive:%s oci:%s:bench")
    :format(quote(img.path), quote(path)))
  if status ~= 0 then
    shell.run("rm -rf " .. quote(path))
    local opened = assert(strata.open(img.path))
    assert(opened:save(path, { format = "oci", compression = "gzip" }))
    opened:close()
  end
  local size = tonumber(shell.run("du -sb " .. quote(path)):match("%d+"))
  local bytes = img.bytes and { stored = size, plain = img.bytes.plain, layers = img.bytes.layers }
  return { path = path, members = img.members, size = size, compressed = true, bytes = bytes, tars = img.tars }
end

return image
