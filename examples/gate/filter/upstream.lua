--- Asking an upstream registry, with the rights of the client: by subrequests, which nginx passes on.

local upstream = {}

-- Without all of them a registry says that there is no such manifest, or gives another one.
local ACCEPT = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, " ..
  "application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json"

-- The registry behind makes the addresses that it sends clients to by the name of the gate.
local function host_for(from)
  return from.name == "behind" and ngx.var.http_host or from.host
end

local function ask(from, path, method)
  return ngx.location.capture("/filter/ask", {
    method = method,
    vars = { filter_base = from.base, filter_host = host_for(from), filter_path = path, filter_accept = ACCEPT },
  })
end

--- A header of what an upstream has answered; registries spell them as they like.
---@param answer {header: table}
---@param name string
---@return string?
function upstream.header(answer, name)
  for key, value in pairs(answer.header) do
    if key:lower() == name then return type(value) == "table" and value[1] or value end
  end
  return nil
end

--- What an upstream says about a manifest: its status, and its digest now. A registry that does not answer is 502.
---@param from filter.Upstream
---@param repository string
---@param reference string
---@return integer status
---@return string? digest
---@return string? challenge  how to log in there
function upstream.head(from, repository, reference)
  local answer = ask(from, ("/v2/%s/manifests/%s"):format(repository, reference), ngx.HTTP_HEAD)
  local digest = upstream.header(answer, "docker-content-digest")
  local is_digest = type(digest) == "string" and #digest == 71 and digest:find("^sha256:[0-9a-f]+$")
  if answer.status == 200 and not is_digest then return 502 end
  return answer.status, digest, upstream.header(answer, "www-authenticate")
end

--- The tags of a repository, as the upstream gives them.
---@param from filter.Upstream
---@param repository string
---@return {status: integer, body: string, header: table}
function upstream.tags(from, repository)
  local query = ngx.var.args and "?" .. ngx.var.args or ""
  return ask(from, ("/v2/%s/tags/list%s"):format(repository, query), ngx.HTTP_GET)
end

--- Sends a blob as the upstream has it; does not return.
---@param from filter.Upstream
---@param repository string
---@param digest string
function upstream.send_blob(from, repository, digest)
  ngx.var.filter_base, ngx.var.filter_host = from.base, host_for(from)
  ngx.var.filter_path = ("/v2/%s/blobs/%s"):format(repository, digest)
  return ngx.exec("/filter/blob")
end

-- ---- rights --------------------------------------------------------------------------------------------

-- For so long an upstream is not asked again whether a client may read a repository.
local SECONDS = 60

local function key_of(from, repository, auth)
  return ("may:%s/%s:%s"):format(from.name, repository, ngx.encode_base64(ngx.sha1_bin(auth)))
end

--- Notes that the upstream has let this client read a repository.
---@param from filter.Upstream
---@param repository string
function upstream.note_right(from, repository)
  local auth = ngx.var.http_authorization or ""
  local rights = ngx.shared.filter_rights
  rights:set(key_of(from, repository, auth), true, SECONDS)
  if auth == "" then rights:set(("public:%s/%s"):format(from.name, repository), true) end
end

--- Whether nobody has to log in to read a repository, as far as is known.
---@param from filter.Upstream
---@param repository string
---@return boolean
function upstream.is_public(from, repository)
  return ngx.shared.filter_rights:get(("public:%s/%s"):format(from.name, repository)) == true
end

--- Whether this client may read what an image was made from: the status that the upstream gives it, or gave a moment
--- ago. An upstream that does not answer forbids nothing that everybody could read.
---@param from filter.Upstream
---@param record filter.Record
---@return integer status
---@return string? challenge
function upstream.may_read(from, record)
  local source = record.source
  local rights = ngx.shared.filter_rights
  if rights:get(key_of(from, source.repository, ngx.var.http_authorization or "")) then return 200 end
  local status, _, challenge = upstream.head(from, source.repository, source.digest)
  if status == 200 then upstream.note_right(from, source.repository) end
  local is_gone = status == 502 or status == 504
  if is_gone and (record.public or upstream.is_public(from, source.repository)) then return 200 end
  return status, challenge
end

-- ---- jobs ----------------------------------------------------------------------------------------------

-- The credentials of the client, as the client of registries takes them: those of others are never used.
local function credentials()
  local auth = ngx.var.http_authorization or ""
  local token = auth:match("^[Bb][Ee][Aa][Rr][Ee][Rr] +(%S+)$")
  if token then return { token = token } end
  local text = ngx.decode_base64(auth:match("^[Bb][Aa][Ss][Ii][Cc] +(%S+)$") or "") or ""
  local username, password = text:match("^([^:]*):(.*)$")
  return username and { username = username, password = password } or false
end

--- The options of the client of registries for jobs of this request.
---@param from filter.Upstream
---@return strata.RegistryOptions
function upstream.options(from)
  return {
    credentials = { [from.host] = credentials() }, retries = 2, system = false,
    hosts = { [from.host] = { plain = from.plain, ca = from.ca } },
  }
end

--- A reference by a digest, for jobs.
---@param from filter.Upstream
---@param repository string
---@param digest string
---@return string
function upstream.reference(from, repository, digest)
  return ("docker://%s/%s@%s"):format(from.host, repository, digest)
end

return upstream
