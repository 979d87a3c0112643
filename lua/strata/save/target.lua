--- Where a save goes: a path, a stream, or a reference of a registry, which has options of its own.

local argument = require "strata.util.argument"
local core = require "strata.core"
local misuse = require "strata.util.misuse"
local options = require "strata.util.options"
local reference = require "strata.document.reference"

local target = {}

--- What a reference and its options mean: the tags are those that the image gets. Throws for what is none.
---@param what any
---@param opts strata.PushOptions
---@param fn string  the function that the caller has called
---@return strata.RegistryReference ref
---@return string[] tags
function target.of(what, opts, fn)
  if not reference.is_remote(what) then
    misuse("%s: a reference is wanted, as docker://host/app:1, and not %s", fn, core.quote(what))
  end
  local ref, problem = reference.of_registry(what)
  if not ref then misuse("%s: %s: %s", fn, reference.shown(what), problem) end
  if opts.format then misuse("%s: a registry has no format; leave the option out", fn) end
  local tags = {}
  if ref.tag then tags[1] = ref.tag end
  for _, tag in ipairs(opts.tags or {}) do
    if not reference.of_registry(ref.name .. ":" .. tag) then misuse("%s: %s is no tag", fn, core.quote(tag)) end
    if tag ~= ref.tag then tags[#tags + 1] = tag end
  end
  if opts.expect ~= nil and #tags == 0 then misuse("%s: expect is about a tag, and there is none", fn) end
  return ref, tags
end

--- Throws for a place that nothing can be written to, and for options that make no sense there.
---@param what any
---@param opts table?
---@param fn string
---@param class? string  of the options for a registry
---@param other? string  of the options for all else
function target.check(what, opts, fn, class, other)
  argument.stream(what, fn)
  local is_push = reference.is_remote(what)
  options.check(fn, is_push and (class or "PushOptions") or other or "SaveOptions", opts)
  if is_push then target.of(what, opts or {}, fn) end
end

return target
