--- Turns lua/strata/meta into what ldoc 1.4 understands: a page for each module and class of objects, with the types
-- of options and results that stand in the same file, and a page for each file that has such types alone.
--
-- lua5.4 doc/pages.lua DIRECTORY   writes ldoc's sources there

local luacats = require "doc.luacats"

local files, classes, aliases, functions = luacats.load("lua/strata/meta")

-- ---- what stands where ----------------------------------------------------------------------------------------

local function has_page(class)
  return class.parents[1] == "userdata" or functions[class.name] ~= nil
end

local function short(name)
  return name:match("^strata%.(.+)$") or name
end

-- The page of a file that has no module and no class of objects.
local function page_of_file(file)
  return { kind = "options", name = file.name:match("([^/]+)%.lua$"), file = file, items = {} }
end

local places = {} -- of classes and aliases: "classes/strata.Image.html", with an anchor when they are a part

local function find_pages(file)
  local pages, main = {}, nil
  for _, item in ipairs(file.items) do
    if item.kind == "class" and has_page(item) then
      local page = { kind = item.name == file.meta and "modules" or "classes", name = item.name, class = item,
                     file = file, items = {} }
      pages[#pages + 1] = page
      main = main or page
      places[item.name] = ("%s/%s.html"):format(page.kind, page.name)
    end
  end
  main = main or page_of_file(file)
  if not pages[1] then pages[1] = main end
  for _, item in ipairs(file.items) do
    local is_type = item.kind == "alias" or item.kind == "class" and not has_page(item)
    if is_type then
      main.items[#main.items + 1] = item
      -- ldoc's anchors for what a class has begin with the class.
      local anchor = (main.kind == "classes" and main.name .. "." or "") .. short(item.name)
      places[item.name] = ("%s/%s.html#%s"):format(main.kind, main.name, anchor)
    end
  end
  return pages
end

-- ---- text as HTML ---------------------------------------------------------------------------------------------

local ESCAPES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;" }

local function escape(text)
  return (text:gsub("[&<>]", ESCAPES))
end

local function prose(text)
  return (escape(text):gsub("`([^`]*)`", "<code>%1</code>"))
end

-- A type, with links to those that are declared. A "." at the end of a sentence is no part of a name.
local function linked(text)
  return (escape(text):gsub("strata[%w_%.]*%w", function(name)
    local place = places[name]
    return place and ('<a href="../%s">%s</a>'):format(place, short(name))
  end))
end

local function type_html(text)
  return ('<span class="type">%s</span>'):format(linked(text))
end

-- ---- ldoc's tags ----------------------------------------------------------------------------------------------

local Writer = {}
Writer.__index = Writer

function Writer:comment(text)
  for line in (text .. "\n"):gmatch("([^\n]*)\n") do
    self[#self + 1] = (self.fresh and "--- " or "-- ") .. line
    self.fresh = false
  end
end

function Writer:begin(text)
  self[#self + 1] = ""
  self.fresh = true
  local first, rest = text:match("^(.-)\n\n(.*)$")
  if first then text = first .. "\n<p>" .. rest:gsub("\n\n", "\n<p>") end
  self:comment(prose(text))
end

function Writer:field(name, type_text, optional, description)
  name = name:gsub("%.", "_dot_") -- which ldoc would take for a field of a field; doc/config.ld puts it back
  local mark = optional and " <em>optional</em>" or ""
  self:comment(("@field %s %s%s %s"):format(name, type_html(type_text), mark, prose(description)))
end

function Writer:fields(class)
  for _, field in ipairs(class.fields) do
    if field.name and not field.private then
      self:field(field.name, field.text, field.optional, field.description)
    end
  end
end

-- What is no field with a name.
local function more_of(class)
  local list = {}
  for _, parent in ipairs(class.parents) do
    if parent ~= "userdata" then list[#list + 1] = ("With the fields of %s."):format(type_html(parent)) end
  end
  for _, field in ipairs(class.fields) do
    if field.indexed then list[#list + 1] = ("An array of %s."):format(type_html(field.text)) end
  end
  for _, operator in ipairs(class.operators) do
    list[#list + 1] = ("Called: %s."):format(type_html(operator.text))
  end
  return table.concat(list, " ")
end

function Writer:record(item)
  self:begin(item.text)
  if item.kind == "class" then
    self:comment(more_of(item))
    self:comment("@table " .. short(item.name))
    self:fields(item)
    return
  end
  if item.type then self:comment(type_html(item.type.text)) end
  self:comment("@table " .. short(item.name))
  for _, value in ipairs(item.values) do
    self:comment(("@field %s %s"):format(value.type.name:match('^"(.*)"$'), prose(value.description)))
  end
end

-- Returns of the form T?, string? message, errcode? code are told as T, or nil, message, code.
local function is_fallible(item)
  local third = item.returns[3]
  return third ~= nil and third.text == "strata.errcode?"
end

local function failure()
  return (', or <code>nil, message, <a href="../%s">code</a></code>'):format(places["strata.errcode"])
end

function Writer:returns(item)
  local fallible = is_fallible(item)
  for i, one in ipairs(item.returns) do
    local text = one.text
    local is_message = fallible and (i == 3 or i == 2 and text == "string?" and one.description == "")
    if not is_message then
      local name = one.name and ("<em>%s</em> "):format(one.name) or ""
      local more = fallible and i == 1 and failure() or ""
      if more ~= "" then text = text:gsub("%?$", ""):gsub("^%((.*)%)$", "%1") end
      local description = one.description ~= "" and " " .. prose(one.description) or ""
      self:comment(("@return %s%s%s%s"):format(name, type_html(text), description, more))
    end
  end
end

function Writer:method(item, class)
  self:begin(item.text)
  for _, param in ipairs(item.params) do
    self:comment(("@param%s %s %s %s"):format(param.optional and "[opt]" or "", param.name, type_html(param.text),
      prose(param.description)))
  end
  self:returns(item)
  self[#self + 1] = ("function %s%s%s(%s) end"):format(class.variable, item.method and ":" or ".", item.name,
    table.concat(item.args, ", "))
end

local TITLES = {
  append = "What the options of a new layer are told and give.",
  check = "What readers differ about.",
  common = "Codes of errors, and what many functions take.",
  diff = "Where two images differ.",
  extract = "What was extracted to a directory.",
  options = "The options of every function and method.",
  operations = "What operations on the layers of an image have done.",
  save = "What was saved.",
}

local function page_text(page)
  local out = setmetatable({ fresh = true }, Writer)
  if not page.class then
    out:comment(TITLES[page.name] or error(page.name .. " has no title in doc/pages.lua"))
    out:comment("@script " .. page.name)
  else
    out:begin(page.class.text)
    out:comment((page.kind == "modules" and "@module " or "@classmod ") .. page.name)
    if page.class.fields[1] then
      out:begin("What it has, besides " .. (page.kind == "modules" and "functions." or "methods."))
      out:comment("@object " .. short(page.name))
      out:fields(page.class)
    end
    for _, item in ipairs(page.file.items) do
      if item.kind == "function" and item.class == page.name and not item.private then
        out:method(item, page.class)
      end
    end
  end
  for _, item in ipairs(page.items) do out:record(item) end
  return table.concat(out, "\n") .. "\n"
end

-- ---- all of it ------------------------------------------------------------------------------------------------

local directory = assert(arg[1], "where to?")

local pages = {}
for _, file in ipairs(files) do
  for _, page in ipairs(find_pages(file)) do pages[#pages + 1] = page end
end
for _, page in ipairs(pages) do
  local out = assert(io.open(("%s/%s.lua"):format(directory, page.name), "wb"))
  assert(out:write(page_text(page)))
  assert(out:close())
end
assert(next(classes) and next(aliases), "lua/strata/meta declares nothing")
