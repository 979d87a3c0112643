---@meta _

--- An array of findings, empty for most images; tostring() gives a line for each.
---@class strata.Report
---@field [integer] strata.Finding

--- One finding; tostring() gives a line.
---@class strata.Finding
---@field code string  what kind: "duplicate-path", "parser-differential" ...
---@field severity "error"|"warning"|"note"  all runtimes refuse it, or it misleads; some refuse, or differ in files; in attributes
---@field where string  "layer 3/7 (sha256:ab…)", "layers", "archive", "index", "config", "manifest" ...
---@field layer integer?  the number of the layer
---@field path string?  of the entry or member, raw bytes
---@field entry integer?  its number in the tar, from 1
---@field offset integer?  of its header in the tar
---@field message string  one sentence
