--- Certificates for the registries of the specs, made by openssl once in a run.

local once = require "spec.support.once"
local shell = require "spec.support.shell"
local tmp = require "spec.support.tmp"

local certificates = {}

-- Elliptic curves, since RSA keys take longer than everything else; but tokens are signed with RS256.
local SCRIPT = [[
cd "$1"
request() { # NAME COMMON-NAME
	openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$1.key" -out "$1.csr" -subj "/CN=$2"
}
authority() { # NAME
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$1.key" -out "$1.crt" \
		-days 2 -subj "/CN=strata spec $1" -addext basicConstraints=critical,CA:TRUE
}
sign() { # NAME AUTHORITY VALIDITY EXTENSIONS
	printf '%s\n' "$4" >"$1.ext"
	openssl x509 -req -in "$1.csr" -CA "$2.crt" -CAkey "$2.key" -set_serial "0x$(openssl rand -hex 8)" $3 \
		-extfile "$1.ext" -out "$1.crt"
}
names='subjectAltName=DNS:localhost,DNS:registry.test,DNS:*.registry.test,IP:127.0.0.1,IP:127.0.0.2,IP:127.0.0.3,IP:::1'
authority ca
authority stranger
for name in server expired unknown; do request "$name" "strata spec"; done
request wrong "other.test"
request client "strata client"
over='-days -1' # which OpenSSL 3.5 refuses
! openssl x509 -help 2>&1 | grep -q not_after || over='-not_before 20200101000000Z -not_after 20200102000000Z'
sign server ca '-days 2' "$names"
sign expired ca "$over" "$names"
sign unknown stranger '-days 2' "$names"
sign wrong ca '-days 2' "subjectAltName=DNS:other.test"
sign client ca '-days 2' "extendedKeyUsage=clientAuth"
openssl req -x509 -newkey rsa:2048 -nodes -keyout token.key -out token.crt -days 2 -subj "/CN=strata spec tokens"
]]

--- Where they are: ca.crt has signed server.crt (of localhost, registry.test, 127.0.0.1 to 3 and ::1), expired.crt,
--- wrong.crt (of another host) and client.crt; unknown.crt is signed by a stranger; token.crt signs tokens. Each has
--- a file that ends with .key.
---@return spec.Dir
function certificates.directory()
	return once.get("certificates", function()
		local dir = tmp.dir()
		shell.sh(SCRIPT, dir.path)
		return dir
	end)
end

--- The path of one of them.
---@param name string such as "ca.crt"
---@return string path
function certificates.path(name)
	return certificates.directory():file(name)
end

return certificates
