--- strata.layer{lower =, upper =} with random directories: the layer on the lower one is the upper one.

local shell = require "spec.support.shell"
local strata = require "strata"
local tmp = require "spec.support.tmp"
local tree = require "spec.support.tree"

-- Makes the directories l and u. Times are whole seconds and few, so that they often tell nothing.
local SCRIPT = [==[
import os, random, shutil, subprocess, sys
r = random.Random(int(sys.argv[1]))
NAMES = ["a", "b", "c", "a-", "b.x", "é"]
def paths(top):
    out = []
    for d, ds, fs in os.walk(top):
        for n in ds + fs: out.append(os.path.join(d, n))
    return sorted(out)
def dirs(top): return [top] + [p for p in paths(top) if os.path.isdir(p) and not os.path.islink(p)]
def add(top):
    p = os.path.join(r.choice(dirs(top)), r.choice(NAMES))
    if os.path.lexists(p): return
    k = r.randrange(6)
    if k < 2: os.mkdir(p, r.choice([0o755, 0o700]))
    elif k < 4: open(p, "w").write(r.choice("xyz"))
    elif k == 4: os.symlink(r.choice(NAMES), p)
    else:
        fs = [q for q in paths(top) if os.path.isfile(q) and not os.path.islink(q)]
        if fs: os.link(r.choice(fs), p)
def remove(top):
    ps = paths(top)
    if not ps: return
    p = r.choice(ps)
    if os.path.isdir(p) and not os.path.islink(p): shutil.rmtree(p)
    else: os.remove(p)
def change(top):
    ps = [p for p in paths(top) if not os.path.islink(p)]
    if not ps: return
    p = r.choice(ps); k = r.randrange(3)
    if k == 0: os.chmod(p, r.choice([0o755, 0o700, 0o711]))
    elif k == 1: os.utime(p, (5, r.randrange(10)))
    elif os.path.isfile(p): open(p, "w").write(r.choice("xyz"))
def settle(top):
    for p in paths(top) + [top]:
        t = int(os.lstat(p).st_mtime); t = t if t < 100 else r.randrange(20, 22)
        os.utime(p, (t, t), follow_symlinks=False)
os.mkdir("l")
for i in range(25): add("l")
settle("l")
subprocess.run(["cp", "-a", "l", "u"], check=True)
for i in range(r.randrange(12)): r.choice([add, remove, change, remove])("u")
settle("u")
]==]

local SEEDS = 10

describe("the difference of two random directories", function()
	for seed = 1, SEEDS do
		it("turns the one into the other: seed " .. seed, function()
			local dir = tmp.dir(tmp.for_peers())
			shell.check({ "python3", "-IS", "-c", SCRIPT, seed, cwd = dir.path })
			local layer = assert(strata.layer({ lower = dir:file("l"), upper = dir:file("u") }))
			local img = strata.new({}):append({ dir = dir:file("l") }):append({ layer = layer })
			assert(img:extract(dir:file("out")))
			local function is_top(path)
				return path == "."
			end
			assert.same({}, tree.differences(tree.read(dir:file("u")), tree.read(dir:file("out")), is_top))
			dir:remove()
		end)
	end
end)
