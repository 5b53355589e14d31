"""The server: one page, a JSON interface, and no request to anywhere else."""

import gc
import io
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles

from app import api, lenses
from app.limits import LimitedBody, WithHeaders
from app.shelf import Shelf

STATIC = Path(__file__).parent / "static"
LARGEST_BODY = 1_000_000  # bytes


@dataclass(frozen=True)
class Settings:
    """What a server serves: ``part`` is both, api or web.

    ``api_url`` is where a page that is served alone finds the interface, ``origin`` the page that
    an interface alone answers, ``numpy_only`` leaves PyTorch out.
    """

    part: str = "both"
    api_url: str = ""
    origin: str = ""
    numpy_only: bool = False

    def __post_init__(self) -> None:
        if self.part not in ("both", "api", "web"):
            raise ValueError(f"part is both, api or web; got {self.part!r}.")

    @classmethod
    def from_environment(cls) -> "Settings":
        """As ``python -m app`` hands them to its workers."""
        given = os.environ
        return cls(
            part=given.get("NN_APP_PART", "both"),
            api_url=given.get("NN_APP_API", ""),
            origin=given.get("NN_APP_ORIGIN", ""),
            numpy_only=given.get("NN_APP_NUMPY_ONLY", "") == "1",
        )


def create(settings: Settings | None = None) -> FastAPI:
    """The application as these settings, or the environment, want it."""
    settings = settings or Settings.from_environment()

    @asynccontextmanager
    async def loaded(app: FastAPI) -> AsyncIterator[None]:
        app.state.shelf = Shelf(numpy_only=settings.numpy_only)
        gc.collect()
        gc.freeze()  # what is loaded now stays: no search for garbage among it holds up an answer
        yield

    app = FastAPI(
        title="Neural Network Exercises: the application",
        version="1",
        lifespan=loaded if settings.part != "web" else None,
        docs_url=None,
        redoc_url=None,
    )
    _guard(app, settings)
    _add_health(app, settings)
    if settings.part != "web":
        app.include_router(interface)
    if settings.part != "api":
        _add_page(app, settings)
    return app


def _guard(app: FastAPI, settings: Settings) -> None:
    """Limits on what comes in, headers on what goes out, one sentence for what is wrong."""
    app.add_middleware(LimitedBody, most=LARGEST_BODY)
    app.add_middleware(WithHeaders, headers=security_headers(settings.api_url))
    if settings.origin:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=[settings.origin],
            allow_methods=["GET", "POST"],
            allow_headers=["content-type"],
        )

    @app.exception_handler(RequestValidationError)
    async def unfit(request: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        place = " → ".join(str(part) for part in first["loc"] if part != "body")
        return said(422, f"{place or 'the question'}: {first['msg']}")

    @app.exception_handler(KeyError)
    async def unknown(request: Request, error: KeyError) -> JSONResponse:
        return said(404, str(error.args[0]))

    @app.exception_handler(ValueError)
    async def wrong(request: Request, error: ValueError) -> JSONResponse:
        return said(422, str(error))


def said(status: int, sentence: str) -> JSONResponse:
    """An answer that says what is wrong; it repeats nothing of the question."""
    return JSONResponse({"detail": sentence}, status)


def security_headers(api_url: str = "") -> dict[str, str]:
    """The browser loads nothing from elsewhere and runs no script in the page's text."""
    policy = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self'",
        "connect-src": f"'self' {api_url}".strip(),
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return {
        "content-security-policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
    }


def _add_health(app: FastAPI, settings: Settings) -> None:
    @app.get("/health", tags=["state"])
    async def health() -> dict[str, str]:
        """The process is alive."""
        return {"status": "alive"}

    @app.get("/ready", tags=["state"], responses={503: {"description": "still loading"}})
    async def ready(request: Request) -> Any:
        """The networks that need no PyTorch are loaded."""
        shelf = getattr(request.app.state, "shelf", None)
        if settings.part == "web":
            return {"status": "ready", "networks": 0}
        if shelf is None:
            return said(503, "the networks are still being loaded.")
        return {"status": "ready", "networks": len(shelf.names)}


FAULTS: dict[int | str, dict[str, Any]] = {
    400: {"description": "the question is not even text"},
    404: {"description": "no such network on this server"},
    413: {"description": "the question is too large"},
    422: {"description": "one sentence: what is wrong with the question"},
}


interface = APIRouter()


@interface.get("/api/models", tags=["models"])
async def models(request: Request) -> list[api.ModelCard]:
    """The menu: parameters, recorded accuracy, and the time of the latest prediction."""
    return request.app.state.shelf.cards()


@interface.post("/api/digit", tags=["lenses"], responses=FAULTS)
async def digit(question: api.DigitQuestion, request: Request) -> api.DigitAnswer:
    """Read one digit."""
    return await _quickly(lenses.digit, question, request)


@interface.post("/api/pair", tags=["lenses"], responses=FAULTS)
async def pair(question: api.DrawingQuestion, request: Request) -> api.PairAnswer:
    """Read a number of two digits."""
    return await _quickly(lenses.pair, question, request)


@interface.post("/api/doodle", tags=["lenses"], responses=FAULTS)
async def doodle(question: api.DrawingQuestion, request: Request) -> api.DoodleAnswer:
    """Name a doodle from the order of its strokes."""
    return await _quickly(lenses.doodle, question, request)


@interface.post("/api/generate", tags=["lenses"], responses=FAULTS)
async def generate(question: api.NoiseQuestion, request: Request) -> api.GeneratedAnswer:
    """Draw the ten digits from one noise."""
    return await _quickly(lenses.generate, question, request)


@interface.post("/api/plate", tags=["lenses"], responses=FAULTS)
async def plate(question: api.PlateQuestion, request: Request) -> api.PlateAnswer:
    """Draw a licence plate, distort it, and read it back."""
    return await run_in_threadpool(lenses.plate, question, request.app.state.shelf)


@interface.post(
    "/api/sample",
    tags=["drawings"],
    responses={**FAULTS, 200: {"content": {"application/octet-stream": {}}}},
    response_class=Response,
)
async def sample(question: api.SampleQuestion) -> Response:
    """A drawing as training data: .npz with images uint8 (1, 28, 28), labels int64 (1,)."""
    file = io.BytesIO()
    np.savez_compressed(file, **lenses.sample(question))
    return Response(file.getvalue(), media_type="application/octet-stream")


async def _quickly(lens: Callable[[Any, Shelf], Any], question: Any, request: Request) -> Any:
    """Answer: NumPy alone takes a few milliseconds here; PyTorch goes to a thread."""
    shelf: Shelf = request.app.state.shelf
    if shelf.needs_torch(getattr(question, "models", None), lens.__name__):
        return await run_in_threadpool(lens, question, shelf)
    return lens(question, shelf)


def _add_page(app: FastAPI, settings: Settings) -> None:
    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(STATIC / "index.html")

    @app.get("/docs", include_in_schema=False)
    async def docs() -> FileResponse:
        return FileResponse(STATIC / "docs.html")

    @app.get("/settings.json", include_in_schema=False)
    async def where() -> dict[str, str]:
        return {"api": settings.api_url}

    app.mount("/static", StaticFiles(directory=STATIC))
