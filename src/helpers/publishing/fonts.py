"""The two fonts of the pages, each cut down to what the pages write with it."""

import re
from collections.abc import Callable
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont

MATH = (
    set(range(0x20, 0x7F))
    | set(range(0x391, 0x3CA))
    | set(range(0x1D434, 0x1D468))  # a single letter x is drawn as the italic that stands here
    | set(range(0x1D6E2, 0x1D71C))
    | {ord(c) for c in "\u00a0¯°±·×ħˆˉ̂̄̅̃̇ϑϕϖϰϱϵ‖…′″ℎℓℒℝℕℤ←→↔↦⇒⇔⟶⟵⟨⟩⌈⌉⌊⌋⋅⋯⋮⋱⏞⏟\ufe00"}
    | {ord(c) for c in "∀∂∃∅∆∇∈∉∏∑−∓∗∘√∝∞∥∧∨∩∪∫∼≈≠≡≤≥≪≫⊂⊆⊕⊗⊙⊤⊥"}
    | {ord(c) for c in "𝒩𝒟𝒰𝔼𝟏𝖳"}
)
"""The characters that a formula may use: those of the book, and their nearest relatives."""

WIDEST_RADICAL = 0.88
"""In em; the low one is 0.79 wide, the widest was 1.21."""

ICON_FONTS = {"solid": "fa-solid-900", "regular": "fa-regular-400", "brands": "fa-brands-400"}
HOSTS = ["github", "gitlab", "bitbucket"]
"""Of repositories: the theme puts the names of their icons together."""
ICON_FILES = ["icons.css", *(f"icons-{kind}.woff2" for kind in ICON_FONTS)]
"""What `icons` makes."""

FACE = (
    '@font-face{{font-family:"{family}";font-weight:{weight};font-display:{display};'
    'src:url("{file}") format("woff2")}}\n'
)


def math() -> bytes:
    """Return STIX Two Math (SIL Open Font License) with the characters of `MATH`, as WOFF2."""
    package = Path(find_spec("ziamath").origin).parent  # its font is wanted, not its code
    font = package / "fonts" / "STIXTwoMath-Regular.ttf"
    features = ["ssty", "dtls", "flac", "kern", "mark", "mkmk", "ccmp"]
    return _cut(font, MATH, _narrow_radicals, layout_features=features)


def _narrow_radicals(font: TTFont) -> None:
    """Make the tall radicals hardly wider than the low one.

    A browser that follows MathML Core keeps room for the widest of them behind every root, 0.4 em
    too much behind √2.
    """
    variants = font["MATH"].table.MathVariants
    radical = variants.VertGlyphCoverage.glyphs.index(font.getBestCmap()[ord("√")])
    tall = variants.VertGlyphConstruction[radical]
    names = {record.VariantGlyph for record in tall.MathGlyphVariantRecord}
    names |= {part.glyph for part in tall.GlyphAssembly.PartRecords}
    widest = round(WIDEST_RADICAL * font["head"].unitsPerEm)
    for name in names:
        width, bearing = font["hmtx"][name]
        if width > widest:
            glyph = font["glyf"][name]
            glyph.coordinates.scale((widest / width, 1))
            glyph.coordinates.toInt()
            glyph.recalcBounds(font["glyf"])
            font["hmtx"][name] = (widest, round(bearing * widest / width))


def _cut(
    font: Path,
    characters: set[int],
    mend: Callable[[TTFont], None] | None = None,
    **options: object,
) -> bytes:
    """Return `font` with these characters and what its rules make of them, as WOFF2."""
    chosen = subset.Options(
        flavor="woff2",
        hinting=False,
        notdef_outline=True,
        name_IDs=[0, 1, 2, 4, 6, 13, 14],  # 0, 13, 14: whose it is, and under which license
        **options,
    )
    file = BytesIO()
    with subset.load_font(str(font), chosen) as loaded:
        if mend:
            mend(loaded)
        cutter = subset.Subsetter(chosen)
        cutter.populate(unicodes=characters)
        cutter.subset(loaded)
        subset.save_font(loaded, file, chosen)
    return file.getvalue()


def icons(themes: list[Path], fontawesome: Path) -> dict[str, bytes]:
    """Return the icons that the themes use: `icons.css`, and the fonts it names, by file name.

    `themes` are folders that are searched for names of icons (`fa-moon`) and for the characters
    that style sheets write (`\\f107`, or the character itself); `fontawesome` is the folder of
    Font Awesome with its `css` and `webfonts`, of which 3 % are needed.
    """
    style = (fontawesome / "css" / "all.min.css").read_text(encoding="utf-8")
    names = {f"fa-{host}" for host in HOSTS}
    characters: set[int] = set()
    for folder in themes:
        for file in folder.rglob("*"):
            if file.suffix in {".html", ".js", ".css", ".py"} and fontawesome not in file.parents:
                text = file.read_text(encoding="utf-8")
                names |= set(re.findall(r"\bfa-[a-z0-9-]+", text))
                characters |= {int(code, 16) for code in re.findall(r"\\(f[0-9a-f]{3})\b", text)}
                characters |= {ord(c) for c in re.findall("[\ue000-\uf8ff]", text)}
    rules = []
    for selectors, code in re.findall(r'([^{}]+)\{content:"\\([0-9a-f]+)"\}', style):
        kept = [s for s in selectors.split(",") if s.removesuffix(":before")[1:] in names]
        if kept:
            rules.append(f'{",".join(kept)}{{content:"\\{code}"}}\n')
            characters.add(int(code, 16))
    made, faces = {}, ""
    for kind, name in ICON_FONTS.items():
        file = f"icons-{kind}.woff2"
        made[file] = _cut(fontawesome / "webfonts" / f"{name}.woff2", characters)
        for version in (5, 6):
            family = f"Font Awesome {version} {'Brands' if kind == 'brands' else 'Free'}"
            weight = 900 if kind == "solid" else 400
            faces += FACE.format(family=family, weight=weight, display="block", file=file)
    base = (Path(__file__).parent / "icons.css").read_text(encoding="utf-8")
    return made | {"icons.css": (faces + base + "".join(rules)).encode()}
