"""The model card of a package, in Markdown: what it is, how good, on what data, how to load it."""

from __future__ import annotations

from typing import Any

from lora_agent.registry import AdapterSpec, Manifest

from .evaluate.calibrate import wilson
from .plot import bars
from .recipe import Recipe

RATES = ("false_positive_rate", "recall", "injection_recall", "injection_false_positive_rate", "answerability_correct")


def card(
    recipe: Recipe,
    spec: AdapterSpec,
    manifest: Manifest,
    sources: list[dict[str, Any]],
    found: dict[str, Any],
    *,
    decontaminated: bool,
    plotted: bool = False,
) -> str:
    """`found`: the report of the stage validate, {} for a draft. `decontaminated`: against public test sets. `plotted`:
    `plot` lies beside it as gate.svg."""
    parts = [
        _front_matter(spec, manifest),
        f"# {spec.name} {spec.version}",
        spec.description,
        f"{_what(recipe)} for {manifest.base.id}, {'trained' if recipe.compose is None else 'validated'} on its "
        f"{'16-bit' if manifest.base.quantization == 'none' else manifest.base.quantization} weights.",
        _gate(found, plotted=plotted) if found else "Not validated yet.",
        *_variants(recipe, manifest),
        _data(sources, decontaminated),
        _use(recipe, spec, manifest),
    ]
    return "\n\n".join(parts) + "\n"


def plot(found: dict[str, Any]) -> str:
    """The gate's shares by system and by source, as an SVG file."""
    table = found["report"]
    systems = [
        (label, s["correct"], tuple(s["correct_95"]), s["n"])
        for name, label in _SYSTEMS
        if (s := table.get(name)) is not None and "n" in s
    ]
    sources = [
        (name, s["correct"], wilson(round(s["correct"] * s["n"]), s["n"]), s["n"])
        for name, s in table["by_source"].items()
    ]
    return bars([systems, sources])


def _what(recipe: Recipe) -> str:
    if recipe.compose is not None:
        return f"Composed of {len(recipe.compose.adapters)} adapters (`{recipe.compose.method}`), not trained,"
    fit = recipe.fit
    size = f", rank {fit.rank}" + (f", alpha {fit.alpha}" if fit.kind != "vera" else "") if fit.method.ranked else ""
    return f"{fit.method.title[0].upper()}{fit.method.title[1:]}{size}"


_SYSTEMS = (
    ("adapter", "this adapter"),
    ("adapter_without_grammar", "this adapter, no grammar"),
    ("on_16_bit_base", "this adapter on the 16-bit base"),
    ("prompted_base", "prompted base"),
)


def _gate(found: dict[str, Any], *, plotted: bool) -> str:
    table, calibrated = found["report"], found["calibration"]
    rows = []
    for name, label in _SYSTEMS:
        s = table.get(name)
        if s is None or "n" not in s:
            continue
        low, high = s["correct_95"]
        share = f"{s['correct']:.1%} | {low:.1%} to {high:.1%} | {s['valid']:.1%} | {s['stopped']:.1%}"
        rows.append(f"| {label} | {s['n']} | {share} |")
    lines = [
        f"## Gate: development rows, metric `{table['metric']}`",
        "",
        "| system | n | correct | 95 % interval | valid | stopped |",
        "|---|---|---|---|---|---|",
        *rows,
        "",
        *(["![Right answers by system and by source, with 95 % intervals](gate.svg)", ""] if plotted else []),
        f"McNemar p = {table['mcnemar_p']:.2g} (n = {table['paired_n']}).",
        f"Calibration error of the confidence: {calibrated['ece']}.",
        *_latency(table.get("latency_ms")),
        "Greedy, under the same grammar where not said otherwise. No row is of a group that was trained on.",
        "",
        "| source | n | correct |",
        "|---|---|---|",
        *(f"| {s} | {v['n']} | {v['correct']:.0%} |" for s, v in table["by_source"].items()),
    ]
    for key in RATES:
        if key in table and table[key]["n"]:
            low, high = table[key]["interval_95"]
            lines.append(
                f"\n{key.replace('_', ' ')}: {table[key]['rate']:.1%} ({low:.1%} to {high:.1%}, n = {table[key]['n']})"
            )
    if table.get("citation_f1") is not None:
        lines.append(
            f"\nOf the questions that have an answer: citation F1 {table['citation_f1']:.2f}, "
            f"word F1 of the answer {table['answer_word_f1']:.2f}."
        )
    if risk := calibrated.get("risk"):
        wrong, hits = risk["false_positives"], risk["found"]
        lines.append(
            f"\nThreshold of the score: {calibrated['threshold']:.3f}, for at most {risk['max_false_positives']:.0%} "
            f"false positives. One from the first half of the rows, on the second: {wrong['rate'] or 0:.1%} "
            f"(n = {wrong['n']}), {hits['rate'] or 0:.1%} found (n = {hits['n']})."
        )
    if table.get("failures"):
        lines += ["", "Where it fails, for example:", ""]
        lines += [f"* {f['last']!r}: wrote `{f['output']}`, right is `{f['target']}`" for f in table["failures"]]
    return "\n".join(lines)


