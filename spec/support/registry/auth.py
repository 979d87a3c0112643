"""Who may do what: Basic authentication, and tokens that only this process understands, or signed ones for others."""
import base64
import fnmatch
import json
import os
import re
import subprocess
import time
from urllib.parse import parse_qsl

from message import answer_json, error


def scopes_of(text):
    """"repository:a/b:pull,push ..." as {"a/b": {"pull", "push"}}; a name may hold colons."""
    found = {}
    for word in text.split():
        kind, _, rest = word.partition(":")
        name, _, actions = rest.rpartition(":")
        if kind == "repository" and name:
            found.setdefault(name, set()).update(actions.split(","))
    return found


def scope_text(name, actions):
    order = ["pull", "push", "delete"]
    return "repository:%s:%s" % (name, ",".join(sorted(actions, key=order.index)))


class Auth:
    def __init__(self, settings):
        self.settings = settings
        self.tokens = {}  # text -> (ends, user, scopes)

    def may(self, user, name, action):
        """settings["access"]: {user: {pattern of names: "pull,push"}}; "" is nobody in particular. Without it,
        known users may do all, others what settings["anonymous"] says."""
        access = self.settings.get("access")
        if access:
            for pattern, actions in (access.get(user or "") or {}).items():
                if fnmatch.fnmatchcase(name, pattern) and action in actions.split(","):
                    return True
            return False
        if user:
            return True
        return action in (self.settings.get("anonymous") or "").split(",")

    def basic_user(self, request):
        """The user whose password came, None when none came, False when it is wrong."""
        scheme, _, rest = (request.header("Authorization") or "").partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            user, _, password = base64.b64decode(rest).decode().partition(":")
        except ValueError:
            return False
        if user == "<token>":
            return self.settings.get("identities", {}).get(password, False)
        return user if self.settings["users"].get(user) == password else False

    def realm(self, request):
        return request.fault.get("realm") or request.origin + "/token"

    def challenge(self, request, needed, failure=None):
        if self.settings["auth"] == "basic":
            value = 'Basic realm="strata fake"'
        else:
            value = 'Bearer realm="%s",service="%s"' % (self.realm(request), self.settings["service"])
            if needed:
                value += ',scope="%s"' % " ".join(scope_text(name, actions) for name, actions in needed)
            if failure:
                value += ',error="%s"' % failure
        return error(401, "UNAUTHORIZED", "authentication required", headers=[("WWW-Authenticate", value)])

    def check(self, request, needed):
        """None when the request may go on; else the answer. needed is a list of (name, actions)."""
        kind = self.settings["auth"]
        if not kind:
            return None
        if kind == "basic":
            user = self.basic_user(request)
            if user is False or user is None and not self.settings.get("anonymous"):
                return self.challenge(request, needed)
            if all(self.may(user, name, action) for name, actions in needed for action in actions):
                return None
            return error(403, "DENIED", "requested access to the resource is denied")
        scheme, _, text = (request.header("Authorization") or "").partition(" ")
        if scheme.lower() != "bearer":
            return self.challenge(request, needed)
        ends, _, scopes = self.tokens.get(text, (0, None, {}))
        if ends < time.monotonic():
            return self.challenge(request, needed, "invalid_token")
        if all(actions <= scopes.get(name, set()) for name, actions in needed):
            return None
        return self.challenge(request, needed, "insufficient_scope")

    def signed(self, user, scopes, seconds):
        """A JSON Web Token for distribution, which checks the chain of x5c against its rootcertbundle."""
        def packed(value):
            data = value if isinstance(value, bytes) else json.dumps(value).encode()
            return base64.urlsafe_b64encode(data).rstrip(b"=")

        how = self.settings["jwt"]
        with open(how["cert"]) as file:
            chain = re.findall("-----BEGIN CERTIFICATE-----(.*?)-----END", file.read(), re.DOTALL)
        head = {"typ": "JWT", "alg": "RS256", "x5c": ["".join(one.split()) for one in chain]}
        now = int(time.time())
        access = [{"type": "repository", "name": name, "actions": sorted(actions)} for name, actions in scopes.items()]
        claims = {"iss": how["issuer"], "sub": user or "", "aud": self.settings["service"], "exp": now + int(seconds),
                  "nbf": now - 10, "iat": now, "jti": os.urandom(8).hex(), "access": access}
        text = packed(head) + b"." + packed(claims)
        command = ["openssl", "dgst", "-sha256", "-sign", how["key"]]
        signature = subprocess.run(command, input=text, stdout=subprocess.PIPE, check=True).stdout
        return (text + b"." + packed(signature)).decode()

    def issue(self, user, scopes, seconds):
        if self.settings["jwt"]:
            return self.signed(user, scopes, seconds)
        text = "strata-" + os.urandom(12).hex()
        self.tokens[text] = (time.monotonic() + seconds, user, scopes)
        return text

    def token(self, request):
        """The token endpoint: GET with Basic, and POST with a form, as Docker's token server has them."""
        asked = dict(request.query)
        scope = " ".join(request.parameters("scope"))
        if request.method == "POST":
            for quirk, status in (("Q9", 401), ("Q10", 404), ("Q11", 400)):
                if quirk in self.settings["quirks"]:
                    return error(status, "UNSUPPORTED")
            asked = dict(parse_qsl(request.body.decode("latin-1"), keep_blank_values=True))
            scope = asked.get("scope", "")
            if asked.get("grant_type") == "refresh_token":
                user = self.settings.get("identities", {}).get(asked.get("refresh_token"), False)
            else:
                user = asked.get("username", "")
                if self.settings["users"].get(user) != asked.get("password"):
                    user = False
        elif request.method == "GET":
            user = self.basic_user(request)
        else:
            return error(405, "UNSUPPORTED")
        if user is False:
            return error(401, "UNAUTHORIZED", "incorrect username or password",
                         headers=[("WWW-Authenticate", 'Basic realm="strata fake token server"')])
        granted = {}
        for name, actions in scopes_of(scope).items():
            granted[name] = {action for action in actions if self.may(user, name, action)}
            if granted[name] < actions and "Q17" in self.settings["quirks"]:
                return error(403, "DENIED", "requested access to the resource is denied")
        return self.token_answer(request, user, granted)

    def token_answer(self, request, user, granted):
        change = request.fault.get("token") or {}
        if "grant" in change:  # less than was asked for, and no word about it
            granted = {name: actions & set(change["grant"].split(",")) for name, actions in granted.items()}
        seconds = change.get("lifetime", self.settings["lifetime"])
        text = self.issue(user, granted, seconds)
        value = {"token": text, "access_token": text, "expires_in": max(60, int(seconds)),
                 "issued_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
        value.update(change.get("set") or {})
        for name in change.get("without") or []:
            value.pop(name, None)
        return answer_json(200, value)
