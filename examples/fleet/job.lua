--- One job of a fleet: a script carried out on one image of a registry.
--
-- A script is a Lua file that returns a function(img, ref, options, open). It edits the image, or looks at it. It gives
-- nil, message, code when it cannot; any other result is success. `ref` is the user's name of the image, `options` are
-- strings by name, `open(ref)` opens another image with the same client of registries. Behind the function, a script
-- may return a table with the names of the options that it takes: true for one that has to be given, false for another.
--
-- A job can be run again and again, here and elsewhere: it names its source by digest, the bytes that are made of it
-- are the same on every machine, and its tag moves only when nobody else has moved it.

local strata = require "strata"

local job = {}

--- Codes of failures of the world, which another try may not meet: none of them is the job's fault.
job.WEATHER = {
  ENETWORK = true, ETIMEDOUT = true, ERATE = true, ESERVER = true, -- a registry
  ENOSPC = true, EDQUOT = true, EMFILE = true, ENFILE = true, ENOMEM = true, -- this machine
}

--- A job, as strings, so that a queue can keep it.
---@class fleet.Job
---@field ref string  the user's name of the image: "docker://host/app:1"
---@field source string  the same by its digest: "docker://host/app@sha256:..."
---@field script string  the path of the script
---@field options table<string, string>
---@field target string?  the tag that the result gets; nil: the image is looked at only
---@field was string?  the digest that this tag had, "" for none

--- The client and the threads that a job runs with.
---@class fleet.How
---@field registry strata.Registry
---@field threads integer?  that compress; nil: one per CPU

--- The result of a job.
---@class fleet.Result
---@field digest string  of what was saved, or of what was looked at
---@field bytes integer  that were sent
---@field requests integer  that the save has made
---@field lost string?  attestations and the like, which are about the old image and stay with it

--- A client of registries.
---@param plain string[]  hosts, as "reg:5000", of registries that speak http
---@return strata.Registry?
---@return string? message
function job.registry(plain)
  local hosts = {}
  for _, host in ipairs(plain) do hosts[host] = { plain = true } end
  local ok, hub, message = pcall(strata.registry, { hosts = hosts })
  if not ok then return nil, (tostring(hub):gsub("^.-registry: ", "")) end
  return hub, message
end

-- ---- names ------------------------------------------------------------------------------------------------

-- The host, the repository and the tag of a reference; Docker Hub's have short forms. A digest alone has no tag.
local function parts(ref)
  local host, path = ref:match("^docker://([^/]*[.:][^/]*)/(.+)$")
  if not host then host, path = ref:match("^docker://(localhost)/(.+)$") end
  if not host then host, path = "docker.io", (ref:gsub("^docker://", "")) end
  local named, digest = path:match("^(.*)@(.*)$")
  path = named or path
  local repository, tag = path:match("^(.*):([^:/]*)$")
  repository = repository or path
  if host == "docker.io" and not repository:find("/", 1, true) then repository = "library/" .. repository end
  return { host = host, repository = repository, tag = tag or not digest and "latest" or nil }
end

--- The reference that a result gets: a template with the words {host}, {repository} and {tag} of the source.
---@param ref string
---@param template string  "docker://{host}/{repository}:{tag}-slim"
---@return string?
---@return string? message
---@return string? code
function job.target(ref, template)
  local of, wrong = parts(ref), nil
  local target = template:gsub("{(.-)}", function(word)
    if not of[word] then wrong = wrong or word end
    return of[word]
  end)
  if not wrong then return target end
  if wrong == "tag" then return nil, ref .. ": a digest has no tag; say in the target which one it gets", "EINVAL" end
  return nil, ("{%s} in a target: it has {host}, {repository} and {tag}"):format(wrong), "EINVAL"
end

--- Calls a function as pcall does. Errors that end more than the function go on: Ctrl-C, of which Lua makes an error,
--- and what the function of strata.on_wait has thrown to end the job, a table with `given_up`.
---@param fn function
---@param ... any
---@return boolean ok
---@return any ...
function job.try(fn, ...)
  local function pass(ok, first, ...)
    local ends = type(first) == "table" and first.given_up or tostring(first):find "interrupted!$"
    if not ok and ends then error(first, 0) end
    return ok, first, ...
  end
  return pass(pcall(fn, ...))
end

-- The digest that a reference leads to now. A malformed reference is a mistake of the input, not of the program.
local function digest_of(ref, registry)
  local ok, digest, message, code = job.try(registry.digest, registry, ref)
  if not ok then return nil, tostring(digest):gsub("^.-digest: ", ""), "EINVAL" end
  return digest, message, code
end

-- The same reference by a digest.
local function by_digest(ref, digest)
  local of = parts(ref)
  return ("docker://%s/%s@%s"):format(of.host, of.repository, digest)
end

