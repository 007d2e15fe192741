"""The promises of reliability, in short, for `scorecard.py`; what tests leave out; figures that results must have."""

from __future__ import annotations

GROUPS = {
    "P": "Pictures",
    "M": "Masks",
    "D": "Data folders",
    "T": "Training",
    "C": "Checkpoints and models",
    "E": "Evaluation",
    "L": "Lifelong runs",
    "X": "Export",
    "S": "HTTP server",
    "B": "Batch jobs over folders",
    "K": "Command line",
    "U": "Supply chain",
}

_TEXT = """
P1* EXIF orientation is applied once; results are upright and carry none
P2* 16-bit grey is scaled by value, never clipped
P3* Every mode of a picture gives its 8-bit colours, or a named refusal
P4* Colours hidden under transparency never reach the network
P5* Adobe CMYK and YCCK JPEGs come out in their colours
P6 ICC profiles are converted, broken ones left out with one warning
P7* Truncated files are refused, never padded
P8* A picture over the pixel cap is refused from its header
P9* A progressive JPEG with too many scans is refused
P10* Only the listed formats are parsed, by content; no program is started
P11 Of animated and multi-page files the first frame is read, and said so
P12* Odd files are one line each, and the job goes on
P13* FIFOs, sockets, devices and /proc are refused unopened
P14* Links to files are followed; linked folders only by option, never twice
P15 Results carry nothing of the input but pixels
P16 A decode takes at most 18 bytes a pixel
P17* No bytes produce another exception, a hang or a dead process
P18 HEIC, RAW and JPEG XL are refused by name
P19 Thin pictures keep their size
M1* 0/1 and 0/255 masks give the same labels
M2* Palette masks are read by index; several classes need a choice
M3 A third value in masks is reported once; soft, ignored or refused
M4* RGBA masks: the plane that is not constant, else refused
M5 Soft masks stay soft; writing rounds
M6 JPEG masks are accepted, thresholded and reported
M7 Suspected inversion is a warning, never a flip
M8* Resizing invents no class; soft masks stay in range
M9* Masks of other sizes are fitted and counted, or refused by name
M10 Empty and full masks are legal and counted
D1* Unpaired files are listed by name; nothing is paired by order
D2* Two files of one stem are refused, naming both
D3* Names pair under Unicode composition
D4 Odd names are processed, printed escaped, and survive JSON
D5 What is left out of a folder is counted
D6* Empty, missing and broken folders are one line
D7* Overlap of training and test pictures is found by content, and by look by option
D8 The order depends on names only
D9 A file that vanishes in a run is that item's failure
D10 `standout data check` does all this in one read-only pass
T1* After kill -9 at any moment a resumed run ends bit-equal
T2* A checkpoint is committed by one rename; one whole one is always there
T3* A damaged newest checkpoint is moved aside, and the one before is used
T4* A full disk costs no checkpoint; training goes on
T5* What is not a number never reaches the weights
T6* A signal finishes the step and saves
T7* A second run in one folder is refused; the lock dies with its process
T8 The wall clock may jump
T9* A reader that dies or hangs is one line and a resumable stop
T10* The same seed gives the same bits, whatever the number of workers
T11 Other threads, libraries or devices on resume are said, or refused by option
T12* Changed data or settings on resume are refused by name
T13 Many processes agree on every step; a lost one ends all
T14 The log is append-only; no step occurs twice
T15 The last checkpoints and the best stay; nothing outside is deleted
T16 A time limit saves and exits 0
C1* Only safetensors and JSON are read; no code from a file
C2* A flipped bit anywhere in a checkpoint is found
C3* Newer formats are refused, older ones read for ever
C4* What does not fit a network is refused whole, by name
C5* Headers are capped and checked before they are parsed
C6* File names in a manifest are plain names of regular files
C7 Non-finite weights are refused unless allowed
C8 JSON is capped in size, depth and numbers
C9 Inspecting a model builds no network
C10 Files have the umask's permissions; links and devices are no destination
E1* Missing, surplus and unreadable maps are listed, and there is no table
E2* A partial table says so first
E3* Mis-sized maps are resized and counted, or refused
E4* Maps out of range are refused by name
E5 The table says how maps were scaled, and a hash of the files
E6 Order, processes and restarts change no digit
E7* A killed evaluation resumes to the same table
E8 Corner pairs give defined numbers
L1* An empty experience is refused before the run
L2* An unseen class is reported in its own row
L3* Resume works inside an experience, bit-equal
L4* The matrix is complete or has named holes
L5 Replay buffers hold references with hashes and are bounded
L6 The order of experiences is in the record
X1* Every export is proven before it gets its name
X2* One self-contained file; outside references are refused
X3 Metadata are stored and shown
X4 The same input gives the same bytes
X5 Only standard operators
S1* The body cap holds for every kind of length
S2* Caps on pixels, scans and formats come before decoding
S3* Slow clients are closed in time
S4* The queue is bounded
S5* Deadlines free their place
S6* A client that leaves cancels
S7* SIGTERM drains
S8* Loopback unless asked; then a token
S9* Foreign hosts and origins are refused
S10* The server fetches nothing
S11* Only raw bodies
S12* Ambiguous requests are refused
S13* No other 5xx, no trace, no path
S14 Metrics hold no names
S15 Safe headers
S16 Liveness at full load
B1* No partial file ever has a final name
B2* The ledger resumes a job to the same set of files
B3* Changed input, options or model are done again
B4* Name collisions are refused before any work
B5* An input is never overwritten or read twice
B6* One bad item does not stop the job
B7 A full disk stops with one line, resumable
B8 Two jobs into one folder: the second is refused
B9 Memory does not grow with the number of files
B10 Pipes work for one picture
B11 Long names are shortened with a hash
K1* A failure is one line on stderr
K2* Exit codes tell what happened
K3* `--json` is one document, on failure too
K4 No colour and no bars where they are not wanted
K5* Names from outside are printed escaped
K6 Names that Windows reserves are refused
K7 `--dry-run` where anything is written
K8 `--help` loads nothing heavy
K9 Unknown settings are refused with the nearest
K10 No network access, ever
U1* The core needs few packages
U2* Pinned versions, locked by hash
U3* Lower bounds follow advisories
U4 Third parties are listed with licences
U5 The wheel is reproducible
U6 Import does nothing
U7 Weaknesses are reported in private, fixed within 90 days
"""

