"""What container runtimes make of images: runtimes.py <REQUEST >ANSWER, in JSON of which a character stands for a byte.

A request has `images`, paths of docker archives with one image each; `readers`, the names of those to be asked;
`docker`, the directories of the engines by storage driver (the first one's containerd is used, too); `scratch`, a
directory for the rest; and `serial`, which is another one for each request. With `alone`, each archive is given to
the readers as it is, one after the other, instead of many images in one archive: it takes longer, but tags and
whatever else stands in the manifest count as well. `doubtful` tells of each image whether it may be refused: such
ones have an archive of their own, since what stands behind one that is refused has to be loaded once more. It makes
no difference to the answers.

The answer has for each image a table by reader: `rows`, path -> attributes, or `refused`, what the reader said.

Layers are read where the runtimes put them, and stacked by overlayfs as they would do it for a container.
"""
import ctypes
import hashlib
import io
import json
import os
import shutil
import stat
import subprocess
import sys
import tarfile
import threading
import time

TYPES = {stat.S_IFREG: "file", stat.S_IFDIR: "dir", stat.S_IFLNK: "symlink", stat.S_IFCHR: "char",
         stat.S_IFBLK: "block", stat.S_IFIFO: "fifo", stat.S_IFSOCK: "socket"}
LIBC = ctypes.CDLL(None, use_errno=True)
READ_ONLY = 1
DAY = 86400
BATCH = 25  # images of one archive


def chars(data):
    return data.decode("latin-1")


def sha256(data):
    return hashlib.sha256(data).hexdigest()


# ---- trees ------------------------------------------------------------------------------

def attributes(path):
    """All but what is the host's, and the marks of overlayfs, which nobody sees in a container."""
    found = {}
    for name in os.listxattr(path, follow_symlinks=False):
        if name != "security.selinux" and not name.startswith("trusted.overlay."):
            found[chars(os.fsencode(name))] = chars(os.getxattr(path, name, follow_symlinks=False))
    return found


