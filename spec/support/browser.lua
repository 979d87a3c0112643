--- A headless Chromium, driven by the WebDriver protocol.

local cjson = require("cjson").new()
local nginx = require "spec.support.nginx"
local shell = require "spec.support.shell"

local browser = {}

local ELEMENT = "element-6066-11e4-a52e-4f735466cecf"

--- WebDriver's names for keys.
browser.KEYS = {
	Enter = "\238\128\135",
	Tab = "\238\128\132",
	End = "\238\128\144",
	Home = "\238\128\145",
	Left = "\238\128\146",
	Up = "\238\128\147",
	Right = "\238\128\148",
	Down = "\238\128\149",
	PageDown = "\238\128\143",
	Space = " ",
}

---@class spec.Browser
local Session = {}
Session.__index = Session

---@return string|nil reason
function browser.missing()
	if not shell.which("chromium") or not shell.which("chromedriver") then
		return "chromium or chromium-driver is not installed"
	end
	return nil
end

local function request(self, method, path, value)
	local done = shell.run({
		"curl", "-s", "--max-time", "60", "-X", method, "-H", "Content-Type: application/json",
		self.driver .. path,
		value and "--data-binary" or nil,
		value and "@-" or nil,
		input = value and cjson.encode(value),
	})
	local ok, answer = pcall(cjson.decode, done.stdout)
	if not ok then
		error("no answer from chromedriver: " .. done.stdout, 0)
	end
	answer = answer.value
	if type(answer) == "table" and answer.error then
		error(answer.error .. ": " .. tostring(answer.message), 0)
	end
	return answer
end

local function call(self, method, path, value)
	return request(self, method, "/session/" .. self.id .. path, value)
end

--- Starts one with its own profile in a directory; what it downloads goes there, too.
---@param dir spec.Dir
---@return spec.Browser
function browser.start(dir)
	local port = 10000 + math.random(9999)
	local script = ("exec 2>/dev/null; chromedriver --port=%d --log-path=%s >/dev/null </dev/null & pid=$!; "
		.. "cat >/dev/null; kill $pid; wait $pid"):format(port, shell.quote(dir:file("chromedriver.log")))
	local self = setmetatable({
		driver = "http://127.0.0.1:" .. port,
		pipe = assert(io.popen(script, "w")),
		downloads = dir:file("downloads"),
	}, Session)
	nginx.wait("chromedriver", 20, function()
		return shell.run({ "curl", "-s", "-f", self.driver .. "/status" }).status == 0
	end)
	local options = {
		args = {
			"--headless=new", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run",
			"--disable-background-networking", "--user-data-dir=" .. dir:file("profile"), "--window-size=1280,800",
			-- Chromium's sandbox refuses to be started by root.
			shell.check({ "id", "-u" }):match("%d+") == "0" and "--no-sandbox" or nil,
		},
		prefs = { ["download.default_directory"] = self.downloads, ["download.prompt_for_download"] = false },
	}
	local answer = request(self, "POST", "/session", {
		capabilities = { alwaysMatch = { browserName = "chrome", ["goog:chromeOptions"] = options } },
	})
	self.id = answer.sessionId
	return self
end

function Session:stop()
	pcall(call, self, "DELETE", "")
	self.pipe:close()
end

---@param url string
function Session:go(url)
	call(self, "POST", "/url", { url = url })
end

--- Runs a script's body in the page.
---@param script string
---@param ... any become arguments[0], arguments[1] ...
---@return any
function Session:run(script, ...)
	local arguments = { ... }
	local text = #arguments == 0 and "[]" or cjson.encode(arguments)
	local done = shell.run({
		"curl", "-s", "--max-time", "60", "-H", "Content-Type: application/json", "--data-binary", "@-",
		self.driver .. "/session/" .. self.id .. "/execute/sync",
		input = ('{"script":%s,"args":%s}'):format(cjson.encode(script), text),
	})
	local answer = cjson.decode(done.stdout).value
	if type(answer) == "table" and answer.error then
		error(answer.error .. ": " .. tostring(answer.message), 2)
	end
	return answer ~= cjson.null and answer or nil
end

--- Waits until an expression is true in the page.
---@param expression string
---@return any
function Session:wait(expression)
	return nginx.wait(expression, 20, function()
		return self:run("return " .. expression)
	end)
end

local function find(self, selector)
	return call(self, "POST", "/element", { using = "css selector", value = selector })[ELEMENT]
end

--- Clicks on what a CSS selector finds.
---@param selector string
function Session:click(selector)
	call(self, "POST", "/element/" .. find(self, selector) .. "/click", {})
end

--- Types into it; for an input of files, a path.
---@param selector string
---@param text string
function Session:type(selector, text)
	call(self, "POST", "/element/" .. find(self, selector) .. "/value", { text = text })
end

--- Presses keys where the focus is: names of browser.KEYS, or characters.
---@param ... string
function Session:press(...)
	local actions = {}
	for _, name in ipairs({ ... }) do
		local value = browser.KEYS[name] or name
		actions[#actions + 1] = { type = "keyDown", value = value }
		actions[#actions + 1] = { type = "keyUp", value = value }
	end
	call(self, "POST", "/actions", { actions = { { type = "key", id = "keyboard", actions = actions } } })
end

--- What only Chromium knows.
---@param command string
---@param parameters table
function Session:cdp(command, parameters)
	return call(self, "POST", "/goog/cdp/execute", { cmd = command, params = parameters })
end

--- The size of what is seen.
---@param width integer
---@param height integer
function Session:resize(width, height)
	self:cdp("Emulation.setDeviceMetricsOverride",
		{ width = width, height = height, deviceScaleFactor = 1, mobile = false })
end

---@param scheme "dark"|"light"
function Session:prefer(scheme)
	self:cdp("Emulation.setEmulatedMedia", { features = { { name = "prefers-color-scheme", value = scheme } } })
end

--- Writes what is seen to a file.
---@param path string
function Session:screenshot(path)
	local answer = call(self, "GET", "/screenshot")
	shell.check({ "sh", "-c", "base64 -d >" .. shell.quote(path), input = answer })
end

return browser
