--- Programs on a terminal of their own, and somebody who types.

local cjson = require "cjson"
local python = require "spec.support.python"

local terminal = {}

---@class spec.Step
---@field send string
---@field wait string  a pattern of Python's that what comes back ends with
---@field pause? number  seconds before it is sent

---@class spec.Session
---@field argv string[]
---@field steps (string|spec.Step)[]  a string is a line, after which a prompt is waited for
---@field env? table<string, string>
---@field wait? string  what the output ends with before the first step. Default: a prompt
---@field ending? string  what is typed in the end. Default: Ctrl-D
---@field rows? integer
---@field columns? integer

--- Runs a program: what it answered before the first step, after each, and after the last; and its status.
---@param session spec.Session
---@return string[] answers  without the line that was typed
---@return integer status
function terminal.run(session)
	local steps = {}
	for i, step in ipairs(session.steps) do
		steps[i] = type(step) == "string" and { send = step .. "\r" } or step
	end
	local env = { TERM = "dumb", INPUTRC = "/dev/null", LC_ALL = "C.UTF-8" }
	for name, value in pairs(session.env or {}) do
		env[name] = value
	end
	local answer = cjson.decode(python.script("terminal.py", {}, cjson.encode({
		argv = session.argv, env = env, steps = steps, wait = session.wait, ending = session.ending,
		rows = session.rows or 24, columns = session.columns or 80,
	})))
	for i, step in ipairs(session.steps) do
		if type(step) == "string" then
			answer.answers[i + 1] = answer.answers[i + 1]:gsub("^.-\n", "", 1):gsub(">>? $", "")
		end
	end
	return answer.answers, answer.status
end

return terminal
