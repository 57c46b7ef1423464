"""The page's own events over HTTP, without a browser."""

from __future__ import annotations

import json

import httpx


class Visitor:
    """One page load: sends the page's own events as the browser does. ``heard``
    is every line of every answer, as it came over the wire."""

    def __init__(self, url: str, session: str):
        self.http = httpx.Client(base_url=url, timeout=60)
        self.session = session
        self.heard: list[str] = []
        self.config = self.http.get("/config").json()
        self.components = {one["id"]: one for one in self.config["components"]}
        self.values = {id: one["props"].get("value") for id, one in self.components.items()}

    def component(self, elem_id: str) -> int:
        return next(id for id, one in self.components.items() if one["props"].get("elem_id") == elem_id)

    def dependency(self, elem_id: str, event: str) -> dict:
        target = self.component(elem_id)
        return next(
            one
            for one in self.config["dependencies"]
            if one["backend_fn"] and any(list(pair) == [target, event] for pair in one["targets"])
        )

    def body(self, elem_id: str, event: str, data: dict | None = None) -> dict:
        """What the browser sends for one event."""
        dependency = self.dependency(elem_id, event)
        return {
            "data": [self.values.get(id) for id in dependency["inputs"]],
            "fn_index": dependency["id"],
            "session_hash": self.session,
            "event_data": data,
            "trigger_id": self.component(elem_id),
        }

    def fire(self, elem_id: str, event: str = "click", data: dict | None = None) -> None:
        """Run one event to its end and apply what it changed."""
        dependency, body = self.dependency(elem_id, event), self.body(elem_id, event, data)
        if not dependency["queue"]:
            answer = self.http.post("/gradio_api/run/predict", json=body)
            answer.raise_for_status()
            self.heard.append(answer.text)
            self._apply(dependency, answer.json()["data"])
            return
        self.http.post("/gradio_api/queue/join", json=body).raise_for_status()
        self.listen(dependency)

    def listen(self, dependency: dict) -> None:
        """Apply what a queued event changes, until it ends."""
        shown: list = [None] * len(dependency["outputs"])
        with self.http.stream("GET", f"/gradio_api/queue/data?session_hash={self.session}") as stream:
            for line in stream.iter_lines():
                self.heard.append(line)
                if not line.startswith("data:"):
                    continue
                message = json.loads(line.removeprefix("data:"))
                if message["msg"] == "process_generating":
                    shown = _patched(shown, message["output"]["data"])
                    self._apply(dependency, shown)
                elif message["msg"] == "process_completed":
                    assert message["success"], message
                    return

    def say(self, text: str) -> None:
        self.values[self.component("pal-message")] = text
        self.fire("pal-send")

    def shown(self, elem_id: str) -> str:
        return self.values[self.component(elem_id)] or ""

    def _apply(self, dependency: dict, data: list) -> None:
        for id, value in zip(dependency["outputs"], data, strict=True):
            if isinstance(value, dict) and value.get("__type__") == "update":
                self.components[id]["props"].update(value)
                if "value" in value:
                    self.values[id] = value["value"]
            elif self.components[id]["type"] != "state":
                self.values[id] = value


def _patched(shown: list, changes: list) -> list:
    """The outputs after a stream message: whole the first time, then changes."""
    if all(not _is_patch(change) for change in changes):
        return list(changes)
    return [_patch(old, change) for old, change in zip(shown, changes, strict=True)]


def _is_patch(change) -> bool:
    return isinstance(change, list) and all(isinstance(step, list) and len(step) == 3 for step in change)


def _patch(old, steps: list):
    for action, path, value in steps:
        if not path:
            old = old + value if action == "append" else value
            continue
        holder = old
        for key in path[:-1]:
            holder = holder[key]
        if action == "append":
            holder[path[-1]] += value
        elif action == "delete":
            del holder[path[-1]]
        else:
            holder[path[-1]] = value
    return old
