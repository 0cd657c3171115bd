"""Judges requests and responses by the OpenAPI 3.1 document that the daemon serves.

OpenAPI 3.1 schemas are JSON Schema 2020-12, so jsonschema does the judging; this file only finds the
schema that applies. References may stand wherever OpenAPI allows them.
"""

import json
import re
import urllib.parse

import jsonschema

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
DATE_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
FORMATS = jsonschema.FormatChecker(formats=())


@FORMATS.checks("date-time")
def is_date_time(value):
    return not isinstance(value, str) or DATE_TIME.fullmatch(value) is not None


def refuse_constant(text):
    raise ValueError(f"{text} is not JSON")


def refuse_duplicates(pairs):
    keys = [key for key, _ in pairs]
    if len(keys) != len(set(keys)):
        raise ValueError(f"duplicate keys in {keys}")
    return dict(pairs)


def parse_json(text):
    """Strict JSON: no NaN literal, no key twice."""
    return json.loads(text, parse_constant=refuse_constant, object_pairs_hook=refuse_duplicates)


def media_type(header):
    return (header or "").split(";")[0].strip().lower()


def is_json(media):
    return media == "application/json" or media.endswith("+json")


class Contract:
    def __init__(self, document):
        self.document = document
        self.resolver = jsonschema.RefResolver(base_uri="", referrer=document)
        self.exercised = set()  # (method, path template, status) seen and found right
        self.operations = {}    # (method, path template) -> operation
        for template, item in document["paths"].items():
            item = self.follow(item)
            for method in METHODS:
                if method in item:
                    self.operations[method, template] = item[method]

    def follow(self, node):
        """The node itself, or what its $ref points at."""
        while isinstance(node, dict) and "$ref" in node:
            _, node = self.resolver.resolve(node["$ref"])
        return node

    def validate(self, instance, schema, what):
        validator = jsonschema.Draft202012Validator(schema, resolver=self.resolver,
                                                    format_checker=FORMATS)
        faults = [f"  {fault.json_path}: {fault.message[:400]}"
                  for fault in validator.iter_errors(instance)]
        assert not faults, f"{what} is not as the contract says:\n" + "\n".join(faults)

    def template_of(self, path):
        """The path template that matches, the one with the fewest parameters first, or None."""
        fitting = []
        for template in self.document["paths"]:
            pattern = "".join(
                "[^/]+" if part.startswith("{") else re.escape(part)
                for part in re.split(r"(\{[^}]+\})", template))
            if re.fullmatch(pattern, path):
                fitting.append(template)
        return min(fitting, key=lambda template: template.count("{"), default=None)

    def parameters(self, method, template):
        """{(in, name): parameter} of an operation, the path item's included."""
        item = self.follow(self.document["paths"][template])
        listed = item.get("parameters", []) + self.operations[method, template].get("parameters", [])
        return {(p["in"], p["name"]): p for p in map(self.follow, listed)}

    def check(self, method, url, request_body, request_media, response):
        """Judges one exchange.

        request_body is what went out as JSON, or None for other media. A request that was answered
        with 2xx must itself fit the contract; what was refused may be as wrong as the test wanted.
        """
        method = method.lower()
        parts = urllib.parse.urlsplit(url)
        template = self.template_of(parts.path)
        what = f"{method.upper()} {parts.path} -> {response.status_code}"
        media = media_type(response.headers.get("Content-Type"))
        body = None
        if is_json(media) and method != "head":
            body = parse_json(response.content.decode("utf-8"))

        operation = self.operations.get((method, template))
        if operation is None:
            allowed = (404, 405) if template is None else (405,)
            assert response.status_code in allowed, f"{what}: not in the contract"
            return
        if 200 <= response.status_code < 300:
            self.check_request(method, template, parts.query, request_body, request_media, what)

        responses = operation["responses"]
        status = str(response.status_code)
        key = next((key for key in (status, status[0] + "XX", "default") if key in responses), None)
        assert key is not None, f"{what}: the contract has no such status"
        described = responses[key]
        content = self.follow(described).get("content", {})
        if not content or method == "head":
            assert not response.content, f"{what}: a body where the contract has none"
        else:
            assert media in content, f"{what}: {media!r} is none of {sorted(content)}"
            if body is not None and "schema" in content[media]:
                self.validate(body, content[media]["schema"], f"body of {what}")
        for name, header in self.follow(described).get("headers", {}).items():
            if self.follow(header).get("required"):
                assert name in response.headers, f"{what}: no header {name}"
        self.exercised.add((method, template, status))

    def check_request(self, method, template, query, body, media, what):
        known = self.parameters(method, template)
        for name, value in urllib.parse.parse_qsl(query, keep_blank_values=True):
            assert ("query", name) in known, f"{what}: accepted the unknown parameter {name}"
            schema = known["query", name].get("schema", {})
            kind = self.follow(schema).get("type")
            if kind in ("integer", "number", "boolean"):
                value = parse_json(value)
            self.validate(value, schema, f"parameter {name} of {what}")
        described = self.follow(self.operations[method, template].get("requestBody"))
        if media is None:
            assert not (described or {}).get("required"), f"{what}: accepted without a body"
            return
        assert described is not None, f"{what}: accepted a body where the contract has none"
        content = described["content"]
        fitting = content.get(media) or content.get("*/*") or content.get("application/octet-stream")
        assert fitting is not None, f"{what}: accepted {media!r}, contract has {sorted(content)}"
        if body is not None and "schema" in fitting:
            self.validate(body, fitting["schema"], f"request of {what}")
