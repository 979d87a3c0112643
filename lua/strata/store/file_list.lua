--- What an archive or a directory consists of, with the hash of each file.

local core = require "strata.core"
local json = require "strata.util.json"
local printed = require "strata.util.printed"
local run_job = require("strata.util.job").run

local file_list = {}

--- Lists and hashes every member.
---@param store strata.ArchiveStore|strata.DirectoryStore
---@param roles table<string, string>  by name
---@return strata.ListedFile[]?
---@return string? message
---@return string? code
function file_list.files(store, roles)
  local contents, message, code = store:contents()
  if not contents then return nil, message, code end
  local list, job, hashed = {}, core.job(), {}
  for i, one in ipairs(contents) do
    list[i] = { name = one.name, type = one.type, size = one.size, linkpath = one.linkpath,
                role = roles[one.name] }
    if one.type == "file" then
      local file = one.file
      if not file then
        file, message, code = store.dir:open(one.name)
        if not file then return nil, message, code end
      end
      job:hash { label = json.printable(one.name, 200), file = file, offset = one.offset or 0, size = one.size }
      if not one.file then file:close() end -- the job holds on to it
      hashed[#hashed + 1] = list[i]
    end
  end
  local ok
  ok, message, code = run_job(job)
  if not ok then return nil, message, code end
  for i, row in ipairs(hashed) do row.digest = job:task(i).digest end
  job:close()
  return printed.list(list, printed.file)
end

return file_list
