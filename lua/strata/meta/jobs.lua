---@meta strata.jobs

--- Jobs on images by paths and plain tables: what goes in and what comes out can be copied from one Lua state to
--- another, as nginx's worker threads do. Errors are values.
---@class strata.jobs
local jobs = {}

--- Runs a job by its name. Nothing is thrown: misuse comes back with the code "EINVAL". Name and arguments are for the
--- host to choose, and never come from a request as they are: jobs run modules, and read, write and delete files.
---```lua
---local jobs = require "strata.jobs"
---print(assert(jobs.run("inspect", { path = "app.tar" })).platform)  --> linux/amd64
---print(jobs.run("inspect", { path = "no.tar" }))  --> nil  no.tar: No such file or directory  ENOENT
---```
---@param name strata.JobName
---@param args table  as the job takes them
---@param control? strata.JobControl
---@return table? result
---@return string? message
---@return strata.errcode? code  "EINVAL": misuse; "ETIMEDOUT": the deadline has passed; "ECANCELED": the job was canceled; those of the job
function jobs.run(name, args, control) end

--- What the documents of an image tell: config, layers beside the history. No layer is read.
---```lua
---local jobs = require "strata.jobs"
---local facts = assert(jobs.config { path = "app.tar" })
---print(facts.config.config.Cmd[1], facts.history[2].created_by)  --> /opt/app/run RUN install --token=s3cret app
---```
---@param args strata.LookArguments
---@return strata.ImageFacts?
---@return string? message
---@return strata.errcode? code  as strata.open
function jobs.config(args) end

--- What an image is: config, layers beside the history, sizes, wasted bytes. All layers are read.
---```lua
---local jobs = require "strata.jobs"
---local facts = assert(jobs.inspect { path = "app.tar" })
---print(facts.tags[1], #facts.layers, facts.wasted)  --> app:1  3  3013
---```
---@param args strata.LookArguments
---@return strata.ImageFacts?
---@return string? message
---@return strata.errcode? code  as strata.open; those of reading, of a registry
function jobs.inspect(args) end

--- The entries of a layer, a page of them.
---```lua
---local jobs = require "strata.jobs"
---print(assert(jobs.entries { path = "app.tar", layer = 2, limit = 2 }).entries[1].path)  --> etc/app.conf
---```
---@param args strata.EntriesArguments
---@return strata.EntryPage?
---@return string? message
---@return strata.errcode? code  "ENOENT": there is no such layer; those of reading, of a registry
function jobs.entries(args) end

--- What is in a directory of the merged file system, a page of it. A directory has the size of all below it.
---```lua
---local jobs = require "strata.jobs"
---print(assert(jobs.list { path = "app.tar", dir = "etc" }).total)  --> 3
---```
---@param args strata.ListArguments
---@return strata.EntryPage?
---@return string? message
---@return strata.errcode? code  "ENOENT": there is no such path, or no such layer; "ENOTDIR": it is no directory; those of reading, of a registry
function jobs.list(args) end

--- The largest files of the merged file system, a file with several names once.
---```lua
---local jobs = require "strata.jobs"
---print(assert(jobs.largest { path = "app.tar", count = 1 }).entries[1].path)  --> lib/libc.so.6
---```
---@param args strata.LargestArguments
---@return {entries: strata.EntryFacts[]}?
---@return string? message
---@return strata.errcode? code
function jobs.largest(args) end

--- All paths as text, a part of it: those of the merged file system, then those that layers have and nobody sees.
---```lua
---local jobs = require "strata.jobs"
---print(assert(jobs.paths { path = "app.tar" }).text:match "etc/passwd[^\n]*")  --> …
---```
---@param args strata.PathsArguments
---@return strata.PathsPart?
---@return string? message
---@return strata.errcode? code
function jobs.paths(args) end

--- The files that no container sees, a page of them, those with the most bytes first.
---```lua
---local jobs = require "strata.jobs"
---print(assert(jobs.waste { path = "app.tar", limit = 1 }).bytes)  --> 3013
---```
---@param args strata.PageArguments
---@return strata.WastePage?
---@return string? message
---@return strata.errcode? code
function jobs.waste(args) end

