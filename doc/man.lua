--- Writes the man page of the command, of what its parser knows: lua5.4 doc/man.lua >strata.1

local model = require "doc.command_model"
local core = require "strata.core"

local man = {}

local top = model.read()
local lines

local WIDTH = 78

-- Lines of text, none of them longer than it has to be: roff fills them anew.
local function wrapped(text)
  local made, line = {}, ""
  for word in text:gmatch("%S+") do
    if line ~= "" and #line + #word >= WIDTH then
      made[#made + 1] = line
      line = word:find("^[.']") and "\\&" .. word or word
    else
      line = line == "" and word or line .. " " .. word
    end
  end
  made[#made + 1] = line
  return table.concat(made, "\n")
end

-- Adds lines of roff, and of text.
local function add(...)
  for i = 1, select("#", ...) do
    for line in (select(i, ...)):gmatch("[^\n]+") do
      lines[#lines + 1] = line:find("^%.") and line or wrapped(line)
    end
  end
end

-- Text as roff takes it, where nothing of it is a command.
local function plain(text)
  return (text:gsub("\\", "\\e"):gsub("%-", "\\-"):gsub("^([.'])", "\\&%1"):gsub("\n([.'])", "\n\\&%1"))
end

local function bold(text) return "\\fB" .. plain(text) .. "\\fR" end
local function italic(text) return "\\fI" .. plain(text) .. "\\fR" end

local function heading(text) add(".SH " .. plain(text:upper())) end

-- "strata rm [OPTION ...] IMAGE": words of the command bold, what stands for something else italic.
local function usage(text)
  local shown = {}
  for word in text:gmatch("%S+") do
    local before, name, after = word:match("^([%[%(]*)([%w_%-./=]*)(.*)$")
    local is_value = name:find("^%u") ~= nil
    shown[#shown + 1] = plain(before) .. (name == "" and "" or (is_value and italic or bold)(name)) .. plain(after)
  end
  return table.concat(shown, " ")
end

-- The name of an option. It is not divided at the end of a line, or nobody could search for it.
local function option_name(name) return "\\%" .. bold(name) end

local function option_line(option)
  local names = {}
  for i, name in ipairs(option.names) do
    names[i] = option_name(name) .. (option.value and " " .. italic(option.value) or "")
  end
  return table.concat(names, ", ")
end

local function option_text(option)
  local parts = { plain(option.text) }
  if option.choices then parts[#parts + 1] = "One of: " .. plain(table.concat(option.choices, ", ")) .. "." end
  if option.many then parts[#parts + 1] = "May be given several times." end
  return table.concat(parts, "\n")
end

local function add_option(option)
  add(".TP", option_line(option), option_text(option))
end

-- What tells an option from another one of the same name.
local function key_of(option)
  return option_line(option) .. "\n" .. option_text(option)
end

-- ---- options that many subcommands have -----------------------------------------------------------------------

local COMMON = 6

-- By key: whether so many have it; and the groups of those, in order.
local function common_options()
  local counts, is_common, groups, by_name = {}, {}, {}, {}
  model.each(top, function(one)
    for _, group in ipairs(one.groups) do
      for _, option in ipairs(group.options) do
        local key = key_of(option)
        counts[key] = (counts[key] or 0) + 1
        if counts[key] == COMMON then
          is_common[key] = true
          if not by_name[group.name] then
            by_name[group.name] = { name = group.name, options = {} }
            groups[#groups + 1] = by_name[group.name]
          end
          table.insert(by_name[group.name].options, option)
        end
      end
    end
  end)
  return is_common, groups
end

local function add_subcommand(one, is_common)
  local common = {}
  add((".SS %s"):format(plain(one.name)), usage(one.usage), ".PP", plain(one.text ~= "" and one.text or one.summary))
  for _, argument in ipairs(one.arguments) do
    if not argument.text:find("^The images?:") then -- told above
      add(".TP", italic(argument.name) .. (argument.many and " \\&..." or ""), plain(argument.text))
    end
  end
  for _, group in ipairs(one.groups) do
    for _, option in ipairs(group.options) do
      if is_common[key_of(option)] then common[#common + 1] = option_name(option.names[#option.names])
      else add_option(option) end
    end
  end
  if common[1] then add(".PP", "Common options: " .. table.concat(common, ", ") .. ".") end
  if one.example then
    add(".PP", "Example:", ".PP", ".RS 4", ".EX")
    lines[#lines + 1] = plain(one.example) -- as it is
    add(".EE", ".RE")
  end
end

-- ---- the rest -------------------------------------------------------------------------------------------------

local PLACES = {
  { "a file", "an archive of docker save, of any age and by any tool, or of an OCI layout, also compressed" },
  { "a directory", "an OCI layout, or what skopeo writes as dir:" },
  { "-", "standard input; as a target, standard output" },
  { "docker://HOST/NAME:TAG", "an image of a registry; what docker login or podman login has stored is used" },
}
local STATUS = {
  { "0", "success" },
  { "1", "findings, differences, or a policy that does not pass" },
  { "2", "misuse or failure; the message is on standard error" },
}
local ENVIRONMENT = {
  { "NO_COLOR", "no colours, when it is set and not empty" },
  { "SOURCE_DATE_EPOCH", "the time that normalize takes for later ones when none is given" },
  { "TMPDIR", "where temporary files go; /tmp when it is not set" },
  { "DOCKER_CONFIG, REGISTRY_AUTH_FILE", "where credentials for registries are" },
  { "STRATA_DEBUG", "has errors shown with a stack trace" },
}

local function add_list(list)
  for _, one in ipairs(list) do add(".TP", bold(one[1]), plain(one[2]) .. ".") end
end

--- The page.
---@return string
function man.page()
  lines = {}
  local date = os.date("!%Y-%m-%d", tonumber(os.getenv "SOURCE_DATE_EPOCH") or os.time())
  add([[.\" Written by doc/man.lua of what the parser of the command knows.]])
  add((".TH STRATA 1 \"%s\" \"strata %s\" \"User Commands\""):format(date, plain(core._VERSION)))
  heading "name"
  add("strata \\- surgery on container images")
  heading "synopsis"
  add(usage(top.usage))
  heading "description"
  add(plain("strata opens container images, shows what is in them, changes files, layers and settings, and writes "
    .. "them again, without a daemon and without unpacking them.\n"
    .. "What an edit does not concern stays byte for byte as it was."), ".PP", italic "IMAGE" .. " is one of:")
  add_list(PLACES)
  local is_common, groups = common_options()
  heading "subcommands"
  for _, one in ipairs(top.commands) do
    add_subcommand(one, is_common)
    model.each(one, function(inner) add_subcommand(inner, is_common) end)
  end
  heading "common options"
  for _, group in ipairs(groups) do
    add(".SS " .. plain(group.name))
    for _, option in ipairs(group.options) do add_option(option) end
  end
  add(".SS Of the command itself")
  for _, option in ipairs(top.groups[1].options) do
    if not is_common[key_of(option)] then add_option(option) end
  end
  heading "exit status"
  add_list(STATUS)
  heading "environment"
  add_list(ENVIRONMENT)
  heading "files"
  add_list { { "$XDG_STATE_HOME/strata/history",
    "what was typed at strata repl; ~/.local/state is taken when XDG_STATE_HOME is not set" } }
  heading "see also"
  add("\\fBdocker\\fR(1), \\fBpodman\\fR(1), \\fBskopeo\\fR(1), \\fBlua\\fR(1)")
  return table.concat(lines, "\n") .. "\n"
end

if arg and arg[0] and arg[0]:find("man%.lua$") then io.write(man.page()) end

return man
