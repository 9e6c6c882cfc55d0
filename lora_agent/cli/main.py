"""The command line: one typer app, and the one boundary between exceptions and exit codes.

Exit codes: 0 done, 1 the model or engine could not do it, 2 the request or a package is wrong, 130 stopped; `train`
has two of its own, 3 for too little memory and 4 for a failed gate.
A LoraAgentError is printed as message and remedy on stderr; any other exception is a fault of this program
and keeps its traceback.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from lora_agent import __version__
from lora_agent.cli import adapters, ask, bench, call, deploy, doctor, evaluate, mcp, route, schema, serve, train
from lora_agent.cli.heap import start_over_in_huge_pages
from lora_agent.errors import LoraAgentError

app = typer.Typer(
    name="lora-agent",
    help="One quantized base model, every skill a LoRA adapter, every adapter a typed tool.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"lora-agent {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and stop."),
    ] = False,
) -> None: ...


app.command("ask")(ask.ask)
app.command("call")(call.call)
app.command("route")(route.route)
app.add_typer(adapters.app, name="adapters")
app.add_typer(schema.app, name="schema")
app.command("train")(train.train)
app.command("eval")(evaluate.evaluate)
app.command("serve")(serve.serve)
app.command("mcp")(mcp.mcp)
app.add_typer(deploy.app, name="deploy")
app.command("bench")(bench.bench)
app.command("doctor")(doctor.doctor)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the `lora-agent` script. Always ends with SystemExit."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # a terminal that lacks a character shows its escape instead
        sys.stdout.reconfigure(errors="backslashreplace")
    if arguments is None and sys.argv[1:2] == ["train"]:
        start_over_in_huge_pages()
    try:
        app(args=list(arguments) if arguments is not None else None, prog_name="lora-agent")
    except LoraAgentError as error:
        print(f"error: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"  {error.hint}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    finally:
        _flush_quietly()


def _flush_quietly() -> None:
    """The reader of a pipe may have gone (`lora-agent … | head`): the rest of the output is not wanted."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