def mtime_of(st):
    """A directory that no entry tells of, or whose time nobody restores, has the time of the unpacking: -1."""
    seconds = int(st.st_mtime // 1)
    return -1 if stat.S_ISDIR(st.st_mode) and abs(seconds - time.time()) < DAY else seconds


def describe(path, st):
    kind = TYPES[stat.S_IFMT(st.st_mode)]
    row = {"type": kind, "mode": stat.S_IMODE(st.st_mode), "uid": st.st_uid, "gid": st.st_gid,
           "mtime": mtime_of(st), "xattrs": attributes(path)}
    if kind == "symlink":
        row["target"] = chars(os.readlink(path))
    elif kind == "file":
        with open(path, "rb") as file:
            row["content"] = chars(file.read())
    elif kind in ("char", "block"):
        row["device"] = "%d:%d" % (os.major(st.st_rdev), os.minor(st.st_rdev))
    return row


def walk(root):
    root = os.fsencode(root)
    rows, inodes, todo = {}, {}, [(root, ".")]
    while todo:
        path, name = todo.pop()
        try:
            st = os.lstat(path)
        except FileNotFoundError:
            continue  # overlayfs names a whiteout in a directory that it merges with no other
        row = rows[name] = describe(path, st)
        if row["type"] == "dir":
            prefix = "" if name == "." else name + "/"
            todo.extend((os.path.join(path, child), prefix + chars(child)) for child in os.listdir(path))
        else:
            names = inodes.setdefault((st.st_dev, st.st_ino), [])
            names.append(name)
            row["links"] = names
    for row in rows.values():
        if "links" in row:
            row["links"] = " ".join(sorted(row["links"]))
    return rows


def merged(directories, scratch, root_mode=0o755):
    """What a container sees of layers, the uppermost first: its own, empty one is above them."""
    empty, where = os.path.join(scratch, "empty"), os.path.join(scratch, "merged")
    os.makedirs(empty, exist_ok=True)
    os.makedirs(where, exist_ok=True)
    os.chmod(empty, root_mode)
    options = "lowerdir=" + ":".join([empty] + directories)
    if LIBC.mount(b"overlay", where.encode(), b"overlay", READ_ONLY, options.encode()) != 0:
        raise OSError(ctypes.get_errno(), "overlayfs cannot be mounted", options)
    try:
        return walk(where)
    finally:
        LIBC.umount2(where.encode(), 0)


# ---- images -----------------------------------------------------------------------------

class Image:
    """An image as it stands in a docker archive."""

    def __init__(self, path, tag, doubtful):
        self.path, self.tag, self.doubtful, self.members = path, tag, doubtful, {}
        with tarfile.open(path, encoding="latin-1") as tar:
            for info in tar:
                self.members[info.name] = tar.extractfile(info).read()
        manifest = json.loads(self.members["manifest.json"])[0]
        self.config = self.members[manifest["Config"]]
        self.layers = [self.members[name] for name in manifest["Layers"]]
        self.diff_ids = json.loads(self.config)["rootfs"]["diff_ids"]

    def chain_id(self):
        chain = self.diff_ids[0]
        for diff_id in self.diff_ids[1:]:
            chain = "sha256:" + sha256(("%s %s" % (chain, diff_id)).encode())
        return chain


def batches(images):
    """Images that have an archive together: none of them may be refused, and no layer is in two of them."""
    current, taken = [], set()
    for image in images:
        layers = set(image.layers)
        if image.doubtful:
            yield [image]
            continue
        if len(current) == BATCH or layers & taken:
            yield current
            current, taken = [], set()
        current.append(image)
        taken |= layers
    if current:
        yield current


def write_archive(path, images):
    """One docker archive of many images."""
    manifest, written = [], set()
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        def put(name, data):
            if name not in written:
                written.add(name)
                info = tarfile.TarInfo(name)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
            return name
        for image in images:
            config = put(sha256(image.config) + ".json", image.config)
            layers = [put(sha256(layer) + "/layer.tar", layer) for layer in image.layers]
            manifest.append({"Config": config, "RepoTags": [image.tag], "Layers": layers})
        put("manifest.json", json.dumps(manifest).encode())


def write_layout(path, images):
    """One OCI layout of many images."""
    blobs = os.path.join(path, "blobs", "sha256")
    os.makedirs(blobs)

    def put(kind, data):
        with open(os.path.join(blobs, sha256(data)), "wb") as file:
            file.write(data)
        return {"mediaType": "application/vnd.oci.image." + kind, "digest": "sha256:" + sha256(data), "size": len(data)}
    index = []
    for image in images:
        layers = [put("layer.v1.tar" + ("+gzip" if layer[:2] == b"\x1f\x8b" else ""), layer) for layer in image.layers]
        manifest = {"schemaVersion": 2, "config": put("config.v1+json", image.config), "layers": layers}
        row = put("manifest.v1+json", json.dumps(manifest).encode())
        row["annotations"] = {"org.opencontainers.image.ref.name": image.tag.replace(":", "-")}
        index.append(row)
    with open(os.path.join(path, "index.json"), "w") as file:
        json.dump({"schemaVersion": 2, "manifests": index}, file)
    with open(os.path.join(path, "oci-layout"), "w") as file:
        file.write('{"imageLayoutVersion":"1.0.0"}')


# ---- readers ----------------------------------------------------------------------------

class Reader:
    """Loads archives: `load` returns what it said, with its exit status; `has` tells which images are loaded."""

    def __init__(self, request, name):
        self.scratch = os.path.join(request["scratch"], name.replace(" ", "-"))
        os.makedirs(self.scratch, exist_ok=True)

    def run(self, *words, env=None):
        done = subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                              env=dict(os.environ, **(env or {})))
        return done.returncode, chars(done.stdout)

    def load_until_refused(self, images):
        path = os.path.join(self.scratch, "images.tar")
        write_archive(path, images)
        status, said = self.load(path)
        loaded = [image for image in images if self.has(image)]
        os.unlink(path)
        return loaded, (said.strip() or "no word") if status != 0 or len(loaded) < len(images) else None

    def look_together(self, images):
        """All images through as few archives as refusals allow."""
        answers = {}
        while images:
            loaded, said = self.load_until_refused(images)
            for image in loaded:
                answers[image.tag] = {"rows": self.tree(image)}
            images = [image for image in images if image.tag not in answers]
            if not images:
                break
            if not loaded and len(images) > 1:  # is it the first one, or the archive?
                loaded, said = self.load_until_refused(images[:1])
                if loaded:
                    answers[images[0].tag] = {"rows": self.tree(images[0])}
                    images = images[1:]
                    continue
            answers[images[0].tag] = {"refused": said}
            images = images[1:]
        return answers

    def look_alone(self, image):
        status, said = self.load(image.path)
        if status != 0:
            return {"refused": said.strip() or "no word"}
        return {"rows": self.tree(image)}

    def look(self, images, alone):
        if alone:
            answers = []
            for image in images:
                answers.append(self.look_alone(image))
                self.forget_layers()
                self.forget()
            return answers
        found = {}
        for batch in batches(images):
            found.update(self.look_together(batch))
            self.forget_layers()
        self.forget()
        return [found[image.tag] for image in images]

    def forget_layers(self):
        """What of a load would change the next one."""

    def forget(self):
        """All of it, for the sake of room."""


