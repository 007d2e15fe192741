"""The only door for pixels: files become pixels and labels here, and pixels become files.

`read_image` and `read_mask` refuse what they cannot read in one line, check every cap before a pixel is decoded,
and turn all kinds of files into one form: 8-bit sRGB, upright, and labels of 0 to 255.
"""

from standout.images.draw import grid, label_image, paste
from standout.images.limits import FORMATS, SERVER, Limits
from standout.images.map import read_map
from standout.images.mask import Fitted, MaskPicture, fit_mask, read_mask, resize_mask
from standout.images.mask_facts import MaskFacts, MaskFinding, mask_facts, mask_findings
from standout.images.picture import Picture, Source, read_image
from standout.images.resize import fitting, resize, resize_classes, resize_map
from standout.images.write import as_levels, encode_image, write_image, write_map

__all__ = [
    "FORMATS",
    "SERVER",
    "Fitted",
    "Limits",
    "MaskFacts",
    "MaskFinding",
    "MaskPicture",
    "Picture",
    "Source",
    "as_levels",
    "encode_image",
    "fit_mask",
    "fitting",
    "grid",
    "label_image",
    "mask_facts",
    "mask_findings",
    "paste",
    "read_image",
    "read_map",
    "read_mask",
    "resize",
    "resize_classes",
    "resize_map",
    "resize_mask",
    "write_image",
    "write_map",
]
