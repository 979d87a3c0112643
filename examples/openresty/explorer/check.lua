--- Admission: whether an image keeps the rules of policy.lua.

local body = require "explorer.body"
local policy = require "policy"
local reply = require "explorer.reply"
local service = require "explorer.service"
local text = require "explorer.text"

local check = {}

--- POST /check: 200 when every digest is right and every rule is kept, else 422.
function check.run()
  local path, ours = body.file()
  local surgery = service.surgery()
  local result, message, code = surgery:run("check", { path = path, policy = policy, keep = false })
  if ours then os.remove(path) end
  if not result then
    local name = ngx.req.get_uri_args(20).name
    local file = path:match("[^/]*$"):gsub("%p", "%%%0")
    name = type(name) == "string" and name:gsub("%%", "%%%%") or "the file"
    return reply.fail((message:gsub("%S*" .. file, name)), code)
  end
  for _, finding in ipairs(result.findings) do
    if finding.path then finding.path = text.encode(finding.path) end
  end
  return reply.json(#result.findings == 0 and 200 or 422, result)
end

return check