class Docker(Reader):
    def __init__(self, request, name):
        super().__init__(request, name)
        self.driver = name.split()[1]
        self.top = request["docker"][self.driver]
        self.env = {"DOCKER_HOST": "unix://%s/docker.sock" % self.top, "DOCKER_CONFIG": self.top + "/client"}

    def load(self, path):
        status, said = self.run("docker", "load", "--quiet", "--input", path, env=self.env)
        self.said = said
        return status, "\n".join(line for line in said.split("\n") if not line.startswith("Loaded image"))

    def has(self, image):
        return ("Loaded image: %s\n" % image.tag) in self.said

    def layer(self, chain_id):
        kind, digest = chain_id.split(":")
        path = "%s/data/image/%s/layerdb/%s/%s/cache-id" % (self.top, self.driver, kind, digest)
        with open(path) as file:
            return file.read()

    def tree(self, image):
        if self.driver == "vfs":
            rows = walk("%s/data/vfs/dir/%s" % (self.top, self.layer(image.chain_id())))
            for row in rows.values():  # it gives 0600 to directories that no entry tells of, where nobody could enter
                if row["mtime"] == -1 and row["mode"] & 0o777 == 0o600:
                    row["mode"] += 0o155
            return rows
        top = "%s/data/overlay2/%s" % (self.top, self.layer(image.chain_id()))
        directories = [top + "/diff"]
        if os.path.exists(top + "/lower"):
            with open(top + "/lower") as file:
                directories += [os.path.realpath("%s/data/overlay2/%s" % (self.top, name))
                                for name in file.read().split(":")]
        return merged(directories, self.scratch)

    def forget(self):
        self.run("docker", "image", "prune", "--all", "--force", env=self.env)


class Containerd(Reader):
    def __init__(self, request, name):
        super().__init__(request, name)
        self.words = ["ctr", "--address", request["docker"]["overlay2"] + "/c.sock", "--namespace", "oracle"]

    def ctr(self, *words):
        return self.run(*self.words, *words)

    def load(self, path):
        status, self.said = self.ctr("images", "import", "--snapshotter", "overlayfs", "--all-platforms", path)
        return status, self.said.strip().rpartition("\n")[2]

    def has(self, image):
        return any(line.startswith("unpacking docker.io/library/%s (" % image.tag) and line.endswith("...done")
                   for line in self.said.split("\n"))

    def tree(self, image):
        words = ["snapshots", "--snapshotter", "overlayfs"]
        status, said = self.ctr(*words, "view", "--mounts", "oracle", image.chain_id())
        if status != 0:
            raise OSError(said)
        self.ctr(*words, "rm", "oracle")
        mount = json.loads(said)[0]
        directories = [mount["Source"]]
        for option in mount["Options"]:
            if option.startswith("lowerdir="):
                directories = option[len("lowerdir="):].split(":")
        return merged(directories, self.scratch)

    def forget(self):
        names = self.ctr("images", "ls", "--quiet")[1].split()
        if names:
            self.ctr("images", "rm", "--sync", *names)


