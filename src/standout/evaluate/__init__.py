"""Folders of maps, or a trained network, against masks: scores, tables, and pictures of both. No torch.

- `score_maps`: a folder of maps against masks, paired by name.
- `score_model`: a run or a model file on a data set.
- `compare`: many methods over many sets; `render_comparison`: its tables.
- `score_shard`, `merge_shards`: the same in parts.
- `find_significance`: its intervals and tests.
- `explain`: which rules yield a published figure.
- `render`: scores as a table for the screen, JSON, CSV, Markdown or LaTeX.
- `picture_grid`: one labelled sheet of pictures, masks and maps.
"""

from standout.evaluate.compare import compare
from standout.evaluate.comparison import Comparison, Series
from standout.evaluate.comparison_table import render_comparison
from standout.evaluate.explain import Explanation, explain
from standout.evaluate.grid import picture_grid
from standout.evaluate.pairs import Problem
from standout.evaluate.score import Rules, Scored, score_maps, score_model
from standout.evaluate.shards import Shard, merge_shards, score_shard
from standout.evaluate.significance import Significance, find_significance
from standout.evaluate.table import FORMATS, document, render

__all__ = [
    "FORMATS",
    "Comparison",
    "Explanation",
    "Problem",
    "Rules",
    "Scored",
    "Series",
    "Shard",
    "Significance",
    "compare",
    "document",
    "explain",
    "find_significance",
    "merge_shards",
    "picture_grid",
    "render",
    "render_comparison",
    "score_maps",
    "score_model",
    "score_shard",
]