-- Whether options are those that a script takes: a mistake in a name would else be one in every image.
local function check_options(options, takes)
  local names = {}
  for name in pairs(takes) do names[#names + 1] = name end
  table.sort(names)
  local all = #names > 0 and "it takes " .. table.concat(names, ", ") or "it takes none"
  for name in pairs(options) do
    if takes[name] == nil then return nil, ("the script takes no option %s: %s"):format(name, all), "EINVAL" end
  end
  for _, name in ipairs(names) do
    if takes[name] and not options[name] then return nil, ("the script wants the option %s"):format(name), "EINVAL" end
  end
  return true
end

--- The options with the references among them by digest: a base is the same one for every job.
---@param options table<string, string>
---@param takes table<string, boolean>?  see job.script
---@param registry strata.Registry
---@return table<string, string>?
---@return string? message
---@return string? code
function job.options(options, takes, registry)
  if takes then
    local ok, message, code = check_options(options, takes)
    if not ok then return nil, message, code end
  end
  local list = {}
  for name, value in pairs(options) do
    if value:find("^docker://") and not value:find("@", 1, true) then
      local digest, message, code = digest_of(value, registry)
      if not digest then return nil, message, code end
      value = by_digest(value, digest)
    end
    list[name] = value
  end
  return list
end

--- A job for the image that a reference leads to now: a request for the source, which no registry counts as a pull, and
--- one for the target when it has another name.
---@param ref string
---@param script string
---@param options table<string, string>  see job.options
---@param template string?  see job.target; nil: the image is looked at only
---@param registry strata.Registry
---@return fleet.Job?
---@return string? message
---@return string? code
function job.new(ref, script, options, template, registry)
  local digest, message, code = digest_of(ref, registry)
  if not digest then return nil, message, code end
  local one = { ref = ref, source = by_digest(ref, digest), script = script, options = options }
  if not template then return one end
  one.target, message, code = job.target(ref, template)
  if not one.target then return nil, message, code end
  if one.target == job.target(ref, "docker://{host}/{repository}:{tag}") then
    one.was = digest
    return one
  end
  one.was, message, code = digest_of(one.target, registry)
  if not one.was and code ~= "ENOENT" then return nil, message, code end
  one.was = one.was or ""
  return one
end

-- ---- work -------------------------------------------------------------------------------------------------

--- The function of a script, and the options that it takes: true for those that have to be given; nil for any.
---@param path string
---@return function?
---@return table<string, boolean>|string|nil takes  or a message
---@return string? code
function job.script(path)
  local chunk, message = loadfile(path)
  if not chunk then return nil, message, "ESCRIPT" end
  local ok, fn, takes = pcall(chunk)
  if not ok then return nil, tostring(fn), "ESCRIPT" end
  if type(fn) ~= "function" then return nil, path .. ": a script returns a function(img, ref, options)", "ESCRIPT" end
  if takes ~= nil and type(takes) ~= "table" then
    return nil, path .. ": behind its function, a script returns a table of its options", "ESCRIPT"
  end
  return fn, takes
end

-- Bases that are named by digest never change, so they stay open from one job to the next, as long as the client of
-- registries is the same.
local KEPT = 8
local kept = { count = 0 }

local function opener(opts)
  return function(ref)
    if kept.registry ~= opts.registry or kept.count == KEPT then
      kept = { registry = opts.registry, count = 0, images = {} }
    end
    if kept.images[ref] then return kept.images[ref] end
    local img, message, code = strata.open(ref, opts)
    if img and ref:find("@", 1, true) then kept.images[ref], kept.count = img, kept.count + 1 end
    return img, message, code
  end
end

-- An error that a script throws is a failure of the job.
local function call(fn, img, one, opts)
  local ok, done, message, code = job.try(fn, img, one.ref, one.options, opener(opts))
  if not ok then return nil, tostring(done), "ESCRIPT" end
  if not done and message then return nil, message, code or "ESCRIPT" end
  return true
end

-- Runs the script on an image, or on each image of an index.
local function edit(fn, one, how)
  local opts = { registry = how.registry, threads = how.threads }
  local img, message, code = strata.open(one.source, opts)
  if img then
    local ok
    ok, message, code = call(fn, img, one, opts)
    return ok and img, message, code, img
  end
  if code ~= "EAMBIGUOUS" then return nil, message, code end
  local index, images
  index, message, code = strata.open_index(one.source, opts)
  if not index then return nil, message, code end
  images, message, code = index:images()
  if not images then return nil, message, code, index end
  for each in images do
    local ok, why, how_so = call(fn, each, one, opts)
    if not ok then return nil, why, how_so, index end
  end
  return index, nil, nil, index
end

--- Runs a job, and moves its tag when that still has the digest of the job, or has the result already.
---@param one fleet.Job
---@param how fleet.How
---@return fleet.Result?
---@return string? message
---@return string? code
function job.run(one, how)
  local fn, why, code = job.script(one.script)
  if not fn then return nil, why, code end
  local edited, message, opened
  edited, message, code, opened = edit(fn, one, how)
  local saved, lost
  if edited and one.target then
    local was = one.was
    if was == "" then was = false end
    saved, message, code = edited:save(one.target, {
      registry = how.registry, threads = how.threads, reproducible = true, expect = was,
    })
    if saved then lost, message = message and table.concat(message, "; "), nil end
  end
  if opened then opened:close() end
  if message then return nil, message, code end
  if not one.target then return { digest = one.source:match("@(.+)$"), bytes = 0, requests = 0 } end
  return { digest = saved.digest, bytes = saved.size, requests = saved.requests, lost = lost }
end

return job
