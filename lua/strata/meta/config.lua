---@meta _

--- The config of an image: a JSON document with the ways of the image-spec.
---
--- Fields read and assign its keys: a name that begins with a capital is a key of the document's "config" object, any
--- other one of the document itself. Keys that are not listed here are fields when the document has them; config:set
--- writes any key. What is read is a copy that refuses to be changed; nil deletes; an edit changes its own span of the
--- text and nothing else. Unknown fields throw, and values of a kind that the key cannot have.
---@class strata.Config: userdata
---@field Env string[]?  "NAME=value"; see set_env
---@field Cmd string[]?
---@field Entrypoint string[]?
---@field User string?
---@field WorkingDir string?
---@field Labels table<string, string>?
---@field ExposedPorts table<string, table>?  {"80/tcp"} can be assigned, too
---@field Volumes table<string, table>?  {"/data"} can be assigned, too
---@field StopSignal string?
---@field Healthcheck table?
---@field OnBuild string[]?
---@field Shell string[]?
---@field ArgsEscaped boolean?
---@field AttachStderr boolean?
---@field AttachStdin boolean?
---@field AttachStdout boolean?
---@field CpuShares integer?
---@field Domainname string?
---@field Hostname string?
---@field Image string?
---@field MacAddress string?
---@field Memory integer?
---@field MemorySwap integer?
---@field NetworkDisabled boolean?
---@field OpenStdin boolean?
---@field StdinOnce boolean?
---@field StopTimeout integer?
---@field Tty boolean?
---@field architecture string?
---@field os string?
---@field variant string?
---@field ["os.version"] string?
---@field ["os.features"] string[]?
---@field created string?  a time of RFC 3339
---@field author string?
---@field comment string?
---@field container string?
---@field container_config table?  of the classic builder of Docker
---@field docker_version string?
---@field id string?
---@field parent string?
---@field rootfs table?  follows from the layers: it cannot be assigned
---@field config table?  all of the "config" object
---@field history table[]?  rows as plain tables; img:history() knows their layers
local Config = {}

--- The value at a JSON Pointer, a copy; nil when it is absent or null. Text that is no pointer throws.
---```lua
---print(config:get "/config/Cmd/0", config:get "/config/Nothing")  --> /opt/app/run  nil
---```
---@param pointer string  e.g. "/config/Env/0"
---@return any value
function Config:get(pointer) end

--- Sets the value at a JSON Pointer; nil deletes it, and strata.null is a null. Text that is no pointer throws, and
--- so does a value that cannot stand there.
---```lua
---assert(config:set("/config/Healthcheck", { Test = { "CMD", "/opt/app/run", "--check" } }))
---print(config.Healthcheck.Test[1])  --> CMD
---```
---@param pointer string
---@param value any
---@return strata.Config? self
---@return string? message
---@return strata.errcode? code  "ENOENT": an array has no such place, or the pointer leads through a value that holds no others; "ELIMIT": the document would be larger than `limits.json`
function Config:set(pointer, value) end

--- Iterates in the order of the document: over the names and values of Env, Labels and other objects, over the
--- indices and values of arrays. A key that holds neither throws.
---```lua
---for name, value in config:each "Env" do print(name, value) end  --> PATH  /bin…
---```
---@param key string
---@return fun(): any, any
function Config:each(key) end

--- The text of the document as it stands now.
---```lua
---print(config:text():sub(1, 1))  --> {
---```
---@return string
function Config:text() end

--- The whole document as plain tables, a copy.
---```lua
---print(config:totable().config.Cmd[1])  --> /opt/app/run
---```
---@return table
function Config:totable() end

--- The value of an environment variable, nil alone when it is not set.
---```lua
---print(config:get_env "PATH", config:get_env "TZ")  --> /bin  nil
---```
---@param name string
---@return string? value
---@return string? message
---@return strata.errcode? code  "EFORMAT": config.Env is no array
function Config:get_env(name) end

--- Sets an environment variable, in its place or behind the others.
---```lua
---assert(config:set_env("TZ", "UTC"):set_env("WORKERS", 4))
---print(config:get_env "TZ")  --> UTC
---```
---@param name string
---@param value string|number
---@return strata.Config? self
---@return string? message
---@return strata.errcode? code  "EFORMAT": config.Env is no array
function Config:set_env(name, value) end

--- Removes an environment variable, wherever it stands; "ENOENT" when there is none.
---```lua
---assert(config:remove_env "TOKEN")
---print(config:remove_env "TOKEN")  --> nil  config:remove_env: there is no variable 'TOKEN'  ENOENT
---```
---@param name string
---@return strata.Config? self
---@return string? message
---@return strata.errcode? code  "ENOENT": there is no such variable; "EFORMAT": config.Env is no array
function Config:remove_env(name) end

--- The value of a label, nil when it is not set.
---```lua
---print(config:get_label "version")  --> 1
---```
---@param name string
---@return string? value
function Config:get_label(name) end

--- Sets a label, in its place or behind the others.
---```lua
---assert(config:set_label("org.opencontainers.image.revision", "4f2a"))
---```
---@param name string
---@param value string|number
---@return strata.Config? self
---@return string? message
---@return strata.errcode? code  "ENOENT": config.Labels is no object
function Config:set_label(name, value) end

--- Removes a label; "ENOENT" when there is none.
---```lua
---assert(config:remove_label "version")
---```
---@param name string
---@return strata.Config? self
---@return string? message
---@return strata.errcode? code  "ENOENT": there is no such label, or config.Labels is no object
function Config:remove_label(name) end

--- Declares a port. Anything else throws.
---```lua
---assert(config:add_port(53):add_port "53/udp")
---for port in config:each "ExposedPorts" do print(port) end  --> 8080/tcp…
---```
---@param port string|integer  8080, "8080" (tcp) or "53/udp"
---@return strata.Config? self
---@return string? message
---@return strata.errcode? code  "ENOENT": config.ExposedPorts is no object
function Config:add_port(port) end

--- Removes a declared port; "ENOENT" when there is none.
---```lua
---assert(config:remove_port(8080))
---```
---@param port string|integer
---@return strata.Config? self
---@return string? message
---@return strata.errcode? code  "ENOENT": there is no such port, or config.ExposedPorts is no object
function Config:remove_port(port) end

--- Declares a volume. A path that is not absolute throws.
---```lua
---assert(config:add_volume "/var/lib/app")
---```
---@param path string
---@return strata.Config? self
---@return string? message
---@return strata.errcode? code  "ENOENT": config.Volumes is no object
function Config:add_volume(path) end

--- Removes a declared volume; "ENOENT" when there is none.
---```lua
---assert(config:remove_volume "/data")
---```
---@param path string
---@return strata.Config? self
---@return string? message
---@return strata.errcode? code  "ENOENT": there is no such volume, or config.Volumes is no object
function Config:remove_volume(path) end
