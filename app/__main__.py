"""``python -m app``: start the application on this machine."""

import argparse
import os

import uvicorn


def main(arguments: list[str] | None = None) -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser("python -m app", description="Draw, and be recognised.")
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (default: here only)")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--workers", type=int, default=1, help="processes that answer")
    parser.add_argument("--part", default="both", choices=["both", "api", "web"])
    parser.add_argument("--api", default="", help="for --part web: where the interface is")
    parser.add_argument("--origin", default="", help="for --part api: the page it answers")
    parser.add_argument("--numpy-only", action="store_true", help="leave PyTorch out")
    given = parser.parse_args(arguments)
    os.environ.update(
        NN_APP_PART=given.part,
        NN_APP_API=given.api,
        NN_APP_ORIGIN=given.origin,
        NN_APP_NUMPY_ONLY=str(int(given.numpy_only)),
    )
    print(f"The application: http://{given.host}:{given.port}  (Ctrl+C ends it)", flush=True)
    uvicorn.run(
        "app.server:create",
        factory=True,
        host=given.host,
        port=given.port,
        workers=given.workers,
        log_level="warning",
        access_log=False,
    )


if __name__ == "__main__":
    main()