PROMISES: dict[str, tuple[str, bool]] = {
    head.rstrip("*"): (sentence, head.endswith("*"))
    for head, sentence in (line.split(" ", 1) for line in _TEXT.strip().splitlines())
}

FEWER: dict[str, str] = {
    "T1": "the kills that are kept have no run with `attention_map`, nor dropout by threshold",
    "T6": "7 scripted signals; 50 at random moments, with 0 and 4 workers, are stated",
    "T12": "12 fields of the settings; all are stated",
    "C5": "1,000 changed headers; 100,000 are stated",
    "C8": "1,300 texts; 10,000 are stated",
    "D8": "20,000 files in a list; 100,000 are stated",
    "L3": "26 kills, two of each method, all in the third experience; 60 over three are stated",
    "K9": "25 examples; 500 are stated",
}
"""What tests leave out of their promise, as far as it is known."""

FIGURES: dict[str, tuple[tuple[str, str, int], ...]] = {
    "T1": (("kill_training.json", "kills", 100),),
    "T3": (("damaged_checkpoints.json", "flips_refused", 200),),
    "T4": (("damaged_checkpoints.json", "kept", 20),),
    "T13": (("kill_training.json", "kills_of_one_of_two", 30),),
    "B9": (("folder_memory.json", "files", 100_000),),
    "C2": (("damaged_checkpoints.json", "flips_refused", 200),),
    "P17": (("mutated_pictures.json", "pictures", 2000), ("mutated_pictures.json", "masks", 500)),
}
"""Promise to results, with the key and the least figure that counts as tested as stated."""

FAULTS = {
    "kill_training.json": ("not_bit_equal",),
    "mutated_pictures.json": ("foreign_exceptions", "over_limit"),
}
"""Results to what must not have been seen in them."""
