"""What Argo CD would say of a resource, by Argo CD's own diff (``hack/tools/argocd-diff``).

The whole of Argo CD needs Redis and a Git server of its own; the two parts of it that meet the operator are how it
applies, which is kubectl's apply, and how it compares, which is this.
"""

from __future__ import annotations

import json
import subprocess
from typing import Any

from hack import tools

MANAGER = "argocd-controller"
"""Argo CD's field manager when it applies on the server's side."""

Object = dict[str, Any]


def build() -> None:
    """Build the program unless this machine has it; about two minutes, the first time.

    Raises:
        tools.BuildError: the Go compiler failed.
    """
    tools.build(tools.TOOLS["argocd-diff"])


def out_of_sync(config: Object, live: Object, predicted: Object | None = None) -> str:
    """Return how Argo CD would change the live object to what Git holds; empty when it is Synced.

    Args:
        config: the manifest as Git holds it, with the namespace that Argo CD adds.
        live: the object as the API server returns it.
        predicted: what a dry run of the server-side apply returned: compare with ServerSideDiff=true.
    """
    request = {"config": config, "live": live} | ({} if predicted is None else {"predicted": predicted})
    done = subprocess.run(
        [tools.build(tools.TOOLS["argocd-diff"])],
        input=json.dumps(request),
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    if not answer["modified"]:
        return ""
    return json.dumps({"live": answer["live"]["spec"], "wanted": answer["wanted"]["spec"]}, indent=1, sort_keys=True)