--- What is known of a path, and what each layer has done to it; of a file the first bytes.
---```lua
---local jobs = require "strata.jobs"
---print(assert(jobs.read { path = "app.tar", file = "etc/app.conf" }).content)  --> mode = production
---```
---@param args strata.ReadArguments
---@return strata.FileFacts?
---@return string? message
---@return strata.errcode? code  "ENOENT": there is no such path; those of reading, of a registry
function jobs.read(args) end

--- Writes the content of a file to another one.
---```lua
---local jobs = require "strata.jobs"
---print(assert(jobs.fetch { path = "app.tar", file = "etc/app.conf", to = "app.conf" }).size)  --> 18
---```
---@param args strata.FetchArguments
---@return {size: integer}?
---@return string? message
---@return strata.errcode? code  "ENOENT": there is no such path; those of reading, of writing, of a registry
function jobs.fetch(args) end

--- What an index leads to, or a layout, or an archive; one image is all that there is.
---```lua
---local jobs = require "strata.jobs"
---print(assert(jobs.index { path = "app.tar" }).manifests[1].platform)  --> linux/amd64
---```
---@param args strata.JobArguments
---@return strata.IndexList?
---@return string? message
---@return strata.errcode? code  those of reading, of a registry
function jobs.index(args) end

--- The SHA-256 of a file, whatever it is.
---```lua
---local jobs = require "strata.jobs"
---print(#assert(jobs.digest { path = "app.tar" }).digest)  --> 71
---```
---@param args strata.PathArguments
---@return {digest: string, size: integer}?
---@return string? message
---@return strata.errcode? code  "ENOENT": there is no such file; those of reading
function jobs.digest(args) end

--- Edits an image and saves it.
---```lua
---local jobs = require "strata.jobs"
---local edit = { remove = "usr/share/doc", env = { TZ = "UTC", TOKEN = false }, tags = { "app:2" } }
---print(assert(jobs.edit { path = "app.tar", to = "app-new.tar", edit = edit }).path)  --> app-new.tar
---```
---@param args strata.EditArguments
---@return strata.EditResult?
---@return string? message
---@return strata.errcode? code  as img:remove and img:save; "EINVAL": the module has failed
function jobs.edit(args) end

--- Saves an image, in another format for one.
---```lua
---local jobs = require "strata.jobs"
---print(assert(jobs.save { path = "app.tar", to = "out", save = { format = "oci" } }).format)  --> oci
---```
---@param args strata.SaveArguments
---@return strata.SaveResult?
---@return string? message
---@return strata.errcode? code  as img:save
function jobs.save(args) end

--- Reads every byte and compares every digest; finds what breaks the rules of a policy.
---```lua
---local jobs = require "strata.jobs"
---for _, finding in ipairs(assert(jobs.check { path = "app.tar", policy = { root_user = false } }).findings) do
---  print(finding.rule)  --> root_user
---end
---```
---@param args strata.CheckArguments
---@return {id: string, findings: strata.PolicyFinding[]}?
---@return string? message
---@return strata.errcode? code  as img:verify
function jobs.check(args) end

--- Calls a function of a module of yours, under the deadline of the job, and gives what it gives. Any module that
--- `require` finds can be named, so the name is for the host to write, and never comes from a request.
---```lua
---package.preload["my.layers"] = function()
---  return function(args)
---    local img, message, code = require("strata").open(args.path)
---    if not img then return nil, message, code end
---    local count = #img.layers
---    img:close()
---    return { layers = count }
---  end
---end
---print(assert(require("strata.jobs").run("call", { module = "my.layers", args = { path = "app.tar" } })).layers)  --> 3
---```
---@param args strata.CallArguments
---@return table?
---@return string? message
---@return strata.errcode? code  those of the function; "EINVAL": it has failed
function jobs.call(args) end

--- Where two images differ. Rows are those of strata.diff; a JSON null is told as strata.null.
---```lua
---local jobs = require "strata.jobs"
---local facts = assert(jobs.diff { path = "app.tar", other = { path = "base.tar" } })
---print(facts.equal, facts.counts.files.removed > 0)  --> false  true
---```
---@param args strata.DiffArguments
---@return strata.DiffFacts?
---@return string? message
---@return strata.errcode? code
function jobs.diff(args) end

