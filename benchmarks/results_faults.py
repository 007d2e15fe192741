"""The section on what was broken on purpose: runs, pictures, checkpoints, and jobs over many files."""

# ruff: noqa: E501 - a page's sentences are longer than a line of code

from __future__ import annotations

from results_text import blocks, load, table, words

KILLS = ("strategy", "processes", "kills", "kills_in_training", "kills_in_a_save", "partial_folders", "bit_equal")


def faults() -> list[str]:
    """Return the section."""
    kills, pictures, properties = (
        load("kill_training.json"),
        load("mutated_pictures.json"),
        load("measure_properties.json"),
    )
    memory, damage = load("folder_memory.json"), load("damaged_checkpoints.json")
    killed = [
        f"Killed training runs: `{kills['command']}`. {kills['protocol']}",
        f"{kills['kills']} kills, {kills['kills_in_training']} between the first step and the last, "
        f"{kills['kills_in_a_save']} in the midst of a save, {kills['kills_of_one_of_two']} of one of two processes: "
        f"{kills['not_bit_equal']} of {len(kills['rows'])} runs ended other than the one never killed.",
    ]
    return blocks(
        "## Faults",
        killed,
        table(
            [name.replace("_", " ") for name in KILLS], [[words(row[name]) for name in KILLS] for row in kills["rows"]]
        ),
        f"Mutated files: `{pictures['command']}`: {pictures['pictures']:,} pictures and {pictures['masks']:,} masks, "
        f"{pictures['foreign_exceptions']} exceptions other than a named refusal, {pictures['over_limit']} over two seconds, "
        f"slowest {pictures['slowest_ms']:.0f} ms, peak memory {pictures['peak_mib']:.0f} MiB.",
        f"Properties of the measures: `{properties['command']}`: {properties['properties']} properties on the compiled kernel "
        f"and in NumPy, at least {properties['least_passing']} examples each, {properties['failing']} failed.",
        f"Memory over many files: `{memory['command']}`: {memory['made']:,} of {memory['files']:,} maps made; "
        f"{memory['mib_at_a_tenth']:.0f} MiB resident after a tenth of them, at most {100 * memory['growth']:.1f} % more later.",
        f"Damaged checkpoints: `{damage['command']}`: of {damage['flips']} flipped bits {damage['flips_refused']} are found, "
        f"and after {damage['fell_back']} the checkpoint before is taken; of {damage['refusals']} saves that the disk refused "
        f"in their midst {damage['kept']} left the one before whole and nothing half written, and {damage['made_up_for']} "
        "were made up for by the next.",
    )
