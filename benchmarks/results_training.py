"""The sections on trained networks and on what a step of training costs."""

# ruff: noqa: E501 - a page's sentences are longer than a line of code

from __future__ import annotations

import tomllib

from results_text import MEASURES, RESULTS, blocks, load, spread, table, words

LIGHT_RUNS = ("fusion_tf_efficientnet_lite0", "fusion_mobilenetv2_100", "fusion_mobilenetv2_100_10_epochs")


def light_network() -> list[str]:
    """Return the section on the accurate recipes' runs."""
    return blocks("## The accurate light networks on ECSSD", *map(light_run, LIGHT_RUNS))


def light_run(name: str) -> list[str]:
    """Return what is to be said of one run."""
    manifest, scored = load(f"{name}/manifest.json"), load(f"{name}/ecssd.json")
    recipe = tomllib.loads((RESULTS / name / "recipe.toml").read_text())
    network, training = recipe["network"]["name"], recipe["training"]
    rows = [[f"{row['sharpness']:g}", *(f"{row[name]:.4f}" for name in MEASURES)] for row in scored["rows"]]
    seconds = manifest["seconds"]
    told = [
        f"{manifest['data']['training']} pictures of DUTS-TR, {manifest['data']['validation']} held out; "
        f"{manifest['parameters']['network']:,} parameters; {manifest['steps']} steps, "
        f"{seconds['training'] / 3600:.2f} hours of training at {manifest['pictures_per_second']:.1f} pictures a second, "
        f"threads since the last start: {manifest['machine']['threads']}, with other work on the machine; "
        f"standout {manifest['versions']['standout']}, "
        f"torch {manifest['versions']['torch']}, seed {manifest['seed']}.",
        f"Protocol {scored['protocol']}: {scored['scaling']}. `{scored['command']}`",
    ]
    return blocks(
        f"### `{network}`, {training['epochs']} epochs at {training['size']}",
        f"`{manifest['command']}`",
        told,
        table(["logit scale", *MEASURES], rows),
        "The scale was chosen on the held-out names, never on ECSSD. Files: "
        + ", ".join(
            f"[{words}](results/{name}/{file})"
            for words, file in (
                ("manifest", "manifest.json"),
                ("metrics", "metrics.jsonl"),
                ("recipe", "recipe.toml"),
                ("every measure", "ecssd.json"),
            )
        )
        + ".",
        f"![Loss and held-out measures](results/{name}/curves.png)",
    )


def comparison() -> list[str]:
    """Return the section on the four methods beside plain training."""
    found = load("compare_strategies.json")
    rows = []
    for at in ("scale 1", "best scale"):
        for method in dict.fromkeys(row["method"] for row in found["rows"]):
            chosen = [row for row in found["rows"] if row["method"] == method and row["at"] == at]
            scales = ", ".join(f"{row['sharpness']:g}" for row in chosen)
            cells = [spread([row[name] for row in chosen]) for name in MEASURES]
            rows.append([method, scales, str(len(chosen)), *cells])
    return blocks(
        "## The four methods beside plain training",
        f"`{found['command']}`",
        f"One schedule, one network, seeds {', '.join(map(str, found['seed']))}; ECSSD, protocol {found['protocol']}; mean "
        "± deviation over the seeds. The second half has each run at the logit scale that is best on its own held-out "
        "names: sharpening costs nothing, so a gain counts only where it survives there. Training is far too short "
        "for figures to be compared with published ones.",
        table(["method", "logit scale", "seeds", *MEASURES], rows, words=2),
    )


def costs() -> list[str]:
    """Return the section on what a training step costs."""
    found = load("training_cost.json")
    steps = [
        [
            row["network"],
            row["variant"],
            f"{row['milliseconds']:.0f}",
            f"{row['pictures_per_second']:.1f}",
            f"{100 * row['added']:+.1f} %"
            + (f" ({100 * median[0]:+.1f} to {100 * median[1]:+.1f})" if (median := row.get("added_between")) else ""),
            f"{100 * row['loss_added']:+.2f} %" if "loss_added" in row else "",
        ]
        for row in found["steps"]
    ]
    memory = [
        [
            row["variant"],
            words(row["keeps_freed_memory"]),
            f"{row['milliseconds']:.0f}",
            f"{row['page_faults']:,.0f}",
            f"{row['peak_mebibytes']:,.0f}",
        ]
        for row in found["memory_kept"]
    ]
    read = [
        [
            row["network"],
            "the cache" if row["cached"] else "their files",
            "" if "ahead" not in row else "beside steps" if row["ahead"] else "between steps",
            f"{100 * row['share_of_the_speed_in_memory']:.0f} %",
            *(f"{row[key]:,}" if key in row else "" for key in ("processor_milliseconds_a_picture", "peak_mebibytes")),
        ]
        for row in found.get("reading", [])
    ]
    told = [
        f"`{found['command']}`; threads: {found['threads']}, torch {found['versions']['torch']}; {found['protocol']}.",
        "What a strategy adds exists in training alone. In brackets between which figures the median lies with 95 % "
        "confidence; the last column is what loss and strategy take alone, more than plain's, in shares of the plain step.",
    ]
    with_pictures = [
        "Speed with pictures read and augmented, either way, beside the speed on pictures in memory; what one picture takes of a",
        "processor; the most memory that the process had. Where the steps take every processor, `standout train` reads files",
        "between steps and what the cache holds beside them.",
    ]
    return blocks(
        "## What a training step costs",
        told,
        table(["network", "step", "milliseconds", "pictures a second", "beside plain", "loss alone"], steps, words=2),
        with_pictures,
        table(["network", "pictures from", "read", "share of the speed", "ms a picture", "peak MiB"], read, words=3),
        "The same steps in processes of their own, with and without keeping freed memory (`standout train` keeps it):",
        table(["step", "keeps memory", "milliseconds", "page faults", "peak MiB"], memory, words=2),
    )
