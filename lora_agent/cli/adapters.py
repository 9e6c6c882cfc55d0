"""`lora-agent adapters`: list, show, verify, add and remove adapter packages. The registry does the work."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lora_agent.cli import options
from lora_agent.types import compact_json

if TYPE_CHECKING:
    from lora_agent.registry import AdapterPackage

app = typer.Typer(help="List, check and install adapter packages.", no_args_is_help=True, rich_markup_mode=None)


@app.command("list")
def list_(adapter_path: options.AdapterPathOption = None, as_json: options.JsonFlag = False) -> None:
    """Show every adapter that would be loaded, and every package that is broken."""
    from lora_agent.registry import Registry

    registry = Registry.discover(adapter_path or ())
    packages = sorted(registry.packages.values(), key=lambda package: package.name)
    if as_json:
        problems = [{"folder": str(folder), "error": fault.message} for folder, fault in registry.problems]
        shadowed = [_row(package) for package in registry.shadowed]
        rows = [_row(package) for package in packages]
        print(compact_json({"adapters": rows, "shadowed": shadowed, "problems": problems}))
        return
    for package in packages:
        print(f"{package.name:<16} {package.version:<8} {package.spec.kind:<6} {package.description}")
    if not packages:
        print("no adapters found; add one with `lora-agent adapters add PATH`", file=sys.stderr)
    for package in registry.shadowed:
        print(f"shadowed: {package.name} {package.version} in {package.folder}", file=sys.stderr)
    for folder, fault in registry.problems:
        print(f"broken: {folder}\n  {fault.message}\n  {fault.hint}", file=sys.stderr)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="An adapter's name, or a package folder.")],
    adapter_path: options.AdapterPathOption = None,
    as_json: options.JsonFlag = False,
) -> None:
    """Show one adapter: card, contract, gate report and where it came from."""
    package = _find(name, adapter_path)
    facts = {
        **_row(package),
        "spec": package.spec.model_dump(mode="json", exclude_none=True),
        "input_schema": package.input_schema,
        "output_schema": package.output_schema,
        "manifest": package.manifest.model_dump(mode="json", exclude={"fingerprint"}),
    }
    if as_json:
        print(compact_json(facts))
        return
    import yaml

    print(yaml.safe_dump(facts, sort_keys=False, allow_unicode=True, width=100), end="")


@app.command()
def verify(
    name: Annotated[str, typer.Argument(help="An adapter's name, or a package folder.")],
    no_engine: Annotated[bool, typer.Option("--no-engine", help="Check the files only; do not load the base.")] = False,
    base: options.BaseOption = None,
    quantization: options.QuantizationOption = "nf4",
    device: options.DeviceOption = None,
    as_json: options.JsonFlag = False,
) -> None:
    """Check a package: files, gate, and on the base its tensors and its fingerprint."""
    from lora_agent.registry import check_gate

    package = _find(name, None)
    checked = ["files", "schemas"]
    check_gate(package)
    checked.append("gate")
    if not no_engine:
        options.open_engine(base or package.manifest.base.id, quantization, device, [package.folder])
        checked += ["base", "template", "tensors", "fingerprint"]
    if as_json:
        print(compact_json({**_row(package), "checked": checked}))
    else:
        print(f"{package.name} {package.version} is good ({', '.join(checked)}): {package.digest}")


@app.command()
def add(
    path: Annotated[str, typer.Argument(help="A package folder, or hub:OWNER/NAME[@REVISION]. It is verified.")],
    as_json: options.JsonFlag = False,
) -> None:
    """Install a package for this user, so that every command finds it. Versions live side by side."""
    from lora_agent.registry import install
    from lora_agent.registry.hub import PREFIX, pull

    package = pull(path) if path.startswith(PREFIX) else install(path)
    print(compact_json(_row(package)) if as_json else f"added {package.name} {package.version}: {package.folder}")


@app.command()
def rollback(
    name: Annotated[str, typer.Argument(help="An installed adapter's name.")],
    to: Annotated[str | None, typer.Option("--to", help="This version. Default: the next older one.")] = None,
    newest: Annotated[bool, typer.Option("--newest", help="Let the newest version count again.")] = False,
    as_json: options.JsonFlag = False,
) -> None:
    """Go back to an older version of an installed adapter; the newer one stays on disk."""
    from lora_agent.registry import installed_versions, select_version
    from lora_agent.registry import rollback as go_back

    if newest:
        select_version(name, None)
        now = installed_versions(name)[0]
        print(compact_json({"name": name, "version": now}) if as_json else f"{name}: {now}, the newest")
        return
    before, now = go_back(name, to)
    found = {"name": name, "before": before, "version": now, "installed": installed_versions(name)}
    print(compact_json(found) if as_json else f"{name}: {now} instead of {before}")


@app.command()
def push(
    name: Annotated[str, typer.Argument(help="An adapter's name, or a package folder.")],
    repository: Annotated[str, typer.Argument(help="OWNER/NAME on the Hugging Face Hub.")],
    private: Annotated[bool, typer.Option("--private", help="Make a new repository private.")] = False,
    as_json: options.JsonFlag = False,
) -> None:
    """Publish a package on the Hub: its files, a tag for its version, its digest in the commit."""
    from lora_agent.registry.hub import push as publish

    done = publish(_find(name, None).folder, repository, private=private)
    facts = {"url": done.url, "commit": done.commit, "tag": done.tag, "digest": done.digest}
    print(compact_json(facts) if as_json else f"pushed {done.tag} ({done.digest}): {done.url}")


@app.command()
def remove(
    name: Annotated[str, typer.Argument(help="An installed adapter's name.")],
    version: Annotated[str | None, typer.Option("--version", help="Only this version. Default: all.")] = None,
    as_json: options.JsonFlag = False,
) -> None:
    """Remove an installed package. Shipped packages stay."""
    from lora_agent.registry import remove as remove_package

    removed = remove_package(name, version=version)
    print(compact_json({"name": name, "removed": removed}) if as_json else f"removed {name} {', '.join(removed)}")


def _find(name: str, paths: list[Path] | None) -> AdapterPackage:
    """A package by folder where `name` is written like a path, else by name."""
    from lora_agent.registry import Registry, read_package

    if "/" in name or name.startswith(".") or (Path(name) / "adapter.yaml").is_file():
        return read_package(Path(name))
    return Registry.discover(paths or ()).get(name)


def _row(package: AdapterPackage) -> dict[str, Any]:
    return {
        "name": package.name,
        "version": package.version,
        "kind": package.spec.kind,
        "description": package.description,
        "gate_passed": package.manifest.gate.passed,
        "base": package.manifest.base.id,
        "digest": package.digest,
        "folder": str(package.folder),
    }
