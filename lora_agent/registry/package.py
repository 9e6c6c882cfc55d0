"""One adapter package on disk, read and verified: card, manifest, contract and every file's digest.

`read_package` refuses whatever is not exactly what was built. It reads no tensors (`tensors` does) and does
not know the base (`checks` compares with it).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from lora_agent.errors import PackageDigestError, PackageFormatError, PickleWeightsError, UnsupportedAdapterError
from lora_agent.registry.contract import check_card, read_schema
from lora_agent.registry.digest import package_digest, sha256_file, sha256_text
from lora_agent.registry.manifest import MANIFEST_FILE, Manifest, read_manifest
from lora_agent.registry.paths import package_files, safe_path
from lora_agent.registry.peft_config import CONFIG_FILE, read_peft_config
from lora_agent.registry.reading import read_json
from lora_agent.registry.spec import SPEC_FILE, AdapterSpec, read_spec
from lora_agent.types import JsonSchema

WEIGHTS_FILE = "adapter_model.safetensors"
VARIANTS_FOLDER = "variants"
PICKLE_SUFFIXES = frozenset({".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt"})
REBUILD = "Fetch the package again, or build it again with `lora-agent train RECIPE.yaml --out DIR`."


@dataclass(frozen=True)
class BaseIdentity:
    """What makes two bases the same for an adapter. Quantization may differ; the rest may not."""

    id: str
    source_sha256: str
    quantization: str
    tokenizer_sha256: str
    chat_template_sha256: str


@dataclass(frozen=True)
class AdapterPackage:
    """A verified package, or its view as one of its variants. `digest` is its content hash, the same wherever it
    lies; a variant's is another than that of the package."""

    folder: Path
    spec: AdapterSpec
    manifest: Manifest
    input_schema: JsonSchema
    output_schema: JsonSchema
    digest: str
    weights: str = ""
    """Where in the folder the PEFT files lie: "" or "variants/lora"."""

    @property
    def weights_folder(self) -> Path:
        return self.folder / self.weights

    def file_name(self, name: str) -> str:
        """A PEFT file as the manifest lists it."""
        return f"{self.weights}/{name}" if self.weights else name

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def version(self) -> str:
        return self.spec.version

    @property
    def description(self) -> str:
        return self.spec.description


def plain_lora(package: AdapterPackage) -> AdapterPackage:
    """The package as servers can run it that apply an adapter to the whole prompt: itself if it is a plain LoRA, else
    its variant. Raises UnsupportedAdapterError for an activated LoRA without one."""
    if package.spec.kind == "lora":
        return package
    record = package.manifest.variants.get("lora")
    if record is None:
        raise UnsupportedAdapterError(
            f"the adapter {package.name!r} {package.version} is an activated LoRA: it must not touch the tokens before "
            "its invocation, and this server applies adapters to the whole prompt",
            hint="Build it with `variants: [alora, lora]` in its recipe, or run it in process (Engine.load).",
        )
    shown = {"gate": record.gate, "calibration": record.calibration, "fingerprint": record.fingerprint}
    return replace(
        package,
        spec=package.spec.model_copy(update={"kind": "lora"}),
        manifest=package.manifest.model_copy(update={**shown, "variants": {}}),
        digest=sha256_text(f"{package.digest} lora"),
        weights=f"{VARIANTS_FOLDER}/lora",
    )


def read_package(folder: str | Path) -> AdapterPackage:
    """Read and verify a package folder. Raises the AdapterError family; see `lora_agent.errors`."""
    folder = Path(folder)
    if not (folder / SPEC_FILE).exists():
        _refuse_unserved(folder)
        raise PackageFormatError(
            f"{str(folder)!r} is not an adapter package: it has no {SPEC_FILE}",
            hint="An adapter package is a folder made by `lora-agent train RECIPE.yaml --out DIR`.",
        )
    files = package_files(folder)
    spec = read_spec(folder)
    manifest, raw = read_manifest(folder)
    for name in (*manifest.files, spec.input_schema, spec.output_schema):
        safe_path(folder, name)
    _refuse_pickles(files, folder)
    _check_required(spec, manifest, folder)
    _check_digests(files, manifest, folder)
    input_schema = read_schema(folder / spec.input_schema)
    output_schema = read_schema(folder / spec.output_schema)
    check_card(spec, input_schema, output_schema, folder)
    _check_kind(spec.kind, folder)
    for name in manifest.variants:
        _check_kind(name, folder / VARIANTS_FOLDER / name)
    return AdapterPackage(folder, spec, manifest, input_schema, output_schema, package_digest(raw))


def _refuse_unserved(folder: Path) -> None:
    """A build of a method that has no place in the engine's slots says so itself. Raises UnsupportedAdapterError."""
    path = folder / MANIFEST_FILE
    served = read_json(path).get("served") if path.is_file() else None
    if served == "merged":
        raise UnsupportedAdapterError(
            f"{str(folder)!r} was trained with a method that cannot be swapped in and out, only merged",
            hint=f"Load the merged model: --base {folder / 'merged'}. To hot-swap, train kind: lora or alora.",
        )
    if served == "peft":
        raise UnsupportedAdapterError(
            f"{str(folder)!r} was trained with virtual tokens (prefix or prompt tuning), which only PEFT can run",
            hint="Use PeftModel.from_pretrained(base, folder), or train kind: lora or alora.",
        )


def _refuse_pickles(files: Mapping[str, Path], folder: Path) -> None:
    for name in files:
        if Path(name).suffix.lower() in PICKLE_SUFFIXES:
            raise PickleWeightsError(
                f"the package {str(folder)!r} holds {name!r}, a pickle: loading it could run any code",
                hint="Save the weights as safetensors: save_pretrained(..., safe_serialization=True).",
            )


def _check_required(spec: AdapterSpec, manifest: Manifest, folder: Path) -> None:
    variants = [f"{VARIANTS_FOLDER}/{v}/{file}" for v in manifest.variants for file in (CONFIG_FILE, WEIGHTS_FILE)]
    for name in (SPEC_FILE, spec.input_schema, spec.output_schema, CONFIG_FILE, WEIGHTS_FILE, *variants):
        if name not in manifest.files:
            raise PackageFormatError(
                f"{str(folder / MANIFEST_FILE)!r} does not list {name!r}, which every package has",
                hint=REBUILD,
            )


def _check_digests(files: Mapping[str, Path], manifest: Manifest, folder: Path) -> None:
    for name, expected in manifest.files.items():
        if name not in files:
            raise PackageDigestError(
                f"the package {str(folder)!r} lacks {name!r}, which its manifest lists", hint=REBUILD
            )
        found = sha256_file(files[name])
        if found != expected:
            raise PackageDigestError(
                f"{str(files[name])!r} has changed since the package was built: "
                f"sha256 {found!r}, expected {expected!r}",
                hint=REBUILD,
            )
    for name in files:
        if name not in manifest.files and name != MANIFEST_FILE:
            raise PackageDigestError(
                f"the package {str(folder)!r} holds {name!r}, which its manifest does not list",
                hint="Remove that file: nothing in a package goes unchecked.",
            )


def _check_kind(kind: str, folder: Path) -> None:
    tokens = read_peft_config(folder).alora_invocation_tokens
    if (kind == "alora") != bool(tokens):
        raise PackageFormatError(
            f"the package says kind {kind!r}, but {str(folder / CONFIG_FILE)!r} has "
            f"alora_invocation_tokens = {tokens!r}",
            hint="kind: alora is for adapters trained with invocation tokens, kind: lora for all others.",
        )
