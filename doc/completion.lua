--- Writes what completes the words of the command in a shell: lua5.4 doc/completion.lua bash|zsh
--
-- argparse can write such scripts, too. Theirs offer files for every value, and take a word that is called as a
-- subcommand for one wherever it stands.

local model = require "doc.command_model"

local completion = {}

local top = model.read()

local function names_of(commands)
  local names = {}
  for i, one in ipairs(commands) do names[i] = one.name:match("%S+$") end
  return names
end

local function each_option(one, fn)
  for _, group in ipairs(one.groups) do
    for _, option in ipairs(group.options) do fn(option) end
  end
end

-- ---- bash -----------------------------------------------------------------------------------------------------

local BASH = [=[
_strata() {
    local cur=${COMP_WORDS[COMP_CWORD]} word i command='' option='' position=0
    local options='' valued='' arguments='' commands='' kind='' words=''
    COMPREPLY=()
    _strata_takes ''
    for ((i = 1; i < COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        if [[ $word == : || ${COMP_WORDS[i - 1]} == : || $word == '=' ]]; then
            continue # bash has divided host:port, and --option=value
        elif [[ $option ]]; then
            option=
        elif [[ " $valued " == *" $word "* ]]; then
            option=$word
        elif [[ $word == -?* ]]; then
            continue
        elif [[ $commands ]]; then
            command="${command:+$command }$word"
            _strata_takes "$command" || return 0
        else
            position=$((position + 1))
        fi
    done
    [[ $cur == '=' ]] && cur=
    if [[ $option ]]; then
        _strata_value "$command $option"
    elif [[ $cur == -* ]]; then
        words=$options
    elif [[ $commands ]]; then
        words=$commands
    else
        for word in $arguments; do
            kind=${word%+}
            ((position-- == 0)) || [[ $word == *+ ]] && break
            kind=
        done
    fi
    case $kind in
    file) compopt -o default 2>/dev/null ;;
    directory) compopt -o dirnames 2>/dev/null ;;
    *) mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur") ;;
    esac
}

complete -F _strata strata]=]

local function arguments_of(one)
  local kinds = {}
  for i, argument in ipairs(one.arguments) do kinds[i] = model.kind(argument.name) .. (argument.many and "+" or "") end
  return table.concat(kinds, " ")
end

