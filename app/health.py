"""``python -m app.health PORT``: exit status 0 when the application on this machine is ready."""

import json
import sys
import urllib.request


def ready(port: int) -> bool:
    """Whether the networks are loaded and the page is served."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/ready", timeout=2) as answer:
        return json.load(answer)["status"] == "ready"


if __name__ == "__main__":
    sys.exit(not ready(int(sys.argv[1])))
