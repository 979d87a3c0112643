--- What may stand in a string: paths of an image, files of this machine, names that an object has, and the words that
-- an option takes.

local core = require "strata.core"
local help_text = require "strata.util.help_text"
local json = require "strata.util.json"
local values = require "strata.command.repl.values"

local strings = {}

-- Names with other characters would have to be written with escapes.
local function is_plain(name)
  return not name:find("[%c\\\"'\127-\255]") or (not name:find("[%c\\\"']") and core.quote(name) == "'" .. name .. "'")
end

-- ---- paths ----------------------------------------------------------------------------------------------------

local MOST = 500

-- The items of a sorted list whose names begin so, found by halves. Of very many there are the first ones and the last
-- one, which tell what all of them begin with.
local function some_of(count, name_of, begun, take)
  local function first_from(low, is_behind)
    local high = count + 1
    while low < high do
      local middle = math.floor((low + high) / 2)
      if is_behind(name_of(middle)) then high = middle else low = middle + 1 end
    end
    return low
  end
  local first = first_from(1, function(name) return not json.before(name, begun) end)
  local last = first_from(first, function(name) return name:sub(1, #begun) ~= begun end) - 1
  local rows = {}
  for i = first, last do
    if i - first < MOST or i == last then rows[#rows + 1] = take(i) end
  end
  return rows
end

-- Each of these gives the children of a directory whose names begin so, and which of them are directories themselves.
local function of_rootfs(root, directory, begun)
  local names = root:list(directory) or {}
  return some_of(#names, function(i) return names[i] end, begun, function(i)
    local entry = root:lstat((directory .. "/" .. names[i]):gsub("^/+", ""))
    return { name = names[i], is_dir = entry ~= nil and entry.type == "dir" }
  end)
end

local function of_layer(layer, directory, begun)
  local function row(i) return layer:list(directory, i - 1, 1).rows[1] end
  local page = layer:list(directory, 0, 1)
  return some_of(page and page.total or 0, function(i) return row(i).name end, begun, function(i)
    local one = row(i)
    return { name = one.name, is_dir = one.below or one.entry ~= nil and one.entry.type == "dir" }
  end)
end

local function of_disk(_, directory, begun)
  local dir = core.open_dir(directory == "" and "." or directory)
  local names = dir and dir:list() or {}
  local rows = some_of(#names, function(i) return names[i] end, begun, function(i)
    local stat = dir:stat(names[i])
    return { name = names[i], is_dir = stat ~= nil and stat.type == "dir" }
  end)
  if dir then dir:close() end
  return rows
end

-- Paths that begin as what is typed. Names that begin with a dot have to be begun with it.
local function paths(list, from, typed)
  local directory, begun = typed:match("^(.-)([^/]*)$")
  local found = {}
  for _, row in ipairs(list(from, directory == "/" and "/" or (directory:gsub("(.)/+$", "%1")), begun)) do
    local hidden = row.name:sub(1, 1) == "." and begun == ""
    if not hidden and is_plain(row.name) then
      found[#found + 1] = { text = directory .. row.name .. (row.is_dir and "/" or ""), more = row.is_dir }
    end
  end
  return found
end

-- The merged tree of an image that is here; that of one in a registry would be fetched.
local function root_of(img, memo)
  local path = img.path
  if type(path) == "string" and path:find("^docker://") then return nil end
  memo[img] = memo[img] or (img:rootfs())
  return memo[img]
end

local function image_paths(of, typed, memo)
  local value = of and of.value
  if value == nil then return {} end
  if of.class == "strata.Rootfs" then return paths(of_rootfs, value, typed) end
  if of.class == "strata.Layer" then return paths(of_layer, value, typed) end
  local root = of.class == "strata.Image" and root_of(value, memo)
  return root and paths(of_rootfs, root, typed) or {}
end

local function disk_paths(_, typed)
  return paths(of_disk, nil, typed)
end

-- ---- names ----------------------------------------------------------------------------------------------------

local function some(names, typed)
  local found = {}
  for _, name in ipairs(names) do
    if name:sub(1, #typed) == typed and is_plain(name) then found[#found + 1] = { text = name } end
  end
  return found
end

-- A function that gives the names which `list` gives of a value.
local function names(list)
  return function(of, typed)
    if not of or of.value == nil then return {} end
    return some(list(of.value) or {}, typed)
  end
end

local env_names = names(function(config)
  local list = {}
  for _, text in ipairs(config.Env or {}) do list[#list + 1] = text:match("^[^=]*") end
  return list
end)

local function keys_of(field)
  return names(function(value) return json.keys(value[field] or {}) end)
end

-- Pointers into a document, one part after the other.
local function pointers(of, typed)
  if not of or of.value == nil then return {} end
  local parent, begun = typed:match("^(.*)/([^/]*)$")
  if not parent then return typed == "" and { { text = "/", more = true } } or {} end
  local value = parent == "" and of.value:totable() or of.value:get(parent)
  local found = {}
  for key, inner in next, type(value) == "table" and value or {} do
    local part = type(key) == "number" and tostring(key - 1) or key:gsub("~", "~0"):gsub("/", "~1")
    if part:sub(1, #begun) == begun and is_plain(part) then
      local more = type(inner) == "table"
      found[#found + 1] = { text = parent .. "/" .. part .. (more and "/" or ""), more = more }
    end
  end
  table.sort(found, function(a, b) return json.before(a.text, b.text) end)
  return found
end

-- What strata.help has a text for.
local function help_names(_, typed)
  local list, seen = {}, {}
  local function add(name)
    if not seen[name] then list[#list + 1] = name end
    seen[name] = true
  end
  for class, text in pairs(help_text) do
    add((class:gsub("^strata%.", "")))
    for _, rows in ipairs { text.functions, text.fields } do
      for _, row in ipairs(rows) do add(row[1]) end
    end
  end
  return some(json.sort(list), typed)
end

-- By class and function, then by class and parameter: where strings come from.
local BY_FUNCTION = {
  ["strata.Config"] = {
    get_env = env_names, set_env = env_names, remove_env = env_names, get_label = keys_of "Labels",
    set_label = keys_of "Labels", remove_label = keys_of "Labels", remove_port = keys_of "ExposedPorts",
    remove_volume = keys_of "Volumes", add_volume = image_paths, get = pointers, set = pointers,
    each = names(function(config) return values.keys(values.known(config)) end),
  },
  ["strata.Image"] = {
    untag = names(function(img) return img.tags end), remove_annotation = keys_of "annotations",
    set_annotation = keys_of "annotations",
  },
  ["strata.Layer"] = { remove_annotation = keys_of "annotations", set_annotation = keys_of "annotations" },
  strata = { help = help_names },
}
local BY_PARAMETER = {
  ["strata.Image"] = { path = image_paths },
  ["strata.Layer"] = { path = image_paths, directory = image_paths },
  ["strata.Rootfs"] = { path = image_paths, pattern = image_paths },
  strata = {
    from = disk_paths, to = disk_paths, layout = disk_paths, path = disk_paths, a = disk_paths, b = disk_paths,
    name = help_names,
  },
}
-- In every class.
local PARAMETERS = { what = disk_paths, dir = disk_paths }
local OPTIONS = {}
for name in ("dir tar archive lower upper overlay_upper temp_dir path ca cert key"):gmatch("%S+") do
  OPTIONS[name] = disk_paths
end

--- What may stand in a string.
---@param place {fn?: strata.repl.Known, first?: boolean, parameter?: string, option?: string, kind?: string}
---  the function that the string is for and the parameter, or the option, and the type that it has there
---@param typed string  the beginning of it
---@param memo table  what has been worked out is kept there
---@return {text: string, more?: boolean}[]  more: it may go on, and is not to be closed
function strings.candidates(place, typed, memo)
  local words = {}
  for word in (place.kind or ""):gmatch('"([^"]*)"') do words[#words + 1] = word end
  if #words > 0 then return some(words, typed) end
  local of = place.fn and place.fn.of or nil
  local class, kind = of and of.class, place.kind or ""
  local source
  if kind:find("strata.Which", 1, true) or kind:find("strata.Paths", 1, true) then
    source = image_paths
  elseif place.option then
    source = OPTIONS[place.option]
  elseif place.fn then
    source = place.first and (BY_FUNCTION[class] or {})[place.fn.fn[1]]
      or (BY_PARAMETER[class] or {})[place.parameter] or PARAMETERS[place.parameter]
  end
  local ok, found = pcall(source or function() return {} end, of, typed, memo)
  return ok and found or {}
end

return strings
