--- The rows of the table: who does the same work on an image.

local image = require "bench.image"
local shell = require "bench.shell"

local rows = {}

--- What it returns has a title that says what is done, and a floor that says how to compute the least that it takes
-- (bench/floor.lua); strata comes first.
---@alias bench.Row fun(img: bench.Image, work: string): bench.Contestant[]

--- In order; the name of a row is what ROWS takes.
rows.plain = { "list", "verify", "config", "strip", "oci", "zstd", "extract", "squash", "flatten", "export",
               "normalize", "rechunk", "rootfs", "diff" }
rows.gzip = { "list", "verify", "strip", "extract", "flatten", "diff" }
rows.layout = { "docker", "strip-oci", "strip-all", "unpack" }
rows.giant = { "edit" }
rows.million = { "list-million", "half" }

---@type table<string, bench.Row>
rows.make = {}

local make, quote = rows.make, shell.quote

-- The interpreter that runs this.
local function interpreter()
  local i = -1
  while arg[i - 1] do i = i - 1 end
  return arg[i] or "lua5.4"
end

local HERE = shell.run("pwd"):gsub("%s+$", "")
local JOBS = ("(cd %s && %s bench/jobs.lua \"$facts\" "):format(quote(HERE), quote(interpreter()))

-- other: a second image, in place of the output.
local function strata(job, img, other)
  local output = other and quote(other) or '"$out"'
  return { name = "strata", script = ("%s%s %s %s)"):format(JOBS, job, quote(img.path), output) }
end

-- A peer's script is made for each layer and its member's name, or for the whole file.
local function peer(name, script)
  local program = name:match("^%S+")
  return { name = name, script = script, missing = not shell.has(program) and program .. " is not installed" or nil }
end

local function skopeo(name, options, from, to)
  return peer(name, ('"${peak[@]}" skopeo --insecure-policy copy -q %s %s %s'):format(options, from, to))
end

-- ---- archives of docker save ---------------------------------------------------

local function each_layer(img, script)
  local parts = {}
  for i, member in ipairs(img.members) do
    local from = ('bsdtar -xOqf %s -- %s'):format(quote(img.path), quote(member))
    parts[i] = from .. " | " .. script
  end
  return table.concat(parts, " &&\n")
end

function make.list(img)
  return {
    title = "open and list every entry", strata("list", img),
    peer("bsdtar -tf of each layer", each_layer(img, '"${peak[@]}" bsdtar -tf -')),
  }
end

function make.verify(img)
  if not img.compressed then
    return {
      title = "verify every digest", floor = "read", strata("verify", img),
      peer("openssl dgst -sha256", ('"${peak[@]}" openssl dgst -sha256 %s'):format(quote(img.path))),
    }
  end
  return {
    title = "verify every diff_id", floor = "read", strata("verify", img),
    peer("bsdtar | gzip -d | openssl", each_layer(img, 'gzip -dc | "${peak[@]}" openssl dgst -sha256')),
  }
end

local function saving(title, job, img)
  local source = quote(img.path)
  return {
    title = title, floor = "save", strata(job, img), peer("cp", ('"${peak[@]}" cp %s "$out"'):format(source)),
    skopeo("skopeo copy", "", "docker-archive:" .. source, '"docker-archive:$out"'),
  }
end

function make.config(img)
  return saving("set Env and save", "config", img)
end

function make.strip(img)
  return saving("strip usr/share/doc and usr/share/man, and save", "strip", img)
end

function make.oci(img)
  return {
    title = "docker archive to OCI layout, gzip", floor = "save", strata("gzip", img),
    skopeo("skopeo copy", "", "docker-archive:" .. quote(img.path), '"oci:$out:bench"'),
  }
end

function make.zstd(img)
  return {
    title = "docker archive to OCI archive, zstd", floor = "save", strata("zstd", img),
    skopeo("skopeo copy, zstd", "--dest-compress-format zstd", "docker-archive:" .. quote(img.path),
      '"oci-archive:$out:bench"'),
  }
end

-- ---- what the layers add up to ---------------------------------------------------

-- Each layer as it stands in the archive, without a pipe: dd moves to where it begins.
local function each_layer_in_place(img, script)
  local parts = {}
  for i in ipairs(img.members) do
    parts[i] = ("(dd bs=512 skip=%d count=0 status=none && %s) <%s"):format(img.offsets[i] / 512, script,
      quote(img.path))
  end
  return table.concat(parts, " &&\n")
