"""One registry with its listeners, and the commands of the specs about them."""
from api import Api
from wire import Server


class Registry:
    def __init__(self, settings):
        self.api = Api(settings)
        self.servers = [Server(self.api, self.api.settings)]
        self.servers[0].start()

    def do(self, command, raw):
        """value and bytes"""
        server = self.servers[command.get("server", 0)]
        return getattr(self, "do_" + command["command"])(command, raw, server)

    def do_start(self, _command, _raw, server):
        return {"host": server.host, "server": 0}, b""

    def do_listener(self, command, _raw, _server):
        server = Server(self.api, command["settings"], door=True)
        server.start()
        self.servers.append(server)
        return {"host": server.host, "server": len(self.servers) - 1}, b""

    def do_set(self, command, _raw, _server):
        self.api.settings.update(command["settings"])
        return {}, b""

    def do_log(self, _command, _raw, server):
        return {"log": server.log.read()}, b""

    def do_stats(self, _command, _raw, server):
        return {"connections": server.connections, "peak": server.log.peak, "tls_failures": server.tls_failures}, b""

    def do_forget(self, _command, _raw, server):
        server.log.forget()
        return {}, b""

    def do_fault(self, command, _raw, server):
        server.rules.add(command["rule"])
        return {}, b""

    def do_faults_clear(self, _command, _raw, server):
        server.rules.clear()
        return {}, b""

    def do_put_blob(self, command, raw, _server):
        if "file" in command:
            with open(command["file"], "rb") as file:
                raw = file.read()
        return {"digest": self.api.store.put_blob(command["repository"], raw, command.get("algorithm", "sha256"))}, b""

    def do_drop_blob(self, command, _raw, _server):
        self.api.store.repository(command["repository"]).blobs.discard(command["digest"])
        return {}, b""

    def do_put_manifest(self, command, raw, _server):
        tags = [command["tag"]] if command.get("tag") else []
        algorithm = command.get("algorithm", "sha256")
        digest = self.api.store.put_manifest(command["repository"], tags, raw, command["media_type"], algorithm)
        return {"digest": digest}, b""

    def do_get_manifest(self, command, _raw, _server):
        found = self.api.store.manifest(command["repository"], command["reference"])
        return ({"media_type": found[0], "digest": found[2]}, found[1]) if found else ({}, b"")

    def do_get_blob(self, command, _raw, _server):
        data = self.api.store.blob(command["repository"], command["digest"])
        return {"found": data is not None}, data or b""

    def held(self, command):
        return self.api.store.repositories.get(command["repository"])

    def do_blobs(self, command, _raw, _server):
        repository = self.held(command)
        return {"blobs": sorted(repository.blobs) if repository else []}, b""

    def do_tags(self, command, _raw, _server):
        repository = self.held(command)
        return {"tags": repository.tags if repository else {}}, b""

    def do_uploads(self, command, _raw, _server):
        repository = self.held(command)
        return {"uploads": sorted(len(one.data) for one in repository.uploads.values()) if repository else []}, b""

    def do_expire(self, _command, _raw, _server):
        """All tokens end now."""
        self.api.auth.tokens.clear()
        return {}, b""