local function bash_takes(lines, one, name)
  local valued = {}
  each_option(one, function(option)
    for _, alias in ipairs(option.value and option.names or {}) do valued[#valued + 1] = alias end
  end)
  lines[#lines + 1] = ("    '%s')"):format(name)
  for _, set in ipairs {
    { "options", table.concat(model.option_names(one), " ") }, { "valued", table.concat(valued, " ") },
    { "arguments", arguments_of(one) },
    { "commands", table.concat(names_of(one.commands), " ") .. (one == top and " help" or "") },
  } do
    lines[#lines + 1] = ("        %s='%s'"):format(set[1], set[2])
  end
  lines[#lines + 1] = "        ;;"
  for _, inner in ipairs(one.commands) do bash_takes(lines, inner, inner.name) end
end

-- What the value of an option is, in bash; nil when it can be anything.
local function bash_value(option)
  if option.choices then return ("words='%s'"):format(table.concat(option.choices, " ")) end
  local kind = option.value and model.kind(option.value) or "other"
  return kind ~= "other" and ("kind='%s'"):format(kind) or nil
end

-- A line for each option whose value is known, or for each of the subcommands that disagree about it.
local function bash_values(lines)
  local order, uses = {}, {}
  model.each(top, function(one)
    each_option(one, function(option)
      local key = table.concat(option.names, " ")
      if not uses[key] then
        uses[key] = {}
        order[#order + 1] = key
      end
      table.insert(uses[key], { command = one.name, names = option.names, value = bash_value(option) })
    end)
  end)
  for _, key in ipairs(order) do
    local list, agreed = uses[key], true
    for _, use in ipairs(list) do agreed = agreed and use.value == list[1].value end
    for i = 1, agreed and 1 or #list do
      local patterns = {}
      for j, name in ipairs(list[i].names) do
        patterns[j] = agreed and "*' " .. name .. "'" or ("'%s %s'"):format(list[i].command, name)
      end
      if list[i].value then
        lines[#lines + 1] = ("    %s) %s ;;"):format(table.concat(patterns, " | "), list[i].value)
      end
    end
  end
end

function completion.bash()
  local lines = { "# Completion of strata for bash, written by doc/completion.lua of what the command takes.", "",
    "# What a subcommand takes: options, those that have a value, what its arguments are, and subcommands of its own.",
    "_strata_takes() {", "    case $1 in" }
  bash_takes(lines, top, "")
  local all = table.concat(names_of(top.commands), " ")
  lines[#lines + 1] = ("    'help') options='' valued='' arguments='' commands='%s' ;;"):format(all)
  lines[#lines + 1] = "    *) return 1 ;;\n    esac\n}\n"
  lines[#lines + 1] = "# What the value of an option is: one of some words, a path, or anything else."
  lines[#lines + 1] = "_strata_value() {\n    case $1 in"
  bash_values(lines)
  lines[#lines + 1] = "    esac\n}\n"
  lines[#lines + 1] = BASH
  return table.concat(lines, "\n") .. "\n"
end

-- ---- zsh ------------------------------------------------------------------------------------------------------

local function zsh_quoted(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

local ACTIONS = { file = "_files", directory = "_files -/", other = " " }

local function zsh_option(option)
  local text = option.text:gsub("%.$", ""):gsub("[%[%]\\:]", "\\%0")
  local value = option.value and (":%s:%s"):format(option.value:gsub(":", "\\:"), option.choices
    and "(" .. table.concat(option.choices, " ") .. ")" or ACTIONS[model.kind(option.value)]) or ""
  local specs = {}
  for i, name in ipairs(option.names) do
    local others = option.many and "*" or ("(%s)"):format(table.concat(option.names, " "))
    local equals = option.value and name:find("^%-%-") and "=" or ""
    specs[i] = zsh_quoted(("%s%s%s[%s]%s"):format(others, name, equals, text, value))
  end
  return table.concat(specs, " ")
end

local zsh_commands

local function zsh_arguments(lines, one, indent)
  lines[#lines + 1] = indent .. "_arguments -s -S \\"
  each_option(one, function(option) lines[#lines + 1] = ("%s  %s \\"):format(indent, zsh_option(option)) end)
  for i, argument in ipairs(one.arguments) do
    local spec = { argument.many and "*" or tostring(i), argument.name, ACTIONS[model.kind(argument.name)] }
    lines[#lines + 1] = ("%s  %s \\"):format(indent, zsh_quoted(table.concat(spec, ":")))
  end
  if not one.commands[1] then
    lines[#lines + 1] = indent .. "  && ret=0"
    return
  end
  lines[#lines + 1] = ("%s  '1:subcommand:_strata_commands%s' '*:: :->%s' && ret=0"):format(indent,
    one.name and "_" .. one.name or "", one.name or "top")
  lines[#lines + 1] = ("%sif [[ $state == %s ]]; then"):format(indent, one.name or "top")
  zsh_commands(lines, one.commands, indent .. "  ")
  lines[#lines + 1] = indent .. "fi"
end

function zsh_commands(lines, commands, indent)
  lines[#lines + 1] = indent .. "case $words[1] in"
  for _, one in ipairs(commands) do
    lines[#lines + 1] = ("%s%s)"):format(indent, one.name:match("%S+$"))
    zsh_arguments(lines, one, indent .. "  ")
    lines[#lines + 1] = indent .. "  ;;"
  end
  if commands == top.commands then
    lines[#lines + 1] = indent .. "help) _arguments '1:subcommand:_strata_commands' && ret=0 ;;"
  end
  lines[#lines + 1] = indent .. "esac"
end

local function zsh_described(lines, one)
  lines[#lines + 1] = ("_strata_commands%s() {"):format(one.name and "_" .. one.name or "")
  lines[#lines + 1] = "  local -a commands=("
  for _, inner in ipairs(one.commands) do
    local text = inner.summary ~= "" and inner.summary or inner.text
    lines[#lines + 1] = "    " .. zsh_quoted(("%s:%s"):format(inner.name:match("%S+$"), (text:gsub("%.$", ""))))
  end
  lines[#lines + 1] = "  )\n  _describe subcommand commands\n}\n"
  for _, inner in ipairs(one.commands) do
    if inner.commands[1] then zsh_described(lines, inner) end
  end
end

function completion.zsh()
  local lines = { "#compdef strata", "# Written by doc/completion.lua of what the command takes.", "" }
  zsh_described(lines, top)
  lines[#lines + 1] = "_strata() {\n  local curcontext=$curcontext state line ret=1\n  typeset -A opt_args"
  zsh_arguments(lines, top, "  ")
  lines[#lines + 1] = '  return ret\n}\n\n_strata "$@"'
  return table.concat(lines, "\n") .. "\n"
end

if arg and arg[0] and arg[0]:find("completion%.lua$") then io.write(completion[arg[1]]()) end

return completion
