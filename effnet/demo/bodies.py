"""The demo's classes: a body is a vector of lengths and trims, a class is a body."""

from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class Body:
    """A car's shape: what makes a class. Lengths in metres; x points forward, y up."""

    wheelbase: float
    front: float  # overhang before the front axle
    rear: float  # overhang behind the rear axle
    width: float
    clearance: float
    wheel: float  # radius of the tyre
    nose: float  # height of the hood's front edge
    hood: float  # height of the hood at the windscreen
    cowl: float  # windscreen's foot behind the front axle
    rake: float  # horizontal run of the windscreen
    roof: float  # height
    backlight: float  # horizontal run of the rear window
    boot: float  # length of the boot lid, or of a pickup's bed
    deck: float  # height of the boot lid at the rear window
    tail: float  # height of the boot lid's rear edge
    belt: float  # height of the window line's front end
    kick: float  # how much the window line rises towards the rear
    pillar: float  # width of the rear pillar
    rounding: float  # radius of the profile's corners
    lamp_length: float
    lamp_height: float
    rim: float  # rim's share of the wheel's radius
    spokes: int
    panes: int  # side windows
    cladding: float = 0.0  # height of dark plastic above the sill
    roof_trim: str = "paint"  # colour of the roof and its pillars: a key of TRIM, or the paint
    stripe: str = "paint"  # colour of a stripe along the flank
    rims: str = "silver"
    round_lamps: bool = False
    rails: bool = False
    bed: bool = False  # an open bed in place of a boot


# Body type -> its lengths, in the order of the fields of Body.
TYPES = {
    "Saloon": Body(2.70, 0.85, 1.02, 1.80, 0.20, 0.33, 0.74, 0.95, 0.42, 0.72, 1.45,
                   0.62, 0.62, 1.02, 0.98, 0.96, 0.05, 0.16, 0.16, 0.36, 0.15, 0.66, 5, 2),
    "Hatch": Body(2.45, 0.76, 0.60, 1.74, 0.19, 0.31, 0.74, 0.95, 0.30, 0.66, 1.50,
                  0.42, 0.06, 0.98, 0.90, 0.95, 0.08, 0.30, 0.20, 0.34, 0.17, 0.66, 6, 2),
    "Wagon": Body(2.75, 0.86, 0.98, 1.80, 0.21, 0.33, 0.74, 0.94, 0.42, 0.70, 1.47,
                  0.42, 0.05, 1.00, 0.92, 0.95, 0.04, 0.12, 0.14, 0.36, 0.15, 0.66, 5, 3,
                  rails=True),
    "Coupe": Body(2.60, 0.90, 0.92, 1.84, 0.16, 0.34, 0.66, 0.86, 0.58, 0.70, 1.28,
                  0.78, 0.40, 0.94, 0.90, 0.88, 0.08, 0.20, 0.22, 0.40, 0.11, 0.74, 5, 1),
    "Van": Body(2.90, 0.72, 0.85, 1.90, 0.22, 0.33, 0.98, 1.16, -0.06, 0.62, 1.95,
                0.10, 0.03, 1.10, 0.95, 1.14, 0.0, 1.70, 0.12, 0.28, 0.24, 0.58, 8, 1),
    "Pickup": Body(3.15, 0.88, 1.10, 1.88, 0.32, 0.40, 0.98, 1.12, 0.40, 0.55, 1.76,
                   0.10, 1.75, 1.10, 1.08, 1.10, 0.0, 0.16, 0.10, 0.28, 0.20, 0.56, 6, 2,
                   bed=True),
    "SUV": Body(2.70, 0.82, 0.86, 1.90, 0.30, 0.39, 0.96, 1.10, 0.32, 0.55, 1.74,
                0.26, 0.05, 1.14, 1.05, 1.10, 0.03, 0.20, 0.14, 0.34, 0.20, 0.62, 5, 3,
                cladding=0.2),
}  # fmt: skip

# How far a length of a class may lie from its type's, as a share of it.
SPREAD = {
    "wheelbase": 0.05, "front": 0.10, "rear": 0.10, "clearance": 0.15, "wheel": 0.07,
    "nose": 0.06, "hood": 0.03, "rake": 0.15, "roof": 0.04, "backlight": 0.25, "boot": 0.2,
    "belt": 0.03, "pillar": 0.30, "rounding": 0.40, "lamp_length": 0.30, "lamp_height": 0.25,
    "rim": 0.12,
}  # fmt: skip
TRIMS = {
    "roof_trim": ("paint", "black", "white"),
    "stripe": ("paint", "black", "white"),
    "rims": ("silver", "black", "white"),
    "spokes": (4, 5, 6, 7, 10),
}


def catalogue(kind: str, count: int) -> dict[str, Body]:
    """The first `count` classes, name -> body, of `kind` "Demo" or "Pretext".

    The classes do not depend on a seed. Two classes of a type are twins: their lengths lie on
    opposite sides of the type's, and their trims differ.
    """
    first = {"Demo": 0, "Pretext": 2}[kind]
    classes = {}
    for number in range(count):
        name = list(TYPES)[number // 2 % len(TYPES)]
        variant = first + number % 2
        classes[f"{kind} {name} {'ABCD'[variant]} {number + 1:02d}"] = _variant(name, variant)
    return classes


def _variant(name: str, variant: int) -> Body:
    """Variant 0, 1, ... of a type; 0 and 1 are twins, 2 and 3 are, and so on."""
    pair, twin = divmod(variant, 2)
    generator = np.random.default_rng([2020, list(TYPES).index(name), pair])
    changes: dict = {}
    for field, share in SPREAD.items():
        step = generator.uniform(0.5, 1.0) * generator.choice([-1, 1]) * share
        changes[field] = getattr(TYPES[name], field) * (1 + (step if twin else -step))
    for field, choices in TRIMS.items():
        changes[field] = choices[generator.permutation(len(choices))[twin]]
    changes["round_lamps"] = bool(twin) and bool(generator.integers(2))
    return replace(TYPES[name], **changes)