--- Removes a file: for large ones the kernel takes its time.
---```lua
---local jobs = require "strata.jobs"
---assert(jobs.remove { path = "site.tar" })
---```
---@param args strata.PathArguments
---@return {removed: boolean}?
---@return string? message
---@return strata.errcode? code  "ENOENT": there is no such file; "EIO": it stays
function jobs.remove(args) end

--- The jobs that there are.
---@alias strata.JobName "config"|"inspect"|"entries"|"list"|"read"|"fetch"|"edit"|"save"|"check"|"diff"|"remove"|"largest"|"paths"|"waste"|"index"|"digest"|"call"

--- What an index leads to.
---@class strata.IndexList
---@field manifests {digest: string, kind: "image"|"attestation"|"artifact", platform: string?, index: string?, missing: boolean?}[]

--- What is told of an image.
---@class strata.ImageFacts
---@field id string
---@field digest string?
---@field tags string[]
---@field platform string
---@field layers strata.LayerFacts[]
---@field history strata.HistoryFacts[]
---@field config table
---@field wasted integer?  bytes that no container sees; of inspect

--- What is told of a layer.
---@class strata.LayerFacts
---@field position integer
---@field diff_id string
---@field digest string?
---@field size integer  bytes as stored
---@field compression string
---@field media_type string
---@field created_by string?
---@field entries integer?  of inspect, as the next fields are
---@field bytes integer?  of content
---@field whiteouts integer?
---@field wasted integer?  bytes that no container sees

--- What is told of a row of the history.
---@class strata.HistoryFacts
---@field created string?
---@field created_by string?
---@field author string?
---@field comment string?
---@field empty_layer boolean
---@field layer integer?

--- What was written, and what the edits have to tell.
---@class strata.EditResult: strata.SaveResult
---@field dropped integer?  bytes of files that no container saw
---@field repaired strata.RepairReport?
---@field normalized strata.NormalizeReport?

--- Where two images differ: what strata.diff tells, as plain tables.
---@class strata.DiffFacts
---@field equal boolean
---@field semantic boolean
---@field a strata.DiffImage
---@field b strata.DiffImage
---@field files strata.DiffFile[]
---@field config strata.DiffValue[]
---@field history strata.DiffValue[]
---@field layers strata.DiffLayer[]
---@field counts table<"files"|"config"|"history"|"layers", strata.DiffCounts>  of all rows, whatever the limit

--- How many rows of a list there are of each kind.
---@class strata.DiffCounts
---@field added integer
---@field removed integer
---@field changed integer

--- A part of a list.
---@class strata.EntryPage
---@field entries strata.EntryFacts[]
---@field total integer  of all pages
---@field found integer?  of a directory: which of all has the name that was to be found

--- What is told of an entry.
---@class strata.EntryFacts
---@field path string
---@field type strata.EntryType
---@field mode integer
---@field uid integer
---@field gid integer
---@field size integer  bytes
---@field mtime number  seconds
---@field linkpath string?
---@field whiteout string?  of a layer: the path that it deletes
---@field opaque string?  of a layer: the directory that it hides what is below of
---@field name string?  of the merged file system
---@field layer integer?  of the merged file system: that has put it there
---@field links integer?  of the merged file system: names that the file has
---@field change string?  with `upto`: "added", "changed", "metadata" (mode, owner or time), "removed", "repeated" (the layer has it once more), "below" (it is from the layers below)
---@field inside string[]?  with `upto`: what else the layer does below it, of "added", "changed" and "removed"
---@field below boolean?  of no directory: something was below it that is gone

--- A part of all paths.
---@class strata.PathsPart
---@field text string  a line for each path: it with bytes as %XX, its type, size and layer, and "+" for what is seen, else "-", with tabs between
---@field next string?  what the next part is asked for by; nil at the end
---@field total integer  paths that are seen

--- A part of the files that no container sees.
---@class strata.WastePage
---@field paths strata.WastedFile[]
---@field total integer  of all pages
---@field bytes integer  of all of them
---@field efficiency number

--- What is told of a path.
---@class strata.FileFacts: strata.EntryFacts
---@field content string?  of a file
---@field history strata.PathFacts[]

--- What a layer has done to a path.
---@class strata.PathFacts
---@field action strata.PathAction
---@field layer integer
---@field created_by string?

return jobs