def _variants(recipe: Recipe, manifest: Manifest) -> list[str]:
    """A section on the plain LoRA beside an activated one, if there is one."""
    parts = []
    for kind, record in manifest.variants.items():
        own, gate = record.gate.report["adapter"], "passed" if record.gate.passed else "failed: engines refuse it"
        low, high = own["correct_95"]
        share = f"{own['correct']:.1%} correct ({low:.1%} to {high:.1%}, n = {own['n']}), {own['valid']:.1%} valid"
        parts.append(
            f"## Plain variant\n\nIn `variants/{kind}/`, rank {recipe.variant.rank or recipe.fit.rank}, for servers "
            f"that apply an adapter to the whole prompt (vLLM). On the same rows: {share}, calibration error "
            f"{record.calibration.ece}. Gate: {gate}."
        )
    return parts


def _front_matter(spec: AdapterSpec, manifest: Manifest) -> str:
    """What the Hugging Face Hub reads at the head of a card."""
    base = manifest.base.id
    known = [f"base_model: {base}"] if base.count("/") == 1 and not base.startswith((".", "/")) else []
    tags = ", ".join(dict.fromkeys(("lora", spec.kind, "lora-agent")))
    return "\n".join(
        ["---", "library_name: peft", *known, f"license: {spec.licence.lower()}", f"tags: [{tags}]", "---"]
    )


def _latency(found: dict[str, Any] | None) -> list[str]:
    if found is None:
        return []
    low, high = found["mean_95"]
    measured = f"{found['mean']} ms ({low} to {high}, n = {found['n']})"
    return [f"One call at a time, on the float32 copy of the base that it was validated with: {measured}."]


def _data(sources: list[dict[str, Any]], decontaminated: bool) -> str:
    lines = ["## Data", "", "| set | licence | rows |", "|---|---|---|"]
    lines += [
        f"| {s['name']}{f' ({by})' if (by := s.get('by')) else ''} | {s['licence']} | {s['rows']} |" for s in sources
    ]
    lines += [
        "",
        "Origins, commits and file digests are in `sources.yaml`. "
        + ("Rows that share 8 words with a public test set were dropped." if decontaminated else "Not decontaminated."),
    ]
    return "\n".join(lines)


def _use(recipe: Recipe, spec: AdapterSpec, manifest: Manifest) -> str:
    base, served = manifest.base.id, recipe.served
    if served == "merged":
        how = (
            "This method changes weights in a way that the engine cannot swap, so `merged/` holds a model of its "
            "own (bfloat16): `AutoModelForCausalLM.from_pretrained('merged')`, `vllm serve merged`, or "
            "`LocalEngine.load('merged')`. It reads a conversation with the prompt in `prompt.json` after it."
        )
        if recipe.fit.kind != "full":
            how += f" The files beside this one are PEFT's: `PeftModel.from_pretrained({base!r}, folder)`."
        return f"## Use\n\n{how}"
    if recipe.compose is not None and recipe.compose.method == "arrow":
        experts = "`experts/` holds the parts as stock PEFT adapters"
        return (
            f"## Use\n\nOnly with PEFT: {experts}, and `arrow.json` says how to give them to "
            f"`create_arrow_model` on {base!r}, after a conversation the prompt in `prompt.json`. Every layer chooses "
            "between the parts for every token, for which this engine and vLLM have no place."
        )
    if served == "peft":
        return (
            f"## Use\n\nOnly with PEFT: `PeftModel.from_pretrained({base!r}, folder)`, after a conversation the prompt "
            "in `prompt.json`. Neither this engine nor vLLM serves virtual tokens, and they cannot be merged."
        )
    elsewhere = (
        f"vLLM serves {'its plain variant' if manifest.variants else 'no activated LoRA'} (`lora-agent deploy vllm`)"
        if spec.kind == "alora"
        else f"vLLM serves it with `--enable-lora --lora-modules {spec.name}=FOLDER --max-lora-rank {recipe.fit.rank}`"
    )
    return (
        "## Use\n\n"
        f"Here: `lora-agent call {spec.name} '<input JSON>'` or `engine.call({spec.name!r}, ...)`. Elsewhere: the "
        f"folder is a stock PEFT adapter; `PeftModel.from_pretrained({base!r}, folder)` loads it, with the prompt that "
        f"`adapter.yaml` describes (invocation {spec.prompt.invocation!r}); {elsewhere}."
    )
