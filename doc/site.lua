--- Renders README and the documents of this directory as a site: lua5.4 doc/site.lua DIRECTORY
--
-- mkdocs wants all pages in one directory. Links that lead from README into doc/, and from doc/ to what stands beside
-- it, are written anew for that; what is no page of the site keeps its text and loses its link. A page that the
-- navigation in doc/mkdocs.yml does not have, or a link to nothing, is an error.

local site = {}

local BESIDE = { "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md" }

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

local function write(path, text)
  local file = assert(io.open(path, "wb"))
  assert(file:write(text))
  assert(file:close())
end

local function quoted(word)
  return "'" .. word:gsub("'", "'\\''") .. "'"
end

local function lines_of(command)
  local pipe, list = assert(io.popen(command)), {}
  for line in pipe:lines() do list[#list + 1] = line end
  pipe:close()
  return list
end

--- The text of a page with the links that it has on the site.
---@param text string
---@param from string  the directory that the page is in: "" or "doc/"
---@param pages table<string, string>  names on the site by paths
---@return string
function site.page(text, from, pages)
  return (text:gsub("(!?)%[([^%]\n]*)%]%(([^)%s]+)%)", function(mark, words, target)
    local path, anchor = target:match("^([^#]*)(#?.*)$")
    if path == "" or path:find("^%a+:") then return nil end
    path = (from .. path):gsub("[^/]+/%.%./", "")
    local name = pages[path]
    if name then return ("%s[%s](%s%s)"):format(mark, words, name, anchor) end
    return mark == "" and words or nil
  end))
end

-- The files of the site by their paths: documents, and what they show.
local function all_pages()
  local pages = { ["README.md"] = "index.md" }
  for _, path in ipairs(BESIDE) do pages[path] = path end
  for _, name in ipairs(lines_of("ls doc")) do
    if name:find("%.md$") or name:find("%.png$") then pages["doc/" .. name] = name end
  end
  return pages
end

--- Writes the site into a directory, which is removed before.
---@param directory string
---@return boolean ok
function site.render(directory)
  local stage = directory .. ".pages"
  local made = os.execute(("rm -rf %s %s && mkdir -p %s"):format(quoted(directory), quoted(stage),
    quoted(stage .. "/pages")))
  assert(made == true or made == 0, "no directory for the pages")
  local pages = all_pages()
  for path, name in pairs(pages) do
    local text = read(path)
    if name:find("%.md$") then text = site.page(text, path:match("^doc/") or "", pages) end
    write(stage .. "/pages/" .. name, text)
  end
  write(stage .. "/pages/site.css", read("doc/site.css"))
  write(stage .. "/mkdocs.yml", read("doc/mkdocs.yml"))
  -- The directory has to be absolute: mkdocs goes by the place of its configuration.
  local here = directory:find("^/") and "" or lines_of("pwd")[1] .. "/"
  local done = os.execute(("mkdocs --quiet build --strict -f %s -d %s"):format(quoted(stage .. "/mkdocs.yml"),
    quoted(here .. directory)))
  os.execute("rm -rf " .. quoted(stage))
  return done == true or done == 0
end

if not ... or arg and arg[0] and arg[0]:find("site%.lua$") then
  local found = os.execute("command -v mkdocs >/dev/null")
  if not (found == true or found == 0) then
    io.stderr:write("make doc needs mkdocs: apt install mkdocs python3-pygments\n")
    os.exit(1)
  end
  os.exit(site.render(assert(arg[1], "where to?")) and 0 or 1)
end

return site
