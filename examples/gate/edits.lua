--- What `docker pull GATE/filtered/NAME` gives: the image NAME of an upstream registry, with an edit.
--
-- The first entry whose name fits counts; what no entry names is not served. A name is one repository, or all below
-- one with /* at its end. `upstream` and `repository` say where the image is: in the registry behind the gate, and
-- under the same name, unless they are given. `platforms` are those that stay of an index; without it all images stay.
--
-- All else is an edit, as strata.help "EditTable" has it: rebase, drop_waste, remove, optional, owner, env, labels,
-- ports, volumes, config, repair, flatten, normalize, module, args. The bases of `rebase` are repositories of the same
-- upstream with a tag or a digest; where a tag leads is followed, too.
--
-- An image is made again when its upstream, a base, its entry here, or a library of strata changes.

return {
  -- Further registries, by names for `upstream`; `behind` is the one behind the gate. Only http and an address of IPv4:
  -- a mirror of Docker Hub, such as docker-registry with `proxy: {remoteurl: https://registry-1.docker.io}`.
  upstreams = {
    -- hub = "http://127.0.0.1:5001",
  },

  -- Paths go, and a label says so. `optional`: what is not there is no error.
  {
    name = "alpine", platforms = { "linux/amd64", "linux/arm64" },
    remove = { "usr/share/man", "usr/share/doc", "var/cache/apk" }, optional = true,
    labels = { ["com.example.filtered"] = "documents" },
  },
  {
    name = "debian", remove = { "usr/share/doc", "usr/share/man", "usr/share/locale" }, optional = true,
    labels = { ["com.example.filtered"] = "documents" },
  },

  -- Labels alone: no layer is made, or fetched.
  { name = "team/*", labels = { ["com.example.owner"] = "team" } },

  -- What was built on base:1 is served on base:2.
  { name = "app", rebase = { from = "base:1", onto = "base:2" } },
}
