--- A headless Chromium, driven by the WebDriver protocol.

local cjson = require("cjson").new()
local has_socket, http = pcall(require, "socket.http")
local ports = require "spec.support.ports"
local shell = require "spec.support.shell"
local waiting = require "spec.support.waiting"

local browser = {}

local ELEMENT = "element-6066-11e4-a52e-4f735466cecf"

--- WebDriver's names for keys.
browser.KEYS = {
	Enter = "\238\128\135",
	Tab = "\238\128\132",
	Escape = "\238\128\140",
	End = "\238\128\144",
	Home = "\238\128\145",
	Left = "\238\128\146",
	Up = "\238\128\147",
	Right = "\238\128\148",
	Down = "\238\128\149",
	PageDown = "\238\128\143",
	Space = " ",
}

-- The texts that are seen and have less contrast than 4.5 to what is behind them.
local CONTRAST = [[
const rgba = (text) => {
  const canvas = rgba.canvas ??= new OffscreenCanvas(1, 1).getContext('2d', { willReadFrequently: true });
  canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = text; canvas.fillRect(0, 0, 1, 1);
  const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
  return [r, g, b, a / 255];
};
const over = (top, back) => top.slice(0, 3).map((c, i) => c * top[3] + back[i] * (1 - top[3]));
const ground = (e) => {
  const chain = [];
  for (; e; e = e.parentElement) chain.unshift(rgba(getComputedStyle(e).backgroundColor));
  return chain.reduce((back, one) => over(one, back), [255, 255, 255]);
};
const light = (c) => c.map((v) => v / 255).map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const poor = new Set();
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const e = walker.currentNode.parentElement;
  if (!walker.currentNode.data.trim() || !e.checkVisibility() || e.closest(':disabled')) continue;
  const back = ground(e);
  const [a, b] = [light(over(rgba(getComputedStyle(e).color), back)), light(back)].sort((x, y) => y - x);
  const ratio = (a + 0.05) / (b + 0.05);
  if (ratio < 4.5) poor.add(`${ratio.toFixed(2)} ${e.tagName}.${e.className} ${e.textContent.slice(0, 20)}`);
}
return [...poor].join('\n');
]]

---@class spec.Browser
local Session = {}
Session.__index = Session

---@return string|nil reason
function browser.missing()
	if not shell.which("chromium") or not shell.which("chromedriver") then
		return "chromium or chromium-driver is not installed"
	end
	if not has_socket then
		return "lua-socket is not installed"
	end
	return nil
end

-- Sends JSON to the driver, returns its answer.
local function send(self, method, path, text)
	local ltn12, parts = require "ltn12", {}
	http.TIMEOUT = 60
	local ok, status = http.request({
		url = self.driver .. path, method = method, sink = ltn12.sink.table(parts),
		source = text and ltn12.source.string(text),
		headers = { ["content-type"] = "application/json", ["content-length"] = text and #text or 0 },
	})
	local answered, answer = pcall(cjson.decode, table.concat(parts))
	if not ok or not answered then
		error("no answer from chromedriver: " .. tostring(status) .. " " .. table.concat(parts), 0)
	end
	answer = answer.value
	if type(answer) == "table" and answer.error then
		error(answer.error .. ": " .. tostring(answer.message), 0)
	end
	return answer
end

local function request(self, method, path, value)
	return send(self, method, path, value and cjson.encode(value))
end

local function call(self, method, path, value)
	return request(self, method, "/session/" .. self.id .. path, value)
end

--- Starts one with its own profile in a directory; what it downloads goes there, too.
---@param dir spec.Dir
---@return spec.Browser
function browser.start(dir)
	local port = ports.free()
	local script = ("exec 2>/dev/null; chromedriver --port=%d --log-path=%s >/dev/null </dev/null & pid=$!; "
		.. "cat >/dev/null; kill $pid; wait $pid"):format(port, shell.quote(dir:file("chromedriver.log")))
	local self = setmetatable({
		driver = "http://127.0.0.1:" .. port,
		pipe = assert(io.popen(script, "w")),
		downloads = dir:file("downloads"),
	}, Session)
	waiting.till("chromedriver", function()
		return http.request(self.driver .. "/status") ~= nil
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
	local answer = send(self, "POST", "/session/" .. self.id .. "/execute/sync",
		('{"script":%s,"args":%s}'):format(cjson.encode(script), text))
	return answer ~= cjson.null and answer or nil
end

--- Waits until an expression is true in the page.
---@param expression string
---@return any
function Session:wait(expression)
	return waiting.till(expression, function()
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

--- What is seen and can hardly be read: a line for each text.
---@return string
function Session:faint()
	return self:run(CONTRAST)
end

--- Controls that have no name for those who do not see them, IDs that are there twice, and references to none.
---@return string
function Session:nameless()
	return self:run([[
		const seen = [...document.querySelectorAll('button, input, select, a[href], [role=tree], [role=tab], '
			+ '[role=treeitem], [role=listbox], [role=option]')].filter((e) => e.checkVisibility());
		const nameless = seen.filter((e) => !(e.ariaLabel || e.getAttribute('aria-labelledby') || e.textContent.trim()
			|| e.labels?.[0]?.textContent.trim())).map((e) => e.outerHTML);
		const ids = [...document.querySelectorAll('[id]')].map((e) => e.id);
		const led = ['aria-controls', 'aria-labelledby', 'aria-describedby'].flatMap((name) =>
			[...document.querySelectorAll(`[${name}]`)].map((e) => e.getAttribute(name)));
		const doubled = ids.filter((id, at) => ids.indexOf(id) !== at);
		return [...nameless, ...doubled, ...led.filter((id) => !ids.includes(id))].join(' ')]])
end

--- Writes what is seen to a file.
---@param path string
function Session:screenshot(path)
	local answer = call(self, "GET", "/screenshot")
	shell.check({ "sh", "-c", "base64 -d >" .. shell.quote(path), input = answer })
end

return browser
