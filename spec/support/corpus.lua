--- Real files of public projects. STRATA_CORPUS names their directory: images/ that can be read, broken/ and hostile/
--- that must be survived, tars/ that are odd, and CORPUS.tsv that says what each is.

local shell = require "spec.support.shell"

local corpus = {}

--- Their directory; nil when it is not known.
corpus.path = os.getenv("STRATA_CORPUS")

--- What is in a part of the corpus, in order.
---@param part string "images", "broken", "hostile" or "tars"
---@param kind string "f" for regular files, "d" for directories
---@return { name: string, path: string }[]
function corpus.files(part, kind)
	local files = {}
	local script = 'cd "$1"; find . -mindepth 1 -maxdepth 1 -type "$2" | LC_ALL=C sort'
	for name in shell.sh(script, corpus.path .. "/" .. part, kind):gmatch("%./([^\n]+)") do
		files[#files + 1] = { name = part .. "/" .. name, path = corpus.path .. "/" .. part .. "/" .. name }
	end
	return files
end

--- Copies a layout, with its links restored: git gave those of one away as files that hold where they led to.
---@param path string
---@param copy string which is replaced
---@return string copy
function corpus.with_links(path, copy)
	shell.sh(
		[[
		rm -rf "$2"; cp -r "$1" "$2"; chmod -R u+w "$2"; cd "$2/blobs/sha256"
		for blob in *; do
			case $(head -c 6 "$blob" | tr -d '\0') in ../../) ln -sf "$(cat "$blob")" "$blob" ;; esac
		done]],
		path,
		copy
	)
	return copy
end

return corpus
