"""`GET /`: the playground. Static files of this package, read once; the page may load nothing from elsewhere."""

from __future__ import annotations

from importlib.resources import files

from fastapi import APIRouter
from starlette.responses import Response

_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript"}
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
_FILES = {
    name: (files("lora_agent.server.playground") / name).read_bytes()
    for name in ("index.html", "playground.css", "playground.js")
}

router = APIRouter(include_in_schema=False)


@router.get("/")
async def page() -> Response:
    return _answer("index.html")


@router.get("/playground.css")
async def style() -> Response:
    return _answer("playground.css")


@router.get("/playground.js")
async def script() -> Response:
    return _answer("playground.js")


def _answer(name: str) -> Response:
    return Response(_FILES[name], media_type=_TYPES[name.rpartition(".")[2]], headers=_HEADERS)
