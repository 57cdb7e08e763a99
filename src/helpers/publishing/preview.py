"""The picture that a link to the book shows elsewhere: three starts, twenty layers, one idea."""

import vl_convert

SIDES = (1200, 630)
"""Width and height in pixels, as the sites that show previews ask for."""

WORDS = (
    "Three rows of twenty dots, one for each layer of a network. Where σ is too small the dots "
    "shrink to nothing, where it is right they stay, where it is too large they grow and merge."
)

ROWS = (  # name, σ, color, height of the row's middle in pixels
    ("too small", 0.125, "#0072B2", 282),
    ("right", 0.02**0.5, "#009E73", 376),
    ("too large", 0.155, "#D55E00", 500),
)
LAYERS, WIDTH, FIRST_RADIUS = 20, 100, 13


def radii(sigma: float) -> list[float]:
    """Return each layer's radius in pixels, in proportion to the size of its signal.

    A ReLU layer of `WIDTH` units with weights of standard deviation `sigma` multiplies the
    signal's root mean square by √(WIDTH σ²/2), He's factor.
    """
    factor = (WIDTH * sigma**2 / 2) ** 0.5
    return [FIRST_RADIUS * factor**layer for layer in range(LAYERS)]


def svg() -> str:
    """Draw the three rows under the book's name."""
    width, height = SIDES
    heading = 'x="70" y="124" font-size="84" font-weight="bold" fill="#1b1f24"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">',
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
        '<g font-family="Liberation Sans, Arial, sans-serif">',
        f"<text {heading}>First Weights</text>",
        '<text x="72" y="182" font-size="36" fill="#57606a">neural-network initialization</text>',
    ]
    for name, sigma, color, middle in ROWS:
        parts.append(
            f'<text x="72" y="{middle + 12}" font-size="36" fill="{color}">σ {name}</text>'
        )
        for layer, radius in enumerate(radii(sigma)):
            parts.append(
                f'<circle cx="{330 + 41 * layer}" cy="{middle}" r="{radius:.2f}" '
                f'fill="{color}" fill-opacity=".6" stroke="{color}" stroke-opacity=".5"/>'
            )
    return "".join([*parts, "</g></svg>"])


def png() -> bytes:
    """Return the picture as a PNG of `SIDES`."""
    return vl_convert.svg_to_png(svg(), scale=1, ppi=72)
