--- Sessions that documents show, typed at a terminal. "…" stands for anything; empty lines do not count.

local terminal = require "spec.support.terminal"

local repl_session = {}

local function is_like(shown, output)
	local pattern = shown:gsub("\n…\n", "\1"):gsub("…", "\1"):gsub("[%^%$%(%)%%%.%[%]%*%+%-%?]", "%%%0"):gsub("\1", ".*")
	return output:find("^" .. pattern .. "$") ~= nil
end

--- Types a session, and throws where the answers are others than those that are shown.
---@param text string  "$ command", then lines that begin with a prompt, each with its answer
---@param argv string[]  what runs the command
---@param env table<string, string>
---@return string command  what stands behind the $
---@return integer lines  that were typed
function repl_session.play(text, argv, env)
	local command, rest = text:match("^%$ ([^\n]*)\n(.*)$")
	local typed, shown = {}, {}
	for line in rest:gmatch("[^\n]+") do
		local code = line:match("^>>? (.*)$")
		if code then
			typed[#typed + 1] = code
			shown[#typed] = ""
		else
			shown[#typed] = shown[#typed] .. line .. "\n"
		end
	end
	local answers, status = terminal.run({ argv = argv, steps = typed, env = env, columns = 200 })
	assert(status == 0, "the session ended with status " .. status)
	for i, code in ipairs(typed) do
		local answer = answers[i + 1]:gsub("\n+", "\n")
		if not is_like(shown[i], answer) then
			error(("%s\nshould give\n%sand gives\n%s"):format(code, shown[i], answer), 2)
		end
	end
	return command, #typed
end

return repl_session
