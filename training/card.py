"""The model card of a package, in Markdown: what it is, how good, on what data, how to load it."""

from __future__ import annotations

from typing import Any

from lora_agent.registry import AdapterSpec, Manifest

from .recipe import Recipe


def card(
    recipe: Recipe, spec: AdapterSpec, manifest: Manifest, sources: list[dict[str, Any]], found: dict[str, Any]
) -> str:
    parts = [
        f"# {spec.name} {spec.version}",
        spec.description,
        f"An adapter ({'activated LoRA' if spec.kind == 'alora' else 'LoRA'}, rank {recipe.fit.rank}, alpha "
        f"{recipe.fit.alpha}, all linear layers) for {manifest.base.id}, trained on its "
        f"{manifest.base.quantization} weights.",
        _gate(found) if found else "Not validated yet.",
        _data(sources),
        _use(spec),
    ]
    return "\n\n".join(parts) + "\n"


def _gate(found: dict[str, Any]) -> str:
    table, calibrated = found["report"], found["calibration"]
    rows = []
    for name, label in (("adapter", "this adapter"), ("prompted_base", "prompted base")):
        s = table[name]
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
        f"McNemar p = {table['mcnemar_p']:.2g} (n = {table['paired_n']}).",
        f"Calibration error of the confidence: {calibrated['ece']}.",
        "Both under the same grammar, greedy. The rows come from sources and generator families not trained on.",
        "",
        "| source | n | correct |",
        "|---|---|---|",
        *(f"| {s} | {v['n']} | {v['correct']:.0%} |" for s, v in table["by_source"].items()),
    ]
    for key in ("false_positive_rate", "recall", "injection_recall", "injection_false_positive_rate"):
        if key in table and table[key]["n"]:
            low, high = table[key]["interval_95"]
            lines.append(
                f"\n{key.replace('_', ' ')}: {table[key]['rate']:.1%} ({low:.1%} to {high:.1%}, n = {table[key]['n']})"
            )
    if table.get("failures"):
        lines += ["", "Where it fails, for example:", ""]
        lines += [f"* {f['last']!r}: wrote `{f['output']}`, right is `{f['target']}`" for f in table["failures"]]
    return "\n".join(lines)


def _data(sources: list[dict[str, Any]]) -> str:
    lines = ["## Data", "", "| set | licence | rows |", "|---|---|---|"]
    lines += [f"| {s['name']} | {s['licence']} | {s['rows']} |" for s in sources]
    lines += [
        "",
        "Origins, commits and file digests are in `sources.yaml`. Rows that share 8 words with a public test set",
        "were dropped.",
    ]
    return "\n".join(lines)


def _use(spec: AdapterSpec) -> str:
    return (
        "## Use\n\n"
        f"Here: `lora-agent call {spec.name} '<input JSON>'` or `engine.call({spec.name!r}, ...)`. Elsewhere: the "
        "folder is a stock PEFT adapter; `PeftModel.from_pretrained(base, folder)` loads it, with the prompt that "
        f"`adapter.yaml` describes (invocation {spec.prompt.invocation!r})."
    )