class Podman(Reader):
    def __init__(self, request, name):
        super().__init__(request, name)
        self.driver = name.split()[1]
        self.root = self.scratch + "/root"
        storage = 'driver = "%s"\ngraphroot = "%s"\nrunroot = "%s/run"' % (self.driver, self.root, self.scratch)
        self.env = {
            # locks in files of ours: the default is a shared memory object of the whole machine
            "CONTAINERS_CONF": self.write("containers.conf", '[engine]\nlock_type = "file"\n'),
            "CONTAINERS_STORAGE_CONF": self.write("storage.conf", "[storage]\n%s\n" % storage),
            "TMPDIR": self.scratch,
        }

    def write(self, name, text):
        path = os.path.join(self.scratch, name)
        with open(path, "w") as file:
            file.write(text)
        return path

    def load(self, path):
        status, said = self.run("podman", "--tmpdir=" + self.scratch + "/tmp", "--events-backend=none",
                                "--cgroup-manager=cgroupfs", "load", "--quiet", "--input", path, env=self.env)
        # It tries other formats, too, and tells of each.
        lines = [line for line in said.split("\n") if line.startswith(" * docker-archive: ")]
        return status, lines[0][len(" * docker-archive: "):] if lines else said

    def documents(self, kind):
        path = "%s/%s-%s/%s.json" % (self.root, self.driver, kind, kind)
        if not os.path.exists(path):
            return []
        with open(path) as file:
            return json.load(file)

    def image_of(self, image):
        return [one for one in self.documents("images")
                if one["id"] == sha256(image.config) or "localhost/" + image.tag in one.get("names", [])]

    def has(self, image):
        return any("localhost/" + image.tag in one.get("names", []) for one in self.image_of(image))

    def tree(self, image):
        parents = {layer["id"]: layer.get("parent") for layer in self.documents("layers")}
        layer, directories = self.image_of(image)[0]["layer"], []
        if self.driver == "vfs":
            return walk("%s/vfs/dir/%s" % (self.root, layer))
        while layer:
            directories.append("%s/overlay/%s/diff" % (self.root, layer))
            layer = parents[layer]
        # Its root directories have the mode of the one below, as far as its umask lets them.
        return merged(directories, self.scratch, os.stat(directories[0]).st_mode & 0o755)

    def forget_layers(self):
        # It takes a layer that it has below another one from there, by writing its tar again out of what it has made
        # of it. No daemon knows of the files, and to remove them is a hundred times faster than to ask for it.
        shutil.rmtree(self.root, ignore_errors=True)
        shutil.rmtree(self.scratch + "/run", ignore_errors=True)


class Umoci(Reader):
    def look(self, images, alone):
        # A jail: it obeys a whiteout of "..", which takes the directory that the tree stands in.
        layout, bundle = self.scratch + "/layout", self.scratch + "/jail/bundle"
        write_layout(layout, images)
        answers = []
        for image in images:
            tag = image.tag.replace(":", "-")
            os.makedirs(os.path.dirname(bundle), exist_ok=True)
            status, said = self.run("umoci", "raw", "unpack", "--image", layout + ":" + tag, bundle)
            if status == 0 and os.path.isdir(bundle):
                answers.append({"rows": walk(bundle)})
            else:
                answers.append({"refused": said.strip() or "the tree is gone"})
            shutil.rmtree(bundle, ignore_errors=True)
        shutil.rmtree(layout)
        return answers


READERS = {"docker": Docker, "containerd": Containerd, "podman": Podman, "umoci": Umoci}


def main():
    request = json.loads(sys.stdin.buffer.read().decode("latin-1"))
    doubtful = request.get("doubtful") or [False] * len(request["images"])
    images = [Image(path.encode("latin-1"), "stack%d:%d" % (request["serial"], number), doubtful[number])
              for number, path in enumerate(request["images"])]
    answers, failures = [{} for _ in images], []

    def ask(name):
        try:
            start = time.time()
            reader = READERS[name.split()[0]](request, name)
            for answer, found in zip(answers, reader.look(images, request.get("alone"))):
                answer[name] = found
            if request.get("timed"):
                print("%s: %.1f s" % (name, time.time() - start), file=sys.stderr)
        except Exception as why:  # told by the main thread
            failures.append("%s: %r" % (name, why))
    threads = [threading.Thread(target=ask, args=(name,)) for name in request["readers"]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        sys.exit("\n".join(failures))
    sys.stdout.buffer.write(json.dumps(answers, ensure_ascii=False).encode("latin-1"))


main()
