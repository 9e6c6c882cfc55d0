"""A package round trip, and every way in which a package can be wrong: each has its own error."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from lora_agent.errors import (
    AdapterError,
    ConfigError,
    GateError,
    PackageDigestError,
    PackageFormatError,
    PackagePathError,
    PackageVersionError,
    PickleWeightsError,
    UnsupportedAdapterError,
    WrongBaseError,
    WrongTemplateError,
)
from lora_agent.registry import (
    AdapterPackage,
    GateRecord,
    ScoreSpec,
    check_base,
    check_gate,
    read_package,
    sha256_text,
)
from lora_agent.registry.paths import safe_path

from .conftest import BASE, INPUT_SCHEMA, OUTPUT_SCHEMA, edit_json, make_manifest, make_spec, reseal

Build = Callable[..., AdapterPackage]


def refuse(package: AdapterPackage, error: type[AdapterError], match: str) -> None:
    with pytest.raises(error, match=match) as caught:
        read_package(package.folder)
    assert type(caught.value) is error


def edit_yaml(folder: Path, **changes: object) -> None:
    path = folder / "adapter.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | changes))


def test_what_is_written_is_read(build: Build) -> None:
    written = build()
    package = read_package(written.folder)
    assert package == written
    assert package.spec == make_spec()
    assert package.manifest.model_copy(update={"files": {}}) == make_manifest()
    assert (package.input_schema, package.output_schema) == (INPUT_SCHEMA, OUTPUT_SCHEMA)
    assert (package.name, package.version) == ("ticket", "1.0.0")
    assert {path.name for path in written.folder.iterdir()} == {*package.manifest.files, "manifest.json"}
    assert "Größe" in (written.folder / "adapter.yaml").read_text(encoding="utf-8")


def test_peft_loads_the_package_folder_as_it_is(build: Build) -> None:
    from peft import PeftModel

    from .conftest import tiny_llama

    package = build()
    model = PeftModel.from_pretrained(tiny_llama(), package.folder)
    config = model.peft_config["default"]
    assert config.alora_invocation_tokens == [5, 6, 7]
    assert config.base_model_name_or_path == "tiny/llama"  # not the path on the machine that built it


def test_digest_is_of_the_content_not_of_place_or_time(build: Build) -> None:
    first = build()
    later = build(manifest={"created": datetime(2027, 1, 1, tzinfo=UTC)})
    assert first.folder != later.folder
    assert first.digest == later.digest
    assert build(version="1.0.1").digest != first.digest
    assert build(manifest={"gate": GateRecord(passed=False)}).digest != first.digest


def test_writing_never_replaces_by_accident(build: Build, tmp_path: Path) -> None:
    package = build()
    with pytest.raises(ConfigError, match="exists already"):
        build(package.folder, version="2.0.0")
    assert read_package(package.folder).digest == package.digest


def test_a_package_that_would_not_load_is_never_visible(build: Build, tmp_path: Path) -> None:
    with pytest.raises(PackageFormatError, match="not a JSON Schema"):
        build(tmp_path / "out" / "new", output_schema={"type": "no such type"})
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "output.schema.json", "README.md"])
def test_one_changed_byte(build: Build, name: str) -> None:
    package = build()
    path = package.folder / name
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    refuse(package, PackageDigestError, f"{name}.*expected '{package.manifest.files[name]}'")


def test_a_missing_file(build: Build) -> None:
    package = build()
    (package.folder / "README.md").unlink()
    refuse(package, PackageDigestError, r"lacks 'README\.md'")


def test_a_file_too_many(build: Build) -> None:
    package = build()
    (package.folder / "extra").mkdir()
    (package.folder / "extra" / "note.txt").write_text("hello")
    refuse(package, PackageDigestError, "extra/note.txt")


@pytest.mark.parametrize("listed", [True, False])
def test_pickled_weights(build: Build, listed: bool) -> None:
    package = build()
    (package.folder / "adapter_model.bin").write_bytes(pickle.dumps({"a": 1}))
    if listed:
        reseal(package.folder)
    refuse(package, PickleWeightsError, r"adapter_model\.bin")


def test_a_card_that_names_a_path_outside(build: Build) -> None:
    package = build()
    for name in ("../input.schema.json", "/etc/passwd", "a/../../b.json", "C:\\x.json", "./a.json"):
        edit_yaml(package.folder, input_schema=name)
        reseal(package.folder)
        refuse(package, PackagePathError, "path")


def test_a_manifest_that_names_a_path_outside(build: Build) -> None:
    package = build()
    secret = package.folder.parent / "secret"
    secret.write_text("s")
    files = package.manifest.files | {"../secret": sha256_text("s")}
    edit_json(package.folder / "manifest.json", files=files)
    refuse(package, PackagePathError, "secret")


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_link_that_leaves_the_package(build: Build, kind: str) -> None:
    package = build()
    outside = package.folder.parent / "outside"
    outside.mkdir()
    (outside / "README.md").write_bytes((package.folder / "README.md").read_bytes())  # same digest
    if kind == "file":
        (package.folder / "README.md").unlink()
        (package.folder / "README.md").symlink_to(outside / "README.md")
    else:
        (package.folder / "docs").symlink_to(outside)
    refuse(package, PackagePathError, "link")


def test_a_link_inside_the_package_is_fine(build: Build) -> None:
    package = build()
    (package.folder / "README.md").rename(package.folder / "CARD.md")
    (package.folder / "README.md").symlink_to("CARD.md")
    reseal(package.folder)
    assert read_package(package.folder).name == "ticket"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_pipe_is_not_waited_for(build: Build) -> None:
    package = build()
    os.mkfifo(package.folder / "pipe")
    refuse(package, PackageFormatError, "not a plain file")


def test_safe_path_accepts_plain_names(tmp_path: Path) -> None:
    assert safe_path(tmp_path, "a/b.json") == tmp_path / "a" / "b.json"
    assert safe_path(tmp_path, "..a") == tmp_path / "..a"


def test_a_newer_format(build: Build) -> None:
    package = build()
    edit_json(package.folder / "manifest.json", format=2, something_new=[])
    refuse(package, PackageVersionError, "format 2.*(\n.*)?pip install --upgrade")


def test_manifest_missing_or_malformed(build: Build, tmp_path: Path) -> None:
    package = build()
    path = package.folder / "manifest.json"
    text = path.read_text()
    for changed, match in (
        (text.replace('"format": 1,', ""), ""),  # has a default: read below
        (text.replace('"format": 1', '"colour": "red"'), "colour"),
        (text.replace('"format": 1', '"format": 1, "format": 1'), "'format' is written twice"),
        (text[: len(text) // 2], "line"),
        ("[]", "expected an object"),
        (text.replace("0.1", "NaN"), "tolerance"),
        (text.replace('"gate"', '"Gate"'), "gate"),
    ):
        path.write_text(changed)
        if match:
            refuse(package, PackageFormatError, match)
    path.write_bytes(b"\xff\xfe")
    refuse(package, PackageFormatError, "UTF-8")
    path.unlink()
    refuse(package, PackageFormatError, r"has no manifest\.json")


def test_manifest_must_list_what_every_package_has(build: Build) -> None:
    package = build()
    files = {k: v for k, v in package.manifest.files.items() if k != "adapter_config.json"}
    edit_json(package.folder / "manifest.json", files=files)
    refuse(package, PackageFormatError, "does not list 'adapter_config.json'")


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("name: ticket", "name: [ticket", r"adapter\.yaml' line \d+"),
        ("name: ticket", "name: ticket\nname: other", "line 2.*'name' is written twice"),
        ("name: ticket", "name: Ticket", "line 1: name: .*'Ticket' is not an adapter name"),
        ("name: ticket", "name: base", "'base' is reserved"),
        ("version: 1.0.0", "version: '1.0'", "'1.0' is not a semantic version"),
        ("version: 1.0.0", "version: 1.0", "version: .*string"),
        ("reread: none", "reread: all", r"line \d+: prompt\.reread: .*got 'all'"),
        ("reread: none", "reread: none\n  windows: [tool]", "prompt.windows needs a `score`"),
        ("kind: alora", "kind: alora\ncolour: red", "colour"),
        ("kind: alora", "kind: 2024-99-99", "not YAML"),
        ("<ticket>", "''", "invocation is empty"),
    ],
)
def test_malformed_card(build: Build, old: str, new: str, match: str) -> None:
    package = build()
    path = package.folder / "adapter.yaml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    refuse(package, PackageFormatError, match)


def test_not_a_package(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "absent"):
        with pytest.raises(PackageFormatError, match=r"has no adapter\.yaml"):
            read_package(folder)


@pytest.mark.parametrize(
    ("schema", "match"),
    [
        ({"type": "object", "properties": 3}, "at '/properties'"),
        ({"$ref": "https://example.org/x.json"}, "outside the file"),
        ({"properties": {"x": {"items": {"$ref": "other.json#/a"}}}}, "outside the file"),
    ],
)
def test_bad_schema(build: Build, schema: dict[str, object], match: str) -> None:
    package = build()
    (package.folder / "output.schema.json").write_text(json.dumps(schema))
    reseal(package.folder)
    refuse(package, PackageFormatError, match)


def test_the_card_must_agree_with_the_schemas(build: Build) -> None:
    with pytest.raises(PackageFormatError, match=r"'colour', which input\.schema\.json does not define"):
        build(prompt={"invocation": "<t>", "fields": ["colour"]})
    with pytest.raises(PackageFormatError, match=r"'/colour', which output\.schema\.json does not define"):
        build(score=ScoreSpec(pointer="/colour", positive="red"))
    with pytest.raises(PackageFormatError, match="'bad', which is none of"):
        build(score=ScoreSpec(pointer="/verdict", positive="bad"))
    build(score=ScoreSpec(pointer="/verdict", positive="unsafe"))
    by_reference = {"$ref": "#/$defs/out", "$defs": {"out": OUTPUT_SCHEMA}}
    build(score=ScoreSpec(pointer="/verdict", positive="unsafe"), output_schema=by_reference)


def test_kind_must_agree_with_the_weights(build: Build) -> None:
    with pytest.raises(PackageFormatError, match=r"kind 'alora', but .* = None"):
        build(peft={"alora_invocation_tokens": None})
    with pytest.raises(PackageFormatError, match="kind 'lora', but"):
        build(kind="lora", peft={"alora_invocation_tokens": [5]})
    assert build(kind="lora").spec.kind == "lora"


def test_other_methods_than_lora(build: Build) -> None:
    package = build()
    edit_json(package.folder / "adapter_config.json", peft_type="IA3")
    reseal(package.folder)
    refuse(package, UnsupportedAdapterError, "peft_type = 'IA3'")


def test_base_and_template(build: Build) -> None:
    package = build()
    other = sha256_text("other")
    assert check_base(package, BASE) is None
    assert check_base(package, replace(BASE, id="./my-copy")) is None  # the digests count, not the name
    assert "nf4" in (check_base(package, replace(BASE, quantization="none")) or "")
    with pytest.raises(WrongBaseError, match=f"'tiny/llama'.*{other}"):
        check_base(package, replace(BASE, source_sha256=other))
    with pytest.raises(WrongTemplateError, match="another tokenizer"):
        check_base(package, replace(BASE, tokenizer_sha256=other))
    with pytest.raises(WrongTemplateError, match="another chat template"):
        check_base(package, replace(BASE, chat_template_sha256=other))


def test_gate(build: Build) -> None:
    check_gate(build())
    ungated = build(manifest={"gate": GateRecord(passed=False)})
    with pytest.raises(GateError, match="has not passed its gate"):
        check_gate(ungated)
    check_gate(ungated, allow_ungated=True)


def test_torch_is_not_needed_to_read_a_package(build: Build) -> None:
    code = (
        "import sys; from lora_agent.registry import read_package; read_package(sys.argv[1]);"
        "sys.exit(bool({'torch', 'transformers', 'peft'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code, str(build().folder)], check=True)