end

local function unpack_all(img, to)
  return ("mkdir -p %s &&\n"):format(to) .. each_layer_in_place(img, '"${peak[@]}" bsdtar -xpf - -C ' .. to)
end

function make.extract(img)
  return {
    title = "extract, digests checked", floor = "tree", strata("extract", img),
    peer("bsdtar -x of each layer", unpack_all(img, '"$out"')),
  }
end

-- No peer in Debian does these without unpacking.
local function packing(title, job, img, floor)
  return {
    title = title, floor = floor or "save", strata(job, img),
    peer("bsdtar -x, and -c", unpack_all(img, '"$out.plain"')
      .. ' &&\n"${peak[@]}" bsdtar -cf "$out" -C "$out.plain" .'),
  }
end

function make.squash(img)
  return packing("squash the two upper layers, and save", "squash", img)
end

function make.flatten(img)
  return packing("flatten to one layer, and save", "flatten", img)
end

function make.export(img)
  return packing("export as one tar", "export", img, "export")
end

function make.normalize(img)
  return packing("clamp every time, and save", "normalize", img)
end

function make.rechunk(img)
  return packing("divide into 16 chunks by directory, and save", "rechunk", img)
end

function make.rootfs(img)
  return { title = "merged view of all layers, and 10,000 stats", strata("rootfs", img) }
end

-- No peer in Debian compares images: their files are unpacked and compared. What cannot be left out is the top layer.
function make.diff(img, work)
  local other = image.locate(image.rebuilt(work, img))
  local top = ('tail -c +%d %s | head -c %%d | "${peak[@]}" openssl dgst -sha256'):format(img.offsets[#img.offsets] + 1,
    quote(img.path))
  return {
    title = "diff against the image with its top layer built anew", strata("diff", img, other.path),
    peer("bsdtar -x of both, diff -r", ('%s &&\n%s &&\n{ "${peak[@]}" diff -rq --no-dereference "$out" "$out.plain" || '
      .. '[ $? = 1 ]; }'):format(unpack_all(img, '"$out"'), unpack_all(other, '"$out.plain"'))),
    peer("openssl dgst of the top layer", top:format(img.sizes[#img.sizes])),
  }
end

-- ---- OCI layouts ------------------------------------------------------------------

-- No peer in Debian drops files from layers (umoci only puts a layer on top): cp and skopeo copy the image as it
-- is. To change every layer is to inflate and deflate it as well, which skopeo does by way of a plain copy.
local function saving_layout(title, job, img)
  local source = quote(img.path)
  return {
    title = title, floor = "save", strata(job, img), peer("cp -r", ('"${peak[@]}" cp -r %s "$out"'):format(source)),
    skopeo("skopeo copy", "--dest-oci-accept-uncompressed-layers", "oci:" .. source, '"oci:$out:bench"'),
  }
end

function make.docker(img)
  return {
    title = "OCI layout, gzip, to docker archive", floor = "save", strata("docker", img),
    skopeo("skopeo copy", "", "oci:" .. quote(img.path) .. ":bench", '"docker-archive:$out:bench:latest"'),
  }
end

make["strip-oci"] = function(img)
  return saving_layout("strip usr/share/doc and usr/share/man, and save", "strip", img)
end

make["strip-all"] = function(img)
  local group = saving_layout("drop the symlinks of every layer, and save", "symlinks", img)
  local skopeo_copy = "skopeo --insecure-policy copy -q "
  group[#group + 1] = peer("skopeo copy, plain and back", ('%s --dest-decompress oci:%s "dir:$out.plain" &&\n'
    .. '"${peak[@]}" %s "dir:$out.plain" "oci:$out:bench"'):format(skopeo_copy, quote(img.path), skopeo_copy))
  return group
end

function make.unpack(img)
  return {
    title = "extract, digests checked", floor = "tree", strata("extract", img),
    peer("umoci raw unpack", ('"${peak[@]}" umoci raw unpack --image %s:bench "$out"'):format(quote(img.path))),
  }
end

function make.edit(img)
  return saving_layout("edit one file and save", "edit", img)
end

make["list-million"] = function(img)
  return {
    title = "open and list every entry", strata("list", img),
    peer("bsdtar -tf", ('"${peak[@]}" bsdtar -tf %s'):format(quote(img.layer))),
  }
end

function make.half(img)
  return saving_layout("drop every other entry, and save", "half", img)
end

return rows
